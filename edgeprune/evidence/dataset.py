"""The data behind a result: origin, split, what was left out."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity, Spread


@dataclass(frozen=True)
class ClassDescription:
    """A class that the network tells apart.

    Attributes:
        name: Short name used in every table, e.g. "V".
        title: What it stands for, e.g. "ventricular ectopic beat".
    """

    name: str
    title: str


@dataclass(frozen=True)
class ClassCount:
    """Beats (or windows) of one class.

    Attributes:
        name: Short name of the class.
        count: How many.
    """

    name: str
    count: int


@dataclass(frozen=True)
class Split:
    """One part of the data.

    Attributes:
        name: "train", "validation" or "test".
        purpose: What the part was used for.
        records: Names of its recordings.
        patients: Its patients.
        windows: Windows in all.
        classes: Windows per class.
    """

    name: str
    purpose: str
    records: tuple[str, ...]
    patients: tuple[str, ...]
    windows: int
    classes: tuple[ClassCount, ...]


@dataclass(frozen=True)
class Exclusion:
    """Beats or records that were left out.

    Attributes:
        reason: Why.
        beats: How many beats.
        records: Recordings concerned; empty where it is spread over many.
    """

    reason: str
    beats: int
    records: tuple[str, ...] = ()


@dataclass(frozen=True)
class SharedPatients:
    """Patients that two parts have in common; there should be none.

    Attributes:
        first: Name of a part.
        second: Name of another.
        patients: Who is in both.
    """

    first: str
    second: str
    patients: tuple[str, ...]


@dataclass(frozen=True)
class AdcEvidence:
    """The device's analogue-to-digital converter that the recordings were brought to.

    Attributes:
        rate_hz: Samples a second.
        microvolt_per_count: Size of one count.
        bits: Width of a sample.
        clipped: Share of samples at either end of the range after conversion.
        unit: "uV", or "rms" where the publisher normalised the signal: thousandths of its RMS then
            stand in the place of microvolts.
    """

    rate_hz: float
    microvolt_per_count: float
    bits: int
    clipped: Quantity | None = None
    unit: str = "uV"


@dataclass(frozen=True)
class WindowEvidence:
    """What the network sees at once.

    Attributes:
        length: Samples of the signal input.
        channels: Channels of the signal input.
        rhythm_features: Features of the rhythm input; 0 where there is none.
        seconds: Duration that the signal input covers.
        microvolt_per_lsb: What one step of the signal input is at the electrodes, over the windows
            of the test part; absent where the signal has no unit.
    """

    length: int
    channels: int
    rhythm_features: int
    seconds: float
    microvolt_per_lsb: Spread | None = None


@dataclass(frozen=True)
class DataEvidence:
    """The data behind the result.

    Attributes:
        origin: Where the recordings come from.
        licence: Under what terms.
        citation: How the publisher wants it cited.
        lead: The lead used.
        adc: The converter they were brought to.
        window: What the network sees at once.
        classes: The classes, in the order of the network's outputs.
        splits: Train, validation and test.
        excluded: What was left out and why.
        shared_patients: Every overlap found between parts; empty: disjoint by patient.
        notes: What a reader must know about these data.
        patients_known: Whether anybody knows whose the records are; where nobody does, the parts
            are of different records and perhaps of the same people.
    """

    origin: str
    licence: str
    citation: str
    lead: str
    adc: AdcEvidence
    window: WindowEvidence
    classes: tuple[ClassDescription, ...]
    splits: tuple[Split, ...]
    excluded: tuple[Exclusion, ...] = ()
    shared_patients: tuple[SharedPatients, ...] = ()
    notes: tuple[str, ...] = ()
    patients_known: bool = True


def shared_patients(splits: tuple[Split, ...]) -> tuple[SharedPatients, ...]:
    """Return every overlap of patients between two parts; empty where all are disjoint."""
    overlaps = (
        SharedPatients(
            first.name, second.name, tuple(sorted(set(first.patients) & set(second.patients)))
        )
        for position, first in enumerate(splits)
        for second in splits[position + 1 :]
    )
    return tuple(overlap for overlap in overlaps if overlap.patients)
