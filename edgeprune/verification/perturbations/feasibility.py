"""Whether parameters exist that explain a given change.

For given frequencies and drifts the changes are linear in all other parameters, and whether some
of these keep every sample between its limits is a linear programme; discs, and the few samples
that matter, enter it as they are violated. Frequencies and drifts are searched for. A change is
only ever accepted with its parameters in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import linprog, minimize_scalar

from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray
from edgeprune.verification.perturbations.part import Part

_SLACK = 1e-7
_GRID = 49
_ZOOMS = 3
_HALVINGS = 40
_ROUNDS = 60
_SETTLED = 1e-6
_DEEPEST = 1.0
_FAR = 100.0
_NEVER = 1e9
_ROWS = 24
# Residuals of least squares so far above what the limits allow leave no doubt between grid points.
_HOPELESS = 2.0


@dataclass(frozen=True, eq=False)
class _Problem:
    """Parameters with low <= constant + columns @ parameters <= high, within bounds and discs."""

    columns: FloatArray
    low: FloatArray
    high: FloatArray
    bounds: list[tuple[float, float]]
    discs: list[tuple[int, float]]


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
        for choice in product(*(part.bends() for part in parts)):
            if _explained(one, parts, list(choice), low[row], high[row]):
                result[row] = True
                break
    return result


def _explained(
    held: Held,
    parts: Sequence[Part],
    choice: list[tuple[tuple[float, float], ...]],
    low: FloatArray,
    high: FloatArray,
) -> bool:
    bends = [bend for ranges in choice for bend in ranges]

    def problem(values: Sequence[float]) -> _Problem:
        return _problem(held, parts, [len(ranges) for ranges in choice], values, low, high)

    best = [(first + last) / 2 for first, last in bends]
    if all(first == last for first, last in bends):
        return _excess(problem(best)) <= _SLACK
    # One coordinate after the other.
    for _ in range(2 if len(bends) > 1 else 1):
        for place, (first, last) in enumerate(bends):

            def at(value: float, place: int = place) -> _Problem:
                return problem([*best[:place], value, *best[place + 1 :]])

            nearest, error = _search(lambda value: _least_squares(at(value))[1], first, last)
            best[place] = nearest
            if len(bends) == 1 and error > _HOPELESS:
                return False
            reach = 4 * (last - first) / _GRID
            for _ in range(_ZOOMS):
                begin, end = max(first, nearest - reach), min(last, nearest + reach)
                if _least_excess(at, nearest, begin, end) <= _SLACK:
                    return True
                reach /= 32
    return False


def _least_excess(
    at: Callable[[float], _Problem], nearest: float, low: float, high: float
) -> float:
    """Return the least excess found between two values of a bend."""
    problem = at(nearest)
    least = _excess(problem)
    if least <= _SLACK:
        return least
    if not problem.bounds:
        return min(least, _search(lambda value: _excess(at(value)), low, high)[1])
    near = minimize_scalar(
        lambda value: _excess(at(float(value))),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6 * (high - low), "maxiter": 40},
    )
    return min(least, float(near.fun))


def _search(error: Callable[[float], float], first: float, last: float) -> tuple[float, float]:
    """Return where an error is least, and that error: grids, each finer around the last's best."""
    best, least = first, float("inf")
    low, high = first, last
    for _ in range(_ZOOMS):
        grid = np.linspace(low, high, _GRID)
        errors = [error(float(value)) for value in grid]
        place = int(np.argmin(errors))
        if errors[place] < least:
            best, least = float(grid[place]), errors[place]
        step = grid[1] - grid[0]
        low, high = max(first, best - step), min(last, best + step)
    return best, least


def _problem(
    held: Held,
    parts: Sequence[Part],
    sizes: list[int],
    values: Sequence[float],
    low: FloatArray,
    high: FloatArray,
) -> _Problem:
    constant: FloatArray = np.zeros(low.shape)
    columns, discs, start = [], [], 0
    bounds: list[tuple[float, float]] = []
    for part, size in zip(parts, sizes, strict=True):
        linear = part.linear(held, np.array([values[start : start + size]], np.float64))
        constant = constant + linear.constant[0]
        columns.append(linear.columns[0])
        if linear.radius is not None:
            discs.append((len(bounds), linear.radius))
        bounds += zip(linear.low, linear.high, strict=True)
        start += size
    joined = np.concatenate(columns, axis=1)
    return _Problem(joined, low - constant, high - constant, bounds, discs)


def _least_squares(problem: _Problem) -> tuple[FloatArray, float]:
    """Return the parameters nearest the middle, and the residual over what the limits allow."""
    known = np.isfinite(problem.low) & np.isfinite(problem.high)
    middle = (problem.low[known] + problem.high[known]) / 2
    allowed = ((problem.high[known] - problem.low[known]) / 2) ** 2
    columns = problem.columns[known]
    # An almost vanishing sine is no reason for a huge amplitude.
    square = columns.T @ columns + 1e-9 * np.eye(columns.shape[1])
    parameters = np.linalg.solve(square, columns.T @ middle)
    for start, radius in problem.discs:
        disc = slice(start, start + 2)
        if np.hypot(*parameters[disc]) <= radius:
            continue
        # The nearest point of a disc has a multiplier; a larger one draws it further in.
        weight = np.zeros(len(parameters))
        low, high = 0.0, float(np.trace(square)) * 1e3
        for _ in range(_HALVINGS):
            weight[disc] = (low + high) / 2
            parameters = np.linalg.solve(square + np.diag(weight), columns.T @ middle)
            outside = np.hypot(*parameters[disc]) > radius
            low, high = (weight[start], high) if outside else (low, weight[start])
    parameters = _inside(problem, parameters)
    residual = ((columns @ parameters - middle) ** 2).sum()
    return np.asarray(parameters), float(residual / max(allowed.sum(), 1e-12))


def _excess(problem: _Problem) -> float:
    """Return by how much the best parameters miss the limits in the worst sample; 0 for not."""
    above, below = np.isfinite(problem.high), np.isfinite(problem.low)
    rows = np.concatenate([problem.columns[above], -problem.columns[below]])
    limits = np.concatenate([problem.high[above], -problem.low[below]])
    if not problem.bounds:
        return float(max(0.0, -limits.min()))
    parameters, _ = _least_squares(problem)
    count = len(problem.bounds)
    chosen = np.zeros(len(rows), np.bool_)
    cuts: list[tuple[FloatArray, float]] = []
    for _ in range(_ROUNDS):
        inside = _inside(problem, parameters)
        if (rows @ inside - limits).max() <= _SLACK:
            return 0.0
        chosen[np.argsort(rows @ parameters - limits)[-_ROWS:]] = True
        cuts += _discs(problem, parameters)
        matrix = np.c_[rows[chosen], -np.ones(chosen.sum())]
        extra = np.array([[*cut, 0.0] for cut, _ in cuts]).reshape(-1, count + 1)
        # The deepest point of all that is allowed, so that the solver's tolerance does not matter.
        answer = linprog(
            np.r_[np.zeros(count), 1.0],
            np.concatenate([matrix, extra]),
            np.r_[limits[chosen], [limit for _, limit in cuts]],
            bounds=[*problem.bounds, (-_DEEPEST, None)],
            method="highs",
        )
        if not answer.success:
            return _NEVER
        parameters, least = answer.x[:count], float(answer.x[-1])
        missed = (rows @ parameters - limits).max() - least
        settled = missed <= _SETTLED and not list(_discs(problem, parameters))
        if least > _SLACK and (settled or least > _FAR):
            return least
    return _NEVER


def _inside(problem: _Problem, parameters: FloatArray) -> FloatArray:
    """Return the parameters moved into their bounds and discs."""
    low, high = np.array(problem.bounds).reshape(-1, 2).T
    inside = np.clip(parameters, low, high)
    for start, radius in problem.discs:
        length = np.hypot(*inside[start : start + 2])
        if length > radius:
            inside[start : start + 2] *= radius / length
    return np.asarray(inside)


def _discs(problem: _Problem, parameters: FloatArray) -> Iterator[tuple[FloatArray, float]]:
    """Return the tangents of the discs that the parameters lie outside of."""
    for start, radius in problem.discs:
        point = parameters[start : start + 2]
        length = np.hypot(*point)
        if length > radius * (1 + _SETTLED) + _SETTLED:
            cut = np.zeros(len(parameters))
            cut[start : start + 2] = point / length
            yield cut, radius
