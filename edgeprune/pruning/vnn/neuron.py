"""The program of one neuron: solved, made exact, checked; or relaxed where it has no solution."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edgeprune.pruning.vnn.checks import (
    GAP_TOLERANCE,
    ROW_TOLERANCE,
    Floats,
    Places,
    dual_bound,
    relative_gap,
    violations,
    without_noise,
)
from edgeprune.pruning.vnn.shared_model import SharedModel, Signs, Vertex, least_violation

# beyond this many rows for a column most rows never bind
_ROWS_PER_COLUMN = 4
_MANY_ROWS = 600
_ROUNDS = 200


@dataclass(frozen=True, eq=False)
class OneSolution:
    """What was found for one neuron.

    Attributes:
        values: Float64 [columns]: weights, then the bias.
        status: "optimal", "relaxed", "infeasible" or "limit".
        gap: Relative distance of the objective to the proved bound; nan where nothing is proved.
        violation: Sum by which rows are broken on purpose.
        pivots: Iterations of the simplex method that it took.
    """

    values: Floats
    status: str
    gap: float
    violation: float = 0.0
    pivots: int = 0


class NeuronSolver:
    """Solves neuron after neuron over one matrix; each thread has its own.

    Args:
        matrix: Float64 [rows, columns], without columns that are zero throughout.
        relaxed: Break the rows of a program without solution by the least sum.
        seconds: Limit of one run of HiGHS.
    """

    def __init__(self, matrix: Floats, *, relaxed: bool, seconds: float) -> None:
        self._matrix = matrix
        self._relaxed = relaxed
        self._seconds = seconds
        self._model: SharedModel | None = None

    def solve(self, lower: Floats, upper: Floats) -> OneSolution:
        """Solve `min |v|_1` subject to `lower <= matrix v <= upper`."""
        found = self._solve(lower, upper)
        if found.status != "infeasible" or not self._relaxed:
            return found
        slack = least_violation(self._matrix, lower, upper, self._seconds)
        if slack is None:
            return replace(found, status="limit")
        wider = self._solve(lower - slack, upper + slack)
        if wider.status != "optimal":
            return replace(wider, status="limit")
        return replace(wider, status="relaxed", violation=float(slack.sum()))

    def _solve(self, lower: Floats, upper: Floats) -> OneSolution:
        rows, columns = self._matrix.shape
        if np.all(lower <= 0) and np.all(upper >= 0):
            return OneSolution(np.zeros(columns), "optimal", 0.0)
        if has_many_rows(rows, columns):
            return self._with_few_rows(lower, upper)
        if self._model is None:
            self._model = SharedModel(self._matrix, self._seconds)
        self._model.start(lower, upper)
        vertex = self._model.run()
        found = checked(self._matrix, lower, upper, vertex, self._model)
        if found.status == "optimal" or vertex.status == "infeasible":
            return found
        careful = SharedModel(self._matrix, self._seconds, presolve=True)
        careful.start(lower, upper)
        return checked(self._matrix, lower, upper, careful.run(), careful)

    def _with_few_rows(self, lower: Floats, upper: Floats) -> OneSolution:
        """Solve over some rows, add those that the solution breaks most, until it breaks none."""
        columns = self._matrix.shape[1]
        chosen = _first_rows(self._matrix, lower, upper, columns)
        model = SharedModel(self._matrix[chosen], self._seconds)
        model.start(lower[chosen], upper[chosen])
        for _ in range(_ROUNDS):
            ends = lower[chosen], upper[chosen]
            part = checked(self._matrix[chosen], *ends, model.run(), model)
            if part.status != "optimal":
                return part
            broken = violations(self._matrix, lower, upper, part.values)
            broken[chosen] = 0
            if broken.max() <= ROW_TOLERANCE:
                return part
            new = _most_broken(broken, columns)
            model.add(self._matrix[new], lower[new], upper[new])
            chosen = np.concatenate([chosen, new])
        return OneSolution(np.zeros(columns), "limit", math.nan)


def has_many_rows(rows: int, columns: int) -> bool:
    """Say whether a program is solved over some of its rows first."""
    return rows > max(_MANY_ROWS, _ROWS_PER_COLUMN * columns)


def checked(
    matrix: Floats, lower: Floats, upper: Floats, vertex: Vertex, model: SharedModel
) -> OneSolution:
    """Return a vertex as a solution if its rows hold and its duals prove that nothing is better.

    Where the solver's own numbers leave something to be desired, the values are computed anew from
    the rows that hold them, and the duals from the columns that they pay for.
    """
    if vertex.status != "optimal":
        return OneSolution(np.zeros(matrix.shape[1]), vertex.status, math.nan)
    found = solved_by(matrix, lower, upper, vertex.values, vertex.duals)
    if found is None:
        anew = _anew(matrix, lower, upper, *model.basis())
        found = solved_by(matrix, lower, upper, *anew)
    if found is None:
        return OneSolution(np.zeros(matrix.shape[1]), "limit", math.nan)
    return replace(found, pivots=vertex.pivots)


def solved_by(
    matrix: Floats, lower: Floats, upper: Floats, values: Floats, duals: Floats
) -> OneSolution | None:
    """Return values as a solution, or None unless they are shown to be one."""
    gap = relative_gap(float(np.abs(values).sum()), dual_bound(matrix, lower, upper, duals))
    broken = violations(matrix, lower, upper, values).max(initial=0)
    if broken <= ROW_TOLERANCE and abs(gap) <= GAP_TOLERANCE:
        return OneSolution(values, "optimal", gap)
    return None


def _anew(
    matrix: Floats, lower: Floats, upper: Floats, signs: Signs, sides: Signs
) -> tuple[Floats, Floats]:
    support, tight = np.flatnonzero(signs), np.flatnonzero(sides)
    values, duals = np.zeros(matrix.shape[1]), np.zeros(len(matrix))
    if len(support) == 0 or len(tight) == 0:
        return values, duals
    basis = matrix[np.ix_(tight, support)]
    ends = np.where(sides < 0, lower, upper)[tight]
    values[support] = np.linalg.lstsq(basis, ends, rcond=None)[0]
    prices = signs[support].astype(np.float64)
    duals[tight] = np.linalg.lstsq(basis.T, prices, rcond=None)[0]
    return without_noise(values), duals


def _first_rows(matrix: Floats, lower: Floats, upper: Floats, count: int) -> Places:
    """Return the rows with the least room for their size, and half as many spread over all."""
    size = np.maximum(np.sqrt(np.einsum("ij,ij->i", matrix, matrix)), 1e-300)
    room = (upper - lower) / size
    narrow = np.argsort(room, kind="stable")[:count]
    spread = np.linspace(0, len(matrix) - 1, count // 2 + 1).astype(np.intp)
    first: Places = np.union1d(narrow, spread)
    return first


def _most_broken(broken: Floats, count: int) -> Places:
    """Return the most broken rows and some of the others: neighbours say the same thing."""
    order = np.argsort(-broken, kind="stable")[: np.count_nonzero(broken > ROW_TOLERANCE)]
    worst, rest = order[: count // 2 + 1], order[count // 2 + 1 :]
    return np.concatenate([worst, rest[:: max(1, len(rest) // (count // 2 + 1))]])
