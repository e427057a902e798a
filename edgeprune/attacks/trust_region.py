"""One step along a decision boundary: nearer to the window, within a trust region.

Brendel et al. 2019 (arXiv:1907.01003), equation 2: of all steps that reach the estimated boundary
and stay within the trust region and the converter's range, the one that ends nearest to the window.
foolbox solves this window by window with numba, which has to be installed and compiles for a
minute; here the two multipliers are bisected for all windows at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

# Halvings of the outer unknown and of the multiplier of the boundary.
_OUTER = 16
_INNER = 24
_DOUBLINGS = 40
# The multiplier of the trust region lies between these, in units of the radius.
_LEAST, _GREATEST = 1e-6, 1e6
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class StepProblem:
    """What a step is chosen from, for n windows of d samples; lengths in any one unit.

    Args:
        home: The way back to the window, [n, d].
        normal: The slope of the margin, [n, d].
        gain: What a step should change the margin by, <normal, step>, [n].
        low: Least change of each sample that stays within the range, [n, d], at most 0.
        high: Greatest change, at least 0.
        radius: The trust region, the most that a step is long, [n].
    """

    home: Float64Array
    normal: Float64Array
    gain: Float64Array
    low: Float64Array
    high: Float64Array
    radius: Float64Array


def best_step(norm: str, problem: StepProblem) -> Float64Array:
    """Return the step whose end is nearest to the window in the norm.

    Where the boundary is out of reach, the step that comes nearest to it.

    Args:
        norm: "l0", "l1", "l2" or "linf".
        problem: All windows.

    Returns:
        float64 [n, d].
    """
    scaled = _scaled(problem)
    solve = _least_largest if norm == "linf" else _separable(norm)
    step = _returned(scaled, solve(scaled))
    reachable = _shortest(scaled, scaled.gain)
    short = _length(reachable) <= 1 + 1e-9
    attained = np.abs(_along(scaled, reachable)) >= 0.999 * np.abs(scaled.gain)
    furthest = _furthest(scaled)
    step = np.where((short & attained)[:, np.newaxis], step, furthest)
    return np.asarray(step * problem.radius[:, np.newaxis])


def _scaled(problem: StepProblem) -> StepProblem:
    """Return the problem in units of the radius, with normals of length 1."""
    radius = np.maximum(problem.radius, _TINY)[:, np.newaxis]
    length = np.maximum(_length(problem.normal), _TINY)
    return StepProblem(
        problem.home / radius,
        problem.normal / length[:, np.newaxis],
        problem.gain / (length * radius[:, 0]),
        problem.low / radius,
        problem.high / radius,
        np.ones(len(radius)),
    )


def _length(step: Float64Array) -> Float64Array:
    return np.asarray(np.sqrt((step * step).sum(axis=1)))


def _along(problem: StepProblem, step: Float64Array) -> Float64Array:
    return np.asarray((problem.normal * step).sum(axis=1))


def _meeting(problem: StepProblem, choose: Callable[[Float64Array], Float64Array]) -> Float64Array:
    """Return the choice that gains as much as asked; what is gained grows with the multiplier."""
    count = len(problem.gain)
    low, high = np.full(count, -1.0), np.full(count, 1.0)
    for bound, sign in ((low, 1.0), (high, -1.0)):
        for _ in range(_DOUBLINGS):
            lacking = sign * (_along(problem, choose(bound)) - problem.gain) > 0
            if not lacking.any():
                break
            bound[lacking] *= 2
    for _ in range(_INNER):
        middle = (low + high) / 2
        beyond = _along(problem, choose(middle)) > problem.gain
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    # What is gained can jump with the multiplier; between the two choices it does not.
    below, above = choose(low), choose(high)
    first, second = _along(problem, below), _along(problem, above)
    spread = np.where(second > first, second - first, 1.0)
    share = np.clip((problem.gain - first) / spread, 0, 1)[:, np.newaxis]
    return np.asarray(below + share * (above - below))


def _separable(norm: str) -> Callable[[StepProblem], Float64Array]:
    """Return a solver of the norms that are sums over samples."""
    prefer = {"l0": _prefer_few, "l1": _prefer_sum, "l2": _prefer_squares}[norm]

    def solve(problem: StepProblem) -> Float64Array:
        count = len(problem.gain)
        low, high = np.full(count, np.log(_LEAST)), np.full(count, np.log(_GREATEST))
        best = None
        for _ in range(_OUTER):
            middle = (low + high) / 2
            weight = np.exp(middle)[:, np.newaxis]
            step = _meeting(problem, partial(prefer, problem, weight))
            fits = _length(step) <= 1
            best = step if best is None else np.where(fits[:, np.newaxis], step, best)
            low, high = np.where(fits, low, middle), np.where(fits, middle, high)
        assert best is not None
        return best

    return solve


def _prefer_squares(
    problem: StepProblem, weight: Float64Array, along: Float64Array
) -> Float64Array:
    """Minimise (home - s)^2 - along normal s + weight s^2 for each sample."""
    free = (problem.home + 0.5 * along[:, np.newaxis] * problem.normal) / (1 + weight)
    return np.asarray(np.clip(free, problem.low, problem.high))


def _prefer_sum(problem: StepProblem, weight: Float64Array, along: Float64Array) -> Float64Array:
    """Minimise |home - s| - along normal s + weight s^2 for each sample."""
    pull = along[:, np.newaxis] * problem.normal
    least, greatest = (pull - 1) / (2 * weight), (pull + 1) / (2 * weight)
    free = np.clip(problem.home, least, greatest)
    return np.asarray(np.clip(free, problem.low, problem.high))


def _prefer_few(problem: StepProblem, weight: Float64Array, along: Float64Array) -> Float64Array:
    """Minimise [s is not home] - along normal s + weight s^2 for each sample."""
    pull = along[:, np.newaxis] * problem.normal
    free = np.clip(pull / (2 * weight), problem.low, problem.high)
    cost_free = 1 - pull * free + weight * free * free
    cost_home = -pull * problem.home + weight * problem.home * problem.home
    return np.where(cost_home <= cost_free, problem.home, free)


def _least_largest(problem: StepProblem) -> Float64Array:
    """Return the step that leaves the least largest change: the share of it is bisected."""
    low = np.zeros(len(problem.gain))
    high = np.abs(problem.home).max(axis=1)
    best = _shortest(problem, problem.gain)
    for _ in range(_OUTER):
        middle = (low + high) / 2
        left = middle[:, np.newaxis]
        inner = StepProblem(
            problem.home,
            problem.normal,
            problem.gain,
            np.maximum(problem.low, problem.home - left),
            np.minimum(problem.high, problem.home + left),
            problem.radius,
        )
        # The range may exclude "no change": the step nearest to none is then the box's own.
        step = _shortest(inner, inner.gain)
        met = np.abs(_along(problem, step) - problem.gain) <= 1e-3 * (1 + np.abs(problem.gain))
        fits = met & (_length(step) <= 1)
        best = np.where(fits[:, np.newaxis], step, best)
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    return best


def _shortest(problem: StepProblem, gain: Float64Array) -> Float64Array:
    """Return the shortest step that gains so much, or the best that the range allows."""

    def choose(along: Float64Array) -> Float64Array:
        free = along[:, np.newaxis] * problem.normal
        return np.asarray(np.clip(free, problem.low, problem.high))

    return _meeting(problem, choose)


def _furthest(problem: StepProblem) -> Float64Array:
    """Return the step of the trust region that goes furthest towards the boundary."""
    sign = np.where(problem.gain >= 0, 1.0, -1.0)
    low, high = np.zeros(len(sign)), np.full(len(sign), 1e4)
    for _ in range(_INNER):
        middle = (low + high) / 2
        free = (sign * middle)[:, np.newaxis] * problem.normal
        fits = _length(np.clip(free, problem.low, problem.high)) <= 1
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    free = (sign * low)[:, np.newaxis] * problem.normal
    return np.asarray(np.clip(free, problem.low, problem.high))


def _returned(problem: StepProblem, step: Float64Array) -> Float64Array:
    """Return the step with what is left of the gain made up by the samples that are not home."""
    left = problem.gain - _along(problem, step)
    away = np.where(np.abs(step - problem.home) > 1e-9, problem.normal, 0.0)
    square = np.maximum((away * away).sum(axis=1), 1e-9)
    moved = step + (left / square)[:, np.newaxis] * away
    return np.asarray(np.clip(moved, problem.low, problem.high))
