"""What makes a solution of a neuron's program exact: rows that hold and a bound that is proved."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.intp]

ROW_TOLERANCE = 1e-9
GAP_TOLERANCE = 1e-7
# a basic variable at zero comes out of the solver as rounding noise, and would count as a weight
_NOISE = 1e-12
_BLOCK = 4096


def without_noise(values: Floats) -> Floats:
    """Return the values with what is only rounding set to zero."""
    floor = _NOISE * np.abs(values).max(initial=0)
    return np.where(np.abs(values) > floor, values, 0.0)


def violations(matrix: Floats, lower: Floats, upper: Floats, values: Floats) -> Floats:
    """Return by how much each row is broken, relative to the size of the terms it adds up.

    Args:
        matrix: Float64 [rows, columns].
        lower: Float64 [rows].
        upper: Float64 [rows].
        values: Float64 [columns].

    Returns:
        Float64 [rows], 0 where the row holds.
    """
    used = np.flatnonzero(values)
    reached, size = np.empty(len(matrix)), np.empty(len(matrix))
    # in blocks: im2col makes matrices that should not be held twice
    for start in range(0, len(matrix), _BLOCK):
        rows = slice(start, start + _BLOCK)
        part = matrix[rows, used]
        reached[rows] = part @ values[used]
        size[rows] = np.abs(part, out=part) @ np.abs(values[used])
    # a row of zeros adds up nothing: its own bounds are its size
    ends = np.minimum(np.abs(lower), np.abs(upper))
    size = np.maximum(size, np.where(np.isfinite(ends), ends, 0))
    broken: Floats = np.maximum(0.0, np.maximum(lower - reached, reached - upper))
    return np.divide(broken, size, out=np.zeros_like(broken), where=broken > 0)


def dual_bound(matrix: Floats, lower: Floats, upper: Floats, duals: Floats) -> float:
    """Return the lower bound of the optimum that these multipliers of the rows prove.

    They are shrunk until no column costs more than its price: what they prove then holds whatever
    found them (weak duality).

    Args:
        matrix: Float64 [rows, columns].
        lower: Float64 [rows].
        upper: Float64 [rows].
        duals: Float64 [rows]; positive where the lower bound holds the row.
    """
    endless = ((duals > 0) & np.isneginf(lower)) | ((duals < 0) & np.isposinf(upper))
    held = np.where(endless, 0.0, duals)
    held = held / max(1.0, float(np.abs(held @ matrix).max(initial=0)))
    ends = np.where(held > 0, lower, upper)
    return float(held[held != 0] @ ends[held != 0])


def relative_gap(objective: float, bound: float) -> float:
    """Return how far an objective is from a proved bound, relative to itself."""
    return (objective - bound) / max(1.0, objective)
