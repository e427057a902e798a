"""Hypothesis strategies: random IntegerNetworks over all operators, and inputs for them.

`cases()` is the one to use: a classifier-like network with an input "signal" [length, channels],
perhaps an input "rhythm" [features], a vector as output, and int8 inputs for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.network import (
    Add,
    AveragePool1d,
    AveragePool2d,
    Concat,
    Conv1d,
    Conv2d,
    Dense,
    DepthwiseConv1d,
    DepthwiseConv2d,
    IntegerNetwork,
    MaxPool1d,
    MaxPool2d,
    Mul,
    Operation,
    Requantize,
    Reshape,
    Sub,
    Table,
    Tensor,
)
from edgeprune.network.functions import FUNCTIONS

Int8Array = npt.NDArray[np.int8]
_MOST_ELEMENTS = 4096


@dataclass(frozen=True)
class Case:
    """A network and inputs for it, in the order of `network.inputs`."""

    network: IntegerNetwork
    inputs: tuple[Int8Array, ...]

    def __repr__(self) -> str:
        kinds = ", ".join(operation.kind for operation in self.network.operations)
        return f"Case({[t.shape for t in self.network.input_tensors]}: {kinds})"


@dataclass
class Sketch:
    """A network under construction; `random` decides everything that needs no shrinking."""

    random: np.random.Generator
    tensors: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def range(self) -> tuple[float, int]:
        scale = float(np.float32(2.0 ** self.random.uniform(-8, 2)))
        zero_point = int(self.random.choice([-128, -1, 0, 127, self.random.integers(-128, 128)]))
        return scale, zero_point

    def input(self, name: str, shape: tuple[int, ...], coarseness: float = 1.0) -> Tensor:
        self.inputs.append(name)
        scale, zero_point = self.range()
        self.tensors[name] = Tensor(name, shape, float(np.float32(scale * coarseness)), zero_point)
        return self.tensors[name]

    def append(self, operation: Operation, scale: float, zero_point: int) -> Tensor:
        """File `operation` with an output of that range; NetworkError where it is impossible."""
        shapes = (self.tensors[name].shape for name in operation.inputs)
        output = Tensor(operation.output, operation.output_shape(*shapes), scale, zero_point)
        operation.check(self.tensors | {output.name: output})
        self.tensors[output.name] = output
        self.operations.append(operation)
        return output

    def header(self, *inputs: Tensor) -> dict[str, object]:
        number = len(self.operations)
        names = tuple(tensor.name for tensor in inputs)
        return {"name": f"op{number}", "inputs": names, "output": f"t{number}"}

    def clamp(self, zero_point: int) -> dict[str, int]:
        kind = self.random.integers(0, 4)
        if kind == 0:
            low, high = np.sort(self.random.integers(-128, 128, 2))
            return {"clamp_low": int(low), "clamp_high": int(high)}
        if kind == 1:
            return {"clamp_low": zero_point, "clamp_high": 127}
        return {}

    def weights(self, shape: tuple[int, ...]) -> Int8Array:
        full = self.random.integers(-128, 128, shape)
        style = self.random.integers(0, 4)
        if style == 0:
            full = np.where(self.random.random(shape) < 0.7, 0, full)
        elif style == 1:
            full = np.clip(self.random.normal(0, 12, shape).round(), -127, 127)
        return full.astype(np.int8)

    def weighted(
        self, make: Callable[..., Operation], source: Tensor, fan_in: int, outputs: int, scales: int
    ) -> Tensor:
        """Append a weighted operation with ranges from ordinary to extreme."""
        weight_scales = np.exp2(self.random.uniform(-12, -3, scales)).astype(np.float32)
        spread = 5000.0 * fan_in**0.5
        bias = self.random.normal(0, spread, outputs).round()
        if self.random.random() < 0.1:
            bias[self.random.integers(0, outputs)] = self.random.integers(-(2**30), 2**30)
        zero_point = self.range()[1]
        ordinary = spread / 60 * 2.0 ** self.random.uniform(-3, 3)
        extreme = 2.0 ** self.random.uniform(-4, 40)
        steps = extreme if self.random.random() < 0.15 else ordinary
        for factor in (steps, ordinary, spread * 2**10):
            scale = float(np.float32(source.scale * float(weight_scales[0]) * factor))
            operation = make(
                **self.header(source),
                bias=bias.astype(np.int32),
                weight_scales=weight_scales,
                **self.clamp(zero_point),
            )
            try:
                return self.append(operation, scale, zero_point)
            except NetworkError:
                continue
        return source

    def same_range(self, tensor: Tensor, scale: float, zero_point: int) -> Tensor:
        if (tensor.scale, tensor.zero_point) == (scale, zero_point):
            return tensor
        return self.append(Requantize(**self.header(tensor)), scale, zero_point)

    def network(self) -> IntegerNetwork:
        """Return the network of everything that the last operation depends on."""
        needed = {self.operations[-1].output}
        for operation in reversed(self.operations):
            if operation.output in needed:
                needed |= set(operation.inputs)
        return IntegerNetwork(
            {name: tensor for name, tensor in self.tensors.items() if name in needed},
            tuple(name for name in self.inputs if name in needed),
            (self.operations[-1].output,),
            tuple(operation for operation in self.operations if operation.output in needed),
        )


def _window(draw: st.DrawFn, length: int, *, dilates: bool) -> dict[str, object]:
    """Draw kernel, stride, dilation and padding of which at least one window fits."""
    kernel = draw(st.integers(1, min(length, 9)))
    dilation = draw(st.integers(1, 3)) if dilates else 1
    span = (kernel - 1) * dilation + 1
    lacking = max(span - length, 0)
    most = kernel // 2 + 2 if dilates else kernel // 2
    left = draw(st.integers((lacking + 1) // 2, max(most, (lacking + 1) // 2)))
    right = draw(st.integers(lacking // 2, max(most, lacking // 2)))
    stride = draw(st.integers(1, 4))
    return {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": (left, right)}


def _conv(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    length, channels = source.shape
    # As many groups as channels would be a depthwise convolution.
    groups = draw(st.sampled_from([1, *(g for g in (2, 3) if channels % g == 0 and g < channels)]))
    outputs = groups * draw(st.integers(1, max(1, 12 // groups)))
    window = _window(draw, length, dilates=True)
    kernel = window.pop("kernel")
    weights = sketch.weights((outputs, kernel, channels // groups))
    return sketch.weighted(
        lambda **fields: Conv1d(weights=weights, groups=groups, **window, **fields),
        source,
        weights[0].size,
        outputs,
        outputs,
    )


def _depthwise(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    length, channels = source.shape
    if channels == 1:
        return _conv(draw, sketch, source)
    multiplier = draw(st.integers(1, 3)) if channels < 12 else 1
    window = _window(draw, length, dilates=True)
    weights = sketch.weights((window.pop("kernel"), channels * multiplier))
    return sketch.weighted(
        lambda **fields: DepthwiseConv1d(
            weights=weights, channel_multiplier=multiplier, **window, **fields
        ),
        source,
        len(weights),
        channels * multiplier,
        channels * multiplier,
    )


def _windows(
    draw: st.DrawFn, source: Tensor, *, dilates: bool, alike: bool = False
) -> dict[str, tuple[object, ...]]:
    """Draw a window along the length and one along the height; `alike`: of equal strides."""
    axes = [_window(draw, size, dilates=dilates) for size in source.shape[:2]]
    if alike:
        axes[1]["stride"] = axes[0]["stride"]
    return {key: tuple(axis[key] for axis in axes) for key in axes[0]}


def _conv2d(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    channels = source.shape[2]
    groups = draw(st.sampled_from([1, *(g for g in (2, 3) if channels % g == 0 and g < channels)]))
    outputs = groups * draw(st.integers(1, max(1, 8 // groups)))
    windows = _windows(draw, source, dilates=True)
    weights = sketch.weights((outputs, *windows.pop("kernel"), channels // groups))
    return sketch.weighted(
        lambda **fields: Conv2d(weights=weights, groups=groups, **windows, **fields),
        source,
        weights[0].size,
        outputs,
        outputs,
    )


def _depthwise2d(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    channels = source.shape[2]
    if channels == 1:
        return _conv2d(draw, sketch, source)
    multiplier = draw(st.integers(1, 3)) if channels < 12 else 1
    windows = _windows(draw, source, dilates=True, alike=True)
    outputs = channels * multiplier
    weights = sketch.weights((*windows.pop("kernel"), outputs))
    return sketch.weighted(
        lambda **fields: DepthwiseConv2d(
            weights=weights, channel_multiplier=multiplier, **windows, **fields
        ),
        source,
        weights[..., 0].size,
        outputs,
        outputs,
    )


def _max_pool2d(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    windows = _windows(draw, source, dilates=False)
    del windows["dilation"]
    clamp = sketch.clamp(source.zero_point)
    operation = MaxPool2d(**sketch.header(source), **windows, **clamp)
    return sketch.append(operation, source.scale, source.zero_point)


def _average_pool2d(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    sizes = source.shape[:2]
    fields = {
        "kernel": tuple(
            size if draw(st.booleans()) else draw(st.integers(1, min(size, 5))) for size in sizes
        ),
        "stride": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        **sketch.clamp(source.zero_point),
    }
    operation = AveragePool2d(**sketch.header(source), **fields)
    if draw(st.booleans()):
        same = operation.same_paddings(source.shape)
        operation = AveragePool2d(**sketch.header(source), padding=same, **fields)
    return sketch.append(operation, source.scale, source.zero_point)


def _dense(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    outputs = draw(st.integers(1, 10))
    weights = sketch.weights((outputs, source.size))
    scales = draw(st.sampled_from([1, outputs]))
    return sketch.weighted(
        lambda **fields: Dense(weights=weights, **fields), source, source.size, outputs, scales
    )


def _max_pool(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    window = _window(draw, source.shape[0], dilates=False)
    del window["dilation"]
    clamp = sketch.clamp(source.zero_point)
    operation = MaxPool1d(**sketch.header(source), **window, **clamp)
    return sketch.append(operation, source.scale, source.zero_point)


def _average_pool(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    length = source.shape[0]
    kernel = length if draw(st.booleans()) else draw(st.integers(1, min(length, 9)))
    fields = {
        "kernel": kernel,
        "stride": draw(st.integers(1, 4)),
        **sketch.clamp(source.zero_point),
    }
    operation = AveragePool1d(**sketch.header(source), **fields)
    if draw(st.booleans()):
        same = operation.sliding.same_padding(length)
        operation = AveragePool1d(**sketch.header(source), padding=same, **fields)
    return sketch.append(operation, source.scale, source.zero_point)


def _add(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    alike = [each for each in sketch.tensors.values() if each.shape == source.shape]
    other = draw(st.sampled_from(alike))
    scale, zero_point = sketch.range()
    scale = float(np.float32(max(source.scale, other.scale) * scale))
    clamp = sketch.clamp(zero_point)
    pair = (source, other) if draw(st.booleans()) else (other, source)
    operator = draw(st.sampled_from([Add, Sub]))
    return sketch.append(operator(**sketch.header(*pair), **clamp), scale, zero_point)


def _mul(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    by_channel = (*([1] * (len(source.shape) - 1)), source.shape[-1])
    shapes = (source.shape, by_channel)
    alike = [each for each in sketch.tensors.values() if each.shape in shapes]
    other = draw(st.sampled_from(alike))
    if source.is_map and source.shape != by_channel and draw(st.booleans()):
        last = AveragePool1d(**sketch.header(source), kernel=source.shape[0], stride=1)
        other = sketch.append(last, source.scale, source.zero_point)
    scale, zero_point = sketch.range()
    scale = float(np.float32(source.scale * other.scale * 2.0 ** sketch.random.uniform(0, 12)))
    clamp = sketch.clamp(zero_point)
    swaps = other.shape == source.shape and draw(st.booleans())
    pair = (other, source) if swaps else (source, other)
    return sketch.append(Mul(**sketch.header(*pair), **clamp), scale, zero_point)


def _table(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    name = draw(st.sampled_from(FUNCTIONS.names()))
    function = FUNCTIONS.get(name)
    parameters = tuple(float(np.float32(each)) for each in function.parameters.values())
    scale, zero_point = sketch.range()
    target = Tensor("", source.shape, float(np.float32(scale / 16)), zero_point)
    entries = function.entries(parameters, source, target)
    header = sketch.header(source)
    operation = Table(**header, function=name, arguments=parameters, entries=entries)
    return sketch.append(operation, target.scale, zero_point)


def _concat(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    axis = draw(st.integers(0, len(source.shape) - 1))
    rest = source.shape[:axis] + source.shape[axis + 1 :]
    alike = [
        each
        for each in sketch.tensors.values()
        if len(each.shape) == len(source.shape)
        and each.shape[:axis] + each.shape[axis + 1 :] == rest
    ]
    others = draw(st.lists(st.sampled_from(alike), min_size=1, max_size=2))
    if source.size + sum(each.size for each in others) > _MOST_ELEMENTS:
        return source
    aligned = [sketch.same_range(each, source.scale, source.zero_point) for each in others]
    operation = Concat(**sketch.header(*aligned, source), axis=axis)
    return sketch.append(operation, source.scale, source.zero_point)


def _requantize(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    scale, zero_point = sketch.range()
    scale = float(np.float32(source.scale * scale))
    return sketch.append(
        Requantize(**sketch.header(source), **sketch.clamp(zero_point)), scale, zero_point
    )


def _high(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    """Make a map of two axes of the signal, as the networks of several electrodes do."""
    length, channels = source.shape
    height = draw(st.sampled_from([h for h in range(2, 9) if channels % h == 0] or [1]))
    if height == 1:
        return source
    operation = Reshape(**sketch.header(source), shape=(length, height, channels // height))
    return sketch.append(operation, source.scale, source.zero_point)


def _reshape(draw: st.DrawFn, sketch: Sketch, source: Tensor) -> Tensor:
    channels = draw(st.sampled_from([c for c in (1, 2, 3, 4, 8) if source.size % c == 0]))
    positions = source.size // channels
    # A map of height 1 is one of a single axis.
    heights = [h for h in (2, 3, 4, 5, 6) if positions % h == 0]
    maps = [(positions // h, h, channels) for h in heights]
    shape = draw(st.sampled_from([(source.size,), (positions, channels), *maps]))
    if shape == source.shape:
        return source
    operation = Reshape(**sketch.header(source), shape=shape)
    return sketch.append(operation, source.scale, source.zero_point)


_Step = Callable[[st.DrawFn, Sketch, Tensor], Tensor]
_ON_MAPS: list[_Step] = [_conv, _conv, _depthwise, _max_pool, _average_pool]
_ON_HIGH_MAPS: list[_Step] = [_conv2d, _conv2d, _depthwise2d, _max_pool2d, _average_pool2d]
_ON_ANY: list[_Step] = [_add, _mul, _table, _concat, _requantize, _reshape]


def _flat(sketch: Sketch, source: Tensor) -> Tensor:
    if not source.is_map:
        return source
    operation = Reshape(**sketch.header(source), shape=(source.size,))
    return sketch.append(operation, source.scale, source.zero_point)


@st.composite
def networks(draw: st.DrawFn, most_operations: int = 8, *, high: bool = False) -> IntegerNetwork:
    """Draw a network; small enough that every runtime computes it in milliseconds.

    Args:
        draw: Of hypothesis.
        most_operations: Operations before the last dense layer.
        high: Whether it begins with a map of two axes; else it does so now and then.
    """
    sketch = Sketch(np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    channels = draw(st.sampled_from([2, 4, 6, 8])) if high else draw(st.integers(1, 8))
    value = sketch.input("signal", (draw(st.integers(1, 20 if high else 40)), channels))
    if high or draw(st.integers(0, 3)) == 0:
        value = _high(draw, sketch, value)
    for _ in range(draw(st.integers(0, most_operations))):
        steps = _ON_ANY + ([_dense], _ON_MAPS, _ON_HIGH_MAPS)[len(value.shape) - 1]
        try:
            value = draw(st.sampled_from(steps))(draw, sketch, value)
        except NetworkError:
            continue  # ranges too far apart for this step
    value = _flat(sketch, value)
    if draw(st.booleans()):
        rhythm = sketch.input("rhythm", (draw(st.integers(1, 6)),), value.scale)
        rhythm = sketch.same_range(rhythm, value.scale, value.zero_point)
        operation = Concat(**sketch.header(value, rhythm), axis=0)
        value = sketch.append(operation, value.scale, value.zero_point)
    _dense(draw, sketch, value)
    return sketch.network()


def inputs_for(network: IntegerNetwork, count: int, seed: int) -> tuple[Int8Array, ...]:
    """Return `count` random windows, the extremes of int8 among them."""
    random = np.random.default_rng(seed)
    inputs = []
    for tensor in network.input_tensors:
        values = random.integers(-128, 128, (count, *tensor.shape)).astype(np.int8)
        values[0] = -128
        if count > 1:
            values[1] = 127
        inputs.append(values)
    return tuple(inputs)


@st.composite
def cases(draw: st.DrawFn, most_operations: int = 8, count: int = 4, *, high: bool = False) -> Case:
    """Draw a network with `count` windows of inputs; see `networks`."""
    network = draw(networks(most_operations, high=high))
    return Case(network, inputs_for(network, count, draw(st.integers(0, 2**32 - 1))))
