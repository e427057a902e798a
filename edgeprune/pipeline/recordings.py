"""The raw recordings behind windows: kept by the data stage, so that perturbations start there."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data import Dataset, Windows
from edgeprune.data.episodes import Episodes, read_episodes
from edgeprune.data.held import HeldWindows, hold_windows, join_held
from edgeprune.data.recordings import Event, Recording
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.errors import DataError
from edgeprune.evaluation import AnnotatedBeats, standard_labels
from edgeprune.files import write_bytes
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.products import load_array
from edgeprune.pipeline.store import Stage

_RECORDINGS = "recordings.npz"
_EPISODES = ("flutter", "unreadable")
# Of the exchange memory: its header, and what alignment leaves free.
_EXCHANGE_REST = 512


def save_recordings(folder: Path, dataset: Dataset, directory: Path | None = None) -> None:
    """Keep the validation and test recordings as they came from the converter.

    Args:
        folder: Where to.
        dataset: The data set.
        directory: Where its files lie, whose annotations mark episodes; generated data sets have
            none.
    """
    split = dataset.card.split
    kept = {*split.validation, *split.test}
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for recording in dataset.recordings:
        if recording.name in kept:
            arrays[f"{recording.name}.samples"] = recording.samples
            arrays[f"{recording.name}.beats"] = recording.beats
            arrays[f"{recording.name}.labels"] = recording.labels
            arrays[f"{recording.name}.events"] = np.array(
                [(each.begin_s, each.end_s, each.label) for each in recording.events], np.float64
            ).reshape(-1, 3)
            episodes = read_episodes(dataset.card, directory, recording.name)
            for kind in _EPISODES:
                spans = np.array(getattr(episodes, kind), dtype=np.float64)
                arrays[f"{recording.name}.{kind}"] = spans.reshape(-1, 2)
    # Written to memory first: zipfile complains on its own when a disk is full.
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(folder / _RECORDINGS, buffer.getvalue())


def held_of(context: Context, data: Stage, windows: Windows) -> HeldWindows:
    """Return windows of the validation or test part at the converter, in their order.

    Args:
        context: The build, whose front end and converter made the windows.
        data: The data stage.
        windows: Any windows of its parts but the training one.

    Raises:
        DataError: The data stage has no raw recording of a window.
    """
    parts, order = [], []
    with np.load(data.file(_RECORDINGS), allow_pickle=False) as content:
        for number in np.unique(windows.record).tolist():
            name = windows.record_names[number]
            if f"{name}.samples" not in content:
                raise _not_kept(name)
            samples, beats = content[f"{name}.samples"], content[f"{name}.beats"]
            rows = np.flatnonzero(windows.record == number)
            chosen = np.searchsorted(beats, windows.beat[rows])
            parts.append(hold_windows(context.front_end, context.adc, samples, beats, chosen))
            order.append(rows)
    return join_held(parts).select(np.argsort(np.concatenate(order)))


def replayed_recording(
    context: Context, data: Stage, seconds: float
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """Return the start of the first test recording, for a device to make windows of.

    Args:
        context: The build.
        data: The data stage.
        seconds: How much at most; of segments as much as the device's exchange memory holds.

    Returns:
        Counts int16 [n] or [n, channels], and the samples of all windows that a device makes of
        them int64 [k]: the beats, or the first samples of segments, which follow each other.
    """
    samples = load_array(data.file("raw_samples.npy")).astype(np.int16)
    count, front_end = round(seconds * context.adc.rate_hz), context.front_end
    if not isinstance(front_end, SegmentFrontEnd):
        beats = load_array(data.file("raw_beats.npy")).astype(np.int64)
        samples = samples[:count]
        return samples, beats[beats < len(samples)]
    memories, room = context.target.memories, count
    if memories is not None:
        length, channels = front_end.signal_shape
        classes = len(context.card.class_names)
        # A step's samples, and a window with its logits for each.
        a_step = 2 * channels * front_end.step + length * channels + classes + 4
        before = 2 * channels * front_end.factor * length
        steps = max(0, memories.exchange.bytes - _EXCHANGE_REST - before) // a_step
        room = front_end.factor * length + max(0, steps - 1) * front_end.step
    samples = samples[: min(count, room)]
    return samples, front_end.starts(len(samples))


def recordings_of(context: Context, data: Stage, windows: Windows) -> tuple[Recording, ...]:
    """Return the whole recordings of some windows as they came from the converter.

    Args:
        context: The build, whose converter it is.
        data: The data stage.
        windows: Any windows of its validation or test part.

    Raises:
        DataError: The data stage has no raw recording of a window.
    """
    found = []
    with np.load(data.file(_RECORDINGS), allow_pickle=False) as content:
        for number in np.unique(windows.record).tolist():
            name = windows.record_names[number]
            if f"{name}.samples" not in content:
                raise _not_kept(name)
            arrays = {each: content[f"{name}.{each}"] for each in ("samples", "beats", "labels")}
            patient = windows.patients[number]
            events = tuple(
                Event(begin, end, int(label))
                for begin, end, label in content[f"{name}.events"].tolist()
            )
            lead = context.card.signal.lead_words
            found.append(Recording(name, patient, lead, context.adc, **arrays, events=events))
    return tuple(found)


def _not_kept(name: str) -> DataError:
    return DataError(
        f"the raw samples of record '{name}' are not kept",
        where=_RECORDINGS,
        hint="validation and test recordings are; take windows of these",
    )


def references_of(context: Context, data: Stage, windows: Windows) -> tuple[AnnotatedBeats, ...]:
    """Return the annotated beats of the recordings of some windows, those without window included.

    Args:
        context: The build, whose card says which part of the data a recording is in.
        data: The data stage.
        windows: Any windows of its validation or test part.

    Raises:
        DataError: The data stage has no annotations of a recording.
        ConfigurationError: A class is none of EC57's.
    """
    split = context.card.split
    references = []
    with np.load(data.file(_RECORDINGS), allow_pickle=False) as content:
        for name, patient in zip(windows.record_names, windows.patients, strict=True):
            if f"{name}.labels" not in content:
                raise DataError(
                    f"the annotations of record '{name}' are not kept",
                    where=_RECORDINGS,
                    hint="validation and test recordings are; remove that folder and build again",
                )
            spans = {
                kind: tuple((begin, end) for begin, end in content[f"{name}.{kind}"].tolist())
                for kind in _EPISODES
            }
            references.append(
                AnnotatedBeats(
                    record=name,
                    patient=patient,
                    part="validation" if name in split.validation else "test",
                    rate_hz=context.adc.rate_hz,
                    samples=len(content[f"{name}.samples"]),
                    beats=content[f"{name}.beats"],
                    labels=standard_labels(content[f"{name}.labels"], windows.class_names),
                    episodes=Episodes(**spans),
                )
            )
    return tuple(references)
