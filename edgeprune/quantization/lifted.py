"""A float ONNX graph as a torch module of 2-D layers, for tools that know no 1-D ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from edgeprune.errors import UnsupportedOperatorError
from edgeprune.quantization.graph import initializers_of


class LiftedGraph(nn.Module):
    """Computes what the ONNX graph computes, feature maps being [n, channels, 1, length].

    Each node is a submodule `node_<number>` (its place in the graph), by which a tool's own graph
    can be traced back to the ONNX nodes.

    Args:
        model: A clean float graph.

    Raises:
        UnsupportedOperatorError: The graph holds operators that have no 2-D layer here.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        unsupported = [n for n in model.graph.node if n.op_type not in _LAYERS]
        if unsupported:
            listed = ", ".join(f"{node.op_type} '{node.name}'" for node in unsupported)
            raise UnsupportedOperatorError(
                f"neural-compressor cannot be given {listed}",
                where="quantization.quantizer",
                hint='set quantizer = "onnxruntime"',
            )
        constants = {
            name: torch.from_numpy(value.copy())
            for name, value in initializers_of(model.graph).items()
        }
        high = [node.name for node in model.graph.node if _is_high(node, constants)]
        if high:
            raise UnsupportedOperatorError(
                f"neural-compressor is given 1-D layers only; of two axes are {', '.join(high)}",
                where="quantization.quantizer",
                hint='set quantizer = "onnxruntime"',
            )
        self.input_names = tuple(value.name for value in model.graph.input)
        self.output_name = model.graph.output[0].name
        self.wiring: list[tuple[str, tuple[str, ...], str]] = []
        for number, node in enumerate(model.graph.node):
            name = f"node_{number}"
            self.add_module(name, _LAYERS[node.op_type](_attributes(node), node, constants))
            inputs = tuple(entry for entry in node.input if entry not in constants)
            self.wiring.append((name, inputs, node.output[0]))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the logits for inputs in the graph's order; feature maps are lifted on entry."""
        values = {
            name: value.unsqueeze(2) if value.ndim == 3 else value
            for name, value in zip(self.input_names, inputs, strict=True)
        }
        for layer, sources, result in self.wiring:
            values[result] = getattr(self, layer)(*(values[source] for source in sources))
        return values[self.output_name]


Constants = dict[str, Tensor]
Layer = Callable[[dict[str, Any], onnx.NodeProto, Constants], nn.Module]


class _Pair(nn.Module):
    """An operation of two values, of which one may be a constant.

    Args:
        operate: The operation.
        first: The first operand, where it is a constant.
        second: The second.
    """

    first: Tensor | None
    second: Tensor | None

    def __init__(
        self,
        operate: Callable[[Tensor, Tensor], Tensor],
        first: Tensor | None,
        second: Tensor | None,
    ) -> None:
        super().__init__()
        self.operate = operate
        self.register_buffer("first", first)
        self.register_buffer("second", second)

    def forward(self, *values: Tensor) -> Tensor:
        given = iter(values)
        operands = [
            next(given) if known is None else _alongside(known, values[0])
            for known in (self.first, self.second)
        ]
        return self.operate(operands[0], operands[1])


def _alongside(constant: Tensor, value: Tensor) -> Tensor:
    """Lift a constant [(1,) channels, length] as the maps are lifted that it meets."""
    is_flat = constant.ndim == 2 or (constant.ndim == 3 and constant.shape[0] == 1)
    return constant.unsqueeze(-2) if value.ndim == 4 and is_flat else constant


def _pair(operate: Callable[[Tensor, Tensor], Tensor]) -> Layer:
    def build(_: dict[str, Any], node: onnx.NodeProto, constants: Constants) -> nn.Module:
        first, second = (constants.get(name) for name in node.input)
        return _Pair(operate, first, second)

    return build


class _HardSigmoid(nn.Module):
    def __init__(self, alpha: float, beta: float) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta

    def forward(self, value: Tensor) -> Tensor:
        return torch.clamp(self.alpha * value + self.beta, 0.0, 1.0)


class _Concat(nn.Module):
    def forward(self, *values: Tensor) -> Tensor:
        return torch.cat(values, dim=1)


class _Clamp(nn.Module):
    def __init__(self, low: float | None, high: float | None) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, value: Tensor) -> Tensor:
        return torch.clamp(value, self.low, self.high)


class _Pad(nn.Module):
    """Zero padding that differs between the two ends, which torch's layers do not have."""

    def __init__(self, before: int, after: int, layer: nn.Module) -> None:
        super().__init__()
        self.pads = (before, after, 0, 0)
        self.layer = layer

    def forward(self, value: Tensor) -> Tensor:
        padded: Tensor = self.layer(nn.functional.pad(value, self.pads))
        return padded


def _is_high(node: onnx.NodeProto, constants: Constants) -> bool:
    """Whether the windows of a node reach over a height."""
    if node.op_type == "Conv":
        return constants[node.input[1]].ndim == 4 and constants[node.input[1]].shape[2] > 1
    kernel = _attributes(node).get("kernel_shape", [1])
    return any(size > 1 for size in kernel[:-1])


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _last(attributes: dict[str, Any], name: str, default: int) -> int:
    return int(attributes.get(name, [default])[-1])


def _pads(attributes: dict[str, Any]) -> tuple[int, int]:
    pads = attributes.get("pads") or [0, 0]
    return int(pads[len(pads) // 2 - 1]), int(pads[-1])


def _convolution(
    attributes: dict[str, Any], node: onnx.NodeProto, constants: Constants
) -> nn.Module:
    weight = constants[node.input[1]]
    weight = weight.unsqueeze(2) if weight.ndim == 3 else weight
    before, after = _pads(attributes)
    groups = int(attributes.get("group", 1))
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        (1, weight.shape[3]),
        stride=(1, _last(attributes, "strides", 1)),
        padding=(0, before if before == after else 0),
        dilation=(1, _last(attributes, "dilations", 1)),
        groups=groups,
        bias=len(node.input) > 2,
    )
    layer.weight.data = weight
    if layer.bias is not None:
        layer.bias.data = constants[node.input[2]]
    return layer if before == after else _Pad(before, after, layer)


def _dense(attributes: dict[str, Any], node: onnx.NodeProto, constants: Constants) -> nn.Module:
    weight = constants[node.input[1]]
    weight = weight if attributes.get("transB", 0) else weight.T
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=len(node.input) > 2)
    layer.weight.data = weight.contiguous() * attributes.get("alpha", 1.0)
    if len(node.input) > 2:
        layer.bias.data = constants[node.input[2]] * attributes.get("beta", 1.0)
    return layer


def _max_pool(attributes: dict[str, Any], _: onnx.NodeProto, __: Constants) -> nn.Module:
    kernel = _last(attributes, "kernel_shape", 1)
    return nn.MaxPool2d(
        (1, kernel), (1, _last(attributes, "strides", 1)), (0, _pads(attributes)[0])
    )


def _average_pool(attributes: dict[str, Any], _: onnx.NodeProto, __: Constants) -> nn.Module:
    return nn.AvgPool2d(
        (1, _last(attributes, "kernel_shape", 1)),
        (1, _last(attributes, "strides", 1)),
        (0, _pads(attributes)[0]),
        count_include_pad=bool(attributes.get("count_include_pad", 0)),
    )


def _clip(_: dict[str, Any], node: onnx.NodeProto, constants: Constants) -> nn.Module:
    bounds = [float(constants[name]) if name else None for name in node.input[1:]]
    low, high = (*bounds, None, None)[:2]
    return _Clamp(low, high)


_LAYERS: dict[str, Layer] = {
    "Conv": _convolution,
    "Gemm": _dense,
    "MatMul": _dense,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "Clip": _clip,
    "Relu": lambda *_: nn.ReLU(),
    "Elu": lambda given, *_: nn.ELU(given.get("alpha", 1.0)),
    "Gelu": lambda given, *_: nn.GELU(given.get("approximate", b"none").decode()),
    "HardSigmoid": lambda given, *_: _HardSigmoid(given.get("alpha", 0.2), given.get("beta", 0.5)),
    "HardSwish": lambda *_: nn.Hardswish(),
    "LeakyRelu": lambda given, *_: nn.LeakyReLU(given.get("alpha", 0.01)),
    "Sigmoid": lambda *_: nn.Sigmoid(),
    "Tanh": lambda *_: nn.Tanh(),
    "GlobalAveragePool": lambda *_: nn.AdaptiveAvgPool2d(1),
    "Add": _pair(torch.add),
    "Sub": _pair(torch.sub),
    "Mul": _pair(torch.mul),
    "Div": _pair(torch.div),
    "Concat": lambda *_: _Concat(),
    "Flatten": lambda *_: nn.Flatten(),
    "Reshape": lambda *_: nn.Flatten(),
}
