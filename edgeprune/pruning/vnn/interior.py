"""The programs of many neurons at once by an interior point method, each ended at a vertex.

Where a layer has more inputs than samples the simplex method walks far. The predictor-corrector
method (Mehrotra, SIAM J. Optim. 1992) needs a dozen steps for any of these programs; a step works
on all neurons, and only the factorisation of one [rows, rows] matrix is a neuron's own. What it
approaches is then computed from its support and its tight rows, and counts only if it is checked.

Names: v = plus - minus with prices 1; y the multipliers of the rows, y = low - high; room is the
distance of a row to its bounds. `primal` holds (plus, minus, room below, room above), `dual` what
is complementary to it, (1 - A'y, 1 + A'y, low, high): every product goes to zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from edgeprune.pruning.vnn.checks import Floats, Places, without_noise

_STEPS = 30
# gaps at which a vertex is tried: too early and it is the wrong one, too late costs steps
_TRIES = (1e-5, 1e-7, 1e-9)
_SINGLE_ABOVE = 1e-2  # while the gap is larger, single precision points well enough
TOGETHER = 16

Factor = tuple[npt.NDArray[np.float32] | npt.NDArray[np.float64], bool]
Accept = Callable[[int, Floats, Floats], bool]


@dataclass(frozen=True, eq=False)
class _State:
    """Where the neurons of a batch stand; all arrays begin with the neuron."""

    neurons: Places
    lower: Floats
    upper: Floats
    equal: npt.NDArray[np.bool_]
    primal: Floats
    dual: Floats
    y: Floats
    reached: Floats
    tries: Places

    def select(self, rows: npt.NDArray[np.bool_]) -> _State:
        return _State(*(getattr(self, field.name)[rows] for field in fields(self)))


def interior(
    matrix: Floats, lower: Floats, upper: Floats, accept: Accept, *, together: int = TOGETHER
) -> None:
    """Solve `min |v|_1` subject to `lower <= matrix v <= upper` for many neurons.

    Args:
        matrix: Float64 [rows, columns].
        lower: Float64 [rows, neurons], finite.
        upper: Float64 [rows, neurons], finite.
        accept: Takes the number of a neuron, values [columns] and duals [rows] of a vertex, and
            says whether they solve its program. A neuron whose vertices are all refused, or that
            the method breaks down on, is left to others.
        together: Neurons in one batch.
    """
    method = _Method(matrix, accept)
    for start in range(0, lower.shape[1], together):
        method.run(np.arange(start, min(start + together, lower.shape[1])), lower, upper)


class _Method:
    def __init__(self, matrix: Floats, accept: Accept) -> None:
        self._matrix = matrix
        self._columns = np.ascontiguousarray(matrix.T)
        self._single = self._columns.astype(np.float32)
        self._inverse = np.linalg.pinv(matrix)
        self._accept = accept
        self._cuts = np.cumsum([matrix.shape[1], matrix.shape[1], len(matrix)])

    def run(self, neurons: Places, lower: Floats, upper: Floats) -> None:
        state = self._start(neurons, lower.T[neurons], upper.T[neurons])
        # a neuron that breaks down is dropped; until then it may divide by zero
        with np.errstate(all="ignore"):
            for _ in range(_STEPS):
                gap = self._gap(state)
                state, gap = self._end(state, gap)
                if len(gap) == 0:
                    return
                state = self._step(state, gap)

    def _start(self, neurons: Places, lower: Floats, upper: Floats) -> _State:
        equal = upper - lower <= 1e-12 * np.maximum(np.abs(lower), np.abs(upper))
        half = np.where(equal, 1.0, (upper - lower) / 2)
        reached = (lower + upper) / 2
        least = reached @ self._inverse.T
        size = np.maximum(np.abs(least).mean(1, keepdims=True), 1e-12)
        plus, minus = np.maximum(least, 0) + size, np.maximum(-least, 0) + size
        held = np.where(equal, 0.0, plus.mean(1, keepdims=True) / half)
        return _State(
            neurons,
            lower,
            upper,
            equal,
            np.hstack([plus, minus, half, half]),
            np.hstack([np.ones_like(plus), np.ones_like(plus), held, held]),
            np.zeros_like(lower),
            reached,
            np.zeros(len(neurons), dtype=np.intp),
        )

    def _split(self, four: Floats) -> list[Floats]:
        return np.split(four, self._cuts, axis=1)

    def _gap(self, state: _State) -> Floats:
        plus, minus, _, _ = self._split(state.primal)
        objective = np.abs(plus - minus).sum(1)
        bound = np.where(state.y > 0, state.lower, state.upper)
        gap: Floats = (objective - np.einsum("ij,ij->i", bound, state.y)) / np.maximum(1, objective)
        return gap

    def _end(self, state: _State, gap: Floats) -> tuple[_State, Floats]:
        """Drop the neurons that are solved or cannot be."""
        stays = np.isfinite(gap)
        limits = np.array([*_TRIES, -np.inf])
        for place in np.flatnonzero(stays & (gap < limits[state.tries])):
            state.tries[place] = np.count_nonzero(gap[place] < np.array(_TRIES))
            vertex = self._vertex(state, place)
            solved = vertex is not None and self._accept(int(state.neurons[place]), *vertex)
            stays[place] = not solved and state.tries[place] < len(_TRIES)
        return (state, gap) if stays.all() else (state.select(stays), gap[stays])

    def _step(self, state: _State, gap: Floats) -> _State:
        plus, minus, below, above = self._split(state.primal)
        one, other, low, high = self._split(state.dual)
        spring = np.where(state.equal, 0.0, 1 / (low / below + high / above))
        factors = [*self._factors(plus / one + minus / other, spring, gap)]
        missing = state.reached - (plus - minus) @ self._matrix.T
        products = state.primal * state.dual
        counted = 2 * plus.shape[1] + 2 * np.count_nonzero(~state.equal, axis=1)
        mean = products.sum(1) / counted

        def direction(target: Floats) -> tuple[Floats, Floats, Floats]:
            to_plus, to_minus, to_below, to_above = self._split(target)
            pull = to_plus / one - to_minus / other - (plus - minus)
            push = np.where(state.equal, 0.0, to_below / below - to_above / above - state.y)
            right = missing - pull @ self._matrix.T + spring * push
            change = np.array([_solved(*pair) for pair in zip(factors, right, strict=True)])
            price = change @ self._matrix
            move = spring * (push - change)
            to_dual = [-price, price]
            to_primal = [
                (to_plus - plus * one + plus * price) / one,
                (to_minus - minus * other - minus * price) / other,
            ]
            bands = ((to_below, below, low, move), (to_above, above, high, -move))
            for wanted, room, held, room_change in bands:
                held_change = (wanted - room * held - held * room_change) / room
                to_primal.append(room_change)
                to_dual.append(np.where(state.equal, 0.0, held_change))
            return change, np.hstack(to_primal), np.hstack(to_dual)

        _, primal, dual = direction(np.zeros_like(products))
        lengths = _length(state.primal, primal), _length(state.dual, dual)
        ahead = state.primal + lengths[0] * primal, state.dual + lengths[1] * dual
        centred = (ahead[0] * ahead[1]).sum(1) / counted
        aim = np.minimum(centred / mean, 1.0) ** 3 * mean
        change, primal, dual = direction(aim[:, None] - primal * dual)
        back = np.clip(1 - gap, 0.9, 0.9995)[:, None]
        primal_length = np.minimum(1.0, back * _length(state.primal, primal))
        dual_length = np.minimum(1.0, back * _length(state.dual, dual))
        move = self._split(primal)[2]
        return replace(
            state,
            primal=state.primal + primal_length * primal,
            dual=state.dual + dual_length * dual,
            y=state.y + dual_length * change,
            reached=state.reached + primal_length * move,
        )

    def _factors(self, weights: Floats, spring: Floats, gap: Floats) -> Iterator[Factor | None]:
        """Yield the Cholesky factors of A diag(weights) A' + diag(spring), one a neuron."""
        for weight, diagonal, distance in zip(weights, spring, gap, strict=True):
            single = bool(distance > _SINGLE_ABOVE)
            source = self._single if single else self._columns
            part = source * np.sqrt(weight).astype(source.dtype)[:, None]
            # numpy lets the other threads run meanwhile, SciPy's BLAS and LAPACK do not
            gram = part.T @ part
            places = np.arange(len(diagonal))
            gram[places, places] += diagonal.astype(gram.dtype)
            gram[places, places] *= 1 + (1e-6 if single else 1e-13)
            try:
                yield np.linalg.cholesky(gram).T, single
            except np.linalg.LinAlgError:
                yield None

    def _vertex(self, state: _State, place: int) -> tuple[Floats, Floats] | None:
        """Return the values and duals of the vertex that a neuron is heading for."""
        plus, minus, below, above = (part[place] for part in self._split(state.primal))
        one, other, low, high = (part[place] for part in self._split(state.dual))
        equal, y = state.equal[place], state.y[place]
        half = (state.upper[place] - state.lower[place]) / 2
        # a variable is of the support when it is large beside what is complementary to it
        size = np.abs(plus - minus).max()
        support = np.flatnonzero(np.maximum(plus / one, minus / other) > 0.1 * size)
        pressed = np.where(equal, np.inf, np.maximum(low / below, high / above) * half)
        tight = np.flatnonzero(pressed > np.abs(y).max())
        if len(tight) < np.count_nonzero(equal) or len(tight) != len(support):
            order = np.argsort(-pressed, kind="stable")
            tight = np.sort(order[: len(support)])
        if len(tight) != len(support) or len(support) == 0:
            return None
        basis = self._matrix[np.ix_(tight, support)]
        factor, pivots, failed = lapack.dgetrf(basis)
        if failed:
            return None
        ends = np.where(y < 0, state.upper[place], state.lower[place])[tight]
        found = lapack.dgetrs(factor, pivots, ends)[0]
        found += lapack.dgetrs(factor, pivots, ends - basis @ found)[0]
        values, duals = np.zeros(len(plus)), np.zeros(len(y))
        values[support] = found
        signs = np.sign(plus - minus)[support]
        duals[tight] = lapack.dgetrs(factor, pivots, signs, trans=1)[0]
        return without_noise(values), duals


def _solved(factor: Factor | None, right: Floats) -> Floats:
    if factor is None:
        return np.full(len(right), np.nan)
    triangle, single = factor
    solve = lapack.spotrs if single else lapack.dpotrs
    found: Floats = solve(triangle, right.astype(triangle.dtype), lower=0)[0].astype(np.float64)
    return found


def _length(place: Floats, direction: Floats) -> Floats:
    """Return how far each neuron can go until an entry is zero, at most 1; [neurons, 1]."""
    reach = np.where(direction < 0, place / -direction, np.inf)
    length: Floats = np.minimum(1.0, reach.min(1, keepdims=True))
    return length
