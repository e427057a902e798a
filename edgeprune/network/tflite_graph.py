"""Builds a TFLite flatbuffer operator by operator; the only module that knows its schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgeprune.network.operation import Shape
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW, Int8Array, Tensor
from edgeprune.network.weighted import WeightedOperation
from edgeprune.network.windows import Sliding, Windows

_SCHEMA_VERSION = 3
_IDENTIFIER = b"TFL3"
_TYPES = {np.dtype(np.int8): schema.TensorType.INT8, np.dtype(np.int32): schema.TensorType.INT32}

# The options table of each operator and the first version that takes int8.
_OPERATORS: dict[str, tuple[str, int]] = {
    "ADD": ("AddOptions", 2),
    "AVERAGE_POOL_2D": ("Pool2DOptions", 2),
    "CAST": ("CastOptions", 1),
    "CONCATENATION": ("ConcatenationOptions", 2),
    "CONV_2D": ("Conv2DOptions", 3),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", 3),
    "GATHER": ("GatherOptions", 2),
    "MAXIMUM": ("MaximumMinimumOptions", 2),
    "MAX_POOL_2D": ("Pool2DOptions", 2),
    "MINIMUM": ("MaximumMinimumOptions", 2),
    "MUL": ("MulOptions", 2),
    "PADV2": ("PadV2Options", 2),
    "PAD": ("PadOptions", 2),
    "QUANTIZE": ("QuantizeOptions", 2),
    "RESHAPE": ("ReshapeOptions", 1),
    "SUB": ("SubOptions", 2),
}
_ENUMERATIONS = {
    "inDataType": schema.TensorType,
    "outDataType": schema.TensorType,
    "padding": schema.Padding,
    "fusedActivationFunction": schema.ActivationFunctionType,
}


class TfliteGraph:
    """A TFLite graph under construction.

    Maps [length, channels] become [batch, 1, length, channels], a width under a height of 1; maps
    [length, height, channels] become [batch, length, height, channels]: the length, in which bytes
    lie first, is what TFLite calls the height.

    Args:
        batch: Windows that one invocation computes.
    """

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]
        self._operators: list[Any] = []
        self._codes: list[str] = []
        self._indices: dict[str, int] = {}

    def activation(self, tensor: Tensor, name: str = "", shape: Shape | None = None) -> int:
        """Return the index of the tensor of that name, made on first use.

        Args:
            tensor: Gives the range, and name and shape unless they are given.
            name: Name in the file.
            shape: Shape without batch.
        """
        name = name or tensor.name
        if name not in self._indices:
            full = self._with_batch(shape or tensor.shape)
            self._indices[name] = self._add(name, full, np.dtype(np.int8))
            self._set_range(self._indices[name], [tensor.scale], [tensor.zero_point])
        return self._indices[name]

    def padded(
        self, source: Tensor, padding: tuple[tuple[int, int], ...], fill: int, *, owner: str
    ) -> int:
        """Append the padding of a feature map along each of its axes; return the padded tensor."""
        unpadded = self.activation(source)
        if not np.any(padding):
            return unpadded
        sizes = (size + sum(pad) for size, pad in zip(source.shape, padding, strict=False))
        result = self.activation(source, f"{owner}/padded", (*sizes, source.shape[-1]))
        height = () if len(padding) > 1 else ((0, 0),)
        amounts = np.array([(0, 0), *height, *padding, (0, 0)], np.int32)
        operands = [unpadded, self._constant(f"{owner}/padding", amounts)]
        if fill == source.zero_point:
            self.operator("PAD", operands, (result,))
        else:
            operands.append(self._scalar(f"{owner}/fill", fill, source))
            self.operator("PADV2", operands, (result,))
        return result

    def weights(
        self, operation: WeightedOperation, source: Tensor, weights: Int8Array, axis: int
    ) -> tuple[int, int]:
        """Append weights and bias; return both.

        Args:
            operation: The owner of bias and scales.
            source: The input that the weights multiply.
            weights: The weights in TFLite's order.
            axis: The axis of `weights` that counts the outputs.
        """
        zeros = np.zeros(len(operation.weight_scales), np.int64)
        filters = self._constant(f"{operation.name}/weights", weights)
        self._set_range(filters, operation.weight_scales, zeros, axis)
        bias = self._constant(f"{operation.name}/bias", operation.bias)
        self._set_range(bias, operation.bias_scales(source), zeros)
        return filters, bias

    def clamp(self, source: int, output: Tensor, low: int, high: int) -> None:
        """Append MAXIMUM and MINIMUM, as far as they are needed, that write `output`."""
        result = self.activation(output)
        if low > INT8_LOW:
            raised = result
            if high < INT8_HIGH:
                raised = self.activation(output, f"{output.name}/raised")
            bound = self._scalar(f"{output.name}/low", low, output)
            self.operator("MAXIMUM", (source, bound), (raised,))
            source = raised
        if high < INT8_HIGH:
            bound = self._scalar(f"{output.name}/high", high, output)
            self.operator("MINIMUM", (source, bound), (result,))

    def gather(
        self, owner: str, source: int, output: Tensor, entries: Int8Array, function: str
    ) -> None:
        """Append CAST, ADD and GATHER, which look each element up among 256 entries [256].

        The function's name and arguments end that of the entries, for who reads the file back.
        """
        full, wide = self._with_batch(output.shape), np.dtype(np.int32)
        signed, places = (self._add(f"{owner}/{name}", full, wide) for name in ("signed", "places"))
        self.operator("CAST", (source,), (signed,), inDataType="INT8", outDataType="INT32")
        first = self._constant(f"{owner}/first", np.array([-INT8_LOW], np.int32))
        self.operator("ADD", (signed, first), (places,), fusedActivationFunction="NONE")
        table = self._constant(f"{owner}/{function}", entries)
        self._set_range(table, [output.scale], [output.zero_point])
        self.operator("GATHER", (table, places), (self.activation(output),), axis=0, batchDims=0)

    def moved(self, output: Tensor, scale: float, name: str) -> int:
        """Return a tensor like `output` with another scale."""
        return self.activation(replace(output, scale=scale), name)

    def reshape(self, source: int, output: int, shape: Shape) -> None:
        """Append a RESHAPE to `shape` (without batch)."""
        full = self._with_batch(shape)
        target = self._constant(f"shape{len(self._operators)}", np.array(full, np.int32))
        self.operator("RESHAPE", (source, target), (output,), newShape=list(full))

    def pool(
        self,
        code: str,
        source: int,
        output: int,
        windows: Windows,
        *,
        activation: str,
        padding: str,
    ) -> None:
        """Append a pool."""
        height, width = _height_and_width(windows)
        self.operator(
            code,
            (source,),
            (output,),
            filterWidth=width.kernel,
            filterHeight=height.kernel,
            strideW=width.stride,
            strideH=height.stride,
            padding=padding,
            fusedActivationFunction=activation,
        )

    def windowed(
        self, code: str, inputs: Sequence[int], output: int, windows: Windows, **options: object
    ) -> None:
        """Append a convolution; `options` go before what the geometry of its windows says."""
        height, width = _height_and_width(windows)
        geometry = {
            "strideW": width.stride,
            "strideH": height.stride,
            "dilationWFactor": width.dilation,
            "dilationHFactor": height.dilation,
        }
        self.operator(code, inputs, (output,), **{**geometry, **options})

    def operator(
        self, code: str, inputs: Sequence[int], outputs: Sequence[int], **options: object
    ) -> None:
        """Append an operator.

        Args:
            code: A name of the schema's BuiltinOperator.
            inputs: Tensor indices.
            outputs: Tensor indices.
            **options: Fields of the operator's options table; enumerations by their names.
        """
        table = _OPERATORS[code][0]
        settings = getattr(schema, f"{table}T")()
        for field, value in options.items():
            enumeration = _ENUMERATIONS.get(field)
            setattr(settings, field, getattr(enumeration, str(value)) if enumeration else value)
        if code not in self._codes:
            self._codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.index(code)
        operator.inputs = list(inputs)
        operator.outputs = list(outputs)
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        operator.builtinOptions = settings
        self._operators.append(operator)

    def finish(self, inputs: Sequence[str], outputs: Sequence[str], description: str) -> bytes:
        """Return the file's bytes; inputs and outputs are tensors by name, in order."""
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors = self._tensors
        graph.operators = self._operators
        graph.inputs = [self._indices[name] for name in inputs]
        graph.outputs = [self._indices[name] for name in outputs]
        model = schema.ModelT()
        model.version = _SCHEMA_VERSION
        model.description = description
        model.subgraphs = [graph]
        model.buffers = self._buffers
        model.operatorCodes = [_operator_code(code) for code in self._codes]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def _with_batch(self, shape: Shape) -> Shape:
        return (self._batch, 1, *shape) if len(shape) == 2 else (self._batch, *shape)

    def _add(self, name: str, shape: Shape, dtype: np.dtype[Any], buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = list(shape)
        tensor.type = _TYPES[dtype]
        tensor.buffer = buffer
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _constant(self, name: str, values: npt.NDArray[Any]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._buffers.append(buffer)
        return self._add(name, values.shape, values.dtype, len(self._buffers) - 1)

    def _scalar(self, name: str, value: int, like: Tensor) -> int:
        index = self._constant(name, np.array([value], np.int8))
        self._set_range(index, [like.scale], [like.zero_point])
        return index

    def _set_range(
        self, index: int, scales: npt.ArrayLike, zero_points: npt.ArrayLike, axis: int = 0
    ) -> None:
        quantization = schema.QuantizationParametersT()
        quantization.scale = np.asarray(scales, np.float32)
        quantization.zeroPoint = np.asarray(zero_points, np.int64)
        quantization.quantizedDimension = axis
        self._tensors[index].quantization = quantization


def _height_and_width(windows: Windows) -> tuple[Sliding, Sliding]:
    """Return what slides over TFLite's two axes: a map of one axis has a height of 1 there."""
    if len(windows.axes) == 1:
        return Sliding(1), windows.axes[0]
    return windows.axes[0], windows.axes[1]


def _operator_code(code: str) -> object:
    number = getattr(schema.BuiltinOperator, code)
    entry = schema.OperatorCodeT()
    entry.builtinCode = number
    # Readers older than schema 3a know only the byte-sized field; 127 tells them to look further.
    entry.deprecatedBuiltinCode = min(number, 127)
    entry.version = _OPERATORS[code][1]
    return entry
