"""What a sum and a difference of two tensors share: TFLite's shifted and scaled integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgeprune.network.arithmetic import Multiplier, every_int8, look_up, saturate
from edgeprune.network.operation import CCall, ClampedOperation, Shape, Tensors
from edgeprune.network.tensor import Int8Array, Int64Array

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph

# Bits by which TFLite shifts both inputs left before it scales them.
LEFT_SHIFT = 20


@dataclass(frozen=True, eq=False)
class Scaling:
    """What a sum multiplies its inputs with after the left shift, and with what the sum."""

    first: Multiplier
    second: Multiplier
    output: Multiplier


@dataclass(frozen=True, eq=False, kw_only=True)
class Summing(ClampedOperation):
    """Element-wise `first + sign * second` of two tensors of one shape, each in its own range."""

    sign: ClassVar[int]
    onnx_operator: ClassVar[str]

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        self.require(len(shapes) == 2, f"it takes two tensors, not {len(shapes)}")
        self.require(shapes[0] == shapes[1], f"shapes {shapes[0]} and {shapes[1]} differ")
        return shapes[0]

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        super().check(tensors)
        self.require(
            self._common_scale(tensors) < 2**LEFT_SHIFT * tensors[self.output].scale,
            "the output's scale is 2^19 times finer than an input's",
            hint=f"recalibrate the range of this {self.kind}",
        )

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        scaling = self.scaling(tensors)
        sums = look_up(self._scaled(tensors, 0, scaling.first), values[0])
        sums = sums + self.sign * look_up(self._scaled(tensors, 1, scaling.second), values[1])
        return saturate(
            scaling.output.apply(sums),
            tensors[self.output].zero_point,
            self.clamp_low,
            self.clamp_high,
        )

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        scaling = self.scaling(tensors)
        first, second, output = (tensors[name] for name in (*self.inputs, self.output))
        scalars = {
            "elements": output.size,
            "first_zero_point": first.zero_point,
            "first_multiplier": int(scaling.first.mantissa),
            "first_shift": int(scaling.first.exponent),
            "second_zero_point": second.zero_point,
            "second_multiplier": int(scaling.second.mantissa),
            "second_shift": int(scaling.second.exponent),
            "output_zero_point": output.zero_point,
            "output_multiplier": int(scaling.output.mantissa),
            "output_shift": int(scaling.output.exponent),
            "clamp_low": self.clamp_low,
            "clamp_high": self.clamp_high,
        }
        return (CCall(self.kind, (0, 1), scalars),)

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """ADD or SUB."""
        sources = tuple(graph.activation(tensors[name]) for name in self.inputs)

        def write(output: int, activation: str) -> None:
            code = self.onnx_operator.upper()
            graph.operator(code, sources, (output,), fusedActivationFunction=activation)

        self.write_clamped(graph, tensors, write)

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Add or Sub."""
        sources = tuple(graph.value(name) for name in self.inputs)
        graph.clamped_node(self, tensors[self.output], self.onnx_operator, sources)

    def _common_scale(self, tensors: Tensors) -> float:
        return 2.0 * max(tensors[name].scale for name in self.inputs)

    def scaling(self, tensors: Tensors) -> Scaling:
        """Return the three multipliers of TFLite's sum."""
        common = self._common_scale(tensors)
        first, second = (tensors[name].scale for name in self.inputs)
        return Scaling(
            Multiplier.of(first / common),
            Multiplier.of(second / common),
            Multiplier.of(common / (2**LEFT_SHIFT * tensors[self.output].scale)),
        )

    def _scaled(self, tensors: Tensors, which: int, multiplier: Multiplier) -> Int64Array:
        """Return the scaled value of every int8 that the input can hold."""
        centred = every_int8() - tensors[self.inputs[which]].zero_point
        return multiplier.apply(centred << LEFT_SHIFT)
