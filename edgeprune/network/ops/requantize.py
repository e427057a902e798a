"""Another range for the same values; with a clamp it is a standalone Relu or Clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgeprune.network.arithmetic import Multiplier, every_int8, look_up, saturate
from edgeprune.network.operation import CCall, ClampedOperation, Shape, Tensors
from edgeprune.network.tensor import Int8Array

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Requantize(ClampedOperation):
    """Element-wise change of scale and zero point, then the clamp."""

    kind: ClassVar[str] = "requantize"
    summary: ClassVar[str] = "change of range; also a Relu or Clip that stands alone"

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        return shapes[0]

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        super().check(tensors)
        reach = 128 + abs(tensors[self.inputs[0]].zero_point)
        self._multiplier(tensors).require_room(reach, where=f"{self.kind} '{self.name}'")

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        source, output = tensors[self.inputs[0]], tensors[self.output]
        scaled = self._multiplier(tensors).apply(every_int8() - source.zero_point)
        table = saturate(scaled, output.zero_point, self.clamp_low, self.clamp_high)
        return look_up(table, values[0])

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        source, output = tensors[self.inputs[0]], tensors[self.output]
        multiplier = self._multiplier(tensors)
        scalars = {
            "elements": output.size,
            "input_zero_point": source.zero_point,
            "output_zero_point": output.zero_point,
            "multiplier": int(multiplier.mantissa),
            "shift": int(multiplier.exponent),
            "clamp_low": self.clamp_low,
            "clamp_high": self.clamp_high,
        }
        return (CCall(self.kind, (0,), scalars),)

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """QUANTIZE, then the clamp where there is one.

        TFLite's own RELU divides the scales in float32, which is why a clamp never fuses here.
        """
        source = graph.activation(tensors[self.inputs[0]])
        self.write_clamped(
            graph,
            tensors,
            lambda output, _: graph.operator("QUANTIZE", (source,), (output,)),
            fuses_relu=False,
        )

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Relu or Clip; an Identity where only the range changes."""
        output, value = tensors[self.output], graph.value(self.inputs[0])
        if self.clamps:
            graph.clamp(self, output, value, self.name)
        else:
            graph.node(self, output, "Identity", (value,))

    def _multiplier(self, tensors: Tensors) -> Multiplier:
        return Multiplier.of(tensors[self.inputs[0]].scale / tensors[self.output].scale)
