"""Recordings: raw samples with the beats or events that were annotated in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.subjects import Subject
from edgeprune.errors import ConfigurationError
from edgeprune.late import late
from edgeprune.progress import Progress
from edgeprune.registry import Registry
from edgeprune.targets import Adc

Int16Array = npt.NDArray[np.int16]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Event:
    """A stretch of a recording that an annotator named.

    Attributes:
        begin_s: Where it begins, in seconds from the recording's first sample.
        end_s: Where it ends.
        label: Its class number in the order of the card's labels.
    """

    begin_s: float
    end_s: float
    label: int


@dataclass(frozen=True)
class Recording:
    """One record: the lead that holds its beats, or all channels that its segments are cut from.

    Attributes:
        name: The record's name.
        patient: Whose it is; the unit of every split.
        lead: Name of the lead; of segments, the names of the channels.
        adc: The converter that the samples came from.
        samples: Counts of the converter around 0, int16 [n] of beats, [n, channels] of segments.
        beats: Sample numbers of the annotated beats, or first samples of the segments, int64 [k],
            increasing.
        labels: int64 [k], class numbers in the order of the card's labels.
        subject: Sex and age of the patient, as far as they are known.
        events: What segments were labelled by, in order of their begin.
    """

    name: str
    patient: str
    lead: str
    adc: Adc
    samples: Int16Array
    beats: Int64Array
    labels: Int64Array
    subject: Subject = field(default_factory=Subject)
    events: tuple[Event, ...] = ()

    @property
    def channels(self) -> int:
        """Channels of the samples."""
        return 1 if self.samples.ndim == 1 else self.samples.shape[1]


@dataclass(frozen=True)
class Conversion:
    """A recording as a device's converter would have seen it.

    Attributes:
        recording: The converted recording.
        clipped: Samples that the converter's range cut off.
        identical: Nothing had to change.
    """

    recording: Recording
    clipped: int
    identical: bool


def read_recordings(
    card: DatasetCard, directory: Path | None, progress: Progress, seed: int
) -> tuple[Recording, ...]:
    """Return every record in use of a data set, in the order train, validation, test.

    Args:
        card: The data set.
        directory: Where its files lie; generated data sets need none.
        progress: Told about each record.
        seed: Decides generated recordings; measured ones ignore it.

    Raises:
        DataError: A file is absent, damaged or contradicts another.
        ConfigurationError: The data set has files and no directory is given.
    """
    source = SOURCES.get(card.source, where=card.path)
    if not card.split.pieces:
        return source(card, directory, progress, seed)
    from edgeprune.data.protocols import cut_pieces, whole_card

    return cut_pieces(card, source(whole_card(card), directory, progress, seed))


def to_adc(recording: Recording, adc: Adc) -> Conversion:
    """Return the recording as the converter `adc` would have delivered it.

    The samples are resampled by a polyphase filter and requantized, the beats move to the nearest
    sample; where the converters are the same nothing changes.
    """
    own = recording.adc
    low, high = -(1 << (adc.bits - 1)), (1 << (adc.bits - 1)) - 1
    same_scale = own.microvolt_per_count == adc.microvolt_per_count
    if own.rate_hz == adc.rate_hz and same_scale:
        counts: npt.NDArray[np.float64] | Int16Array = recording.samples
        beats = recording.beats
    else:
        counts = recording.samples.astype(np.float64)
        beats = recording.beats
        if own.rate_hz != adc.rate_hz:
            from scipy.signal import resample_poly

            ratio = Fraction(adc.rate_hz / own.rate_hz).limit_denominator(10_000)
            up, down = ratio.numerator, ratio.denominator
            counts = resample_poly(counts, up, down, padtype="line")
            beats = np.minimum((2 * beats * up + down) // (2 * down), len(counts) - 1)
        counts = np.rint(counts * (own.microvolt_per_count / adc.microvolt_per_count))
    clipped = int(np.count_nonzero((counts < low) | (counts > high)))
    samples = np.clip(counts, low, high).astype(np.int16)
    identical = own.rate_hz == adc.rate_hz and same_scale and clipped == 0
    return Conversion(replace(recording, adc=adc, samples=samples, beats=beats), clipped, identical)


def _read_wfdb(
    card: DatasetCard, directory: Path | None, progress: Progress, seed: int
) -> tuple[Recording, ...]:
    from edgeprune.data.wfdb_reader import read_wfdb_record
    from edgeprune.data.wfdb_segments import read_wfdb_segments

    del seed
    read = read_wfdb_record if card.window is None else read_wfdb_segments
    if directory is None:
        raise ConfigurationError(
            f"data set '{card.name}' is read from files and no folder is given",
            where="--data-dir",
            hint=f"edgeprune datasets fetch {card.name} DIR, then pass --data-dir DIR",
        )
    recordings = []
    with progress.task(f"reading {card.name}", len(card.split.records), "records") as advance:
        for name in card.split.records:
            recordings.append(read(card, directory, name))
            advance(1)
    return tuple(recordings)


def _generate(
    card: DatasetCard, directory: Path | None, progress: Progress, seed: int
) -> tuple[Recording, ...]:
    from edgeprune.data.synthetic import generate_record

    del directory
    recordings = []
    with progress.task(f"generating {card.name}", len(card.split.records), "records") as advance:
        for name in card.split.records:
            recordings.append(generate_record(card, name, seed))
            advance(1)
    return tuple(recordings)


def _from(home: str) -> Source:
    """Return a source by its place, "module:name" in this room, imported when it is first read."""

    def read(
        card: DatasetCard, directory: Path | None, progress: Progress, seed: int
    ) -> tuple[Recording, ...]:
        source: Source = late("edgeprune.data", home)
        return source(card, directory, progress, seed)

    return read


Source = Callable[[DatasetCard, Path | None, Progress, int], tuple[Recording, ...]]
SOURCES: Registry[Source] = Registry("data source")
SOURCES.add("wfdb", _read_wfdb)
SOURCES.add("synthetic-ecg", _generate)
SOURCES.add("npz-windows", _from("npz_windows:read_windows"))
SOURCES.add("synthetic-eeg", _from("synthetic_eeg:generate_all"))
SOURCES.add("edf", _from("edf_reader:read_edf"))
SOURCES.add("csv", _from("table_reader:read_csv"))
SOURCES.add("parquet", _from("table_reader:read_parquet"))
SOURCES.add("npz", _from("npz_reader:read_npz"))
