"""Float ONNX models built by hand, and their quantization by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass
class FloatModel:
    """A float graph under construction; weights are random but reproducible."""

    opset: int = 17
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def input(self, name: str, *shape: int) -> str:
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
        self.inputs.append(info)
        return name

    def constant(self, values: npt.ArrayLike) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weights(self, *shape: int) -> str:
        fan_in = max(int(np.prod(shape[1:])), 1)
        return self.constant(self.random.normal(0, fan_in**-0.5, shape).astype(np.float32))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    @property
    def operators(self) -> list[str]:
        """The kinds of its nodes: onnxruntime leaves some in float unless it is told."""
        return sorted({node.op_type for node in self.nodes})

    def conv(self, value: str, channels: int, outputs: int, kernel: int, **attributes: Any) -> str:
        weights = self.weights(outputs, channels // attributes.get("group", 1), kernel)
        return self.node("Conv", value, weights, self.weights(outputs), **attributes)

    def model(self, output: str, ir_version: int = 8) -> onnx.ModelProto:
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "float", self.inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)

    def samples(self, count: int, seed: int = 0) -> list[dict[str, npt.NDArray[np.float32]]]:
        random = np.random.default_rng(seed)
        shapes = {
            i.name: [d.dim_value for d in i.type.tensor_type.shape.dim[1:]] for i in self.inputs
        }
        return [
            {
                name: random.normal(0, 1, (1, *shape)).astype(np.float32)
                for name, shape in shapes.items()
            }
            for _ in range(count)
        ]


def classifier(model: FloatModel) -> str:
    """A residual network with two inputs, every operator, and channel-major flattening."""
    signal, rhythm = model.input("signal", 2, 64), model.input("rhythm", 4)
    stem = model.node("Relu", model.conv(signal, 2, 8, 7, strides=[2], pads=[3, 3]))
    pooled = model.node("MaxPool", stem, kernel_shape=[2], strides=[2])
    depthwise = model.node("Relu", model.conv(pooled, 8, 8, 3, pads=[1, 1], group=8))
    joined = model.node("Add", pooled, model.conv(depthwise, 8, 8, 1))
    wide = model.conv(model.node("Relu", joined), 8, 12, 3, pads=[4, 0], dilations=[2], group=2)
    low, high = (model.constant(np.float32(bound)) for bound in (-0.5, 1.5))
    wide = model.node("Clip", wide, low, high)
    mean = model.node("AveragePool", wide, kernel_shape=[2], strides=[2])
    largest = model.node("MaxPool", wide, kernel_shape=[2], strides=[2])
    flat = model.node("Flatten", model.node("Concat", mean, largest, axis=1))
    overall = model.node("Flatten", model.node("GlobalAveragePool", wide))
    features = model.node("Concat", flat, overall, rhythm, axis=1)
    weights = model.weights(16, 24 * 8 + 12 + 4)
    hidden = model.node("Relu", model.node("Gemm", features, weights, model.weights(16), transB=1))
    return model.node("Add", model.node("MatMul", hidden, model.weights(16, 5)), model.weights(5))


class Reader:
    """onnxruntime's CalibrationDataReader over a list of feeds."""

    def __init__(self, feeds: Sequence[dict[str, npt.NDArray[np.float32]]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        return next(self._feeds, None)


def quantized(
    model: onnx.ModelProto,
    feeds: Sequence[dict[str, npt.NDArray[np.float32]]],
    folder: Path,
    **options: Any,
) -> onnx.ModelProto:
    """Return the model quantized to QDQ by onnxruntime."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    source, target = folder / "float.onnx", folder / "qdq.onnx"
    onnx.save(model, source)
    settings = {
        "quant_format": QuantFormat.QDQ,
        "activation_type": QuantType.QInt8,
        "weight_type": QuantType.QInt8,
        "per_channel": True,
        **options,
    }
    quantize_static(source, target, Reader(feeds), **settings)
    return onnx.load(target)


def run_onnx(
    model: onnx.ModelProto | bytes, feeds: dict[str, npt.NDArray[np.float32]]
) -> list[npt.NDArray[Any]]:
    """Run a model in onnxruntime, integer sums unsaturated."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return list(onnxruntime.InferenceSession(content, options).run(None, feeds))
