"""How well the network tells the classes apart, at each stage of its history."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity


@dataclass(frozen=True)
class ClassPerformance:
    """One class; every score names its own sample size and interval.

    Attributes:
        name: Short name of the class.
        n: Windows of this class in the reference.
        predicted: Windows that the network put into this class.
        sensitivity: Share of the class that was found; undefined where n is 0.
        precision: Share of the predictions that were right; undefined where nothing was predicted.
        f1: Harmonic mean of both; undefined where neither n nor a prediction exists.
    """

    name: str
    n: int
    predicted: int
    sensitivity: Quantity
    precision: Quantity
    f1: Quantity


@dataclass(frozen=True)
class ConfusionMatrix:
    """Reference against prediction.

    Attributes:
        class_names: Names of rows and columns.
        counts: Windows; one row a reference class, one column a predicted class.
    """

    class_names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Scores:
    """Everything computed from one set of decisions.

    Attributes:
        accuracy: Share of windows that were right.
        macro_f1: Mean F1 over the classes in `macro_f1_classes`.
        macro_f1_classes: The classes present in the reference.
        classes: Per class.
        confusion: The counts behind all of it.
        patients: Patients the windows come from.
        records: Recordings the windows come from.
    """

    accuracy: Quantity
    macro_f1: Quantity
    macro_f1_classes: tuple[str, ...]
    classes: tuple[ClassPerformance, ...]
    confusion: ConfusionMatrix
    patients: int
    records: int


@dataclass(frozen=True)
class RecordPerformance:
    """One recording.

    Attributes:
        record: Its name.
        patient: Whose it is.
        accuracy: Share of its windows that were right.
        classes: Per class, without intervals: one patient has none.
    """

    record: str
    patient: str
    accuracy: Quantity
    classes: tuple[ClassPerformance, ...]


@dataclass(frozen=True)
class ScoresWithout:
    """The scores with some recordings left out: what those recordings alone decide.

    Attributes:
        records: Recordings left out.
        reason: Why they were named.
        scores: The scores of all others.
    """

    records: tuple[str, ...]
    reason: str
    scores: Scores


@dataclass(frozen=True)
class ModelPerformance:
    """One stage of the network on one part of the data.

    Attributes:
        stage: "float", "pruned float" or "int8 as flashed".
        split: The part of the data.
        scores: Over all recordings.
        records: Per recording.
        without: With named recordings left out.
    """

    stage: str
    split: str
    scores: Scores
    records: tuple[RecordPerformance, ...]
    without: tuple[ScoresWithout, ...] = ()


@dataclass(frozen=True)
class StageComparison:
    """Two stages on the same windows.

    Attributes:
        before: The earlier stage.
        after: The later stage.
        agreement: Share of windows that both decide alike.
        macro_f1_change: Later minus earlier, its interval from paired resamples.
        accuracy_change: Later minus earlier, likewise.
    """

    before: str
    after: str
    agreement: Quantity
    macro_f1_change: Quantity
    accuracy_change: Quantity
