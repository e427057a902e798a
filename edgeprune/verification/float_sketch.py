"""The nodes of a float network's bound graph, each with the range that it can reach.

Float32 computes a sum of k products, in any order, to within gamma(k) * sum |w| |x|, where
gamma(k) = k u / (1 - k u) and u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1). The values x are bounded by intervals, so that the error of each node is a
number known beforehand.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeprune.network.functions import Function
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW, Int64Array, Tensor
from edgeprune.verification.bound_nodes import (
    Affine,
    Curve,
    Join,
    Maximum,
    Node,
    Product,
    Source,
    Step,
)
from edgeprune.verification.curves import SmoothRule
from edgeprune.verification.linear_maps import (
    FloatArray,
    LinearMap,
    Matrix,
    Scaling,
    SlidingMap,
)

Int8Array = npt.NDArray[np.int8]
Box = tuple[Int8Array, Int8Array]
Limits = tuple[float, float]

UNLIMITED: Limits = (-math.inf, math.inf)
_SINGLE = 2.0**-24
# Roundings of one sum beyond those of its products: input scale, bias, normalization, division.
_MORE_ROUNDINGS = 4
# Each float64 constant and range below comes from a few operations on exact numbers; the ranges
# are themselves computed, which the last factor covers.
_DOUBLE = 2.0**-48
_COMPUTED = 1 + 2.0**-20


class FloatSketch:
    """A graph under construction.

    Args:
        single_precision: Whether the errors of float32 arithmetic are covered.
    """

    def __init__(self, *, single_precision: bool) -> None:
        self.nodes: list[Node] = []
        self._ranges: list[tuple[FloatArray, FloatArray]] = []
        self._unit = _SINGLE if single_precision else 0.0
        self._tensors: dict[int, Tensor] = {}

    def source(self, tensor: Tensor, position: int, box: Box | None) -> int:
        """File an input; its node holds integers, its range is that of the real numbers.

        Args:
            tensor: What its integers stand for.
            position: Which of the network's inputs it is.
            box: Least and greatest integers, int8 [n, ...] for n windows; None for all of int8.
        """
        low, high = (np.full((1, tensor.size), float(end)) for end in (INT8_LOW, INT8_HIGH))
        if box is not None:
            low, high = (end.reshape(len(end), -1).astype(np.float64) for end in box)
        node = Source(tensor.name, tensor.size, position)
        reals = ((end - tensor.zero_point) * tensor.scale for end in (low, high))
        number = self._append(node, *reals)
        self._tensors[number] = tensor
        return number

    def layer(
        self,
        name: str,
        operands: tuple[int, ...],
        maps: tuple[LinearMap, ...],
        constant: FloatArray,
        factor: FloatArray | None = None,
        limits: Limits = UNLIMITED,
    ) -> int:
        """File `clamp(factor * (constant + sum of maps[i](operands[i])))`.

        The error of its arithmetic, and of the constant, is stated in the Step.
        """
        middle, radius = constant[np.newaxis], np.zeros((1, len(constant)))
        magnitude = np.abs(middle)
        terms = _MORE_ROUNDINGS
        scaled: list[LinearMap] = []
        for operand, linear in zip(operands, maps, strict=True):
            low, high = self._ranges[operand]
            sizes = linear.absolute()
            middle = middle + linear.forward((low + high) / 2)
            radius = radius + sizes.forward((high - low) / 2)
            magnitude = magnitude + sizes.forward(np.maximum(np.abs(low), np.abs(high)))
            terms += linear.terms
            scaled.append(linear)
            tensor = self._tensors.get(operand)
            if tensor is not None:
                # Products of two float32 are exact in float64.
                scaled[-1] = _times(linear, tensor.scale)
                zeros = np.full((1, linear.inputs), float(tensor.zero_point))
                constant = constant - scaled[-1].forward(zeros)[0]
                magnitude = magnitude + scaled[-1].absolute().forward(np.abs(zeros))
        factor = np.ones(len(constant)) if factor is None else factor
        gamma = terms * self._unit / (1 - terms * self._unit)
        error = (gamma + terms * _DOUBLE) * _COMPUTED * factor * magnitude.max(axis=0)
        sums = Affine(name, operands, tuple(scaled), constant, integral=False)
        number = self._append(sums, middle - radius, middle + radius)
        return self._step(name, number, factor, error, limits)

    def clamp(self, name: str, operand: int, limits: Limits) -> int:
        """File a clamp that stands alone; exact."""
        operand = self.real(operand)
        size = self.nodes[operand].size
        return self._step(name, operand, np.ones(size), np.zeros(size), limits)

    def curve(
        self, name: str, operand: int, function: Function, parameters: tuple[float, ...]
    ) -> int:
        """File a function of each element; see `Curve`."""
        operand = self.real(operand)
        rule = SmoothRule(function, parameters, self._unit > 0)
        ends = rule.ends(*self._ranges[operand])
        return self._append(Curve(name, operand, rule, self.nodes[operand].size), *ends)

    def product(
        self, name: str, operands: tuple[int, int], cells: tuple[Int64Array, Int64Array]
    ) -> int:
        """File the products of some elements of two operands; see `Product`."""
        first, second = (self.real(operand) for operand in operands)
        node = Product(name, (first, second), cells, (0.0, 0.0), integral=False)
        factors = (
            (node.centred(i, self._ranges[operand][0]), node.centred(i, self._ranges[operand][1]))
            for i, operand in enumerate((first, second))
        )
        number = self._append(node, *node.ends(*factors))
        # The layer states the rounding of the product.
        return self.layer(name, (number,), (Scaling(np.ones(node.size)),), np.zeros(node.size))

    def maximum(self, name: str, operand: int, cells: Int64Array) -> int:
        """File the largest of some elements; see `Maximum`."""
        operand = self.real(operand)
        low, high = self._ranges[operand]
        node = Maximum(name, operand, cells)
        return self._append(node, low[:, cells].max(axis=2), high[:, cells].max(axis=2))

    def join(self, name: str, operands: tuple[int, ...], places: tuple[Int64Array, ...]) -> int:
        """File elements of several operands in one value; see `Join`."""
        operands = tuple(self.real(operand) for operand in operands)
        size = sum(len(place) for place in places)
        ends = []
        for end in range(2):
            parts = [self._ranges[operand][end] for operand in operands]
            joined = np.empty((max(len(part) for part in parts), size))
            for part, place in zip(parts, places, strict=True):
                joined[:, place] = part
            ends.append(joined)
        return self._append(Join(name, operands, places, size), *ends)

    def reorder(self, operand: int, order: Int64Array) -> int:
        """File the elements `order` of an operand, in that order."""
        operand = self.real(operand)
        entries = np.zeros((len(order), len(order)))
        entries[np.arange(len(order)), order] = 1.0
        node = Affine("reorder", (operand,), (Matrix(entries),), np.zeros(len(order)), False)
        low, high = self._ranges[operand]
        return self._append(node, low[:, order], high[:, order])

    def real(self, number: int) -> int:
        """Return the node as real numbers: an input is scaled."""
        if number not in self._tensors:
            return number
        size = self.nodes[number].size
        identity = Scaling(np.ones(size))
        return self.layer(self._tensors[number].name, (number,), (identity,), np.zeros(size))

    def _step(
        self, name: str, operand: int, factor: FloatArray, error: FloatArray, limits: Limits
    ) -> int:
        size = len(factor)
        zeros, (least, most) = np.zeros(size), limits
        ends = np.full(size, least), np.full(size, most)
        node = Step(name, operand, factor, error, zeros, *ends, slack=zeros)
        low, high = self._ranges[operand]
        return self._append(
            node, np.clip(factor * low - error, *limits), np.clip(factor * high + error, *limits)
        )

    def _append(self, node: Node, low: FloatArray, high: FloatArray) -> int:
        self.nodes.append(node)
        self._ranges.append((low, high))
        return len(self.nodes) - 1


def _times(linear: LinearMap, scale: float) -> LinearMap:
    if isinstance(linear, SlidingMap):
        return replace(linear, taps=linear.taps * scale)
    if isinstance(linear, Matrix):
        return Matrix(linear.entries * scale)
    assert isinstance(linear, Scaling)
    return Scaling(linear.factors * scale)
