"""Bounds of every node's values: intervals first, then backward passes of unstable neurons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.network.tensor import Int64Array
from edgeprune.verification.backward import Owners, backward
from edgeprune.verification.bound_nodes import Affine, BoundGraph, Join, Maximum, Source, Step
from edgeprune.verification.input_forms import InputForms
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.line_tables import (
    Frame,
    MaximumTable,
    StepTable,
    Tables,
    final_margin,
    gamma,
)
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.relaxations import (
    adaptive,
    kinks,
    lines,
    maximum_lines,
    unstable,
)
from edgeprune.verification.splits import Splits

BoolArray = npt.NDArray[np.bool_]

# Neighbouring neurons whose cones are passed together, and rows of one pass.
_NEIGHBOURS = 64
_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Activations:
    """Bounds of the values of every node, for each of n problems.

    Args:
        low: For each node of the graph, float64 [n, size].
        high: The same.
        refined: For each Step node's number, bool [n, size]: which accumulators were bounded by a
            backward pass of their own. A node without any is absent.
    """

    low: tuple[FloatArray, ...]
    high: tuple[FloatArray, ...]
    refined: dict[int, BoolArray]

    def __len__(self) -> int:
        return len(self.low[0])

    def select(self, rows: Int64Array) -> Activations:
        """Return the bounds of some problems, which may be named more than once."""
        return Activations(
            tuple(values[rows] for values in self.low),
            tuple(values[rows] for values in self.high),
            {number: mask[rows] for number, mask in self.refined.items()},
        )


def bound_activations(
    graph: BoundGraph,
    sets: InputSets,
    *,
    refines: bool = True,
    least_kink: float = 0.5,
    known: Activations | None = None,
    splits: Splits | None = None,
) -> Activations:
    """Bound every node, in order: each refinement makes the later ones tighter.

    Args:
        graph: The graph.
        sets: The inputs of n problems.
        refines: Whether unstable neurons get backward passes; else intervals only.
        least_kink: How far, in LSB, a neuron must reach to either side of a kink to get one.
        known: Bounds that hold already; then nothing is refined, they only meet the intervals.
        splits: Accumulators that are held on one side.
    """
    work = _Work(graph, sets, known, splits)
    for number, node in enumerate(graph.nodes):
        match node:
            case Source():
                centre, radius = work.forms.centre[number], work.forms.radius[number]
                work.set(number, centre - radius, centre + radius)
            case Affine():
                work.set(number, *_affine_interval(work, number, node))
            case Step():
                work.step(number, node, least_kink if refines and known is None else np.inf)
            case Maximum():
                low = work.low[node.operand][:, node.cells].max(axis=2)
                high = work.high[node.operand][:, node.cells].max(axis=2)
                work.set(number, low, high)
            case Join():
                low = np.empty((len(sets), node.size))
                high = np.empty((len(sets), node.size))
                for operand, places in zip(node.operands, node.places, strict=True):
                    low[:, places], high[:, places] = work.low[operand], work.high[operand]
                work.set(number, low, high)
        if isinstance(node, Maximum):
            work.maximum(number, node)
    return Activations(tuple(work.low), tuple(work.high), work.refined)


class _Work:
    """The bounds so far, and the lines of the nodes that are done."""

    def __init__(
        self, graph: BoundGraph, sets: InputSets, known: Activations | None, splits: Splits | None
    ) -> None:
        self.graph = graph
        self.forms = InputForms.of(graph, sets)
        self.known = known
        self.splits = splits
        self.low: list[FloatArray] = []
        self.high: list[FloatArray] = []
        self.refined: dict[int, BoolArray] = {} if known is None else known.refined
        self.steps: dict[int, StepTable] = {}
        self.maxima: dict[int, MaximumTable] = {}
        nominal = graph.run([self.forms.nominal[number] for number in graph.sources])
        # The passes' errors are accounted for, and half the digits cost half the time.
        self.frame = Frame(graph, nominal, np.float32)

    def set(self, number: int, low: FloatArray, high: FloatArray) -> None:
        if self.known is not None:
            low = np.maximum(low, self.known.low[number])
            high = np.minimum(high, self.known.high[number])
        self.low.append(low)
        self.high.append(high)
        self.frame.place(number, low, high)

    def step(self, number: int, node: Step, least_kink: float) -> None:
        operand = node.operand
        if self.splits is not None:
            cut_by_splits(self.splits, number, self.low[operand], self.high[operand])
        if np.isfinite(least_kink) and isinstance(self.graph.nodes[operand], Affine):
            chosen = unstable(node, self.low[operand], self.high[operand]) > least_kink
            if operand in first_layer(self.graph):
                # A pass of these ends where it starts; the interval has been that already.
                chosen[:] = False
            if chosen.any():
                self._refine(operand, chosen)
                self.refined[number] = chosen
        least, most = node.ends(self.low[operand], self.high[operand])
        self.set(number, least, most)
        kinked = kinks(node, self.low[operand], self.high[operand], least, most).lifted()
        found = lines(kinked, *adaptive(kinked))
        self.steps[number] = self.frame.step(number, found)

    def maximum(self, number: int, node: Maximum) -> None:
        found = maximum_lines(node, self.low[node.operand], self.high[node.operand])
        self.maxima[number] = self.frame.maximum(number, found)

    def _refine(self, operand: int, chosen: BoolArray) -> None:
        tables = self.frame.tables(self.steps, self.maxima)
        low, high = self.low[operand], self.high[operand]
        integral = getattr(self.graph.nodes[operand], "integral", False)
        for start in range(0, chosen.shape[1], _NEIGHBOURS):
            stop = min(start + _NEIGHBOURS, chosen.shape[1])
            problem, neuron = np.nonzero(chosen[:, start:stop])
            for first in range(0, len(problem), _ROWS // 2):
                some = slice(first, first + _ROWS // 2)
                least, most = self._pass(
                    operand, problem[some], neuron[some], (start, stop), tables
                )
                if integral:
                    least, most = np.ceil(least), np.floor(most)
                place = problem[some], neuron[some] + start
                low[place] = np.maximum(low[place], least)
                high[place] = np.minimum(high[place], most)

    def _pass(
        self,
        operand: int,
        problem: Int64Array,
        neuron: Int64Array,
        span: tuple[int, int],
        tables: Tables,
    ) -> tuple[FloatArray, FloatArray]:
        """Return least and greatest values of some neurons, by one pass of both signs."""
        count = len(problem)
        rows = np.zeros((2 * count, span[1] - span[0]), self.frame.dtype)
        numbers = 2 * np.arange(count)
        rows[numbers, neuron] = 1.0
        rows[numbers + 1, neuron] = -1.0
        owners = Owners(np.repeat(problem, 2))
        passed = backward(self.graph, operand, rows, span, owners, tables)
        found = passed.constant + self.forms.least(passed.sources, owners)
        nominal = self.frame.nominal[operand][problem, neuron + span[0]]
        found -= final_margin(found) + final_margin(np.repeat(nominal, 2))
        return nominal + found[0::2], nominal - found[1::2]


def contradictory(activations: Activations) -> BoolArray:
    """Return for which problems some value would have to lie in an empty range: no input can."""
    empty = np.zeros(len(activations), np.bool_)
    for low, high in zip(activations.low, activations.high, strict=True):
        empty |= (low > high).any(axis=1)
    return empty


def first_layer(graph: BoundGraph) -> frozenset[int]:
    """Return the Affine nodes that read inputs only."""
    return frozenset(
        number
        for number, node in enumerate(graph.nodes)
        if isinstance(node, Affine)
        and all(isinstance(graph.nodes[operand], Source) for operand in node.operands)
    )


def cut_by_splits(splits: Splits, number: int, low: FloatArray, high: FloatArray) -> None:
    """Narrow the accumulators `low..high` [n, size] of Step `number` by its splits, in place."""
    own = splits.node == number
    if own.any():
        above = own & splits.above
        below = own & ~splits.above
        np.maximum.at(low, (splits.problem[above], splits.neuron[above]), splits.threshold[above])
        np.minimum.at(high, (splits.problem[below], splits.neuron[below]), splits.threshold[below])


def _affine_interval(work: _Work, number: int, node: Affine) -> tuple[FloatArray, FloatArray]:
    """Bound a sum over a box; over correlated inputs by the support of its rows, shared by all."""
    centre = np.repeat(node.constant[np.newaxis], len(work.low[0]), axis=0)
    radius = np.zeros_like(centre)
    for operand, linear in zip(node.operands, node.maps, strict=True):
        low, high = work.low[operand], work.high[operand]
        centre += linear.forward(0.5 * (low + high))
        radius += linear.absolute().forward(0.5 * (high - low))
    if not node.integral:
        for operand, linear in zip(node.operands, node.maps, strict=True):
            reach = np.maximum(np.abs(work.low[operand]), np.abs(work.high[operand]))
            radius += 2 * gamma(linear.terms) * linear.absolute().forward(reach)
        radius += gamma(8) * (np.abs(node.constant) + np.abs(centre) + radius)
    low, high = np.asarray(centre - radius), np.asarray(centre + radius)
    sets = work.forms.sets
    if sets.correlated is None or node.operands != (work.forms.signal,):
        return low, high
    least, most = _correlated_interval(work, node)
    if node.integral:
        least, most = np.ceil(least), np.floor(most)
    return np.maximum(low, least), np.minimum(high, most)


def _correlated_interval(work: _Work, node: Affine) -> tuple[FloatArray, FloatArray]:
    correlated = work.forms.sets.correlated
    assert correlated is not None
    linear = node.maps[0]
    count, length, channels = correlated.centre.shape
    centre, slack = correlated.centre.reshape(count, -1), correlated.slack.reshape(count, -1)
    middle = node.constant + linear.forward(centre)
    directions = linear.matrix().reshape(node.size, length, channels).sum(axis=2)
    radius = linear.absolute().forward(slack)
    upward, downward = correlated.support(directions), correlated.support(-directions)
    error = gamma(linear.terms + 8) * (
        np.abs(node.constant)
        + linear.absolute().forward(np.abs(centre) + slack)
        + upward
        + downward
    )
    return middle - radius - downward - error, middle + radius + upward + error
