"""What every operator of an IntegerNetwork must be able to tell of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from edgeprune.errors import NetworkError
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW, Int8Array, Integers, Tensor

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph
    from edgeprune.network.tflite_graph import TfliteGraph

Tensors = Mapping[str, Tensor]
Shape = tuple[int, ...]
Bounds = tuple[Int8Array, Int8Array]


@dataclass(frozen=True, eq=False)
class CCall:
    """One call of a C kernel: `edgeprune_<kernel>(parameters, inputs..., output)`.

    Args:
        kernel: The kernel's name without prefix.
        inputs: Which of the operation's inputs it reads, as indices.
        parameters: The scalar fields of the kernel's parameter struct, in the struct's order.
        arrays: The pointer fields that follow them, in the struct's order.
    """

    kernel: str
    inputs: tuple[int, ...]
    parameters: Mapping[str, int]
    arrays: Mapping[str, Integers] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation(ABC):
    """An operator with its exact int8 arithmetic, bounds, file forms, C calls and costs.

    Values are int8 arrays `[n, length, channels]` or `[n, length, height, channels]` (feature
    maps), or `[n, features]` (vectors).

    Args:
        name: Unique among the operations of a network.
        inputs: Names of the tensors that it reads.
        output: Name of the tensor that it writes.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    aliases_input: ClassVar[bool] = False

    name: str
    inputs: tuple[str, ...]
    output: str

    @abstractmethod
    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the output's shape for the inputs' shapes.

        Raises:
            NetworkError: The shapes do not fit this operation.
        """

    def check(self, tensors: Tensors) -> None:
        """Prove what the arithmetic relies on: shapes, ranges, room in the accumulators.

        Raises:
            NetworkError: Something does not hold.
        """
        shape = self.output_shape(*(tensors[name].shape for name in self.inputs))
        self.require(
            shape == tensors[self.output].shape,
            f"the output's shape is {tensors[self.output].shape}, computed is {shape}",
        )

    @abstractmethod
    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """Compute the output: the specification that every other implementation must equal."""

    def interval(self, tensors: Tensors, *bounds: Bounds) -> Bounds:
        """Bound the output for inputs anywhere between `(low, high)`, both int8 and included.

        The rule here is exact for operations that are monotone in every input.
        """
        lows, highs = zip(*bounds, strict=True)
        return self.run(tensors, *lows), self.run(tensors, *highs)

    @abstractmethod
    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """Return the calls of C kernels that compute the output."""

    @abstractmethod
    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """Append the operators that compute the output in a TFLite file."""

    @abstractmethod
    def write_qdq(self, graph: QdqGraph, tensors: Tensors) -> None:
        """Append the float nodes that compute the output in a QDQ ONNX file, and its range."""

    def multiply_accumulates(self, tensors: Tensors, *, nonzero_only: bool = False) -> int:
        """Return the multiply-accumulates of one window, padding included.

        Args:
            tensors: The network's tensors.
            nonzero_only: Count only those with a weight that is not zero.
        """
        return 0

    def parameters(self) -> int:
        """Return the number of weights and biases."""
        return 0

    def weight_bytes(self) -> int:
        """Return the bytes of the weights (int8) and biases (int32)."""
        return 0

    def require(self, condition: bool, what: str, *, hint: str = "") -> None:
        """Raise a NetworkError that names this operation unless `condition` holds."""
        if not condition:
            raise NetworkError(what, where=f"{self.kind} '{self.name}'", hint=hint)

    def require_map(self, shape: Shape, axes: int = 1) -> tuple[Shape, int]:
        """Return the sizes of a map's axes and its channels, or raise a NetworkError.

        Args:
            shape: The shape of an input.
            axes: 1 for a map [length, channels], 2 for one [length, height, channels].
        """
        layout = "length, channels" if axes == 1 else "length, height, channels"
        self.require(
            len(shape) == axes + 1,
            f"it needs a feature map [{layout}], its input has shape {shape}",
        )
        return shape[:-1], shape[-1]

    def require_same_range(self, tensors: Tensors) -> None:
        """Raise a NetworkError unless every input has the output's range."""
        output = tensors[self.output]
        for name in self.inputs:
            self.require(
                tensors[name].same_range(output),
                f"'{name}' and '{output.name}' must share scale and zero point",
                hint="put a requantize before it",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class ClampedOperation(Operation):
    """An operation that clamps its output: a fused Relu or Clip, or all of int8.

    Args:
        clamp_low: The least output.
        clamp_high: The greatest output.
    """

    clamp_low: int = INT8_LOW
    clamp_high: int = INT8_HIGH

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        self.require(
            INT8_LOW <= self.clamp_low <= self.clamp_high <= INT8_HIGH,
            f"the clamp {self.clamp_low}..{self.clamp_high} is not a range of int8",
        )
        super().check(tensors)

    @property
    def clamps(self) -> bool:
        """Whether the clamp is narrower than int8."""
        return (self.clamp_low, self.clamp_high) != (INT8_LOW, INT8_HIGH)

    def write_clamped(
        self,
        graph: TfliteGraph,
        tensors: Tensors,
        write: Callable[[int, str], None],
        *,
        fuses_relu: bool = True,
    ) -> None:
        """Let `write(output index, activation)` append the operator, then whatever clamps.

        A Relu is fused as TFLite does it; any other clamp becomes MAXIMUM and MINIMUM, which are
        exact in every runtime.
        """
        output = tensors[self.output]
        if not self.clamps:
            write(graph.activation(output), "NONE")
        elif fuses_relu and (self.clamp_low, self.clamp_high) == (output.zero_point, INT8_HIGH):
            write(graph.activation(output), "RELU")
        else:
            unclamped = graph.activation(output, f"{output.name}/unclamped")
            write(unclamped, "NONE")
            graph.clamp(unclamped, output, self.clamp_low, self.clamp_high)


def needed_operations(operations: Sequence[Operation], output: str) -> tuple[Operation, ...]:
    """Return the operations on which `output` depends, in order."""
    needed = {output}
    for operation in reversed(operations):
        if operation.output in needed:
            needed |= set(operation.inputs)
    return tuple(operation for operation in operations if operation.output in needed)


def frozen(array: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a read-only, contiguous copy: a network must not change after it is checked.

    Raises:
        NetworkError: Integers do not fit the type.
    """
    copy = np.array(array, dtype=dtype, order="C")
    if copy.dtype.kind == "i" and not np.array_equal(copy, array):
        raise NetworkError(f"weights or biases do not fit {copy.dtype}")
    copy.setflags(write=False)
    return copy
