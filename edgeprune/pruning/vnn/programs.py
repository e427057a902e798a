"""One linear program for each neuron of a layer, all over the same samples.

The program of neuron i is `min |w|_1 + |b|` subject to `lower[k, i] <= w . x_k + b <= upper[k, i]`
for every sample k (VNN, arXiv 2312.09748, section 3). That it separates by output neuron is our
reading: no constraint of a layer ties two neurons together.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from edgeprune.pruning.vnn.checks import Floats, Places
from edgeprune.pruning.vnn.layer import LayerSolver
from edgeprune.pruning.vnn.neuron import OneSolution


class Status(StrEnum):
    """How the program of one neuron ended."""

    OPTIMAL = "optimal"
    RELAXED = "relaxed"
    INFEASIBLE = "infeasible"
    LIMIT = "limit"


@dataclass(frozen=True, eq=False)
class NeuronPrograms:
    """The programs of a layer's neurons.

    Attributes:
        inputs: Float64 [samples, n_in]: what the layer sees, one row a sample (im2col rows for a
            convolution).
        lower: Float64 [samples, n_out]: least allowed pre-activation, -inf where there is none.
        upper: Float64 [samples, n_out]: greatest allowed pre-activation, inf where there is none.
        has_bias: The layer has a bias; without, b is 0.
    """

    inputs: Floats
    lower: Floats
    upper: Floats
    has_bias: bool = True

    def __post_init__(self) -> None:
        samples = len(self.inputs)
        if self.inputs.ndim != 2 or self.lower.ndim != 2:
            raise ValueError("inputs and bounds are matrices, one row a sample")
        if self.lower.shape != self.upper.shape or len(self.lower) != samples:
            raise ValueError(
                f"bounds {self.lower.shape} and {self.upper.shape} do not fit {samples} samples"
            )

    @property
    def neurons(self) -> int:
        """Number of programs."""
        return int(self.lower.shape[1])

    def matrix(self) -> Floats:
        """Return [inputs 1], the matrix that all programs share; inputs alone without bias."""
        ones = np.ones((len(self.inputs), int(self.has_bias)))
        return np.ascontiguousarray(np.hstack([self.inputs, ones]), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Solutions:
    """What solves the programs of a layer.

    Attributes:
        weight: Float64 [n_out, n_in]; zeros for a neuron without a solution.
        bias: Float64 [n_out].
        objective: Float64 [n_out]: |w|_1 + |b|.
        status: One for each neuron. `RELAXED`: the program had no solution, and this one breaks
            its rows by the least sum.
        gap: Float64 [n_out]: (objective - proved lower bound) / max(1, objective); nan where
            nothing is proved.
        violation: Float64 [n_out]: the sum by which rows are broken.
    """

    weight: Floats
    bias: Floats
    objective: Floats
    status: tuple[Status, ...]
    gap: Floats
    violation: Floats


@dataclass(frozen=True)
class SolveSettings:
    """How programs are solved.

    Attributes:
        relaxed: Break the rows of a program without solution by the least sum.
        seconds: Limit of one run of HiGHS.
        workers: Neurons solved at the same time; one for each processor if None. What is found
            does not depend on it.
    """

    relaxed: bool = False
    seconds: float = 60.0
    workers: int | None = None


def value_band(preactivations: Floats, epsilon: float) -> tuple[Floats, Floats]:
    """Return the bounds that keep every neuron's state and its value within a share of itself.

    A neuron that is active in the original (z >= 0) stays so, an inactive one as well, and its
    value stays within (1 - epsilon) z and (1 + epsilon) z (arXiv 2312.09748).

    Args:
        preactivations: Original pre-activations, float64 [samples, n_out].
        epsilon: Half width of the band, >= 0.

    Returns:
        Least and greatest pre-activation, both [samples, n_out].
    """
    ends = (1 - epsilon) * preactivations, (1 + epsilon) * preactivations
    active = preactivations >= 0
    lower, upper = np.minimum(*ends), np.maximum(*ends)
    return np.where(active, np.maximum(lower, 0), lower), np.where(
        active, upper, np.minimum(upper, 0)
    )


def solve(programs: NeuronPrograms, settings: SolveSettings | None = None) -> Solutions:
    """Solve the programs of a layer.

    Every solution is checked, whatever found it: its rows hold within 1e-9 of the terms they add
    up, and duals prove its norm within 1e-7. What cannot be checked is not returned.
    """
    settings = settings or SolveSettings()
    matrix = programs.matrix()
    alive = np.flatnonzero(np.any(matrix != 0, axis=0))
    solver = LayerSolver(
        matrix if len(alive) == matrix.shape[1] else np.ascontiguousarray(matrix[:, alive]),
        programs.lower,
        programs.upper,
        relaxed=settings.relaxed,
        seconds=settings.seconds,
        workers=settings.workers or os.cpu_count() or 1,
    )
    return _gather(programs, alive, solver.solve())


def _gather(programs: NeuronPrograms, alive: Places, found: Sequence[OneSolution]) -> Solutions:
    columns = programs.inputs.shape[1]
    values = np.zeros((len(found), columns + 1))
    for row, one in zip(values, found, strict=True):
        row[alive] = one.values
    return Solutions(
        values[:, :columns].copy(),
        values[:, columns].copy(),
        np.abs(values).sum(1),
        tuple(Status(one.status) for one in found),
        np.array([one.gap for one in found]),
        np.array([one.violation for one in found]),
    )
