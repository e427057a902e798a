"""The windows that classifiers learn from and are tested on, split by patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard, split_statement
from edgeprune.data.front_ends import FrontEnd
from edgeprune.data.integer_arithmetic import Int8Array, Int64Array
from edgeprune.data.recordings import Recording, read_recordings, to_adc
from edgeprune.data.subjects import Subject
from edgeprune.errors import DataError
from edgeprune.progress import Progress
from edgeprune.targets import Adc


@dataclass(frozen=True, eq=False)
class Windows:
    """Labelled windows of some recordings.

    Attributes:
        signal: int8 [n, length, channels].
        rhythm: int8 [n, features].
        gain: The front end's gain, int64 [n]; see `FrontEnd.microvolt_per_lsb`.
        label: Class numbers, int64 [n].
        record: Index into `record_names`, int64 [n].
        beat: Sample number of the beat in its recording, int64 [n].
        record_names: Names of the recordings.
        patients: Patient of each recording.
        class_names: Names of the classes.
        synthetic: No patient was ever measured.
        subjects: Sex and age of each recording's patient; empty where nobody knows any.
    """

    signal: Int8Array
    rhythm: Int8Array
    gain: Int64Array
    label: Int64Array
    record: Int64Array
    beat: Int64Array
    record_names: tuple[str, ...]
    patients: tuple[str, ...]
    class_names: tuple[str, ...]
    synthetic: bool
    subjects: tuple[Subject, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    def select(self, mask: npt.NDArray[np.bool_] | Int64Array) -> Windows:
        """Return the windows of a mask [n] or of indices; recordings keep their index."""
        return replace(
            self,
            signal=self.signal[mask],
            rhythm=self.rhythm[mask],
            gain=self.gain[mask],
            label=self.label[mask],
            record=self.record[mask],
            beat=self.beat[mask],
        )


@dataclass(frozen=True)
class RecordCount:
    """What became of the beats of one recording.

    Attributes:
        record: Its name.
        beats: Annotated beats.
        excluded: Beats without a window: they lie too near the recording's end.
        clipped: Samples beyond the converter's range.
        samples: Samples in all.
    """

    record: str
    beats: int
    excluded: int
    clipped: int
    samples: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as the device's front end would have seen it.

    Attributes:
        train: Windows to learn from.
        validation: Windows of other patients that choose epochs and settings.
        test: Windows that are only ever evaluated.
        card: The data set.
        front_end: What made the windows.
        recordings: The recordings at the device's converter, in the order train, validation, test.
        counts: What became of each recording's beats.
        disjointness: One sentence on the patients of the three parts.
    """

    train: Windows
    validation: Windows
    test: Windows
    card: DatasetCard
    front_end: FrontEnd
    recordings: tuple[Recording, ...]
    counts: tuple[RecordCount, ...]
    disjointness: str


def prepare(
    card: DatasetCard,
    directory: Path | None,
    adc: Adc,
    front_end: FrontEnd,
    progress: Progress,
    seed: int,
) -> Dataset:
    """Read a data set, bring it to the device's converter and cut it into windows.

    Args:
        card: The data set.
        directory: Where its files lie; generated data sets need none.
        adc: The device's converter.
        front_end: What the device does to the samples.
        progress: Told about each record.
        seed: Decides generated recordings.

    Raises:
        DataError: A file is absent, damaged or contradicts another; a part has no windows.
        ConfigurationError: A patient is on two sides of the split undeclared.
    """
    disjointness = split_statement(card)
    recordings, cut, counts = [], {}, []
    read = read_recordings(card, directory, progress, seed)
    with progress.task("front end", len(read), "records") as advance:
        for recording in read:
            conversion = to_adc(_of_kind(recording, card), adc)
            converted = conversion.recording
            output = front_end.run(converted.samples, converted.beats)
            recordings.append(converted)
            cut[converted.name] = output
            counts.append(
                RecordCount(
                    converted.name,
                    len(converted.beats),
                    int((~output.valid).sum()),
                    conversion.clipped,
                    converted.samples.size,
                )
            )
            advance(1)
    by_name = {recording.name: recording for recording in recordings}

    def part(side: str, names: tuple[str, ...]) -> Windows:
        chosen = [by_name[name] for name in names]
        outputs = [cut[name] for name in names]
        kept = [output.valid for output in outputs]
        windows = Windows(
            signal=np.concatenate([out.signal[v] for out, v in zip(outputs, kept, strict=True)]),
            rhythm=np.concatenate([out.rhythm[v] for out, v in zip(outputs, kept, strict=True)]),
            gain=np.concatenate([out.gain[v] for out, v in zip(outputs, kept, strict=True)]),
            label=np.concatenate([rec.labels[v] for rec, v in zip(chosen, kept, strict=True)]),
            record=np.repeat(np.arange(len(names)), [int(v.sum()) for v in kept]),
            beat=np.concatenate([rec.beats[v] for rec, v in zip(chosen, kept, strict=True)]),
            record_names=names,
            patients=tuple(recording.patient for recording in chosen),
            class_names=card.class_names,
            synthetic=card.synthetic,
            subjects=tuple(recording.subject for recording in chosen),
        )
        if not len(windows):
            raise DataError(
                f"the {side} part has no windows",
                where=card.path,
                hint="its recordings are too short or have no beats",
            )
        return windows

    return Dataset(
        train=part("training", card.split.train),
        validation=part("validation", card.split.validation),
        test=part("test", card.split.test),
        card=card,
        front_end=front_end,
        recordings=tuple(recordings),
        counts=tuple(counts),
        disjointness=disjointness,
    )


def _of_kind(recording: Recording, card: DatasetCard) -> Recording:
    """Return a recording whose samples are as the card's windows need them.

    Raises:
        DataError: It has not the channels that the card names.
    """
    if card.window is None:
        return recording
    samples = recording.samples.reshape(len(recording.samples), -1)
    wanted = len(card.signal.channels)
    if samples.shape[1] != wanted:
        raise DataError(
            f"the recording has {samples.shape[1]} channels, the card names {wanted}",
            where=f"record {recording.name}",
            hint=f"correct signal.channels in {card.path or 'the card'}",
        )
    return replace(recording, samples=samples)
