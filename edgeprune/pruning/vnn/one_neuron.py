"""The linear program of one neuron in HiGHS: the reference, and where the fast way falls back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float64]

_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class OneSolution:
    """What HiGHS found for one neuron.

    Attributes:
        values: Float64 [columns]: weights, then the bias.
        status: "optimal", "infeasible" or "limit".
        gap: Relative distance of the objective to the proved bound.
        violation: Sum by which rows are broken on purpose.
    """

    values: Floats
    status: str
    gap: float
    violation: float = 0.0


def solve_one(
    matrix: Floats, lower: Floats, upper: Floats, seconds: float = math.inf
) -> OneSolution:
    """Solve `min |v|_1` subject to `lower <= matrix v <= upper`.

    Args:
        matrix: Float64 [rows, columns].
        lower: Float64 [rows].
        upper: Float64 [rows].
        seconds: Limit of the solver.
    """
    columns = matrix.shape[1]
    solver = _pass(np.hstack([matrix, -matrix]), np.ones(2 * columns), lower, upper, seconds)
    solver.run()
    status = _STATUS.get(solver.getModelStatus(), "limit")
    if status != "optimal":
        return OneSolution(np.zeros(columns), status, math.nan)
    solution = solver.getSolution()
    values = np.array(solution.col_value)
    values = values[:columns] - values[columns:]
    objective = float(np.abs(values).sum())
    bound = dual_bound(matrix, lower, upper, np.array(solution.row_dual))
    return OneSolution(values, status, (objective - bound) / max(1.0, objective))


def least_violation(
    matrix: Floats, lower: Floats, upper: Floats, seconds: float = math.inf
) -> Floats:
    """Return by how much each row must give for the rows to have a solution, least in sum."""
    rows, columns = matrix.shape
    broken = np.eye(rows)
    whole = np.hstack([matrix, -matrix, broken, -broken])
    costs = np.concatenate([np.zeros(2 * columns), np.ones(2 * rows)])
    solver = _pass(whole, costs, lower, upper, seconds)
    solver.run()
    values = np.array(solver.getSolution().col_value)[: 2 * columns]
    reached = matrix @ (values[:columns] - values[columns:])
    slack: Floats = np.maximum(0, np.maximum(lower - reached, reached - upper))
    return slack


def dual_bound(matrix: Floats, lower: Floats, upper: Floats, duals: Floats) -> float:
    """Return the lower bound of the optimum that these multipliers of the rows prove.

    They are shrunk until no column costs more than its price: what they prove then holds whatever
    found them.

    Args:
        matrix: Float64 [rows, columns].
        lower: Float64 [rows].
        upper: Float64 [rows].
        duals: Float64 [rows]; positive where the lower bound holds the row.
    """
    allowed = np.where(
        ((duals > 0) & np.isneginf(lower)) | ((duals < 0) & np.isposinf(upper)), 0, 1
    )
    held = duals * allowed
    held = held / max(1.0, float(np.abs(matrix.T @ held).max(initial=0)))
    ends = np.where(held > 0, lower, upper)
    return float(held[held != 0] @ ends[held != 0])


def _pass(
    matrix: Floats, costs: Floats, lower: Floats, upper: Floats, seconds: float
) -> highspy.Highs:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", 0)
    solver.setOptionValue("time_limit", float(seconds))
    solver.setOptionValue("primal_feasibility_tolerance", _TOLERANCE)
    solver.setOptionValue("dual_feasibility_tolerance", _TOLERANCE)
    rows, columns = matrix.shape
    packed = sparse.csc_matrix(matrix)
    program = highspy.HighsLp()
    program.num_row_, program.num_col_ = rows, columns
    program.col_cost_ = costs
    program.col_lower_ = np.zeros(columns)
    program.col_upper_ = np.full(columns, highspy.kHighsInf)
    program.row_lower_, program.row_upper_ = lower, upper
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = packed.indptr
    program.a_matrix_.index_ = packed.indices
    program.a_matrix_.value_ = packed.data
    solver.passModel(program)
    return solver


_STATUS = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
}
