"""What an attack found, window by window; made only of what the victim itself decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.victims import BlackBox
from edgeprune.verification.outcomes import BoolArray, Int16Array

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AttackResult:
    """One attack on n windows.

    A window that was decided wrongly before is not attacked: it stays as it is and is no success.
    To ask for changed decisions, whatever the truth, give the decisions as labels.

    Attributes:
        attack: Name of the attack in the registry.
        ball: The ball as it is written ("linf:20uV"); "" for attacks that look for the least
            change.
        norm: What `size` is in: "linf", "l1", "l2" or "l0".
        unit: Unit of `size`: "uV", "lsb" or "" for samples.
        victim: What was attacked.
        labels: The right decisions, int64 [n].
        decided_before: The victim's decisions of the windows as recorded [n].
        decided_after: Its decisions of `raw` [n].
        raw: int16 counts [n, reach]: where the attack succeeded, the member found; elsewhere the
            member that came nearest, or the window as recorded.
        success: Decided right before and wrong after, by a member of the ball [n].
        size: Size of the change where the attack succeeded; infinite where it failed; 0 where the
            window was decided wrongly before [n].
        queries: Windows that the victim was shown [n].
    """

    attack: str
    ball: str
    norm: str
    unit: str
    victim: str
    labels: Int64Array
    decided_before: Int64Array
    decided_after: Int64Array
    raw: Int16Array
    success: BoolArray
    size: Float64Array
    queries: Int64Array

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def attacked(self) -> BoolArray:
        """Which windows were decided right before, so that there was something to attack [n]."""
        return np.asarray(self.decided_before == self.labels)

    @property
    def success_rate(self) -> float:
        """Share of the attacked windows on which the attack succeeded; 0 without any."""
        return float(self.success.sum() / max(1, int(self.attacked.sum())))

    @property
    def robust_accuracy(self) -> float:
        """Share of all windows that are decided right before and after."""
        return float((self.attacked & ~self.success).mean()) if len(self) else 0.0

    def select(self, rows: Int64Array | BoolArray) -> AttackResult:
        """Return the result of some windows."""
        names = ("labels", "decided_before", "decided_after", "raw", "success", "size", "queries")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def better_of(self, other: AttackResult, *, attack: str = "") -> AttackResult:
        """Return for each window the smaller change that succeeded; queries add up.

        Args:
            other: Of the same windows and victim, in the same norm.
            attack: Name of the whole; else this one's.
        """
        better = other.success & (~self.success | (other.size < self.size))
        return replace(
            self,
            attack=attack or self.attack,
            decided_after=np.where(better, other.decided_after, self.decided_after),
            raw=np.where(better[:, np.newaxis], other.raw, self.raw),
            success=self.success | other.success,
            size=np.where(better, other.size, self.size),
            queries=self.queries + other.queries,
        )


def judged(
    attack: str,
    victim: BlackBox,
    labels: Int64Array,
    ball: Ball,
    raw: Int16Array,
    queries: Int64Array,
) -> AttackResult:
    """Return what candidates come to: the victim decides them, the ball says whether they count.

    Args:
        attack: Name of the attack.
        victim: What was attacked; it decides all windows and all candidates once more.
        labels: The right decisions [n].
        ball: What candidates must be members of; one of no size bounds nothing but the range.
        raw: The best candidate for each window, int16 [n, reach].
        queries: Windows that the search showed the victim [n].
    """
    held, rows = victim.held, np.arange(len(labels))
    recorded = held.raw
    before = victim.decide(recorded, rows)
    right = before == labels
    member = ball.contains(held, raw)
    kept = np.where((right & member)[:, np.newaxis], raw, recorded)
    moved = (kept != recorded).any(axis=1)
    after = before.copy()
    if moved.any():
        after[moved] = victim.decide(kept[moved], rows[moved])
    success = right & (after != labels)
    size = np.where(success, ball.norm_of(held, kept), np.where(right, np.inf, 0.0))
    return AttackResult(
        attack=attack,
        ball="" if ball.is_unbounded else ball.text,
        norm=ball.norm,
        unit=ball.unit,
        victim=victim.name,
        labels=labels,
        decided_before=before,
        decided_after=after,
        raw=kept,
        success=success,
        size=size,
        queries=queries,
    )
