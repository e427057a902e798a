"""Lines below and above a step's stairs, over an interval of its accumulators.

The slopes may be anything from 0 upwards: the intercepts are found here, as the extremes of
`stairs - slope * accumulator`, which lie at the corners of the stairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.certificate_checker.network import Step
from edgeprune.certificate_checker.stairs import LEAST, NEVER, Ints, Stairs

# Fractional bits of intercepts, on top of those of coefficients, and of slope ratios.
INTERCEPT_BITS = 12
RATIO_BITS = 14
# A stored slope ratio that leaves the choice to this program.
OWN_CHOICE = -(2**15)


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines below and above a step: slopes times 2^shift, intercepts times 2^INTERCEPT_BITS.

    They are lines over the sum of the linear maps: the step's constant and slack are in the
    intercepts.
    """

    shift: int
    slopes: tuple[Ints, Ints]
    intercepts: tuple[Ints, Ints]


def relax(step: Step, low: Ints, high: Ints, ratios: Ints | None) -> Lines:
    """Return lines below and above a step over the interval of its accumulators."""
    shift = step.exact.shift
    full = step.exact.slope[step.rows]
    own = _own_ratios(step, low, high)
    if ratios is not None:
        own = np.where(ratios == OWN_CHOICE, own, np.maximum(ratios.astype(np.int64), 0))
    slopes = (own * full) >> RATIO_BITS
    below = _extreme(step.low, step.rows, low, high, slopes[0], shift, upper=False)
    above = _extreme(step.high, step.rows, low, high, slopes[1], shift, upper=True)
    below += slopes[0] * (step.constant + step.slack[0])
    above += slopes[1] * (step.constant + step.slack[1])
    move = shift - INTERCEPT_BITS
    return Lines(shift, (slopes[0], slopes[1]), (shifted(below, move), -shifted(-above, move)))


def straight(step: Step, low: Ints, high: Ints) -> Ints:
    """Return the full slope wherever the step does not clip, so that samples move together."""
    clips = [step.low.values(step.rows, low), step.high.values(step.rows, high)]
    limits = [np.sum(step.exact.thresholds[step.rows] <= at, axis=1) for at in (-NEVER, NEVER - 1)]
    inner = (clips[0] > LEAST + limits[0]) & (clips[1] < LEAST + limits[1])
    ratios = np.where(inner, 1 << RATIO_BITS, OWN_CHOICE)
    return np.stack([ratios, ratios])


def _own_ratios(step: Step, low: Ints, high: Ints) -> Ints:
    """Return slopes [2, outputs]: 0, or the chord from the nearer stair's corner to the far end."""
    rows, full = step.rows, step.exact.slope[step.rows]
    own = np.arange(len(rows))
    one = 1 << RATIO_BITS
    ratios = []
    for stairs, upper in ((step.low, False), (step.high, True)):
        least, most = (stairs.values(rows, at) for at in (low, high))
        # The first accumulator of the highest stair, or the last one of the lowest.
        stair = np.clip((most if upper else least + 1) - LEAST - 1, 0, 254)
        corner = np.clip(stairs.thresholds[rows][own, stair] - (0 if upper else 1), low, high)
        run = np.maximum((corner - low if upper else high - corner) * full, 1)
        bits = min(step.exact.shift + RATIO_BITS, 54)
        chord = np.minimum(((most - least) << bits) // run, one << 8)
        chord = np.clip(chord << (step.exact.shift + RATIO_BITS - bits), 0, one)
        nearer = low + high < 2 * corner if upper else low + high > 2 * corner
        ratios.append(np.where(nearer & (most > least), chord, 0))
    return np.stack(ratios)


def _extreme(
    stairs: Stairs, rows: Ints, low: Ints, high: Ints, slopes: Ints, shift: int, *, upper: bool
) -> Ints:
    """Return the least (greatest) of `2^shift * stairs(a) - slope * a` over low <= a <= high.

    With slopes of at least 0 it lies at an end, or at the last accumulator of a stair (the first).
    """
    thresholds = stairs.thresholds[rows]
    values = np.arange(LEAST + 1, LEAST + 256) - (0 if upper else 1)
    corners = thresholds - (0 if upper else 1)
    inside = (corners >= low[:, None]) & (corners <= high[:, None])
    found = (values << shift) - slopes[:, None] * np.where(inside, corners, 0)
    worst = -(2**62) if upper else 2**62
    inner = np.where(inside, found, worst)
    ends = [(stairs.values(rows, at) << shift) - slopes * at for at in (low, high)]
    if upper:
        return np.maximum(inner.max(axis=1), np.maximum(*ends))
    return np.minimum(inner.min(axis=1), np.minimum(*ends))


def shifted(values: Ints, by: int) -> Ints:
    """Return values times 2^-by, rounded down."""
    return values >> by if by >= 0 else values << -by
