"""Product of two tensors, each in its own range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.arithmetic import Multiplier, every_int8, saturate
from edgeprune.network.operation import Bounds, CCall, ClampedOperation, Shape, Tensors
from edgeprune.network.tensor import Int8Array, Int64Array

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph


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
        """Return the factor from a product of centred integers to the output.

        TFLite computes it in float32 (kernels/mul.cc).
        """
        return Multiplier.of(self._factor(tensors))

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
        """MUL; where runtimes would disagree, between ranges that leave nothing to dispute."""
        given = [tensors[name] for name in self.inputs]
        output = tensors[self.output]
        sources = [graph.activation(each) for each in given]
        disputed = self._is_disputed(tensors)
        if disputed:
            for which, scale in enumerate((self._factor(tensors), 1.0)):
                source = sources[which]
                sources[which] = graph.moved(given[which], scale, f"{self.name}/factor{which}")
                graph.reshape(source, sources[which], given[which].shape)

        def write(result: int, activation: str) -> None:
            moved = graph.moved(output, 1.0, f"{self.name}/moved") if disputed else result
            graph.operator("MUL", sources, (moved,), fusedActivationFunction=activation)
            if disputed:
                graph.reshape(moved, result, output.shape)

        self.write_clamped(graph, tensors, write)

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Mul."""
        sources = tuple(graph.value(name) for name in self.inputs)
        graph.clamped_node(self, tensors[self.output], "Mul", sources)

    def _factor(self, tensors: Tensors) -> float:
        first, second, output = (np.float32(tensors[n].scale) for n in (*self.inputs, self.output))
        return float(first * second / output)

    def _finish(self, tensors: Tensors, multiplier: Multiplier, products: Int64Array) -> Int8Array:
        zero_point = tensors[self.output].zero_point
        return saturate(multiplier.apply(products), zero_point, self.clamp_low, self.clamp_high)

    def _is_disputed(self, tensors: Tensors) -> bool:
        """Return whether TFLite Micro, which divides the scales in float64, would differ anywhere.

        A few products near the middle between two integers can tell.
        """
        first, second, output = (tensors[name].scale for name in (*self.inputs, self.output))
        every = every_int8()
        centred = [every - tensors[name].zero_point for name in self.inputs]
        products = np.unique(np.multiply.outer(*centred))
        in_double = Multiplier.of(first * second / output)
        ours = self._finish(tensors, self.multiplier(tensors), products)
        return not np.array_equal(ours, self._finish(tensors, in_double, products))
