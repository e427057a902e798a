"""Which change attains a support, nearly: a direction to climb in, never a part of a proof."""

from __future__ import annotations

import numpy as np

from edgeprune.verification.input_sets import CorrelatedInput, Shape
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.perturbations.shapes import (
    BoxShape,
    CommonShape,
    HullShape,
    SumShape,
    UnionShape,
)
from edgeprune.verification.perturbations.sinusoid import SinusoidShape


def worst_change(correlated: CorrelatedInput, directions: FloatArray) -> FloatArray:
    """Return a change of the signal that nearly maximises <direction, change>.

    Args:
        correlated: The inputs of n problems.
        directions: float64 [n, m, length].

    Returns:
        float64 [n, m, length], in LSB of the network's input.
    """
    matrix = correlated.matrix
    weights = directions if matrix is None else directions @ matrix.T
    change = _attaining(correlated.shape, weights) * correlated.scale[:, None, None]
    return change if matrix is None else np.asarray(change @ matrix)


def _attaining(shape: Shape, weights: FloatArray) -> FloatArray:
    """Return a change [n, m, blocks] that nearly maximises <weights, change>."""
    match shape:
        case BoxShape():
            middle, radius = (shape.low + shape.high) / 2, (shape.high - shape.low) / 2
            return np.asarray(middle[:, None] + np.sign(weights) * radius[:, None])
        case SumShape():
            return np.asarray(sum(_attaining(part, weights) for part in shape.parts))
        case CommonShape() | UnionShape():
            return _best(shape.parts, weights, least=isinstance(shape, CommonShape))
        case HullShape():
            along = np.matmul(weights, shape.vertices.transpose(0, 2, 1))
            rows = np.arange(len(weights))[:, None]
            change: FloatArray = shape.vertices[rows, along.argmax(axis=2)]
            rest = shape.deviation
            return change if rest is None else change + np.sign(weights) * rest[:, None]
        case SinusoidShape():
            return _sinusoid(shape, weights)
    return np.asarray(np.sign(weights) * shape.magnitude()[:, None])


def _best(parts: tuple[Shape, ...], weights: FloatArray, *, least: bool) -> FloatArray:
    supports = np.stack([part.support(weights) for part in parts])
    chosen = supports.argmin(axis=0) if least else supports.argmax(axis=0)
    result = np.zeros_like(weights)
    for number, part in enumerate(parts):
        result = np.where((chosen == number)[:, :, None], _attaining(part, weights), result)
    return result


def _sinusoid(shape: SinusoidShape, weights: FloatArray) -> FloatArray:
    """Take the frequency whose disc reaches furthest, at the best phase, within the box."""
    result = np.zeros_like(weights)
    for number in np.unique(shape.which).tolist():
        rows = np.flatnonzero(shape.which == number)
        cosine, sine = shape.tables[number].transpose(1, 0, 2)
        along, across = weights[rows] @ cosine.T, weights[rows] @ sine.T
        length = np.hypot(along, across)
        best = length.argmax(axis=2)[:, :, None]
        size = shape.amplitude / np.maximum(np.take_along_axis(length, best, 2), 1e-12)
        low, high = shape.low[rows][:, None], shape.high[rows][:, None]
        first = np.take_along_axis(along, best, 2) * size
        second = np.take_along_axis(across, best, 2) * size
        first = np.clip(first, low[..., :1], high[..., :1])
        second = np.clip(second, low[..., 1:], high[..., 1:])
        result[rows] = first * cosine[best[:, :, 0]] + second * sine[best[:, :, 0]]
    return result
