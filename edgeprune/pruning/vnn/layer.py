"""All neurons of a layer: which way each is solved, and several at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
from threadpoolctl import threadpool_limits

from edgeprune.pruning.vnn.checks import Floats
from edgeprune.pruning.vnn.determined import determined
from edgeprune.pruning.vnn.interior import TOGETHER, interior
from edgeprune.pruning.vnn.neuron import NeuronSolver, OneSolution, has_many_rows, solved_by

_PROBES = 4
_FEW_ROWS = 32
_WIDE = 1.5

Work = Callable[[Sequence[int]], dict[int, OneSolution]]


class LayerSolver:
    """Solves `min |v|_1` subject to `lower[:, i] <= matrix v <= upper[:, i]` for every i.

    Args:
        matrix: Float64 [rows, columns], without columns that are zero throughout.
        lower: Float64 [rows, neurons].
        upper: Float64 [rows, neurons].
        relaxed: Break the rows of a program without solution by the least sum.
        seconds: Limit of one run of HiGHS.
        workers: Threads; HiGHS and BLAS work without the interpreter's lock.
    """

    def __init__(
        self,
        matrix: Floats,
        lower: Floats,
        upper: Floats,
        *,
        relaxed: bool,
        seconds: float,
        workers: int,
    ) -> None:
        self._matrix, self._lower, self._upper = matrix, lower, upper
        self._relaxed, self._seconds, self._workers = relaxed, seconds, workers
        self._found: dict[int, OneSolution] = {}

    def solve(self) -> list[OneSolution]:
        """Return what was found, one for each neuron."""
        # These matrices are small: a second thread of the BLAS only waits, and it waits spinning.
        with threadpool_limits(1, user_api="blas"):
            self._found = self._determined()
            if self._interior_pays():
                self._share(self._by_interior, self._open(), TOGETHER)
            self._share(self._by_simplex, self._open())
        return [self._found[neuron] for neuron in range(self._lower.shape[1])]

    def _open(self) -> list[int]:
        return [neuron for neuron in range(self._lower.shape[1]) if neuron not in self._found]

    def _share(self, work: Work, neurons: Sequence[int], together: int = 1) -> None:
        """Let every worker do its part; neurons that are solved together are the same for any."""
        batches = [neurons[start : start + together] for start in range(0, len(neurons), together)]
        shares = [[*chain(*batches[start :: self._workers])] for start in range(self._workers)]
        with ThreadPoolExecutor(self._workers) as pool:
            for found in pool.map(work, [share for share in shares if share]):
                self._found |= found

    def _interior_pays(self) -> bool:
        """Say whether the simplex method would walk longer than a dozen factorisations take.

        It does where columns outnumber rows by far; otherwise it is tried on a few neurons.
        """
        rows, columns = self._matrix.shape
        if rows < _FEW_ROWS or has_many_rows(rows, columns):
            return False
        if columns > _WIDE * rows:
            return True
        neurons = self._open()
        probes = neurons[:: max(1, len(neurons) // _PROBES)][:_PROBES]
        self._share(self._by_simplex, probes)
        return sum(self._found[neuron].pivots for neuron in probes) > rows * len(probes)

    def _determined(self) -> dict[int, OneSolution]:
        """Return the neurons whose rows leave one solution."""
        neurons = np.flatnonzero(np.all(self._lower == self._upper, axis=0))
        pairs = determined(self._matrix, self._lower[:, neurons]) if len(neurons) else None
        if pairs is None:
            return {}
        tried = {
            int(neuron): self._accepted(int(neuron), values, duals)
            for neuron, values, duals in zip(neurons, pairs[0].T, pairs[1].T, strict=True)
        }
        return {neuron: one for neuron, one in tried.items() if one is not None}

    def _by_simplex(self, neurons: Sequence[int]) -> dict[int, OneSolution]:
        solver = NeuronSolver(self._matrix, relaxed=self._relaxed, seconds=self._seconds)
        return {
            neuron: solver.solve(self._lower[:, neuron], self._upper[:, neuron])
            for neuron in neurons
        }

    def _by_interior(self, neurons: Sequence[int]) -> dict[int, OneSolution]:
        bounds = self._lower[:, neurons], self._upper[:, neurons]
        bounded = np.isfinite(bounds[0]).all(0) & np.isfinite(bounds[1]).all(0)
        numbers = np.array(neurons, dtype=np.intp)[bounded]
        found = {}

        def accept(place: int, values: Floats, duals: Floats) -> bool:
            neuron = int(numbers[place])
            one = self._accepted(neuron, values, duals)
            if one is not None:
                found[neuron] = one
            return one is not None

        interior(self._matrix, bounds[0][:, bounded], bounds[1][:, bounded], accept)
        return found

    def _accepted(self, neuron: int, values: Floats, duals: Floats) -> OneSolution | None:
        ends = self._lower[:, neuron], self._upper[:, neuron]
        return solved_by(self._matrix, *ends, values, duals)
