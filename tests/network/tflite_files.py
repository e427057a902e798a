"""TFLite files written by hand, as TensorFlow's converter writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgeprune.verification.native_output import without_native_information

Array = npt.NDArray[Any]
_VERSIONS = {"RESHAPE": 1, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}
_VERSIONS["HARD_SWISH"] = 1


@dataclass
class TfliteFile:
    """A graph under construction; weights are random but reproducible."""

    seed: int = 5
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        scale: npt.ArrayLike = (),
        zero_point: npt.ArrayLike = 0,
        kind: str = "INT8",
        axis: int = 0,
    ) -> int:
        """Return a new tensor."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name, list(shape)
        tensor.type, tensor.buffer = getattr(schema.TensorType, kind), 0
        scales = np.atleast_1d(np.asarray(scale, np.float32))
        if scales.size:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            zero_points = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape)
            tensor.quantization.zeroPoint = np.array(zero_points)
            tensor.quantization.quantizedDimension = axis
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, name: str, values: Array, scale: npt.ArrayLike = (), **more: Any) -> int:
        """Return a new constant."""
        kind = {"int8": "INT8", "int32": "INT32", "uint8": "UINT8", "float32": "FLOAT32"}
        index = self.tensor(name, values.shape, scale, kind=kind[values.dtype.name], **more)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.buffers.append(buffer)
        self.tensors[index].buffer = len(self.buffers) - 1
        return index

    def weights(
        self, source: int, shape: tuple[int, ...], axis: int | None, *, bias: bool = True
    ) -> tuple[int, int]:
        """Return weights and bias for what reads `source`; `axis` None for one scale."""
        number = len(self.tensors)
        outputs = shape[0 if axis is None else axis]
        count = 1 if axis is None else outputs
        scales = self.random.uniform(0.002, 0.01, count).astype(np.float32)
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        filters = self.constant(f"weights{number}", values, scales, axis=axis or 0)
        if not bias:
            return filters, -1
        steps = np.float32(self.tensors[source].quantization.scale[0]) * scales
        integers = self.random.integers(-2000, 2000, outputs).astype(np.int32)
        return filters, self.constant(f"bias{number}", integers, steps)

    def operator(
        self, code: str, inputs: list[int], output: int, table: str = "", **options: Any
    ) -> int:
        """Append an operator; return its output."""
        if code not in self.codes:
            self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs, operator.outputs = inputs, [output]
        if table:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, f"{table}T")()
            for name, value in options.items():
                setattr(operator.builtinOptions, name, value)
        self.operators.append(operator)
        return output

    def conv(
        self,
        source: int,
        shape: tuple[int, ...],
        outputs: int,
        kernel: tuple[int, int],
        *,
        same: bool = False,
        strides: tuple[int, int] = (1, 1),
        dilations: tuple[int, int] = (1, 1),
        relu: str = "NONE",
        depthwise: bool = False,
        scale: float = 0.2,
        zero_point: int = 3,
    ) -> int:
        """Append a convolution whose output has that shape."""
        channels = self.tensors[source].shape[-1]
        filters = (1, *kernel, outputs) if depthwise else (outputs, *kernel, channels)
        operands = self.weights(source, filters, 3 if depthwise else 0)
        output = self.tensor(f"conv{len(self.tensors)}", shape, scale, zero_point)
        kind = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        own = {"depthMultiplier": outputs // channels} if depthwise else {}
        return self.operator(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            [source, *operands],
            output,
            kind,
            padding=schema.Padding.SAME if same else schema.Padding.VALID,
            strideH=strides[0],
            strideW=strides[1],
            dilationHFactor=dilations[0],
            dilationWFactor=dilations[1],
            fusedActivationFunction=getattr(schema.ActivationFunctionType, relu),
            **own,
        )

    def reshape(self, source: int, shape: tuple[int, ...]) -> int:
        """Append a RESHAPE."""
        kept = self.tensors[source].quantization
        output = self.tensor(f"reshape{len(self.tensors)}", shape, kept.scale, kept.zeroPoint)
        target = self.constant(f"shape{output}", np.array(shape, np.int32))
        return self.operator("RESHAPE", [source, target], output)

    def dense(
        self,
        source: int,
        outputs: int,
        *,
        relu: str = "NONE",
        per_row: bool = False,
        bias: bool = True,
        scale: float = 0.5,
        shape: tuple[int, ...] | None = None,
    ) -> int:
        """Append a FULLY_CONNECTED."""
        features = int(self.tensors[source].shape[-1])
        operands = self.weights(source, (outputs, features), 0 if per_row else None, bias=bias)
        name = f"dense{len(self.tensors)}"
        output = self.tensor(name, shape or (1, outputs), scale, -7)
        return self.operator(
            "FULLY_CONNECTED",
            [source, *operands],
            output,
            "FullyConnectedOptions",
            fusedActivationFunction=getattr(schema.ActivationFunctionType, relu),
            keepNumDims=len(shape or ()) > 2,
        )

    def content(self, inputs: list[int], outputs: list[int]) -> bytes:
        """Return the file."""
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = "main", self.tensors, self.operators
        graph.inputs, graph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version, model.description = 3, "hand made"
        model.subgraphs, model.buffers = [graph], self.buffers
        model.operatorCodes = []
        for code in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = getattr(schema.BuiltinOperator, code)
            entry.deprecatedBuiltinCode = min(entry.builtinCode, 127)
            entry.version = _VERSIONS.get(code, 2)
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(1 << 12)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def reference(content: bytes, inputs: list[Array]) -> Array:
    """Return what tflite-runtime's reference kernels make of windows, one after the other."""
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    with without_native_information():
        interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        )
        interpreter.allocate_tensors()
    outputs = []
    for window in range(len(inputs[0])):
        for entry, values in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(entry["index"], values[window].reshape(entry["shape"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.stack(outputs)
