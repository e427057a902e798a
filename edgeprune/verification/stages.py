"""What verification tries on a group of windows, one stage after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from edgeprune.data.held import HeldWindows
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int64Array
from edgeprune.verification.activations import Activations, bound_activations
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.branching import BranchSettings, Problem, branch, roots_of
from edgeprune.verification.enumeration import enumerate_members
from edgeprune.verification.falsify import (
    QUICK,
    AttackSettings,
    Judge,
    Target,
    attack,
    counterexample,
)
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.interval import output_bounds
from edgeprune.verification.linear_bounds import (
    BoundSettings,
    gradient,
    linear_bounds,
    margins,
    proves,
)
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.outcomes import (
    Counterexample,
    Int16Array,
    Leaf,
    Method,
    Outcome,
    Proof,
    Runtime,
    WindowResult,
)
from edgeprune.verification.parameter_search import search_parameters
from edgeprune.verification.perturbations import Perturbation
from edgeprune.verification.problem_rows import (
    SlopeRow,
    interval_margins,
    lines_of,
    slope_rows,
    stacked,
)

# Windows bounded at a time.
_BATCH = 24


class Stages:
    """The windows of a group and what is known of each.

    Args:
        network: The network.
        held: The windows.
        perturbation: What may happen to them.
        runtime: Whose arithmetic proofs are about.
        seconds: Time that a window may take.
        keeps_proofs: Whether to keep proofs.
        random: Decides random starts.
    """

    def __init__(
        self,
        network: IntegerNetwork,
        held: HeldWindows | HeldInputs,
        perturbation: Perturbation,
        *,
        runtime: Runtime,
        seconds: float,
        keeps_proofs: bool,
        random: np.random.Generator,
    ) -> None:
        begin = time.monotonic()
        count = len(held)
        place = perturbation.place(held)
        self._decisions = network.predict(*place.inputs())
        exact = bound_graph(network)
        self._graph = exact if runtime is Runtime.FIRMWARE else bound_graph(network, 1)
        self._target = Target(
            network,
            place,
            perturbation,
            self._decisions,
            lambda inputs, objectives: gradient(exact, inputs, objectives),
        )
        self._judge = Judge(network)
        self._runtime = runtime
        self._limit = seconds
        self._keeps_proofs = keeps_proofs
        self._random = random
        self._objectives = margins(self._decisions, network.output_tensor.shape[0])
        self._sets = perturbation.input_sets(place)
        self._seconds = np.zeros(count)
        self._margin = np.full(count, -np.inf)
        self._near: Int16Array = np.array(place.raw)
        self._method = [Method.INTERVAL] * count
        self._outcome: list[Outcome | None] = [None] * count
        self._proof: list[Proof | None] = [None] * count
        self._counterexample: list[Counterexample | None] = [None] * count
        # Of each open window, what the last linear bounds found; of one problem each.
        self._activations: dict[int, Activations] = {}
        self._slopes: dict[int, tuple[SlopeRow, ...]] = {}
        self._lower: FloatArray = np.full((count, self._objectives.shape[1]), -np.inf)
        self._seconds += (time.monotonic() - begin) / max(count, 1)

    def intervals(self) -> None:
        """Bound by intervals, first without and then with what the signal's samples share."""
        with self._timed(self._open()) as rows:
            if self._runtime is Runtime.FIRMWARE and len(rows):
                boxes = list(zip(self._sets.low, self._sets.high, strict=True))
                low, high = output_bounds(self._target.network, boxes)
                positive = np.maximum(self._objectives, 0.0)
                negative = self._objectives - positive
                lower = np.einsum("nkc,nc->nk", positive, low) + np.einsum(
                    "nkc,nc->nk", negative, high
                )
                self._take(rows, lower, Method.INTERVAL)
        for rows in _parts(self._open()):
            with self._timed(rows):
                coarse = bound_activations(self._graph, self._sets.select(rows), refines=False)
                lower = interval_margins(self._graph, coarse, self._objectives[rows])
                self._take(rows, lower, Method.INTERVAL)

    def quick_attack(self) -> None:
        """Look for the counterexamples that are easy to find."""
        self.attack(QUICK)

    def attack(self, settings: AttackSettings) -> None:
        """Search the sets for a member that is decided otherwise."""
        with self._timed(self._open()) as rows:
            if not len(rows):
                return
            part = self._target.select(rows)
            found = attack(part, settings, self._random, self._judge)
            if self._target.members.dimensions and settings is not QUICK:
                wider = search_parameters(part, settings, self._random, self._judge)
                found = found.better_of(wider)
            if isinstance(part.held, HeldInputs):
                found = enumerate_members(part, found, self._judge)
            for place in np.flatnonzero(found.falsified).tolist():
                self._falsify(int(rows[place]), found.raw[place])

    def linear(self, iterations: int) -> None:
        """Bound by backward passes; from the second call on, with the bounds of the first.

        Args:
            iterations: Steps of the optimisation of slopes.
        """
        for rows in _parts(self._open()):
            with self._timed(rows):
                known = [self._activations.get(row) for row in rows.tolist()]
                kept = [each for each in known if each is not None]
                found = linear_bounds(
                    self._graph,
                    self._sets.select(rows),
                    self._objectives[rows],
                    settings=BoundSettings(iterations=iterations, batch=_BATCH),
                    activations=stacked(kept) if len(kept) == len(rows) else None,
                )
                every = np.arange(self._objectives.shape[1])
                for place, row in enumerate(rows.tolist()):
                    self._activations[row] = found.activations.select(np.array([place]))
                    self._slopes[row] = slope_rows(None, found.slopes, place, every, slice(0))
                self._take(rows, found.lower, Method.LINEAR)

    def branch(self) -> None:
        """Split the sets of the open windows until the time is over."""
        rows = self._open()
        if not len(rows):
            return
        roots = roots_of(self._target, rows)
        if all(problem.piece is None for problem in roots):
            roots = [
                Problem(
                    row,
                    self._lower[row],
                    activations=self._activations.get(row),
                    slopes=self._slopes.get(row),
                )
                for row in rows.tolist()
            ]
        left = self._limit - self._seconds[rows]
        found = branch(
            self._target,
            self._judge,
            self._graph,
            dict(zip(rows.tolist(), left.tolist(), strict=True)),
            roots,
            BranchSettings(),
            keeps_proofs=self._keeps_proofs,
        )
        for row, branched in found.items():
            self._seconds[row] += branched.seconds
            self._margin[row] = max(self._margin[row], branched.margin)
            self._method[row] = Method.BRANCHING
            if branched.raw is not None:
                self._falsify(row, branched.raw)
            else:
                self._outcome[row] = branched.outcome
                self._proof[row] = branched.proof

    def results(self) -> tuple[WindowResult, ...]:
        """Return what is known of every window."""
        return tuple(
            WindowResult(
                self._outcome[row] or Outcome.UNKNOWN,
                self._method[row],
                int(self._decisions[row]),
                float(self._seconds[row]),
                float(self._margin[row]),
                self._counterexample[row],
                self._proof[row],
            )
            for row in range(len(self._decisions))
        )

    def _open(self) -> Int64Array:
        return np.array(
            [row for row, outcome in enumerate(self._outcome) if outcome is None], np.int64
        )

    @contextmanager
    def _timed(self, rows: Int64Array) -> Iterator[Int64Array]:
        """Charge the time of a block to some windows; those beyond their limit are over."""
        begin = time.monotonic()
        yield rows
        if len(rows):
            self._seconds[rows] += (time.monotonic() - begin) / len(rows)
        for row in rows.tolist():
            if self._outcome[row] is None and self._seconds[row] >= self._limit:
                self._outcome[row] = Outcome.TIMEOUT

    def _take(self, rows: Int64Array, lower: FloatArray, method: Method) -> None:
        # A leaf proves all margins by itself: bounds of several methods are not mixed.
        proved = proves(lower, self._decisions[rows])
        for place, row in enumerate(rows.tolist()):
            self._method[row] = method
            self._lower[row] = np.maximum(self._lower[row], lower[place])
            self._margin[row] = float(self._lower[row].min())
            if not proved[place]:
                continue
            self._outcome[row] = Outcome.PROVED
            if self._keeps_proofs:
                lines = None
                if method is Method.LINEAR:
                    lines = lines_of(self._slopes[row], self._activations[row], 0)
                self._proof[row] = Proof((Leaf(method, None, (), lines, lower[place]),))

    def _falsify(self, row: int, raw: Int16Array) -> None:
        """Take a counterexample, if the specification agrees that it is one."""
        found = counterexample(self._target, row, raw)
        if found is None:
            return
        own = int(self._decisions[row])
        logits = found.logits.astype(np.float64)
        self._outcome[row] = Outcome.FALSIFIED
        self._method[row] = Method.ATTACK
        self._margin[row] = float(logits[own] - np.delete(logits, own).max())
        self._counterexample[row] = found
        self._proof[row] = None


def _parts(rows: Int64Array) -> list[Int64Array]:
    return [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
