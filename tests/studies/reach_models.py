"""Three models as other people's tools leave them, for the study of bringing one's own.

A residual 1-D network as torchvision writes its ResNets, an MLP as a float ONNX graph from Keras,
and a network that onnxruntime's own quantizer made. None of them knows edgeprune.

Keras and tf2onnx are not installed here: the MLP's graph is built by onnx.helper with the nodes,
names and layout that tf2onnx gives a Keras Sequential (MatMul and Add instead of Gemm, channels
last, weights as [in, out], a Softmax at the end).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

Floats = npt.NDArray[np.float32]


class BasicBlock(nn.Module):
    """torchvision.models.resnet.BasicBlock with one axis less."""

    expansion = 1

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inplanes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm1d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv1d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm1d(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        result: Tensor = self.relu(out)
        return result


class ResNet1d(nn.Module):
    """torchvision.models.resnet.ResNet with one axis less and fewer planes."""

    def __init__(
        self, layers: tuple[int, ...], planes: tuple[int, ...], channels: int, num_classes: int
    ) -> None:
        super().__init__()
        self.inplanes = planes[0]
        self.conv1 = nn.Conv1d(channels, self.inplanes, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm1d(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool1d(3, stride=2, padding=1)
        stages = [
            self._make_layer(width, blocks, 1 if number == 0 else 2)
            for number, (width, blocks) in enumerate(zip(planes, layers, strict=True))
        ]
        self.layers = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool1d(1)
        self.fc = nn.Linear(planes[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _make_layer(self, planes: int, blocks: int, stride: int) -> nn.Sequential:
        downsample = None
        if stride != 1 or self.inplanes != planes:
            downsample = nn.Sequential(
                nn.Conv1d(self.inplanes, planes, 1, stride, bias=False), nn.BatchNorm1d(planes)
            )
        layers: list[nn.Module] = [BasicBlock(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes
        layers += [BasicBlock(planes, planes) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.layers(x)).flatten(1)
        logits: Tensor = self.fc(x)
        return logits


def resnet1d(signal_shape: tuple[int, int], classes: int) -> nn.Module:
    """The factory: `--model tests.studies.reach_models:resnet1d`."""
    return ResNet1d((1, 1, 1), (8, 16, 24), signal_shape[1], classes)


def keras_mlp(
    signal_shape: tuple[int, int],
    classes: int,
    weights: list[tuple[Floats, Floats]] | None = None,
    hidden: tuple[int, ...] = (24, 16),
    seed: int = 0,
) -> onnx.ModelProto:
    """Return Flatten, Dense(relu) ... Dense(softmax) as tf2onnx exports a Keras Sequential.

    Args:
        signal_shape: Length and channels of the input.
        classes: Number of classes.
        weights: Kernel [in, out] and bias of each layer; drawn as Keras draws them (Glorot) if
            there are none.
        hidden: Units of the hidden layers.
        seed: Seed of the draw.
    """
    length, channels = signal_shape
    sizes = (length * channels, *hidden, classes)
    random = np.random.default_rng(seed)
    if weights is None:
        weights = [
            (
                random.uniform(-1, 1, (before, after)).astype(np.float32)
                * np.float32(np.sqrt(6 / (before + after))),
                np.zeros(after, np.float32),
            )
            for before, after in pairwise(sizes)
        ]
    constants = [
        numpy_helper.from_array(np.array([-1, sizes[0]], np.int64), "const_fold_opt__flatten")
    ]
    flat = "sequential/flatten/Reshape:0"
    nodes = [
        helper.make_node(
            "Reshape", ["flatten_input", constants[0].name], [flat], "sequential/flatten/Reshape"
        )
    ]
    value = flat
    for number, (kernel, bias) in enumerate(weights):
        layer = "sequential/dense" + (f"_{number}" if number else "")
        product, added = f"{layer}/MatMul:0", f"{layer}/BiasAdd:0"
        names = [f"{layer}/MatMul/ReadVariableOp:0", f"{layer}/BiasAdd/ReadVariableOp:0"]
        constants += [
            numpy_helper.from_array(each, name)
            for each, name in zip((kernel, bias), names, strict=True)
        ]
        nodes.append(helper.make_node("MatMul", [value, names[0]], [product], f"{layer}/MatMul"))
        nodes.append(helper.make_node("Add", [product, names[1]], [added], f"{layer}/BiasAdd"))
        last = number == len(weights) - 1
        value = f"dense_{number}" if last else f"{layer}/Relu:0"
        kind, attributes = ("Softmax", {"axis": 1}) if last else ("Relu", {})
        nodes.append(helper.make_node(kind, [added], [value], f"{layer}/{kind}", **attributes))
    entry = helper.make_tensor_value_info(
        "flatten_input", TensorProto.FLOAT, ["unk__10", length, channels]
    )
    result = helper.make_tensor_value_info(value, TensorProto.FLOAT, ["unk__11", classes])
    graph = helper.make_graph(nodes, "tf2onnx", [entry], [result], constants)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8, producer_name="tf2onnx"
    )


def quantized_by_onnxruntime(
    module: nn.Module, windows: Floats, folder: Path, **options: Any
) -> Path:
    """Export a module by torch and quantize it by onnxruntime's quantize_static; return the file.

    Args:
        module: Called with [n, channels, length].
        windows: Calibration windows of that shape.
        folder: Where the files go.
        **options: Of quantize_static, over its own advice for QDQ and int8 weights.
    """
    import torch
    from onnxruntime.quantization import QuantFormat, QuantType, quant_pre_process, quantize_static

    exported, prepared, quantized = (
        folder / name for name in ("own-float.onnx", "own-prepared.onnx", "own-qdq.onnx")
    )
    torch.onnx.export(
        module.eval(),
        (torch.from_numpy(windows[:1]),),
        str(exported),
        dynamo=False,
        opset_version=17,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch"}},
    )
    quant_pre_process(str(exported), str(prepared), skip_symbolic_shape=True)
    settings: dict[str, Any] = {
        "quant_format": QuantFormat.QDQ,
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QInt8,
        "per_channel": True,
        **options,
    }
    quantize_static(str(prepared), str(quantized), _Reader(windows), **settings)
    return quantized


class _Reader:
    """onnxruntime's CalibrationDataReader over windows."""

    def __init__(self, windows: Floats) -> None:
        self._feeds: Iterator[dict[str, Floats]] = iter(
            [{"input": window[np.newaxis]} for window in windows]
        )

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._feeds, None)
