"""Bounds of every node's values: intervals first, then backward passes of unstable neurons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.network.tensor import Int64Array
from edgeprune.verification.backward import Owners, backward
from edgeprune.verification.bound_nodes import (
    Affine,
    BoundGraph,
    Curve,
    Join,
    Maximum,
    Product,
    Source,
    Step,
)
from edgeprune.verification.input_forms import InputForms
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.line_tables import (
    Frame,
    MaximumTable,
    ProductTable,
    StepTable,
    Tables,
    final_margin,
    gamma,
)
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.relaxations import (
    adaptive,
    curve_lines,
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
# Neurons of a layer that are refined to see whether it pays, and by what share it must.
_PROBES = 16
_LEAST_GAIN = 0.02


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

    @staticmethod
    def join(parts: Sequence[Activations]) -> Activations:
        """Return the bounds of several batches of problems of one graph as one."""
        refined = {}
        for number in {number for part in parts for number in part.refined}:
            size = next(part.refined[number] for part in parts if number in part.refined).shape[1]
            masks = [
                part.refined.get(number, np.zeros((len(part), size), np.bool_)) for part in parts
            ]
            refined[number] = np.concatenate(masks)
        return Activations(
            tuple(np.concatenate(each) for each in zip(*(p.low for p in parts), strict=True)),
            tuple(np.concatenate(each) for each in zip(*(p.high for p in parts), strict=True)),
            refined,
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
            case Curve():
                work.set(number, *node.rule.ends(work.low[node.operand], work.high[node.operand]))
            case Product():
                first, second = (
                    (node.centred(i, work.low[operand]), node.centred(i, work.high[operand]))
                    for i, operand in enumerate(node.operands)
                )
                work.set(number, *node.ends(first, second))
            case Join():
                low = np.empty((len(sets), node.size))
                high = np.empty((len(sets), node.size))
                for operand, places in zip(node.operands, node.places, strict=True):
                    low[:, places], high[:, places] = work.low[operand], work.high[operand]
                work.set(number, low, high)
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
        self.refined: dict[int, BoolArray] = {} if known is None else dict(known.refined)
        self._passes: _Passes | None = None

    def set(self, number: int, low: FloatArray, high: FloatArray) -> None:
        if self.known is not None:
            low = np.maximum(low, self.known.low[number])
            high = np.minimum(high, self.known.high[number])
        self.low.append(low)
        self.high.append(high)

    def step(self, number: int, node: Step, least_kink: float) -> None:
        operand = node.operand
        if self.splits is not None:
            cut_by_splits(self.splits, number, self.low[operand], self.high[operand])
        # A pass of the first layer's ends where it starts; the interval has been that already.
        is_deep = operand not in first_layer(self.graph)
        if np.isfinite(least_kink) and is_deep and isinstance(self.graph.nodes[operand], Affine):
            chosen = unstable(node, self.low[operand], self.high[operand]) > least_kink
            if chosen.any():
                self.refined[number] = self._refine_where_it_pays(node, chosen)
        least, most = node.ends(self.low[operand], self.high[operand])
        self.set(number, least, most)

    def _refine_where_it_pays(self, node: Step, chosen: BoolArray) -> BoolArray:
        """Refine a few neurons of each problem, and the others where that narrowed the few."""
        if self._passes is None:
            self._passes = _Passes(self.graph, self.forms)
        tables = self._passes.reach(node.operand, self.low, self.high)
        rank = np.cumsum(chosen, axis=1) - 1
        stride = np.maximum(chosen.sum(axis=1, keepdims=True) // _PROBES, 1)
        probed = chosen & (rank % stride == 0)
        before = self._widths(node, probed)
        self._refine(node.operand, probed, tables)
        after = self._widths(node, probed)
        pays = after <= (1 - _LEAST_GAIN) * before
        rest = chosen & ~probed & pays[:, np.newaxis]
        if rest.any():
            self._refine(node.operand, rest, tables)
        return np.asarray(probed | rest)

    def _widths(self, node: Step, mask: BoolArray) -> FloatArray:
        """Return the sum of the output widths of some neurons [n]."""
        least, most = node.ends(self.low[node.operand], self.high[node.operand])
        return np.asarray(((most - least) * mask).sum(axis=1))

    def _refine(self, operand: int, chosen: BoolArray, tables: Tables) -> None:
        assert self._passes is not None
        low, high = self.low[operand], self.high[operand]
        integral = getattr(self.graph.nodes[operand], "integral", False)
        for start in range(0, chosen.shape[1], _NEIGHBOURS):
            stop = min(start + _NEIGHBOURS, chosen.shape[1])
            problem, neuron = np.nonzero(chosen[:, start:stop])
            for first in range(0, len(problem), _ROWS // 2):
                some = slice(first, first + _ROWS // 2)
                least, most = self._passes.bound(
                    operand, problem[some], neuron[some], (start, stop), tables
                )
                if integral:
                    least, most = np.ceil(least), np.floor(most)
                place = problem[some], neuron[some] + start
                low[place] = np.maximum(low[place], least)
                high[place] = np.minimum(high[place], most)


class _Passes:
    """Backward passes from inside the graph, over the lines of the nodes before."""

    def __init__(self, graph: BoundGraph, forms: InputForms) -> None:
        self.graph, self.forms = graph, forms
        nominal = graph.run([forms.nominal[number] for number in graph.sources])
        # The passes' errors are accounted for, and half the digits cost half the time.
        self.frame = Frame(graph, nominal, np.float32)
        self._steps: dict[int, StepTable] = {}
        self._others: dict[int, MaximumTable | ProductTable] = {}
        self._done = 0

    def reach(self, last: int, low: list[FloatArray], high: list[FloatArray]) -> Tables:
        """Lay out the lines of all nodes up to `last`, whose bounds are final."""
        for number in range(self._done, last + 1):
            node = self.graph.nodes[number]
            self.frame.place(number, low[number], high[number])
            if isinstance(node, Step):
                ends = low[node.operand], high[node.operand], low[number], high[number]
                kinked = kinks(node, *ends).lifted()
                self._steps[number] = self.frame.step(number, lines(kinked, *adaptive(kinked)))
            elif isinstance(node, Maximum):
                found = maximum_lines(node, low[node.operand], high[node.operand])
                self._others[number] = self.frame.maximum(number, found)
            elif isinstance(node, Curve):
                curved = curve_lines(node, low[node.operand], high[node.operand]).lifted()
                self._steps[number] = self.frame.step(number, curved)
            elif isinstance(node, Product):
                self._others[number] = self.frame.product(number, low, high)
        self._done = last + 1
        return self.frame.tables(self._steps, self._others)

    def bound(
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
    count, _, channels = correlated.centre.shape
    centre, slack = correlated.centre.reshape(count, -1), correlated.slack.reshape(count, -1)
    middle = node.constant + linear.forward(centre)
    directions = linear.together(channels)
    radius = linear.absolute().forward(slack)
    upward, downward = correlated.support(directions), correlated.support(-directions)
    reach = np.repeat(correlated.reach(), channels, axis=1)
    error = gamma(linear.terms + 8) * (
        np.abs(node.constant)
        + linear.absolute().forward(np.abs(centre) + slack + reach)
        + upward
        + downward
    )
    return middle - radius - downward - error, middle + radius + upward + error
