"""The parameters behind a counterexample of a low-dimensional set, for those who check it.

Whether a change of the samples is a gain, a sinusoid, or a sum of such is a search; whether given
parameters explain it is arithmetic. The search is done here, once, so that a checker needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from edgeprune.verification.held_inputs import Held
from edgeprune.verification.perturbations import Perturbation
from edgeprune.verification.perturbations.part import Linear, Part

FloatArray = npt.NDArray[np.float64]

# Frequencies tried by least squares, and by linear programmes near the best of them.
_GRID = 256
_TRIES = 24
_PLANES = 40
_MARGIN = 1e-6
# How far beyond a disc an answer may lie: solvers keep their rows to about 1e-7 and no better.
_BEYOND = 1e-6
# What is missed where a linear programme has no answer.
_NONE = 1e9


def explain(
    perturbation: Perturbation, held: Held, raw: npt.NDArray[np.int16]
) -> FloatArray | None:
    """Return parameters of the set that make a member, or None where none were found.

    Args:
        perturbation: The set.
        held: One window.
        raw: The member, int16 [size].

    Returns:
        The parameters of all parts, one after another (those of `Perturbation.split`).
    """
    parts = [part for part in perturbation.parts if part.dimensions]
    if not parts:
        return np.zeros(0)
    change = raw.astype(np.float64) - held.raw[0]
    rounding = 0.5 if any(part.rounds for part in perturbation.parts) else 0.0
    least, greatest = held.count_range
    low = np.where(raw == least, -np.inf, change - rounding)[None]
    high = np.where(raw == greatest, np.inf, change + rounding)[None]
    for rest in perturbation.parts:
        if not rest.dimensions:
            low, high = rest.widen(held, low, high)
    if parts[0].whole_moves:
        return parts[0].explain(held, low[0], high[0])
    for chosen in product(*(part.bends() for part in parts)):
        found = _search(held, parts, chosen, low[0], high[0])
        if found is not None:
            return found
    return None


def _search(
    held: Held,
    parts: Sequence[Part],
    chosen: Sequence[Sequence[tuple[float, float]]],
    low: FloatArray,
    high: FloatArray,
) -> FloatArray | None:
    """Search the ranges of the parameters that changes are not linear in."""
    from scipy.optimize import minimize_scalar

    bends = [ends for each in chosen for ends in each]
    best = [(first + last) / 2 for first, last in bends]
    middle = np.where(np.isfinite(low + high), (low + high) / 2, np.nan)
    for place, (first, last) in enumerate(bends):
        if last > first:
            best[place] = _nearest(held, parts, chosen, best, place, middle)
    found, excess = _linear(held, parts, chosen, best, low, high)
    for place, (first, last) in enumerate(bends):
        step = (last - first) / _GRID

        def missed(value: float, place: int = place) -> float:
            nonlocal found, excess, best
            if excess > _MARGIN:
                tried = [*best[:place], value, *best[place + 1 :]]
                point, score = _linear(held, parts, chosen, tried, low, high)
                if score < excess:
                    found, excess, best = point, score, tried
                return score
            return excess

        for radius in (2 * step, 0.1 * step) if last > first and excess > _MARGIN else ():
            ends = max(first, best[place] - radius), min(last, best[place] + radius)
            minimize_scalar(missed, bounds=ends, method="bounded", options={"maxiter": _TRIES})
    if excess > _MARGIN or found is None:
        return None
    return _in_order(parts, chosen, best, found)


def _nearest(
    held: Held,
    parts: Sequence[Part],
    chosen: Sequence[Sequence[tuple[float, float]]],
    bends: Sequence[float],
    place: int,
    middle: FloatArray,
) -> float:
    """Return the value of one bend whose changes come nearest in the least squares."""
    scores = []
    first, last = [ends for each in chosen for ends in each][place]
    grid = np.linspace(first, last, _GRID)
    known = np.isfinite(middle)
    for value in grid.tolist():
        constant, columns, _ = _columns(
            held, parts, chosen, [*bends[:place], value, *bends[place + 1 :]]
        )
        wanted = (middle - constant)[known]
        answer = np.linalg.lstsq(columns[known], wanted, rcond=None)[0]
        scores.append(float(((columns[known] @ answer - wanted) ** 2).sum()))
    return float(grid[int(np.argmin(scores))])


def _columns(
    held: Held,
    parts: Sequence[Part],
    chosen: Sequence[Sequence[tuple[float, float]]],
    bends: Sequence[float],
) -> tuple[FloatArray, FloatArray, list[Linear]]:
    """Return constant and columns of the changes for given bends, and each part's."""
    pieces, place = [], 0
    for part, count in zip(parts, map(len, chosen), strict=True):
        pieces.append(part.linear(held, np.array([bends[place : place + count]], np.float64)))
        place += count
    constant = np.asarray(np.sum([piece.constant[0] for piece in pieces], axis=0))
    return constant, np.concatenate([piece.columns[0] for piece in pieces], axis=1), pieces


def _linear(
    held: Held,
    parts: Sequence[Part],
    chosen: Sequence[Sequence[tuple[float, float]]],
    bends: Sequence[float],
    low: FloatArray,
    high: FloatArray,
) -> tuple[FloatArray | None, float]:
    """Return the linear parameters that come nearest for given bends, and by how much they miss."""
    from scipy.optimize import linprog

    constant, columns, pieces = _columns(held, parts, chosen, bends)
    limits = [pair for piece in pieces for pair in zip(piece.low, piece.high, strict=True)]
    above, below = np.isfinite(high), np.isfinite(low)
    rows = [np.c_[columns[above], -np.ones(above.sum())]]
    rows += [np.c_[-columns[below], -np.ones(below.sum())]]
    matrix, ends = np.concatenate(rows), [(high - constant)[above], (constant - low)[below]]
    bound, goal = np.concatenate(ends), np.zeros(len(limits) + 1)
    goal[-1] = 1.0
    for _ in range(_PLANES):
        answer = linprog(goal, matrix, bound, bounds=[*limits, (-0.5, None)], method="highs")
        if not answer.success:
            return None, _NONE
        planes, start = [], 0
        for piece in pieces:
            point, size = answer.x[start : start + 2], len(piece.low)
            if piece.radius is not None and np.hypot(*point) > piece.radius:
                # The plane that touches a slightly smaller disc where the answer left it.
                plane = np.zeros(len(goal))
                plane[start : start + 2] = point / np.hypot(*point)
                planes.append((plane, piece.radius))
            start += size
        beyond = max((plane @ answer.x - radius for plane, radius in planes), default=0.0)
        if beyond <= _BEYOND:
            return _within_discs(answer.x[:-1], pieces), float(answer.x[-1])
        matrix = np.concatenate([matrix, [plane for plane, _ in planes]])
        bound = np.append(bound, [radius for _, radius in planes])
    return None, _NONE


def _within_discs(point: FloatArray, pieces: Sequence[Linear]) -> FloatArray:
    """Return linear parameters moved back onto the discs that they lie a hair beyond."""
    result, start = point.copy(), 0
    for piece in pieces:
        if piece.radius is not None:
            size = np.hypot(*result[start : start + 2])
            result[start : start + 2] *= piece.radius / max(size, piece.radius)
        start += len(piece.low)
    return result


def _in_order(
    parts: Sequence[Part],
    chosen: Sequence[Sequence[tuple[float, float]]],
    bends: Sequence[float],
    linear: FloatArray,
) -> FloatArray:
    """Return each part's bends, then its linear parameters."""
    result: list[float] = []
    bent = straight = 0
    for part, count in zip(parts, map(len, chosen), strict=True):
        result += bends[bent : bent + count]
        own = linear[straight : straight + part.dimensions - count]
        # What the converter does not round is a whole number of counts.
        result += (own if part.rounds else np.rint(own)).tolist()
        bent, straight = bent + count, straight + part.dimensions - count
    return np.array(result)
