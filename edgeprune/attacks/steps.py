"""Directions of gradient steps, each of length 1 in its norm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.verification.falsify import Windows
from edgeprune.verification.perturbations.part import movable

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

# Share of the samples that a step in l1 moves (Tramèr and Boneh 2019, section 5).
SPARSE_SHARE = 0.01


def sign(slope: Float64Array) -> Float64Array:
    """Return the direction of a step in l-infinity."""
    return np.asarray(np.sign(slope))


def unit(slope: Float64Array) -> Float64Array:
    """Return the direction of a step in l2."""
    length = np.sqrt((slope * slope).sum(axis=1, keepdims=True))
    return np.asarray(slope / np.maximum(length, 1e-300))


def sparse(slope: Float64Array, most: Int64Array) -> Float64Array:
    """Return the direction of a step in l1: equal changes of the steepest samples.

    Args:
        slope: [n, samples].
        most: Samples that each step moves, int64 [n]; more where several are equally steep.
    """
    size = np.abs(slope)
    place = np.clip(slope.shape[1] - most, 0, slope.shape[1] - 1)[:, np.newaxis]
    least = np.take_along_axis(np.sort(size, axis=1), place, axis=1)
    moved = np.where(size >= least, np.sign(slope), 0.0)
    return np.asarray(moved / np.maximum(np.abs(moved).sum(axis=1, keepdims=True), 1))


def step(ball: Ball, held: Windows, position: Float64Array, slope: Float64Array) -> Float64Array:
    """Return the direction of a plain gradient step of a ball's norm.

    Args:
        ball: The ball.
        held: The windows [n].
        position: Where the step starts, float64 counts [n, reach].
        slope: float64 [n, reach].

    Returns:
        float64 [n, reach]; for l0 in shares of the converter's range a sample.
    """
    if ball.norm == "linf":
        return sign(slope)
    if ball.norm == "l2":
        return unit(slope)
    if ball.norm == "l0":
        least, greatest = held.count_range
        length = np.abs(slope).sum(axis=1, keepdims=True)
        return np.asarray(slope / np.maximum(length, 1e-300) * (greatest - least))
    low, high = ball.limits(held)
    change = position - held.raw
    # Samples at the end of their range leave the step to others.
    free = np.where(slope > 0, change < high, change > low)
    count = max(1, round(SPARSE_SHARE * movable(held)))
    return sparse(slope * free, np.full(len(slope), count))


def led(slope: Float64Array, generator: np.random.Generator) -> Float64Array:
    """Return slopes, random ones for windows where there is none at all."""
    flat = np.flatnonzero(~slope.any(axis=1))
    if len(flat):
        slope = slope.copy()
        slope[flat] = generator.normal(size=(len(flat), slope.shape[1]))
    return slope


def changed(change: Float64Array) -> Int64Array:
    """Return how many samples changed by a visible part of a count [n]."""
    return np.asarray((np.abs(change) > 1e-6).sum(axis=1))
