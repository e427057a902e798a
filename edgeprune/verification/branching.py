"""Branch and bound: a set in parts, until every part is proved or the time is over.

A problem is a part of one window's set: a piece of the perturbation's parameters, and sides of
thresholds within it. Problems of all open windows are bounded together, in batches; of each window
the one with the lowest bound comes first. What is split is chosen by `split_choice`.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from edgeprune.network.tensor import Int64Array
from edgeprune.verification.activations import Activations, bound_activations
from edgeprune.verification.bound_nodes import BoundGraph
from edgeprune.verification.falsify import Judge, Target
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_bounds import (
    BoundSettings,
    linear_bounds,
    margins,
)
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.outcomes import (
    Int16Array,
    Leaf,
    Lines,
    Method,
    Outcome,
    Proof,
    Split,
)
from edgeprune.verification.perturbations import Pieces
from edgeprune.verification.probes import probe_pieces, probe_worst
from edgeprune.verification.problem_rows import (
    SlopeRow,
    interval_margins,
    joined,
    least_needed,
    lines_of,
    on_steps_of,
    slope_rows,
    stacked,
)
from edgeprune.verification.split_choice import choose_split, width
from edgeprune.verification.splits import BoolArray, Splits

# A piece whose halves are not narrower than this share of it is split no further.
_SHRINKS = 0.95


@dataclass(frozen=True)
class BranchSettings:
    """How branch and bound is done.

    Args:
        batch: Problems bounded at a time.
        iterations: Steps of the optimisation of slopes and multipliers of each problem.
    """

    batch: int = 64
    iterations: int = 20


@dataclass(frozen=True, eq=False)
class Problem:
    """A part of one window's set.

    Args:
        window: The window.
        lower: Best lower bounds of its objectives so far, its parents' included [objectives].
        piece: Least and greatest parameters [2, dimensions]; None for the whole set.
        splits: Sides of thresholds.
        activations: Bounds of its piece, of one problem; None where they are yet to be found.
        slopes: For each objective, the lines that gave `lower`; None where there are none.
        width: Sum of the widths of the parent's input box.
    """

    window: int
    lower: FloatArray
    piece: FloatArray | None = None
    splits: tuple[Split, ...] = ()
    activations: Activations | None = None
    slopes: tuple[SlopeRow, ...] | None = None
    width: float = np.inf


@dataclass(frozen=True, eq=False)
class Branched:
    """What branch and bound found of a window.

    Args:
        outcome: The outcome.
        seconds: Its share of the time.
        margin: The least lower bound of a problem that was left open; else the least of all leaves.
        raw: A member that is decided otherwise, of a falsified window.
        proof: Of a proved window.
        problems: How many parts were bounded.
    """

    outcome: Outcome
    seconds: float
    margin: float
    raw: Int16Array | None
    proof: Proof | None
    problems: int


@dataclass(eq=False)
class _Window:
    """The open problems of a window, the lowest bound first."""

    limit: float
    heap: list[tuple[float, int, Problem]] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    seconds: float = 0.0
    problems: int = 0
    stuck: bool = False
    least: float = np.inf
    raw: Int16Array | None = None
    outcome: Outcome | None = None


def branch(
    target: Target,
    judge: Judge,
    graph: BoundGraph,
    limits: Mapping[int, float],
    roots: Sequence[Problem],
    settings: BranchSettings,
    *,
    keeps_proofs: bool = True,
) -> dict[int, Branched]:
    """Split the sets of some windows until each is proved, falsified, or out of time.

    Args:
        target: Network, windows, sets, decisions.
        judge: Of the same network.
        graph: Of the same network.
        limits: The windows in question, and the seconds that each has left.
        roots: Problems that together are these windows' sets.
        settings: How it is done.
        keeps_proofs: Whether leaves are kept.
    """
    search = _Search(target, judge, graph, settings, keeps_proofs)
    search.state = {window: _Window(seconds) for window, seconds in limits.items()}
    for problem in roots:
        search.push(problem)
    search.run()
    return {window: _result(state) for window, state in search.state.items()}


def roots_of(target: Target, windows: Int64Array) -> list[Problem]:
    """Return the problems that a search over these windows begins with, without any bounds."""
    held = target.held.select(windows)
    pieces = target.members.whole(held)
    nothing = np.full(target.network.output_tensor.shape[0] - 1, -np.inf)
    if target.members.dimensions == 0 and len(pieces) == len(windows):
        return [Problem(window, nothing) for window in windows.tolist()]
    ends = np.stack([pieces.low, pieces.high], axis=1)
    return [
        Problem(int(windows[row]), nothing, ends[number])
        for number, row in enumerate(pieces.row.tolist())
    ]


def _result(state: _Window) -> Branched:
    outcome = state.outcome or Outcome.UNKNOWN
    left = [bound for bound, _, _ in state.heap]
    least = min([state.least, *left]) if outcome is not Outcome.PROVED else state.least
    proof = Proof(tuple(state.leaves)) if outcome is Outcome.PROVED and state.leaves else None
    return Branched(outcome, state.seconds, float(least), state.raw, proof, state.problems)


class _Search:
    def __init__(
        self,
        target: Target,
        judge: Judge,
        graph: BoundGraph,
        settings: BranchSettings,
        keeps_proofs: bool,
    ) -> None:
        self.target = target
        self.judge = judge
        self.graph = graph
        self.settings = settings
        self.keeps_proofs = keeps_proofs
        self.state: dict[int, _Window] = {}
        self.order = count()
        classes = target.network.output_tensor.shape[0]
        self.objectives = margins(target.decisions, classes)
        self.needed = least_needed(target.decisions, classes)
        self.sets = target.members.input_sets(target.held)

    def push(self, problem: Problem) -> None:
        """Queue a problem by its lowest bound."""
        entry = float(problem.lower.min()), next(self.order), problem
        heapq.heappush(self.state[problem.window].heap, entry)

    def run(self) -> None:
        """Bound batches of problems until no window is open."""
        while True:
            self._close()
            batch = self._next()
            if not batch:
                return
            begin = time.monotonic()
            self._step(batch)
            share = (time.monotonic() - begin) / len(batch)
            for problem in batch:
                state = self.state[problem.window]
                state.seconds += share
                state.problems += 1

    def _close(self) -> None:
        for state in self.state.values():
            if state.outcome is not None:
                continue
            if not state.heap:
                state.outcome = Outcome.UNKNOWN if state.stuck else Outcome.PROVED
            elif state.seconds >= state.limit:
                state.outcome = Outcome.TIMEOUT

    def _next(self) -> list[Problem]:
        """Take problems of the open windows in turn."""
        batch: list[Problem] = []
        states = [state for state in self.state.values() if state.outcome is None]
        while states and len(batch) < self.settings.batch:
            states = [state for state in states if state.heap]
            for state in states[: self.settings.batch - len(batch)]:
                batch.append(heapq.heappop(state.heap)[2])
        return batch

    def _step(self, batch: list[Problem]) -> None:
        fresh = [problem for problem in batch if problem.activations is None]
        if fresh:
            self._bound_fresh(fresh)
        known = [problem for problem in batch if problem.activations is not None]
        # Most problems have one open objective; only those are bounded.
        counts = [int(self._open(problem).sum()) for problem in known]
        for wanted in sorted(set(counts)):
            alike = [each for each, own in zip(known, counts, strict=True) if own == wanted]
            self._bound(alike, self._sets(alike), wanted)

    def _open(self, problem: Problem) -> BoolArray:
        """Return which objectives are not proved yet."""
        return np.asarray(problem.lower <= self.needed[problem.window])

    def _bound_fresh(self, problems: list[Problem]) -> None:
        """Try intervals, then linear bounds with refined activations."""
        ends = [(each.window, each.piece) for each in problems if each.piece is not None]
        self._falsify(probe_pieces(self.target, self.judge, ends))
        sets = self._sets(problems)
        coarse = bound_activations(self.graph, sets, refines=False)
        windows = np.array([problem.window for problem in problems])
        lower = interval_margins(self.graph, coarse, self.objectives[windows])
        proved = (lower > self.needed[windows]).all(axis=1)
        for row in np.flatnonzero(proved).tolist():
            self._leaf(problems[row], Method.INTERVAL, lower[row], None)
        rest = np.flatnonzero(~proved)
        if len(rest):
            self._bound([problems[row] for row in rest.tolist()], sets.select(rest), None)

    def _bound(self, problems: list[Problem], sets: InputSets, count: int | None) -> None:
        """Bound objectives of some problems.

        Args:
            problems: The problems.
            sets: Their input sets.
            count: How many objectives, those with the lowest bounds; None for all, of problems
                whose activations are yet to be found.
        """
        windows = np.array([problem.window for problem in problems])
        on_steps = [on_steps_of(problem.splits, self.graph) for problem in problems]
        splits = Splits.of(on_steps)
        before = np.stack([problem.lower for problem in problems])
        chosen = np.sort(np.argsort(before, axis=1)[:, : count or before.shape[1]], axis=1)
        objectives = np.take_along_axis(self.objectives[windows], chosen[:, :, None], axis=1)
        activations = None
        if count is not None:
            activations = stacked([each.activations for each in problems if each.activations])
            # Splits of input values have narrowed the sets since.
            activations = bound_activations(
                self.graph, sets, refines=False, known=activations, splits=splits
            )
        iterations = self.settings.iterations
        if count is None and self.target.members.dimensions:
            iterations = 0
        found = linear_bounds(
            self.graph,
            sets,
            objectives,
            settings=BoundSettings(iterations=iterations, batch=self.settings.batch, scores=True),
            activations=activations,
            splits=splits if len(splits) else None,
            start=joined(problems, chosen, on_steps) if count is not None else None,
        )
        lower = before.copy()
        np.put_along_axis(
            lower, chosen, np.maximum(found.lower, np.take_along_axis(before, chosen, axis=1)), 1
        )
        proved = (lower > self.needed[windows]).all(axis=1)
        left = np.flatnonzero(~proved)
        worst = found.worst[0][left, found.lower[left].argmin(axis=1)]
        self._falsify(probe_worst(self.target, self.judge, windows[left], worst))
        cut = np.cumsum([0, *map(len, on_steps)])
        for row, problem in enumerate(problems):
            rows = slope_rows(
                problem.slopes, found.slopes, row, chosen[row], slice(cut[row], cut[row + 1])
            )
            own = found.activations.select(np.array([row]))
            if proved[row]:
                lines = lines_of(rows, own, len(on_steps[row])) if self.keeps_proofs else None
                self._leaf(problem, Method.LINEAR, lower[row], lines)
            elif self.state[problem.window].outcome is None:
                scores = {node: values[row] for node, values in found.scores.items()}
                box = sets.select(np.array([row]))
                stored = tuple(each.narrowed() for each in rows)
                self._split(replace(problem, lower=lower[row], slopes=stored), box, own, scores)

    def _leaf(
        self, problem: Problem, method: Method, lower: FloatArray, lines: Lines | None
    ) -> None:
        state = self.state[problem.window]
        state.least = min(state.least, float(lower.min()))
        if self.keeps_proofs:
            state.leaves.append(Leaf(method, problem.piece, problem.splits, lines, lower))

    def _split(
        self,
        problem: Problem,
        box: InputSets,
        activations: Activations,
        scores: dict[int, FloatArray],
    ) -> None:
        size = width(box)
        if (
            problem.piece is not None
            and self.target.members.dimensions > 0
            and not problem.splits
            and size < _SHRINKS * problem.width
        ):
            own = np.array([problem.window])
            piece = Pieces(own, problem.piece[:1], problem.piece[1:])
            halves = self.target.members.split(self.target.held, piece)
            for low, high in zip(halves.low, halves.high, strict=True):
                self.push(Problem(problem.window, problem.lower, np.stack([low, high]), width=size))
            return
        sides = choose_split(self.graph, box, activations, scores)
        if sides is None:
            state = self.state[problem.window]
            state.stuck = True
            state.least = min(state.least, float(problem.lower.min()))
            return
        # What splits change is found again from the piece's own bounds, which all its parts share.
        shared = problem.activations or activations
        for side in sides:
            self.push(replace(problem, splits=(*problem.splits, side), activations=shared))

    def _falsify(self, found: Mapping[int, Int16Array]) -> None:
        for window, raw in found.items():
            self.state[window].outcome = Outcome.FALSIFIED
            self.state[window].raw = raw

    def _sets(self, problems: list[Problem]) -> InputSets:
        """Return the input sets of problems; sides of input values cut their boxes."""
        windows = np.array([problem.window for problem in problems])
        pieces = [problem.piece for problem in problems if problem.piece is not None]
        if pieces:
            ends = np.stack(pieces)
            chosen = Pieces(windows, ends[:, 0], ends[:, 1])
            sets = self.target.members.input_sets(self.target.held, chosen)
        else:
            sets = self.sets.select(windows)
        low = tuple(values.copy() for values in sets.low)
        high = tuple(values.copy() for values in sets.high)
        for row, problem in enumerate(problems):
            for split in problem.splits:
                if split.node in self.graph.sources:
                    position = self.graph.sources.index(split.node)
                    ends_of = low if split.above else high
                    ends_of[position][row].reshape(-1)[split.neuron] = int(split.threshold)
        return replace(sets, low=low, high=high)
