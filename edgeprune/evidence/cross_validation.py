"""All folds of a protocol together: each patient, their mean, and the windows of all."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.performance import Scores, StageComparison
from edgeprune.evidence.quantity import Quantity
from edgeprune.evidence.requirements import Outcome, Requirement
from edgeprune.evidence.seizures import SeizureScores


@dataclass(frozen=True)
class FoldPatient:
    """One patient's tested windows.

    Attributes:
        patient: Whose they are; also the fold.
        windows: How many.
        counts: Windows of each class in the reference.
        recalls: Share of each class that was found; None where the patient has none of it.
        accuracy: Share of windows that were right.
    """

    patient: str
    windows: int
    counts: tuple[int, ...]
    recalls: tuple[float | None, ...]
    accuracy: float


@dataclass(frozen=True)
class FoldStage:
    """One stage of the network over all folds: as many networks as folds.

    Attributes:
        stage: "float", "pruned float" or "int8".
        patients: Each patient by itself.
        recalls: By class, the mean over the patients that have it.
        accuracy: Mean over the patients.
        pooled: All windows of all folds together, every window weighing alike.
        seizures: Events over all folds; absent where they cannot be scored.
    """

    stage: str
    patients: tuple[FoldPatient, ...]
    recalls: tuple[Quantity, ...]
    accuracy: Quantity
    pooled: Scores
    seizures: SeizureScores | None = None


@dataclass(frozen=True)
class CrossValidation:
    """What `edgeprune cross-validate` found.

    Attributes:
        foreword: What a reader must hear before any figure.
        edgeprune: Version that made it.
        dataset: Name of the data set.
        synthetic: No patient was ever measured.
        protocol: "personalised" or "leave-one-patient-out".
        model: The classifier.
        seed: Seed of every fold.
        folds: The patients, each left out or fitted to once.
        class_names: The classes, in the order of all lists by class.
        stages: Each stage of the network.
        not_tested: What could not be scored and why.
        comparison: The first stage against the last, over all folds; absent where there is one.
        requirements: Those of the configuration that can be decided over folds.
    """

    foreword: str
    edgeprune: str
    dataset: str
    synthetic: bool
    protocol: str
    model: str
    seed: int
    folds: tuple[str, ...]
    class_names: tuple[str, ...]
    stages: tuple[FoldStage, ...]
    not_tested: tuple[str, ...] = ()
    comparison: StageComparison | None = None
    requirements: tuple[Requirement, ...] = ()

    @property
    def passed(self) -> bool:
        """Every requirement that can be decided over folds is met; where none is set none fails."""
        return all(row.outcome is Outcome.PASS for row in self.requirements)
