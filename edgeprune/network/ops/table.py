"""A function of one number as a table: what each int8 becomes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.arithmetic import look_up
from edgeprune.network.functions import FUNCTIONS
from edgeprune.network.operation import Bounds, CCall, Operation, Shape, Tensors, frozen
from edgeprune.network.tensor import INT8_LOW, Int8Array

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Table(Operation):
    """Each element looked up among 256 entries, which are part of the network.

    Args:
        function: A name of `FUNCTIONS`.
        arguments: The function's parameters, in its order.
        entries: int8 [256]: what -128, -127, ... 127 become.
    """

    kind: ClassVar[str] = "table"
    summary: ClassVar[str] = (
        f"a function of one number by a table of 256 entries: {', '.join(FUNCTIONS.names())}"
    )

    function: str
    arguments: tuple[float, ...]
    entries: Int8Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", frozen(self.entries, np.int8))

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Operation.output_shape`."""
        return shapes[0]

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        super().check(tensors)
        self.require(self.entries.shape == (256,), f"it has {self.entries.size} entries, not 256")
        known = FUNCTIONS.get(self.function, where=f"{self.kind} '{self.name}'")
        self.require(
            len(self.arguments) == len(known.parameters),
            f"{self.function} has the parameters {', '.join(known.parameters) or 'none'}, "
            f"given are {len(self.arguments)}",
        )

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        return look_up(self.entries, values[0])

    def interval(self, tensors: Tensors, *bounds: Bounds) -> Bounds:
        """Bound the output exactly: the least and greatest entries of each interval."""
        ((low, high),) = bounds
        first, last = (end.astype(np.int64) - INT8_LOW for end in (low, high))
        least, greatest = self.extremes
        return least[first, last], greatest[first, last]

    @cached_property
    def extremes(self) -> Bounds:
        """The least and greatest of `entries[i : j + 1]`, both int8 [256, 256] by i and j.

        Where j < i, the entries i and j themselves.
        """
        both = np.broadcast_to(self.entries, (256, 256))
        least, greatest = np.minimum(both, both.T), np.maximum(both, both.T)
        for first in range(256):
            least[first, first:] = np.minimum.accumulate(self.entries[first:])
            greatest[first, first:] = np.maximum.accumulate(self.entries[first:])
        return least, greatest

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        scalars = {"elements": tensors[self.output].size}
        return (CCall(self.kind, (0,), scalars, {"entries": self.entries}),)

    def weight_bytes(self) -> int:
        """See `Operation.weight_bytes`."""
        return self.entries.nbytes

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """CAST, ADD and GATHER of the entries: exact in every runtime.

        TFLite's own LOGISTIC, TANH, ELU and HARD_SWISH round as each runtime likes.
        """
        source = graph.activation(tensors[self.inputs[0]])
        told = "_".join((self.function, *map(repr, self.arguments)))
        graph.gather(self.name, source, tensors[self.output], self.entries, told)

    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """The function's own operator."""
        source, output = tensors[self.inputs[0]], tensors[self.output]
        known = FUNCTIONS.get(self.function)
        self.require(
            np.array_equal(known.entries(self.arguments, source, output), self.entries),
            f"its entries are not those of {self.function} in its ranges: ONNX cannot hold them",
        )
        graph.needs_opset(known.opset)
        attributes = dict(zip(known.parameters, self.arguments, strict=True))
        value = graph.value(self.inputs[0])
        graph.node(self, output, known.onnx, (value,), **attributes, **dict(known.texts))
