"""Beat-by-beat scores as ANSI/AAMI EC57 asks for them, per record, gross and average."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity


@dataclass(frozen=True)
class BeatPairs:
    """Pairs of a reference beat and a test beat, by class.

    Attributes:
        rows: Reference: N, S, V, F, Q; O where the reference has no beat there, X where it is shut
            down.
        columns: Test: n, s, v, f, q; o where the test has no beat there, x where it is shut down.
        counts: Pairs; one row a reference class, one column a test class. The four cells of O and
            X against o and x are 0: neither has a beat there.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class BeatStatistics:
    """The statistics of EC57 and, where the standard asks for none, of its users.

    Sensitivity is the share of the reference beats that were found as such; positive predictivity
    the share of the test's beats that are such. Of ventricular ectopic beats (VEB), a reference F
    or Q called v is neither right nor wrong; of supraventricular ones (SVEB), a reference Q called
    s.

    Attributes:
        qrs_sensitivity: Of beats of any class.
        qrs_predictivity: Of beats of any class.
        veb_sensitivity: Of VEB.
        veb_predictivity: Of VEB.
        veb_false_positive_rate: Share of what is no VEB that was called one.
        sveb_sensitivity: Of SVEB.
        sveb_predictivity: Of SVEB.
        sveb_false_positive_rate: Share of what is no SVEB that was called one.
    """

    qrs_sensitivity: Quantity
    qrs_predictivity: Quantity
    veb_sensitivity: Quantity
    veb_predictivity: Quantity
    veb_false_positive_rate: Quantity
    sveb_sensitivity: Quantity
    sveb_predictivity: Quantity
    sveb_false_positive_rate: Quantity


@dataclass(frozen=True)
class ShutdownCounts:
    """Beats that fell into the time in which the test said that it was shut down.

    Attributes:
        seconds: How long that was, after the learning period.
        beats: Reference beats missed in it, of any class.
        classes: The same by class N, S, V, F, Q.
    """

    seconds: float
    beats: int
    classes: tuple[int, ...]


@dataclass(frozen=True)
class RecordBeats:
    """One recording, without intervals: one patient has none.

    Attributes:
        record: Its name.
        patient: Whose it is.
        part: The part of the data that it is in; scores of a training record say how well it was
            learnt by heart.
        annotated: Reference beats of the whole recording by class N, S, V, F, Q.
        in_learning: How many of them lie in the learning period, which is not scored.
        in_flutter: How many lie in ventricular flutter or fibrillation, which is scored as
            episodes and not as beats.
        flutter_seconds: How long that is, after the learning period.
        without_decision: Beats of the scored time that have no window or no decision; they are
            among the pairs, as missed or as unclassified.
        pairs: The scored pairs.
        statistics: The statistics of the pairs.
        shutdown: What fell into the test's shutdown.
    """

    record: str
    patient: str
    part: str
    annotated: tuple[int, ...]
    in_learning: int
    in_flutter: int
    flutter_seconds: float
    without_decision: int
    pairs: BeatPairs
    statistics: BeatStatistics
    shutdown: ShutdownCounts


@dataclass(frozen=True)
class BeatScores:
    """Recordings scored beat by beat, together.

    Attributes:
        stage: "float", "pruned float" or "int8 as flashed".
        part: The part of the data.
        detector: Where the positions of the test's beats come from.
        class_names: The classes of the annotated counts, N, S, V, F, Q.
        match_milliseconds: How far apart the beats of a pair may be.
        learning_seconds: Length of the learning period.
        annotated: Reference beats of all recordings by class, before anything is left out.
        pairs: The pairs of all recordings.
        gross: Statistics of these: every beat weighs alike; intervals clustered by patient.
        average: Mean over the recordings that define a statistic: every recording weighs alike.
        shutdown: What fell into the test's shutdown, in all.
        patients: Patients the recordings are of.
        record_count: Recordings.
        records: Each by itself; absent where they are withheld.
        notes: What a reader must know beside it.
    """

    stage: str
    part: str
    detector: str
    class_names: tuple[str, ...]
    match_milliseconds: float
    learning_seconds: float
    annotated: tuple[int, ...]
    pairs: BeatPairs
    gross: BeatStatistics
    average: BeatStatistics
    shutdown: ShutdownCounts
    patients: int
    record_count: int
    records: tuple[RecordBeats, ...] = ()
    notes: tuple[str, ...] = ()
