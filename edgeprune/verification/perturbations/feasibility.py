"""Whether parameters exist that explain a given change: linear programmes, one a window.

For given frequencies and drifts the changes are linear in all other parameters, and whether some
of them keep every sample between its limits is a linear programme; discs enter by cutting planes.
Frequencies and drifts are searched for. A change is only ever accepted with its parameters in hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog, minimize_scalar

from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray
from edgeprune.verification.perturbations.part import Linear, Part

_SLACK = 1e-7
_GRID = 97
_CUTS = 60


def feasible(held: Held, parts: Sequence[Part], low: FloatArray, high: FloatArray) -> BoolArray:
    """Return for which windows a sum of the parts' changes lies between `low` and `high`.

    Args:
        held: The windows [n].
        parts: Parts with parameters.
        low: Least change, float64 [n, size], or -inf.
        high: Greatest change, or inf.
    """
    result = np.zeros(len(held), np.bool_)
    for row in range(len(held)):
        if (low[row] > high[row]).any():
            continue
        one = held.select(np.array([row]))
        result[row] = _one(one, parts, low[row], high[row])
    return result


def _one(held: Held, parts: Sequence[Part], low: FloatArray, high: FloatArray) -> bool:
    bends = [bend for part in parts for bend in part.bends()]

    def excess(values: Sequence[float]) -> float:
        linears, start = [], 0
        for part in parts:
            end = start + len(part.bends())
            linears.append(part.linear(held, np.array([values[start:end]], np.float64)))
            start = end
        return _excess(linears, low, high)

    # One coordinate after the other: sums of several bends are searched, never enumerated.
    best = [(first + last) / 2 for first, last in bends]
    least = excess(best)
    for _ in range(3 if len(bends) > 1 else 1):
        for place, (first, last) in enumerate(bends):
            if least <= _SLACK or first == last:
                continue

            def along(value: float, place: int = place) -> float:
                return excess([*best[:place], value, *best[place + 1 :]])

            grid = np.linspace(first, last, _GRID)
            found = [along(float(value)) for value in grid]
            step = grid[1] - grid[0]
            for start in np.argsort(found)[:3]:
                near = minimize_scalar(
                    along,
                    bounds=(max(first, grid[start] - step), min(last, grid[start] + step)),
                    method="bounded",
                    options={"xatol": 1e-9 * (last - first), "maxiter": 60},
                )
                for value, score in ((near.x, near.fun), (grid[start], found[start])):
                    if score < least:
                        least, best[place] = float(score), float(value)
                if least <= _SLACK:
                    break
    return least <= _SLACK


def _excess(linears: Sequence[Linear], low: FloatArray, high: FloatArray) -> float:
    """Return by how much the best parameters miss the limits in the worst sample."""
    constant = np.sum([linear.constant[0] for linear in linears], axis=0)
    columns = np.concatenate([linear.columns[0] for linear in linears], axis=1)
    bounds = [limits for linear in linears for limits in zip(linear.low, linear.high, strict=True)]
    if not bounds:
        return float(max((low - constant).max(), (constant - high).max()))
    above, below = np.isfinite(high), np.isfinite(low)
    rows = [np.c_[columns[above], -np.ones(above.sum())]]
    rows += [np.c_[-columns[below], -np.ones(below.sum())]]
    limits = np.concatenate([(high - constant)[above], (constant - low)[below]])
    matrix = np.concatenate(rows)
    goal = np.zeros(len(bounds) + 1)
    goal[-1] = 1
    for _ in range(_CUTS):
        answer = linprog(goal, matrix, limits, bounds=[*bounds, (0, None)], method="highs")
        if not answer.success:
            return float("inf")
        beyond = list(_discs(linears, answer.x))
        if not beyond:
            return float(answer.x[-1])
        # The plane that touches the disc where the answer left it.
        for start, point, radius in beyond:
            cut = np.zeros((1, len(goal)))
            cut[0, start : start + 2] = point / np.hypot(*point)
            matrix, limits = np.concatenate([matrix, cut]), np.append(limits, radius)
    return float("inf")


def _discs(
    linears: Sequence[Linear], parameters: FloatArray
) -> list[tuple[int, FloatArray, float]]:
    """Return the discs that the parameters lie outside of."""
    beyond, start = [], 0
    for linear in linears:
        point = parameters[start : start + 2]
        if linear.radius is not None and np.hypot(*point) > linear.radius * (1 + 1e-9) + 1e-9:
            beyond.append((start, point, linear.radius))
        start += len(linear.low)
    return beyond
