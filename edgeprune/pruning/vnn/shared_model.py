"""One HiGHS model for many neurons: the rows stay, a neuron brings its bounds.

Building the model costs more than the dual simplex needs for most neurons, and presolve finds
nothing in a dense matrix. Every neuron starts from the basis of the slacks, which is dual feasible
(all costs are 1): what is found does not depend on the neurons before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import highspy
import numpy as np
import numpy.typing as npt
from scipy import sparse

from edgeprune.pruning.vnn.checks import Floats, without_noise

Signs: TypeAlias = npt.NDArray[np.int8]

_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Vertex:
    """Where the simplex ended.

    Attributes:
        status: "optimal", "infeasible" or "limit".
        values: Float64 [columns].
        duals: Float64 [rows]; positive where the lower bound holds the row.
        pivots: Iterations of the simplex method.
    """

    status: str
    values: Floats
    duals: Floats
    pivots: int


class SharedModel:
    """`min |v|_1` over rows whose bounds change.

    Args:
        matrix: Float64 [rows, columns].
        seconds: Limit of one run.
        presolve: Let HiGHS simplify the program first.
    """

    def __init__(self, matrix: Floats, seconds: float = math.inf, presolve: bool = False) -> None:
        self._rows, self._columns = matrix.shape
        self._seconds = seconds
        self._solver = _solver(presolve)
        rows, columns = self._rows, self._columns
        _pass(
            self._solver,
            np.hstack([matrix, -matrix]),
            np.ones(2 * columns),
            np.full(rows, -math.inf),
            np.full(rows, math.inf),
        )

    def start(self, lower: Floats, upper: Floats) -> None:
        """Take the bounds of the next neuron and forget the one before."""
        rows = np.arange(self._rows, dtype=np.int32)
        self._solver.changeRowsBounds(self._rows, rows, lower.copy(), upper.copy())
        self._solver.clearSolver()

    def add(self, matrix: Floats, lower: Floats, upper: Floats) -> None:
        """Add rows; the next run starts where the last one ended."""
        packed = sparse.csr_matrix(np.hstack([matrix, -matrix]))
        self._solver.addRows(
            len(matrix),
            lower.copy(),
            upper.copy(),
            packed.nnz,
            packed.indptr[:-1].astype(np.int32),
            packed.indices.astype(np.int32),
            packed.data,
        )
        self._rows += len(matrix)

    def run(self) -> Vertex:
        """Run the dual simplex."""
        # HiGHS counts the seconds of all its runs
        self._solver.setOptionValue("time_limit", self._solver.getRunTime() + self._seconds)
        self._solver.run()
        status = _STATUS.get(self._solver.getModelStatus(), "limit")
        columns, pivots = self._columns, self._solver.getInfo().simplex_iteration_count
        if status != "optimal":
            return Vertex(status, np.zeros(columns), np.zeros(self._rows), pivots)
        solution = self._solver.getSolution()
        values = np.array(solution.col_value)
        values = without_noise(values[:columns] - values[columns:])
        return Vertex(status, values, np.array(solution.row_dual), pivots)

    def basis(self) -> tuple[Signs, Signs]:
        """Return what is basic where the last run ended.

        Returns:
            Int8 [columns], the sign of a basic variable, 0 for one that is held at zero; and int8
            [rows], -1 for a row held at its lower bound, 1 at its upper bound, 0 if not held.
        """
        basis, columns = self._solver.getBasis(), self._columns
        basic = np.array([_BASIC.get(one, 0) for one in basis.col_status], dtype=np.int8)
        tight = np.array([_SIDES.get(one, 0) for one in basis.row_status], dtype=np.int8)
        return basic[:columns] - basic[columns:], tight


def least_violation(matrix: Floats, lower: Floats, upper: Floats, seconds: float) -> Floats | None:
    """Return by how much each row must give for all to have a solution, least in sum.

    Args:
        matrix: Float64 [rows, columns].
        lower: Float64 [rows].
        upper: Float64 [rows].
        seconds: Limit of the solver.

    Returns:
        Float64 [rows], or None where time ran out.
    """
    rows, columns = matrix.shape
    give = sparse.identity(rows)
    dense = sparse.csc_matrix(matrix)
    solver = _solver(presolve=True)
    solver.setOptionValue("time_limit", float(seconds))
    costs = np.concatenate([np.zeros(2 * columns), np.ones(2 * rows)])
    _pass(solver, sparse.hstack([dense, -dense, give, -give]), costs, lower, upper)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    values = np.array(solver.getSolution().col_value)[: 2 * columns]
    reached = matrix @ (values[:columns] - values[columns:])
    slack: Floats = np.maximum(0, np.maximum(lower - reached, reached - upper))
    return slack


def _solver(presolve: bool) -> highspy.Highs:
    solver = highspy.Highs()
    options: dict[str, bool | int | float | str] = {
        "output_flag": False,
        "threads": 1,
        "random_seed": 0,
        "presolve": "choose" if presolve else "off",
        "solver": "simplex",
        # a dense matrix of activations needs no scaling, and each neuron would pay for it again
        "simplex_scale_strategy": 4 if presolve else 0,
        "primal_feasibility_tolerance": _TOLERANCE,
        "dual_feasibility_tolerance": _TOLERANCE,
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)
    return solver


def _pass(
    solver: highspy.Highs,
    matrix: Floats | sparse.spmatrix,
    costs: Floats,
    lower: Floats,
    upper: Floats,
) -> None:
    packed = sparse.csc_matrix(matrix)
    program = highspy.HighsLp()
    program.num_row_, program.num_col_ = packed.shape
    program.col_cost_ = costs
    program.col_lower_ = np.zeros(len(costs))
    program.col_upper_ = np.full(len(costs), math.inf)
    program.row_lower_, program.row_upper_ = lower, upper
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = packed.indptr
    program.a_matrix_.index_ = packed.indices
    program.a_matrix_.value_ = packed.data
    solver.passModel(program)


_STATUS = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
}
_BASIC = {highspy.HighsBasisStatus.kBasic: 1}
_SIDES = {highspy.HighsBasisStatus.kLower: -1, highspy.HighsBasisStatus.kUpper: 1}
