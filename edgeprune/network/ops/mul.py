"""Product of two tensors, each in its own range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.arithmetic import Multiplier, every_int8, saturate
from edgeprune.network.operation import Bounds, CCall, ClampedOperation, Shape, Tensors
from edgeprune.network.tensor import Int8Array, Int64Array

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph

# How many float32 steps an output's scale is moved by in a TFLite file, at most.
_MOST_STEPS = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class Mul(ClampedOperation):
    """Element-wise product of two tensors of one shape, or of a map and one number a channel."""

    kind: ClassVar[str] = "mul"
    summary: ClassVar[str] = "element-wise product of two tensors; the second may be [1, channels]"

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        self.require(len(shapes) == 2, f"it multiplies two tensors, not {len(shapes)}")
        first, second = shapes
        by_channel = len(first) > 1 and second == (*([1] * (len(first) - 1)), first[-1])
        self.require(by_channel or first == second, f"shapes {first} and {second} differ")
        return first

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        super().check(tensors)
        reach = 1
        for name in self.inputs:
            reach *= 128 + abs(tensors[name].zero_point)
        self.multiplier(tensors).require_room(reach, where=f"{self.kind} '{self.name}'")

    def multiplier(self, tensors: Tensors) -> Multiplier:
        """Return the factor from a product of centred integers to the output."""
        first, second, output = self._scales(tensors)
        return Multiplier.of(first * second / output)

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        first, second = (
            given.astype(np.int64) - tensors[name].zero_point
            for given, name in zip(values, self.inputs, strict=True)
        )
        return self._finish(tensors, self.multiplier(tensors), first * second)

    def interval(self, tensors: Tensors, *bounds: Bounds) -> Bounds:
        """Bound the output exactly: a product is extreme at corners of its box."""
        ends = [self.run(tensors, first, second) for first in bounds[0] for second in bounds[1]]
        return np.minimum.reduce(ends), np.maximum.reduce(ends)

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        first, second, output = (tensors[name] for name in (*self.inputs, self.output))
        multiplier = self.multiplier(tensors)
        scalars = {
            "elements": output.size,
            "second_elements": second.size,
            "first_zero_point": first.zero_point,
            "second_zero_point": second.zero_point,
            "output_zero_point": output.zero_point,
            "multiplier": int(multiplier.mantissa),
            "shift": int(multiplier.exponent),
            "clamp_low": self.clamp_low,
            "clamp_high": self.clamp_high,
        }
        return (CCall(self.kind, (0, 1), scalars),)

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """MUL; where two runtimes would disagree, into a range that ends their dispute."""
        sources = tuple(graph.activation(tensors[name]) for name in self.inputs)
        scale = self._undisputed_scale(tensors)

        def write(output: int, activation: str) -> None:
            if scale == tensors[self.output].scale:
                graph.operator("MUL", sources, (output,), fusedActivationFunction=activation)
                return
            moved = graph.moved(tensors[self.output], scale, f"{self.name}/moved")
            graph.operator("MUL", sources, (moved,), fusedActivationFunction=activation)
            graph.reshape(moved, output, tensors[self.output].shape)

        self.write_clamped(graph, tensors, write)

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Mul."""
        sources = tuple(graph.value(name) for name in self.inputs)
        graph.clamped_node(self, tensors[self.output], "Mul", sources)

    def _scales(self, tensors: Tensors) -> tuple[float, float, float]:
        first, second, output = (tensors[name].scale for name in (*self.inputs, self.output))
        return first, second, output

    def _finish(self, tensors: Tensors, multiplier: Multiplier, products: Int64Array) -> Int8Array:
        zero_point = tensors[self.output].zero_point
        return saturate(multiplier.apply(products), zero_point, self.clamp_low, self.clamp_high)

    def _undisputed_scale(self, tensors: Tensors) -> float:
        """Return the scale nearest to the output's with which all runtimes compute what we do.

        TFLite divides the scales in float32 (kernels/mul.cc), TFLite Micro in float64 (mul_common):
        a few products near the middle between two integers can tell.
        """
        first, second, output = self._scales(tensors)
        every = every_int8()
        zero_points = [tensors[name].zero_point for name in self.inputs]
        products = np.unique(np.multiply.outer(every - zero_points[0], every - zero_points[1]))
        wanted = self._finish(tensors, self.multiplier(tensors), products)
        for scale in _neighbours(output):
            in_single = np.float32(first) * np.float32(second) / np.float32(scale)
            factors = float(in_single), first * second / scale
            found = (self._finish(tensors, Multiplier.of(each), products) for each in factors)
            if all(np.array_equal(each, wanted) for each in found):
                return scale
        self.require(False, "no scale near its output's gives all runtimes the same products")
        return output


def _neighbours(scale: float) -> Iterator[float]:
    """Yield a float32 and those around it, the nearest first."""
    yield scale
    below = above = np.float32(scale)
    for _ in range(_MOST_STEPS):
        above = np.nextafter(above, np.float32(np.inf), dtype=np.float32)
        below = np.nextafter(below, np.float32(0), dtype=np.float32)
        yield float(above)
        yield float(below)
