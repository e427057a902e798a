"""The attack of Brendel and Bethge: along the decision boundary, ever nearer to the window.

Brendel, Rauber, Kümmerer, Ustyuzhaninov and Bethge 2019 (arXiv:1907.01003). It starts at a change
that flips the decision: another window of the set that is decided otherwise, or the first point
along the slope that is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.shrink import Found, Shrinker, measured
from edgeprune.attacks.trust_region import StepProblem, best_step
from edgeprune.attacks.victims import Victim
from edgeprune.progress import Advance
from edgeprune.verification.outcomes import Int16Array
from edgeprune.verification.perturbations.part import movable

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

# Other windows tried as starts, and sizes of steps along the slope, in counts.
_OTHERS = 12
_SIZES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
# The trust region at first and at last, as shares of the first change's length (L2).
_FIRST, _LAST = 0.2, 0.002
_MOMENTUM = 0.8
_OVERSHOOT = 1.1


def starting_points(
    victim: Victim,
    rows: Int64Array,
    labels: Int64Array,
    norm: str,
    generator: np.random.Generator,
) -> Found:
    """Return a change that flips each window where one is found: the smallest of several kinds.

    Args:
        victim: Decides.
        rows: The windows [m].
        labels: What must no longer be decided [m].
        norm: What is to be small.
        generator: Draws the other windows.
    """
    held = victim.held
    shrinker = Shrinker(victim, rows, labels, norm)
    found = shrinker.nothing()
    if not len(rows):
        return found
    signal = movable(held)
    for _ in range(min(_OTHERS, len(held))):
        other = generator.integers(0, len(held), len(rows))
        raw = held.raw[rows].astype(np.float64)
        raw[:, :signal] = held.raw[other, :signal]
        found = found.better_of(shrinker.along(raw))
    seen = victim.look(held.raw[rows], rows)
    count = np.arange(len(rows))
    weights = np.exp(seen.logits - seen.logits.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    weights[count, labels] = 0
    weights[count, labels] = -weights.sum(axis=1)
    heading = np.sign(seen.gradient(weights + 1e-12 * (weights > 0)))
    for size in _SIZES:
        found = found.better_of(shrinker.along(held.raw[rows] + size * heading))
    return found


def walk(
    victim: Victim,
    rows: Int64Array,
    labels: Int64Array,
    norm: str,
    start: Found,
    steps: int,
    advance: Advance,
) -> Found:
    """Walk along the boundary from changes that flip, and return the smallest seen.

    Args:
        victim: What is attacked.
        rows: The windows [m].
        labels: What must no longer be decided [m].
        norm: "l0", "l1", "l2" or "linf".
        start: A change of each window; those that flip nothing stay.
        steps: Steps of the walk.
        advance: Told of every step.
    """
    going = np.flatnonzero(start.flipped & (start.size > 0))
    if not len(going):
        return start
    held = victim.held.select(rows[going])
    recorded = held.raw.astype(np.float64)
    least, greatest = (recorded + room for room in Ball(norm).limits(held))
    position = start.raw[going].astype(np.float64)
    first = np.sqrt(((position - recorded) ** 2).sum(axis=1))
    best, size = start.raw[going].copy(), start.size[going].copy()
    normal = np.zeros_like(position)
    for step in range(steps):
        raw = np.rint(position).astype(np.int16)
        margin, slope, decided = _margins(victim, raw, rows[going], labels[going])
        now = measured(norm, raw - recorded)
        better = (decided != labels[going]) & (now < size)
        best[better], size[better] = raw[better], now[better]
        normal = slope if step == 0 else (1 - _MOMENTUM) * slope + _MOMENTUM * normal
        share = _FIRST * (_LAST / _FIRST) ** (step / max(1, steps - 1))
        gain = np.where(margin > 0, -_OVERSHOOT * margin, -(2 - _OVERSHOOT) * margin)
        problem = StepProblem(
            recorded - position,
            normal,
            gain,
            least - position,
            greatest - position,
            np.maximum(share * first, 1.0),
        )
        position = np.clip(position + best_step(norm, problem), least, greatest)
        advance(1)
    raw, sizes, queries = start.raw.copy(), start.size.copy(), start.queries.copy()
    raw[going], sizes[going] = best, size
    queries[going] += steps
    return Found(raw, start.flipped, sizes, queries)


def _margins(
    victim: Victim, raw: Int16Array, rows: Int64Array, labels: Int64Array
) -> tuple[Float64Array, Float64Array, Int64Array]:
    """Return the right logit less the largest other one, its slope, and the decisions."""
    seen = victim.look(raw, rows)
    count = np.arange(len(rows))
    others = seen.logits.copy()
    others[count, labels] = -np.inf
    rival = others.argmax(axis=1)
    weights = np.zeros_like(seen.logits)
    weights[count, labels] = 1
    weights[count, rival] = -1
    margin = seen.logits[count, labels] - others[count, rival]
    return margin, seen.gradient(weights), seen.decisions
