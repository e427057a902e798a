"""A network as linear bounds see it: exact affine maps, and steps that round and clamp.

Every layer of an IntegerNetwork is an Affine (an exact sum of integers) followed by a Step: a
monotone staircase `clamp(round(offset + factor * accumulator))` whose rounding error is bounded.
Values are flat rows [n, size]: feature maps [length, channels] in C order, so that another shape
of the same bytes is no node at all. Two networks can share inputs in one graph (see `pair`), and
float networks fit too: a Step without levels is `clamp(offset + factor * x)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edgeprune.network.arithmetic import Multiplier
from edgeprune.network.tensor import Int64Array
from edgeprune.verification.curves import Rule
from edgeprune.verification.linear_maps import FloatArray, LinearMap


@dataclass(frozen=True, eq=False)
class Source:
    """An input of the network.

    Args:
        name: The input's name.
        size: Its elements.
        position: Which of the network's inputs it is.
    """

    name: str
    size: int
    position: int

    @property
    def operands(self) -> tuple[int, ...]:
        """An input reads nothing."""
        return ()


@dataclass(frozen=True, eq=False)
class Affine:
    """`constant + sum of maps[i](operands[i])`: the accumulators of a layer, exact in the reals.

    Args:
        name: The operation's name.
        operands: The nodes that it reads.
        maps: One for each operand.
        constant: float64 [size], exact.
        integral: Whether every value is an integer (given integer operands).
    """

    name: str
    operands: tuple[int, ...]
    maps: tuple[LinearMap, ...]
    constant: FloatArray
    integral: bool

    @property
    def size(self) -> int:
        """Elements."""
        return len(self.constant)


class Levels(ABC):
    """The exact integers that a Step yields before offset and clamp; monotone."""

    @abstractmethod
    def of(self, accumulators: Int64Array) -> Int64Array:
        """Return the rounded values of integer accumulators [..., size]."""


@dataclass(frozen=True, eq=False)
class Requantized(Levels):
    """gemmlowp's double rounding of `accumulator * multiplier`.

    Args:
        multiplier: Mantissa and exponent, both int [size].
    """

    multiplier: Multiplier

    def of(self, accumulators: Int64Array) -> Int64Array:
        """See `Levels.of`."""
        return self.multiplier.apply(accumulators)


@dataclass(frozen=True, eq=False)
class Averaged(Levels):
    """`accumulator / cells`, halves away from zero.

    Args:
        cells: int [size].
    """

    cells: Int64Array

    def of(self, accumulators: Int64Array) -> Int64Array:
        """See `Levels.of`."""
        half = self.cells // 2
        away = np.where(accumulators > 0, accumulators + half, half - accumulators) // self.cells
        return np.where(accumulators > 0, away, -away)


@dataclass(frozen=True, eq=False)
class Step:
    """`clamp(round(offset + factor * a))` for the accumulator `a`, which lies near an operand.

    For the true accumulator `a` (within `slack` of the operand's value) and the true output `y`,
    where it is not clamped: `|y - (offset + factor * a)| <= error`.

    Args:
        name: The operation's name.
        operand: The node of the accumulators.
        factor: float64 [size], >= 0. Exact, except that an average's 1 / cells is rounded; that
            is counted in `error`.
        error: float64 [size]: the largest error of the rounding; what other runtimes may differ by
            is included (see `spread`).
        offset: float64 [size], an integer where there are levels.
        low: float64 [size]: the least output.
        high: float64 [size]: the greatest; may be infinite.
        slack: float64 [size]: how far the true accumulator may lie from the operand's value; 0
            where that is exact.
        levels: The exact integers; None for a float network, whose outputs are any reals.
        spread: By how many LSB a runtime's output may differ from the exact integers before it
            clamps.
    """

    name: str
    operand: int
    factor: FloatArray
    error: FloatArray
    offset: FloatArray
    low: FloatArray
    high: FloatArray
    slack: FloatArray
    levels: Levels | None = None
    spread: int = 0

    @property
    def operands(self) -> tuple[int, ...]:
        """The node that it reads, as the other nodes have it."""
        return (self.operand,)

    @property
    def size(self) -> int:
        """Elements."""
        return len(self.factor)

    @property
    def integral(self) -> bool:
        """Whether every output is an integer."""
        return self.levels is not None

    def ends(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bound the outputs for operand values within `low..high` [n, size]; no float error left.

        The staircase is monotone, so that it is evaluated at the ends: exactly, with levels.
        """
        if self.levels is None:
            # One ulp outward for each of the two roundings, and for the error's addition.
            least = self.offset + self.factor * (low - self.slack)
            most = self.offset + self.factor * (high + self.slack)
            margin = self.error + 2.0**-50 * (np.abs(self.offset) + self.error)
            least = least - margin - 2.0**-50 * np.abs(least - self.offset)
            most = most + margin + 2.0**-50 * np.abs(most - self.offset)
        else:
            first = np.ceil(low - self.slack).astype(np.int64)
            last = np.floor(high + self.slack).astype(np.int64)
            # An empty range (bounds that no input meets) must not turn into a crossed pair.
            first = np.minimum(first, last)
            least = self.levels.of(first) + (self.offset - self.spread)
            most = self.levels.of(last) + (self.offset + self.spread)
        return np.clip(least, self.low, self.high), np.clip(most, self.low, self.high)


@dataclass(frozen=True, eq=False)
class Maximum:
    """The largest of some elements of an operand.

    Args:
        name: The operation's name.
        operand: The node that it reads.
        cells: int64 [size, cells]: the elements that each output compares, ascending; those of a
            window that reaches into the padding repeat one of its own.
    """

    name: str
    operand: int
    cells: Int64Array

    @property
    def operands(self) -> tuple[int, ...]:
        """The node that it reads, as the other nodes have it."""
        return (self.operand,)

    @property
    def size(self) -> int:
        """Elements."""
        return len(self.cells)


@dataclass(frozen=True, eq=False)
class Join:
    """Elements of several operands in one value.

    Args:
        name: The operation's name.
        operands: The nodes that it reads.
        places: For each operand, int64 [its size], ascending: where its elements go.
        size: Elements.
    """

    name: str
    operands: tuple[int, ...]
    places: tuple[Int64Array, ...]
    size: int


@dataclass(frozen=True, eq=False)
class Curve:
    """A function of each element of an operand.

    Args:
        name: The operation's name.
        operand: The node that it reads.
        rule: The function.
        size: Elements.
    """

    name: str
    operand: int
    rule: Rule
    size: int

    @property
    def operands(self) -> tuple[int, ...]:
        """The node that it reads, as the other nodes have it."""
        return (self.operand,)

    @property
    def integral(self) -> bool:
        """Whether every output is an integer."""
        return self.rule.integral


@dataclass(frozen=True, eq=False)
class Product:
    """`(first - centres[0]) * (second - centres[1])`, element by element.

    Args:
        name: The operation's name.
        operands: The two nodes that it reads.
        cells: For each, int64 [size]: which of its elements each output multiplies.
        centres: What is subtracted from each first.
        integral: Whether every value is an integer (given integer operands).
    """

    name: str
    operands: tuple[int, int]
    cells: tuple[Int64Array, Int64Array]
    centres: tuple[float, float]
    integral: bool

    @property
    def size(self) -> int:
        """Elements."""
        return len(self.cells[0])

    def centred(self, which: int, values: FloatArray) -> FloatArray:
        """Return the factors [n, size] of an operand's values [n, its size]."""
        return values[:, self.cells[which]] - self.centres[which]

    def ends(
        self, first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray]
    ) -> tuple[FloatArray, FloatArray]:
        """Bound the products for factors between the pairs of ends: extreme at the corners."""
        corners = [one * other for one in first for other in second]
        least, most = np.minimum.reduce(corners), np.maximum.reduce(corners)
        if self.integral:
            return least, most
        margin = 2.0**-50 * np.maximum(np.abs(least), np.abs(most))
        return least - margin, most + margin


Node: TypeAlias = Source | Affine | Step | Maximum | Join | Curve | Product


@dataclass(frozen=True, eq=False)
class BoundGraph:
    """Nodes in an order in which each reads only earlier ones.

    Args:
        nodes: All nodes.
        sources: The numbers of the input nodes, in the order in which the network takes them.
        output: The number of the node whose elements objectives speak of.
        values: For each tensor of the network, the number of the node that holds it.
    """

    nodes: tuple[Node, ...]
    sources: tuple[int, ...]
    output: int
    values: dict[str, int] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of the Step nodes, ascending."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node, Step))

    def run(self, inputs: Sequence[npt.NDArray[np.generic]]) -> list[FloatArray]:
        """Evaluate every node, integers exactly (`spread` aside); float Steps in float64.

        Args:
            inputs: One array [n, ...] for each input.

        Returns:
            One array [n, size] for each node.
        """
        values: list[FloatArray] = []
        for node in self.nodes:
            match node:
                case Source():
                    given = inputs[node.position]
                    values.append(given.reshape(len(given), -1).astype(np.float64))
                case Affine():
                    total = np.repeat(node.constant[np.newaxis], len(inputs[0]), axis=0)
                    for operand, linear in zip(node.operands, node.maps, strict=True):
                        total += linear.forward(values[operand])
                    values.append(total)
                case Step():
                    values.append(_middle(node, values[node.operand]))
                case Maximum():
                    values.append(values[node.operand][:, node.cells].max(axis=2))
                case Curve():
                    values.append(node.rule.of(values[node.operand]))
                case Product():
                    first, second = (node.centred(i, values[node.operands[i]]) for i in (0, 1))
                    values.append(first * second)
                case Join():
                    joined = np.empty((len(inputs[0]), node.size))
                    for operand, places in zip(node.operands, node.places, strict=True):
                        joined[:, places] = values[operand]
                    values.append(joined)
        return values


def _middle(step: Step, values: FloatArray) -> FloatArray:
    if step.levels is None:
        result = step.offset + step.factor * values
    else:
        result = step.levels.of(np.rint(values).astype(np.int64)) + step.offset
    return np.clip(result, step.low, step.high)


def pair(first: BoundGraph, second: BoundGraph) -> BoundGraph:
    """Return one graph of two networks with the same inputs; its output joins both outputs.

    Objectives over it speak of the first network's outputs, then of the second's.
    """
    place = dict(zip(second.sources, first.sources, strict=True))
    nodes = list(first.nodes)
    for number, node in enumerate(second.nodes):
        if isinstance(node, Source):
            continue
        place[number] = len(nodes)
        nodes.append(_moved(node, place))
    sizes = first.nodes[first.output].size, second.nodes[second.output].size
    places = np.arange(sizes[0]), np.arange(sizes[0], sum(sizes))
    nodes.append(Join("both outputs", (first.output, place[second.output]), places, sum(sizes)))
    values = {f"first/{name}": node for name, node in first.values.items()}
    values |= {f"second/{name}": place[node] for name, node in second.values.items()}
    return BoundGraph(tuple(nodes), first.sources, len(nodes) - 1, values)


def _moved(node: Affine | Step | Maximum | Join | Curve | Product, place: dict[int, int]) -> Node:
    operands = tuple(place[operand] for operand in node.operands)
    if isinstance(node, Product):
        return replace(node, operands=(operands[0], operands[1]))
    if isinstance(node, Affine | Join):
        return replace(node, operands=operands)
    return replace(node, operand=operands[0])
