"""Projections of changes onto norm balls within a box, for many windows at once.

All take float64 changes [n, samples] and each sample's least and greatest change, `low` <= 0 <=
`high`, of the same shape.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_BISECTIONS = 40


def onto_l2(
    change: Float64Array, low: Float64Array, high: Float64Array, radius: float
) -> Float64Array:
    """Return the nearest changes with at most this root of their squares' sum.

    The nearest point is clip(change / (1 + m)) for the multiplier m >= 0 at which its length is the
    radius (Karush-Kuhn-Tucker); m is bisected, on the side that lies within the ball.
    """
    result = np.clip(change, low, high)
    outside = np.flatnonzero((result * result).sum(axis=1) > radius * radius)
    if not len(outside):
        return result
    part, least, greatest = change[outside], low[outside], high[outside]
    if not radius:
        result[outside] = 0.0
        return result
    length = np.sqrt((part * part).sum(axis=1, keepdims=True))
    # Shares of the change: at `small` all is within the ball.
    small, large = np.minimum(1.0, radius / length), np.ones_like(length)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (small + large)
        moved = np.clip(part * middle, least, greatest)
        within = (moved * moved).sum(axis=1, keepdims=True) <= radius * radius
        if not within.any() and (large - small).max() < 1e-12:
            break
        small, large = np.where(within, middle, small), np.where(within, large, middle)
    result[outside] = np.clip(part * small, least, greatest)
    return result


def onto_l1(
    change: Float64Array, low: Float64Array, high: Float64Array, radius: float
) -> Float64Array:
    """Return the nearest changes with at most this sum of absolute values, exactly.

    Croce and Hein (2021), Mind the box, Proposition 2.1: the nearest point is the change shrunk by
    a threshold t and then clipped. Its sum of absolute values falls with t, linear between the
    values at which a sample leaves 0 or its limit; these are sorted (as Duchi et al. 2008 do
    without a box).
    """
    result = np.clip(change, low, high)
    outside = np.flatnonzero(np.abs(result).sum(axis=1) > radius)
    if not len(outside):
        return result
    part = change[outside]
    size = np.abs(part)
    reach = np.where(part > 0, high[outside], -low[outside])
    reach = np.minimum(reach, size)
    # |result|(t) = min(reach, max(0, size - t)): slope 0 up to size - reach, -1 up to size, then 0.
    knots = np.concatenate([size - reach, size], axis=1)
    turns = np.concatenate([np.ones_like(size), -np.ones_like(size)], axis=1)
    order = np.argsort(knots, axis=1)
    knots, turns = np.take_along_axis(knots, order, 1), np.take_along_axis(turns, order, 1)
    falling = np.cumsum(turns, axis=1)
    total = reach.sum(axis=1, keepdims=True)
    steps = np.diff(knots, axis=1, append=knots[:, -1:])
    after = total - np.cumsum(falling * steps, axis=1)
    # The first stretch at whose end no more than the radius is left.
    stretch = (after <= radius).argmax(axis=1)[:, np.newaxis]
    speed = np.maximum(np.take_along_axis(falling, stretch, 1), 1)
    left = np.take_along_axis(after, stretch, 1)
    end = np.take_along_axis(knots + steps, stretch, 1)
    threshold = end - (radius - left) / speed
    shrunk = np.minimum(reach, np.maximum(size - threshold, 0))
    result[outside] = np.sign(part) * shrunk
    return result


def onto_l0(change: Float64Array, low: Float64Array, high: Float64Array, most: int) -> Float64Array:
    """Return the nearest changes of at most so many samples."""
    moved = np.clip(change, low, high)
    # What is won by changing a sample at all: the square distance to 0 less that to the limit.
    worth = change * change - (change - moved) ** 2
    return np.where(largest(worth, most), moved, 0.0)


def largest(worth: Float64Array, most: int) -> BoolArray:
    """Return which `most` entries of each row are the largest, those above 0 only."""
    kept = np.zeros(worth.shape, np.bool_)
    if most >= worth.shape[1]:
        return np.asarray(worth > 0)
    if most > 0:
        places = np.argpartition(worth, -most, axis=1)[:, -most:]
        np.put_along_axis(kept, places, True, axis=1)
    return np.asarray(kept & (worth > 0))


def spent(corner: Float64Array, slope: Float64Array, radius: float) -> Float64Array:
    """Return changes towards corners that spend a sum of absolute values on the steepest slopes."""
    order = np.argsort(-np.abs(slope) * (corner != 0), axis=1, kind="stable")
    sizes = np.take_along_axis(np.abs(corner), order, 1)
    before = np.cumsum(sizes, axis=1) - sizes
    kept = np.clip(radius - before, 0, sizes)
    result = np.empty_like(corner)
    np.put_along_axis(result, order, kept, 1)
    return np.asarray(result * np.sign(corner))


def whole_counts(change: Float64Array, budget: float, *, squares: bool) -> Float64Array:
    """Return whole changes near given ones of which the sum, or that of squares, is in a budget.

    Changes are cut towards 0; then those that lack least to the next count are moved there, as far
    as the budget lets them.

    Args:
        change: [n, samples], within the budget.
        budget: Of the sum of absolute values, or of squares.
        squares: Which of the two.
    """
    size = np.abs(change)
    whole = np.floor(size + 1e-9)
    rest = size - whole
    price = 2 * whole + 1 if squares else np.ones_like(whole)
    used = (whole * whole if squares else whole).sum(axis=1, keepdims=True)
    price = np.where(rest >= 0.5, price, 0.0)
    order = np.argsort(-rest, axis=1, kind="stable")
    cost = np.cumsum(np.take_along_axis(price, order, 1), axis=1)
    allowed = np.zeros(change.shape, np.bool_)
    np.put_along_axis(allowed, order, cost <= budget - used, 1)
    return np.asarray(np.sign(change) * (whole + (allowed & (price > 0))))
