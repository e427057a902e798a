"""Builds a QDQ ONNX graph: float operators between QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeprune.network.operation import ClampedOperation, Operation
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW, Float32Array, Tensor

# Opset 13 is the first with scales per channel; its IR is what every onnxruntime since 1.7 reads.
_OPSET = 13
_IR_VERSION = 7
# The newest opset of each format of the file (ONNX, docs/Versioning.md).
_FORMATS = ((14, 7), (18, 8), (20, 9), (23, 11))


class QdqGraph:
    """An ONNX graph under construction.

    Feature maps are [batch, channels, length] or [batch, channels, height, length], as in PyTorch.

    A tensor `t` of the network is the float `t`, then the integers `t_quantized`, then the float
    `t_dequantized` that the next operators read.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._opset = _OPSET

    def needs_opset(self, opset: int) -> None:
        """Note that an operator is in no opset before this one."""
        self._opset = max(self._opset, opset)

    def value(self, name: str) -> str:
        """Return the name of the float value that a reader of the tensor `name` takes."""
        return f"{name}_dequantized"

    def quantized(self, tensor: Tensor) -> None:
        """Append the range of a tensor whose float value is there."""
        scale, zero_point = f"{tensor.name}_scale", f"{tensor.name}_zero_point"
        self._constant(scale, np.float32(tensor.scale))
        self._constant(zero_point, np.int8(tensor.zero_point))
        integers = f"{tensor.name}_quantized"
        self._append("QuantizeLinear", (tensor.name, scale, zero_point), integers)
        self._append("DequantizeLinear", (integers, scale, zero_point), self.value(tensor.name))

    def dequantized_constant(
        self, name: str, values: npt.NDArray[np.integer[Any]], scales: Float32Array
    ) -> str:
        """Append an integer constant with its scales along axis 0; return its float value."""
        per_axis = len(scales) > 1
        self._constant(f"{name}_quantized", values)
        self._constant(f"{name}_scale", scales if per_axis else scales[0])
        self._constant(
            f"{name}_zero_point", np.zeros(scales.shape if per_axis else (), values.dtype)
        )
        inputs = (f"{name}_quantized", f"{name}_scale", f"{name}_zero_point")
        attributes: dict[str, Any] = {"axis": 0} if per_axis else {}
        self._append("DequantizeLinear", inputs, name, **attributes)
        return name

    def node(
        self,
        operation: Operation,
        output: Tensor,
        operator: str,
        inputs: Sequence[str],
        **attributes: object,
    ) -> None:
        """Append the node that computes an operation, and the range of its output."""
        self._append(operator, inputs, output.name, operation.name, **attributes)
        self.quantized(output)

    def clamped_node(
        self,
        operation: ClampedOperation,
        output: Tensor,
        operator: str,
        inputs: Sequence[str],
        **attributes: object,
    ) -> None:
        """Append the node that computes an operation, its clamp, and the range of its output."""
        if operation.clamps:
            unclamped = f"{output.name}_unclamped"
            self._append(operator, inputs, unclamped, operation.name, **attributes)
            self.clamp(operation, output, unclamped, f"{operation.name}/clamp")
        else:
            self.node(operation, output, operator, inputs, **attributes)

    def clamp(self, operation: ClampedOperation, output: Tensor, source: str, name: str) -> None:
        """Append a Relu or Clip and the range of its output."""
        low, high = operation.clamp_low, operation.clamp_high
        if (low, high) == (output.zero_point, INT8_HIGH):
            self._append("Relu", (source,), output.name, name)
        else:
            bounds = [
                self._real(f"{output.name}_low", low, output) if low > INT8_LOW else "",
                self._real(f"{output.name}_high", high, output) if high < INT8_HIGH else "",
            ]
            self._append("Clip", (source, *bounds), output.name, name)
        self.quantized(output)

    def reshape(self, operation: Operation, source: Tensor, output: Tensor) -> None:
        """Append what reinterprets the bytes of `source`, where the length comes first."""
        steps: list[tuple[str, tuple[str, ...], dict[str, object]]] = []
        if source.is_map:
            steps.append(("Transpose", (), {"perm": _reversed(source)}))
        shape = f"{operation.name}/shape"
        self._constant(shape, np.array([-1, *output.shape], np.int64))
        steps.append(("Reshape", (shape,), {}))
        if output.is_map:
            steps.append(("Transpose", (), {"perm": _reversed(output)}))
        value = self.value(source.name)
        for number, (operator, more, attributes) in enumerate(steps, 1):
            # The last step bears the operation's name, by which a reader knows it.
            last = number == len(steps)
            name = operation.name if last else f"{operation.name}/{number}"
            result = output.name if last else name
            self._append(operator, (value, *more), result, name, **attributes)
            value = result
        self.quantized(output)

    def finish(
        self, inputs: Sequence[Tensor], output: Tensor, exposed: Sequence[Tensor], producer: str
    ) -> bytes:
        """Return the file's bytes.

        Args:
            inputs: The network's inputs, float in the file.
            output: The network's output, float in the file.
            exposed: Tensors whose integers become outputs too.
            producer: What made the file.
        """
        graph = helper.make_graph(
            self._nodes,
            "edgeprune",
            [_described(each.name, TensorProto.FLOAT, each) for each in inputs],
            [
                _described(self.value(output.name), TensorProto.FLOAT, output),
                *(_described(f"{e.name}_quantized", TensorProto.INT8, e) for e in exposed),
            ],
            self._constants,
        )
        opsets = [helper.make_opsetid("", self._opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_ir_version(self._opset))
        model.producer_name = producer
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _real(self, name: str, value: int, tensor: Tensor) -> str:
        self._constant(name, tensor.dequantize(np.array(value)))
        return name

    def _append(
        self, operator: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any
    ) -> None:
        node = helper.make_node(operator, inputs, [output], name=name or output, **attributes)
        self._nodes.append(node)

    def _constant(self, name: str, values: npt.ArrayLike) -> None:
        self._constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))


def _reversed(tensor: Tensor) -> list[int]:
    """Return the order of axes that turns our layout into ONNX's, and back."""
    return [0, *range(len(tensor.shape), 0, -1)]


def _ir_version(opset: int) -> int:
    """Return the oldest format that holds an opset, so that old runtimes read what they can."""
    return max(_IR_VERSION, next(ir for newest, ir in _FORMATS if opset <= newest))


def _described(name: str, element: int, tensor: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, ["batch", *reversed(tensor.shape)])
