"""Seizure scores by events and by samples, in the rules of SzCORE."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity


@dataclass(frozen=True)
class SeizureRules:
    """What counts as the detection of a seizure.

    Attributes:
        before_seconds: A detection may begin so much earlier.
        after_seconds: A detection may end so much later.
        minimum_overlap: Share of the seizure, with both tolerances, that detections must exceed.
        merge_seconds: Events nearer to each other are one event.
        longest_seconds: Longer events are split into pieces of this length.
    """

    before_seconds: float
    after_seconds: float
    minimum_overlap: float
    merge_seconds: float
    longest_seconds: float


@dataclass(frozen=True)
class SeizureCounts:
    """Counts and scores of one way of counting.

    Attributes:
        reference: Events (or samples) of the reference.
        found: How many of them were found.
        false_alarms: Events (or samples) of the test that are none.
        sensitivity: Share of the reference that was found.
        precision: Share of found and false alarms that was found.
        f1: Harmonic mean of both.
        false_alarms_per_hour: Per hour of recording.
        false_alarms_per_day: Per 24 hours of recording.
    """

    reference: int
    found: int
    false_alarms: int
    sensitivity: Quantity
    precision: Quantity
    f1: Quantity
    false_alarms_per_hour: Quantity
    false_alarms_per_day: Quantity


@dataclass(frozen=True)
class RecordSeizures:
    """One recording, without intervals.

    Attributes:
        record: Its name.
        patient: Whose it is.
        hours: Its length.
        events: Counted by events.
        samples: Counted by samples.
    """

    record: str
    patient: str
    hours: float
    events: SeizureCounts
    samples: SeizureCounts


@dataclass(frozen=True)
class PatientSeizures:
    """One patient's recordings together, without intervals.

    Attributes:
        patient: Whose they are.
        record_count: How many.
        hours: Their length.
        events: Counted by events.
        samples: Counted by samples.
    """

    patient: str
    record_count: int
    hours: float
    events: SeizureCounts
    samples: SeizureCounts


@dataclass(frozen=True)
class PatientAverage:
    """Scores by events, every patient weighing alike.

    Attributes:
        sensitivity: Mean over the patients that have a seizure.
        precision: Mean over the patients with a detection.
        f1: Mean over the patients for whom it is defined.
        false_alarms_per_hour: Mean over all patients.
    """

    sensitivity: Quantity
    precision: Quantity
    f1: Quantity
    false_alarms_per_hour: Quantity


@dataclass(frozen=True)
class SeizureScores:
    """Recordings together: every event weighs alike, intervals clustered by patient.

    Attributes:
        stage: "float", "pruned float" or "int8 as flashed".
        part: The part of the data.
        rules: What counts as a detection.
        sample_rate_hz: Samples a second of the count by samples.
        events: Counted by events.
        samples: Counted by samples.
        hours: Length of all recordings.
        patients: Patients the recordings are of.
        record_count: Recordings.
        average: The same by patients; absent where it was not asked for.
        by_patient: Each patient by itself; absent where they are withheld.
        records: Each by itself; absent where they are withheld.
        notes: What a reader must know beside it.
    """

    stage: str
    part: str
    rules: SeizureRules
    sample_rate_hz: float
    events: SeizureCounts
    samples: SeizureCounts
    hours: float
    patients: int
    record_count: int
    average: PatientAverage | None = None
    by_patient: tuple[PatientSeizures, ...] = ()
    records: tuple[RecordSeizures, ...] = ()
    notes: tuple[str, ...] = ()
