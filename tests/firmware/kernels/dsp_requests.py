"""Random requests for the generators of DSP kernels, and how a kernel is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelCode, KernelRequest
from edgeprune.network import (
    Add,
    AveragePool1d,
    Conv1d,
    Dense,
    MaxPool1d,
    Operation,
    Tensor,
)
from edgeprune.network.operation import ClampedOperation
from edgeprune.network.tensor import Int8Array
from edgeprune.targets import load_target
from tests.firmware.kernels.bench import Bench, expected

CORES = ("cortex-m4", "cortex-m7", "cortex-m33")


@dataclass(frozen=True, eq=False)
class Shape:
    """A convolution and what follows it."""

    length: int
    channels: int
    outputs: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    pool: int = 1
    average: bool = False
    means: bool = False
    add: str = ""


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Draw a shape of which at least one window fits."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels = groups * draw(st.integers(2 if groups > 1 else 1, 9))
    kernel = draw(st.integers(1, 7))
    dilation = draw(st.integers(1, 3))
    padding = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    span = (kernel - 1) * dilation + 1
    return Shape(
        length=draw(st.integers(max(span - sum(padding), 1), span + 30)),
        channels=channels,
        outputs=groups * draw(st.integers(1, 6)),
        kernel=kernel,
        stride=draw(st.integers(1, 4)),
        dilation=dilation,
        padding=padding,
        groups=groups,
        pool=draw(st.sampled_from([1, 1, 2, 4])),
        average=draw(st.integers(0, 4)) == 0,
        means=draw(st.booleans()),
        add=draw(st.sampled_from(["", "", "first", "second"])),
    )


@dataclass(frozen=True)
class Scales:
    """Numbers of a weighted operation: ordinary, or as far off as is possible."""

    seed: int
    steps: float
    spread: float
    zero_points: tuple[int, int]
    clamp: str
    large_bias: bool = False


def _zero_points() -> st.SearchStrategy[int]:
    return st.one_of(st.sampled_from([-128, -1, 0, 127]), st.integers(-128, 127))


scales = st.builds(
    Scales,
    seed=st.integers(0, 2**32 - 1),
    steps=st.one_of(st.floats(-2, 3), st.floats(-10, 34)),
    spread=st.sampled_from([0.0, 0.0, 1.5, 6.0]),
    zero_points=st.tuples(_zero_points(), _zero_points()),
    clamp=st.sampled_from(["", "relu", "relu", "high", "both"]),
    large_bias=st.integers(0, 9).map(lambda draw: draw == 0),
)


def _clamp(kind: str, zero_point: int, random: np.random.Generator) -> dict[str, int]:
    if kind == "relu":
        return {"clamp_low": zero_point}
    if kind == "high":
        return {"clamp_high": int(random.integers(-20, 127))}
    if kind == "both":
        low, high = np.sort(random.integers(-128, 128, 2))
        return {"clamp_low": int(low), "clamp_high": int(high)}
    return {}


def convolution(shape: Shape, numbers: Scales) -> KernelRequest:
    """Return the request for a convolution and what is fused with it; reject the impossible."""
    random = np.random.default_rng(numbers.seed)
    depth = shape.channels // shape.groups
    weights = random.integers(-128, 128, (shape.outputs, shape.kernel, depth)).astype(np.int8)
    operations: list[Operation] = []
    tensors = {"x": Tensor("x", (shape.length, shape.channels), 0.0625, numbers.zero_points[0])}
    _weighted(
        lambda **fields: Conv1d(
            weights=weights,
            stride=shape.stride,
            dilation=shape.dilation,
            padding=shape.padding,
            groups=shape.groups,
            **fields,
        ),
        weights[0].size,
        shape.outputs,
        numbers,
        random,
        tensors,
        operations,
    )
    _follow(shape, tensors, operations, random)
    return _checked(tensors, operations)


def dense(features: int, outputs: int, numbers: Scales) -> KernelRequest:
    """Return the request for a dense layer."""
    random = np.random.default_rng(numbers.seed)
    weights = random.integers(-128, 128, (outputs, features)).astype(np.int8)
    operations: list[Operation] = []
    tensors = {"x": Tensor("x", (features,), 0.0625, numbers.zero_points[0])}
    _weighted(
        lambda **fields: Dense(weights=weights, **fields),
        features,
        outputs,
        numbers,
        random,
        tensors,
        operations,
    )
    return _checked(tensors, operations)


def _weighted(
    make: object,
    fan_in: int,
    outputs: int,
    numbers: Scales,
    random: np.random.Generator,
    tensors: dict[str, Tensor],
    operations: list[Operation],
) -> None:
    reach = 5000.0 * fan_in**0.5
    bias = random.normal(0, reach, outputs).round()
    if numbers.large_bias:
        bias[random.integers(0, outputs)] = random.integers(-(2**30), 2**30)
    weight_scales = 0.01 * np.exp2(random.uniform(-numbers.spread, 0, outputs))
    zero_point = numbers.zero_points[1]
    assert callable(make)
    operation = make(
        name="w",
        inputs=("x",),
        output="y",
        bias=bias.astype(np.int32),
        weight_scales=weight_scales.astype(np.float32),
        **_clamp(numbers.clamp, zero_point, random),
    )
    operations.append(operation)
    scale = 0.0625 * 0.01 * reach / 60 * 2.0**numbers.steps
    try:
        shape = operation.output_shape(tensors["x"].shape)
    except NetworkError:
        assume(False)
    tensors["y"] = Tensor("y", shape, float(np.float32(scale)), zero_point)


def _follow(
    shape: Shape,
    tensors: dict[str, Tensor],
    operations: list[Operation],
    random: np.random.Generator,
) -> None:
    """Append an add and a pool."""

    def append(operation: ClampedOperation, scale: float, zero_point: int) -> None:
        inputs = (tensors[name].shape for name in operation.inputs)
        try:
            output = operation.output_shape(*inputs)
        except NetworkError:
            assume(False)
        tensors[operation.output] = Tensor(
            operation.output, output, float(np.float32(scale)), zero_point
        )
        operations.append(operation)

    last = tensors["y"]
    if shape.add:
        factor, sum_factor = np.exp2(random.uniform(-3, 3)), np.exp2(random.uniform(-1, 2))
        tensors["r"] = Tensor(
            "r", last.shape, float(np.float32(last.scale * factor)), int(random.integers(-128, 128))
        )
        scale = max(last.scale, tensors["r"].scale) * sum_factor
        pair = ("y", "r") if shape.add == "first" else ("r", "y")
        zero_point = int(random.choice([-128, 0, 11]))
        clamp = _clamp(str(random.choice(["", "relu", "both"])), zero_point, random)
        append(Add(name="s", inputs=pair, output="s", **clamp), scale, zero_point)
        last = tensors["s"]
    clamp = _clamp(str(random.choice(["", "", "both"])), last.zero_point, random)
    if shape.average:
        length = last.shape[0]
        pool: ClampedOperation = AveragePool1d(
            name="p", inputs=(last.name,), output="p", kernel=length, stride=length, **clamp
        )
        append(pool, last.scale, last.zero_point)
    elif shape.pool > 1:
        pool = (AveragePool1d if shape.means else MaxPool1d)(
            name="p",
            inputs=(last.name,),
            output="p",
            kernel=shape.pool,
            stride=shape.pool,
            **clamp,
        )
        append(pool, last.scale, last.zero_point)


def _checked(tensors: dict[str, Tensor], operations: Sequence[Operation]) -> KernelRequest:
    for operation in operations:
        try:
            operation.check(tensors)
        except NetworkError:
            assume(False)
    return KernelRequest("kernel", tuple(operations), tensors)


def check(code: KernelCode, request: KernelRequest, seed: int, core: str = "cortex-m4") -> None:
    """Hold a kernel against the specification: whole, in parts, and its promises."""
    random = np.random.default_rng(seed)
    bench = Bench(code, request, load_target(core), misalignment=int(random.integers(0, 4)))
    assert code.code_bytes >= bench.code_bytes
    outputs = request.output.shape[0] if request.output.is_map else 1
    for kind in range(2):
        inputs = [_values(request.source, random, kind)]
        if request.other is not None:
            inputs.append(_values(request.other, random, kind))
        wanted = expected(request, *inputs)
        outcome = bench.run(*inputs)
        np.testing.assert_array_equal(outcome.output, wanted)
        assert code.instructions == outcome.instructions
        if code.overwrites_other:
            np.testing.assert_array_equal(bench.run(*inputs, over_other=True).output, wanted)
        if code.overwrites_input and request.output.size <= request.source.size:
            np.testing.assert_array_equal(bench.run(*inputs, in_place=True).output, wanted)
        assert outcome.stack_bytes <= code.stack_bytes
    if code.unit and outputs > code.unit:
        first = int(random.integers(0, outputs)) // code.unit * code.unit
        count = int(random.integers(1, outputs - first + 1))
        if first + count < outputs:
            count = max(count // code.unit * code.unit, code.unit)
        count = min(count, outputs - first)
        part = bench.run(*inputs, first=first, count=count).output
        np.testing.assert_array_equal(part[first : first + count], wanted[first : first + count])
        untouched = np.delete(part, np.s_[first : first + count], axis=0)
        assert (untouched.view(np.uint8) == 0xA5).all()


def _values(tensor: Tensor, random: np.random.Generator, kind: int) -> Int8Array:
    if kind == 0:
        return random.integers(-128, 128, tensor.shape).astype(np.int8)
    return random.choice([-128, 127], tensor.shape).astype(np.int8)
