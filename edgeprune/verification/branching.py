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

from edgeprune.data.held_front_end import HeldBeats
from edgeprune.network.tensor import Int64Array
from edgeprune.verification.activations import Activations, bound_activations
from edgeprune.verification.bound_nodes import BoundGraph
from edgeprune.verification.falsify import Judge, Target
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_bounds import (
    BoundSettings,
    LinearBounds,
    linear_bounds,
    margins,
    proves,
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
from edgeprune.verification.problem_rows import (
    interval_margins,
    joined,
    lines_of,
    on_steps_of,
    row_of,
    stacked,
)
from edgeprune.verification.slopes import Slopes
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
    iterations: int = 6


@dataclass(frozen=True, eq=False)
class Problem:
    """A part of one window's set.

    Args:
        window: The window.
        piece: Least and greatest parameters [2, dimensions]; None for the whole set.
        splits: Sides of thresholds.
        activations: Bounds that hold for it, of one problem; None where they are yet to be found.
        slopes: Its parent's lines and multipliers.
        width: Sum of the widths of the parent's input box.
    """

    window: int
    piece: FloatArray | None = None
    splits: tuple[Split, ...] = ()
    activations: Activations | None = None
    slopes: Slopes | None = None
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
        limits: The windows in question, and the processor time in seconds that each has left.
        roots: Problems that together are these windows' sets.
        settings: How it is done.
        keeps_proofs: Whether leaves are kept.
    """
    search = _Search(target, judge, graph, settings, keeps_proofs)
    search.state = {window: _Window(seconds) for window, seconds in limits.items()}
    for problem in roots:
        search.push(problem, -np.inf)
    search.run()
    return {window: _result(state) for window, state in search.state.items()}


def roots_of(target: Target, windows: Int64Array) -> list[Problem]:
    """Return the problems that a search over these windows begins with, without any bounds."""
    held = target.held.select(windows)
    pieces = target.members.whole(held)
    if target.members.dimensions == 0 and len(pieces) == len(windows):
        return [Problem(window) for window in windows.tolist()]
    ends = np.stack([pieces.low, pieces.high], axis=1)
    return [
        Problem(int(windows[row]), ends[number]) for number, row in enumerate(pieces.row.tolist())
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
        self.sets = target.members.input_sets(target.held)

    def push(self, problem: Problem, bound: float) -> None:
        """Queue a problem; `bound` is what is known of its least margin."""
        heapq.heappush(self.state[problem.window].heap, (bound, next(self.order), problem))

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
        if known:
            self._bound(known, self._sets(known))

    def _bound_fresh(self, problems: list[Problem]) -> None:
        """Try intervals, then linear bounds with refined activations."""
        sets = self._sets(problems)
        coarse = bound_activations(self.graph, sets, refines=False)
        windows = np.array([problem.window for problem in problems])
        lower = interval_margins(self.graph, coarse, self.objectives[windows])
        proved = proves(lower, self.target.decisions[windows])
        for row in np.flatnonzero(proved).tolist():
            self._leaf(problems[row], Method.INTERVAL, lower[row], None)
        rest = np.flatnonzero(~proved)
        if len(rest):
            self._bound([problems[row] for row in rest.tolist()], sets.select(rest))

    def _bound(self, problems: list[Problem], sets: InputSets) -> None:
        windows = np.array([problem.window for problem in problems])
        on_steps = [on_steps_of(problem.splits, self.graph) for problem in problems]
        splits = Splits.of(on_steps)
        known = [problem.activations for problem in problems if problem.activations is not None]
        starts = [problem.slopes for problem in problems if problem.slopes is not None]
        activations = stacked(known) if known else None
        if known and not len(splits):
            # Only input values are split: intervals pass on what that changes.
            activations = bound_activations(self.graph, sets, refines=False, known=activations)
        found = linear_bounds(
            self.graph,
            sets,
            self.objectives[windows],
            settings=BoundSettings(
                iterations=self.settings.iterations, batch=self.settings.batch, scores=True
            ),
            activations=activations,
            splits=splits if len(splits) else None,
            start=joined(starts, on_steps) if len(starts) == len(problems) else None,
        )
        proved = proves(found.lower, self.target.decisions[windows])
        self._probe(windows, found, ~proved)
        cut = np.cumsum([0, *map(len, on_steps)])
        for row, problem in enumerate(problems):
            slopes = row_of(found.slopes, row, slice(cut[row], cut[row + 1]))
            own = found.activations.select(np.array([row]))
            if proved[row]:
                self._leaf(problem, Method.LINEAR, found.lower[row], lines_of(slopes, own))
            elif self.state[problem.window].outcome is None:
                scores = {node: values[row] for node, values in found.scores.items()}
                box = sets.select(np.array([row]))
                self._split(problem, box, own, slopes, scores, found.lower[row])

    def _leaf(
        self, problem: Problem, method: Method, lower: FloatArray, lines: Lines | None
    ) -> None:
        state = self.state[problem.window]
        state.least = min(state.least, float(lower.min()))
        if self.keeps_proofs:
            state.leaves.append(
                Leaf(
                    method,
                    problem.piece,
                    problem.splits,
                    lines,
                    lower,
                )
            )

    def _split(
        self,
        problem: Problem,
        box: InputSets,
        activations: Activations,
        slopes: Slopes,
        scores: dict[int, FloatArray],
        lower: FloatArray,
    ) -> None:
        bound = float(lower.min())
        held = self.target.held
        size = width(box)
        if (
            problem.piece is not None
            and self.target.members.dimensions > 0
            and not problem.splits
            and size < _SHRINKS * problem.width
        ):
            own = np.array([problem.window])
            piece = Pieces(own, problem.piece[:1], problem.piece[1:])
            halves = self.target.members.split(held, piece)
            for low, high in zip(halves.low, halves.high, strict=True):
                half = np.stack([low, high])
                self.push(Problem(problem.window, half, width=size), bound)
            return
        sides = choose_split(self.graph, box, activations, scores)
        if sides is None:
            state = self.state[problem.window]
            state.stuck = True
            state.least = min(state.least, bound)
            return
        child = replace(problem, activations=activations, slopes=slopes)
        for side in sides:
            self.push(replace(child, splits=(*problem.splits, side)), bound)

    def _probe(self, windows: Int64Array, found: LinearBounds, left: BoolArray) -> None:
        """Judge the member that lies in the direction of each linear bound's worst input."""
        rows = np.flatnonzero(left)
        if not len(rows):
            return
        target = self.target
        own = windows[rows]
        worst = found.worst[0][rows, found.lower[rows].argmin(axis=1)]
        held = target.held.select(own)
        change = worst - held.inputs()[0].reshape(len(rows), -1)
        if isinstance(held, HeldBeats):
            change = change.reshape(len(rows), -1, held.inputs()[0].shape[2]).sum(axis=2)
        raw = target.members.vertex(held, change)
        inside = target.members.contains(held, raw)
        _, decided = self.judge.logits(held.inputs(raw))
        flipped = inside & (decided != target.decisions[own])
        for row in np.flatnonzero(flipped).tolist():
            state = self.state[int(own[row])]
            state.outcome = Outcome.FALSIFIED
            state.raw = raw[row]

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
