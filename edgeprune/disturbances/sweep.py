"""Disturbed recordings cut into windows anew, and what an integer network decides of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

import numpy as np
import numpy.typing as npt

from edgeprune.data.front_ends import FrontEnd
from edgeprune.data.recordings import Recording
from edgeprune.data.windows import Windows
from edgeprune.disturbances.disturbance import Disturbance, Disturbed, apply_to
from edgeprune.errors import DataError
from edgeprune.executor import Codec, Executor, Task
from edgeprune.network.integer_network import IntegerNetwork
from edgeprune.progress import Progress

Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LOST = -1
"""The decision of a beat that has no window any more."""


@dataclass(frozen=True, eq=False)
class DisturbedWindows:
    """The beats of some undisturbed windows, cut anew from disturbed recordings.

    Attributes:
        windows: The same beats in the same order with the same labels; `beat` says where each now
            lies. Signal and rhythm are 0 where there is no window any more.
        present: Whether the beat still has a window, bool [n].
    """

    windows: Windows
    present: Bools


@dataclass(frozen=True, eq=False)
class DisturbedDecisions:
    """What a network makes of disturbed windows.

    Attributes:
        logits: int8 [n, classes]; 0 where there is no window.
        present: Whether the beat still has a window, bool [n].
    """

    logits: Int8Array
    present: Bools

    @property
    def predictions(self) -> Int64Array:
        """The class with the largest logit, the first of equals; `LOST` without a window [n]."""
        return np.where(self.present, self.logits.argmax(axis=1), LOST).astype(np.int64)


@dataclass(frozen=True, eq=False)
class RecordingTask:
    """One disturbance of one recording.

    Attributes:
        recording: The undisturbed recording.
        windows: Undisturbed windows of it.
        disturbance: What happens to it; None: nothing.
    """

    recording: Recording
    windows: Windows
    disturbance: Disturbance | None


def disturbed_windows(
    recordings: Sequence[Recording],
    windows: Windows,
    front_end: FrontEnd,
    disturbance: Disturbance | None,
    seed: int,
) -> DisturbedWindows:
    """Return chosen beats as the front end cuts them from disturbed recordings.

    Args:
        recordings: The undisturbed recordings at the device's converter, found by name.
        windows: The chosen beats as undisturbed windows.
        front_end: What cuts windows; it runs over the whole recording up to the last chosen beat.
        disturbance: What happens to the recordings; None gives `windows` back.
        seed: Decides what is drawn.

    Raises:
        DataError: A recording is absent, or has no beat where a window says so.
    """
    by_name = _by_name(recordings, windows)
    signal, rhythm = np.zeros_like(windows.signal), np.zeros_like(windows.rhythm)
    gain, beat = np.ones_like(windows.gain), windows.beat.copy()
    present = np.zeros(len(windows), np.bool_)
    for number in np.unique(windows.record).tolist():
        rows = np.flatnonzero(windows.record == number)
        recording = by_name[windows.record_names[number]]
        chosen = _indices(recording, windows.beat[rows])
        disturbed = disturb(recording, disturbance, seed)
        place = np.full(len(recording.beats), LOST)
        real = disturbed.origin >= 0
        place[disturbed.origin[real]] = np.flatnonzero(real)
        found = place[chosen]
        # The device decides a beat when it knows the next one: those after that change nothing.
        beats = disturbed.recording.beats[: found.max(initial=LOST) + 2]
        output = front_end.run(disturbed.recording.samples, beats)
        kept = found >= 0
        kept[kept] = output.valid[found[kept]]
        into, out = rows[kept], found[kept]
        signal[into], rhythm[into], gain[into] = (
            output.signal[out],
            output.rhythm[out],
            output.gain[out],
        )
        beat[into], present[into] = disturbed.recording.beats[out], True
    cut = replace(windows, signal=signal, rhythm=rhythm, gain=gain, beat=beat)
    return DisturbedWindows(cut, present)


def disturb(recording: Recording, disturbance: Disturbance | None, seed: int) -> Disturbed:
    """Return the disturbed recording; without a disturbance the recording itself."""
    if disturbance is None:
        return Disturbed(recording, np.arange(len(recording.beats)))
    return apply_to(disturbance, recording, seed)


def decide_recording(
    network: IntegerNetwork, front_end: FrontEnd, seed: int, task: RecordingTask
) -> DisturbedDecisions:
    """Decide the chosen beats of one disturbed recording; the function of an executor's tasks."""
    cut = disturbed_windows([task.recording], task.windows, front_end, task.disturbance, seed)
    inputs = (cut.windows.signal, cut.windows.rhythm)[: len(network.inputs)]
    logits = network.run(*inputs)
    logits[~cut.present] = 0
    return DisturbedDecisions(logits, cut.present)


def decide_disturbed(
    network: IntegerNetwork,
    recordings: Sequence[Recording],
    windows: Windows,
    front_end: FrontEnd,
    disturbances: Sequence[Disturbance | None],
    seed: int,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> tuple[DisturbedDecisions, ...]:
    """Decide the same beats under each disturbance; one task a disturbance and recording.

    Args:
        network: The integer network, exact.
        recordings: The undisturbed recordings at the device's converter, found by name.
        windows: The chosen beats as undisturbed windows.
        front_end: What cuts windows.
        disturbances: What happens to the recordings; None for nothing.
        seed: Decides what is drawn.
        executor: Where the tasks run and are kept.
        progress: Told of the finished tasks.

    Returns:
        One result a disturbance, its rows in the order of `windows`.

    Raises:
        DataError: See `disturbed_windows`.
    """
    by_name = _by_name(recordings, windows)
    numbers = np.unique(windows.record).tolist()
    rows = [np.flatnonzero(windows.record == number) for number in numbers]
    tasks = []
    for disturbance in disturbances:
        text = "nothing" if disturbance is None else disturbance.text
        for number, chosen in zip(numbers, rows, strict=True):
            name = windows.record_names[number]
            task = RecordingTask(by_name[name], windows.select(chosen), disturbance)
            tasks.append(Task(f"{text}/{name}", task, len(chosen)))
    found = (executor or Executor()).run(
        partial(decide_recording, network, front_end, seed),
        tasks,
        Codec(_encode, _decode),
        progress=progress,
        description="disturbances",
        unit="window",
    )
    order = np.argsort(np.concatenate(rows)) if rows else np.zeros(0, np.int64)
    results = []
    for first in range(0, len(found), len(numbers)):
        parts = found[first : first + len(numbers)]
        logits = np.concatenate([part.logits for part in parts])[order]
        present = np.concatenate([part.present for part in parts])[order]
        results.append(DisturbedDecisions(logits, present))
    return tuple(results)


def _by_name(recordings: Sequence[Recording], windows: Windows) -> dict[str, Recording]:
    """Return the recordings by name; every window's must be among them."""
    by_name = {recording.name: recording for recording in recordings}
    for number in np.unique(windows.record).tolist():
        name = windows.record_names[number]
        if name not in by_name:
            raise DataError(
                f"the raw samples of record '{name}' are not given",
                where="disturbances",
                hint="give every recording that the windows come from",
            )
    return by_name


def _indices(recording: Recording, beats: Int64Array) -> Int64Array:
    """Return which beats of the recording lie at these samples."""
    chosen = np.searchsorted(recording.beats, beats)
    known = chosen < len(recording.beats)
    if not known.all() or not np.array_equal(recording.beats[chosen], beats):
        raise DataError(
            "a window's beat is none of its recording",
            where=f"record {recording.name}",
            hint="windows and recordings are of the same converter and data set",
        )
    return chosen


def _encode(decisions: DisturbedDecisions) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(buffer, logits=decisions.logits, present=decisions.present)
    return buffer.getvalue()


def _decode(content: bytes) -> DisturbedDecisions:
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        return DisturbedDecisions(arrays["logits"], arrays["present"])
