"""What pruning cost the patient: each step's network against the one that pruning began with."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity


@dataclass(frozen=True)
class RecallChange:
    """The recall of one class in two networks, on the same windows.

    Attributes:
        name: Short name of the class.
        n: Windows of the class.
        before: Recall of the parent.
        after: Recall of the pruned network.
        change: The second less the first, with a paired interval clustered by patient.
        lost: Windows that the parent alone decides rightly.
        gained: Windows that the pruned network alone decides rightly.
        limit: Largest loss allowed; absent where the class is watched only.
    """

    name: str
    n: int
    before: Quantity
    after: Quantity
    change: Quantity
    lost: int
    gained: int
    limit: float | None = None

    @property
    def exceeded(self) -> bool:
        """Whether more was lost than the limit allows; nothing is without windows.

        One window is not, whatever the share: less cannot be seen. A limit of 0 allows none.
        """
        if self.limit is None:
            return False
        # In windows, so that a loss of exactly the limit is none too much.
        allowed = max(1.0, self.limit * self.n) if self.limit else 0.0
        return self.lost - self.gained > allowed + 1e-9


@dataclass(frozen=True)
class SubgroupRecall:
    """The change of one class's recall in a part of the patients.

    Attributes:
        name: Short name of the class.
        before: Recall of the parent.
        after: Recall of the pruned network.
        change: The second less the first; `n` counts windows.
    """

    name: str
    before: float
    after: float
    change: Quantity


@dataclass(frozen=True)
class SubgroupChange:
    """What became of one part of the patients under compression (arXiv:2201.08542).

    Attributes:
        kind: What the parts are made by: "record", "sex" or "age".
        name: The part, "unknown" where the headers do not say.
        n: Windows.
        patients: Patients.
        recalls: The classes that the part has windows of.
    """

    kind: str
    name: str
    n: int
    patients: int
    recalls: tuple[SubgroupRecall, ...]


@dataclass(frozen=True)
class GuardStep:
    """One network held against its parent on the same windows.

    Attributes:
        step: Number of the pruning step, from 1.
        held: Whether no class lost more than its limit.
        reason: Which class lost how much against which limit; empty where it held.
        recalls: The classes that there are windows of.
        unseen: Classes that have a limit but no window: the guard cannot see them.
        accuracy_change: Of the share of right decisions.
        macro_f1_change: Of the mean F1 over the classes that there are windows of.
        calibration_error_change: Of the expected calibration error of the decided class's
            probability, bins of equal width; above 0 the pruned network is the worse one.
        records: The change in each recording.
        groups: The change by sex and by age group.
    """

    step: int
    held: bool
    reason: str
    recalls: tuple[RecallChange, ...]
    unseen: tuple[str, ...]
    accuracy_change: Quantity
    macro_f1_change: Quantity
    calibration_error_change: Quantity
    records: tuple[SubgroupChange, ...] = ()
    groups: tuple[SubgroupChange, ...] = ()


@dataclass(frozen=True)
class GuardLimit:
    """How much one class may lose.

    Attributes:
        name: Short name of the class.
        loss: Largest loss of recall, 0.01 for a point.
    """

    name: str
    loss: float


@dataclass(frozen=True)
class GuardEvidence:
    """What the guard saw, and whether it stopped the pruning.

    Attributes:
        part: The part of the data.
        limits: The limits that were set.
        steps: Every step judged, the refused one included.
        stopped_at: The step that was taken back; absent where all held.
        verdict: The same in words.
    """

    part: str
    limits: tuple[GuardLimit, ...]
    steps: tuple[GuardStep, ...]
    stopped_at: int | None
    verdict: str
