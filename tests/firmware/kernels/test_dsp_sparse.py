"""Generated sparse convolutions against the numpy specification, on emulated cores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelRequest, single_request
from edgeprune.firmware.kernels.dsp.planes import FIELD
from edgeprune.firmware.kernels.dsp.sparse import generate
from edgeprune.network import (
    Add,
    AveragePool1d,
    Conv1d,
    DepthwiseConv1d,
    MaxPool1d,
    Operation,
    Tensor,
)
from edgeprune.targets import load_target
from tests.firmware.kernels.dsp_checks import check
from tests.firmware.networks import r1

TARGETS = [load_target(name) for name in ("cortex-m4", "cortex-m7", "cortex-m33")]


@dataclasses.dataclass(frozen=True)
class Layer:
    """What a drawn request is made of."""

    length: int
    channels: int
    outputs: int
    kernel: int
    stride: int
    dilation: int
    padding: tuple[int, int]
    groups: int
    sparsity: float
    extremes: bool
    zeros: tuple[int, int]
    clamp: tuple[int, int]
    after: str
    seed: int


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    groups = draw(st.sampled_from([1, 1, 1, 2, 0]))
    clamp = st.sampled_from([(-128, 127), (-20, 90), (0, 127)])
    padding = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    kernel, dilation = draw(st.integers(1, 7)), draw(st.sampled_from([1, 1, 2, 3]))
    sparsities = [0.5, 0.75, 0.9, 1.0]
    return Layer(
        length=max(draw(st.integers(1, 60)), (kernel - 1) * dilation + 1 - sum(padding)),
        channels=draw(st.integers(1 if groups == 1 else 2, 9)) * max(groups, 1),
        outputs=draw(st.integers(1, 6)) * max(groups, 1),
        kernel=kernel,
        stride=draw(st.sampled_from([1, 1, 2, 3])),
        dilation=dilation,
        padding=padding,
        groups=groups,
        sparsity=draw(st.sampled_from(sparsities if groups == 1 else [0.0, *sparsities])),
        extremes=draw(st.booleans()),
        zeros=draw(st.tuples(*[st.sampled_from([-128, 0, 127, -7])] * 2)),
        clamp=draw(clamp),
        after=draw(st.sampled_from(["", "", "max", "average", "add", "add and max"])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def request_of(layer: Layer) -> KernelRequest:
    """Build the request; NetworkError where there is none."""
    random = np.random.default_rng(layer.seed)
    tensors = {"x": Tensor("x", (layer.length, layer.channels), 0.5, layer.zeros[0])}
    operations: list[Operation] = []

    def append(operation: Operation, scale: float, zero_point: int) -> None:
        shape = operation.output_shape(*(tensors[name].shape for name in operation.inputs))
        tensors[operation.output] = Tensor(operation.output, shape, scale, zero_point)
        operation.check(tensors)
        operations.append(operation)

    depthwise = layer.groups == 0
    multiplier = 1 + layer.seed % 2
    outputs = layer.channels * multiplier if depthwise else layer.outputs
    depth = 1 if depthwise else layer.channels // layer.groups
    shape = (outputs, layer.kernel, depth)
    weights = random.choice([-128, 127], shape) if layer.extremes else random.normal(0, 40, shape)
    weights = np.clip(weights.round(), -128, 127)
    weights[random.random(shape) < layer.sparsity] = 0
    reach = 2.0 ** random.uniform(-2, 1) * 30 * np.sqrt(layer.kernel * depth)
    fields: dict[str, object] = {
        "name": "c",
        "inputs": ("x",),
        "output": "c",
        "bias": random.integers(-3000, 3000, outputs).astype(np.int32),
        "weight_scales": np.exp2(random.uniform(-7, -6, outputs)).astype(np.float32),
        "stride": layer.stride,
        "dilation": layer.dilation,
        "padding": layer.padding,
        "clamp_low": layer.clamp[0],
        "clamp_high": layer.clamp[1],
    }
    operation: Operation
    if depthwise:
        operation = DepthwiseConv1d(
            weights=weights[:, :, 0].T.astype(np.int8), channel_multiplier=multiplier, **fields
        )
    else:
        operation = Conv1d(weights=weights.astype(np.int8), groups=layer.groups, **fields)
    scale = float(np.float32(0.5 * 0.01 * reach))
    append(operation, scale, layer.zeros[1])
    name = "c"
    if "add" in layer.after:
        tensors["other"] = dataclasses.replace(tensors["c"], name="other", scale=0.75, zero_point=3)
        pair = ("c", "other") if layer.seed % 3 else ("other", "c")
        append(Add(name="a", inputs=pair, output="a"), float(np.float32(scale + 0.75)), -9)
        name = "a"
    kernel = {"max": 2 + layer.seed % 2 * 2, "average": tensors[name].shape[0]}
    for kind, pool in (("max", MaxPool1d), ("average", AveragePool1d)):
        if kind in layer.after:
            append(
                pool(
                    name="p",
                    inputs=(name,),
                    output="p",
                    kernel=kernel[kind],
                    stride=kernel[kind],
                    clamp_low=-100,
                ),
                tensors[name].scale,
                tensors[name].zero_point,
            )
    return KernelRequest("kernel", tuple(operations), tensors)


@settings(max_examples=80, deadline=None)
@given(layers())
def test_a_sparse_convolution_is_exact(layer: Layer) -> None:
    try:
        request = request_of(layer)
    except NetworkError:
        return
    codes = generate(request)
    random = np.random.default_rng(layer.seed)
    for code in codes if len(codes) < 3 else random.permutation(np.array(codes))[:3]:
        check(code, request, TARGETS[layer.seed % 3], layer.seed)


@pytest.mark.parametrize("style", ["random", "magnitude", "blocks"])
def test_nine_tenths_fewer_weights_take_a_fraction_of_the_instructions(style: str) -> None:
    """The second convolution of R1 and its pool: 327,680 multiply-accumulates if dense."""
    request = single_request(r1(), 1, 2)
    convolution = request.operations[0]
    assert isinstance(convolution, Conv1d)
    random = np.random.default_rng(1)
    weights = convolution.weights.copy()
    ranks = random.random(weights.shape)
    if style == "magnitude":
        ranks = np.abs(weights.astype(float))
    elif style == "blocks":
        ranks = np.repeat(random.random((32, 5, 4)), 4, axis=2)
    weights[ranks < np.quantile(ranks, 0.9)] = 0
    operations = (dataclasses.replace(convolution, weights=weights), *request.operations[1:])
    request = KernelRequest(request.symbol, operations, request.tensors)
    codes = generate(request)
    quickest = min(codes, key=lambda code: code.instructions)
    smallest = min(codes, key=lambda code: code.flash_bytes)
    assert quickest.instructions < 60_000
    assert smallest.flash_bytes < 4_000
    for code in (quickest, smallest):
        check(code, request, TARGETS[1], 1)


def test_sums_that_need_more_than_a_field_are_left_to_others() -> None:
    weights = np.zeros((1, 1, 400), np.int8)
    weights[..., :200] = 127
    fields = {"name": "c", "inputs": ("x",), "output": "y", "bias": np.zeros(1, np.int32)}
    tensors = {"x": Tensor("x", (16, 400), 0.5, 0), "y": Tensor("y", (16, 1), 512.0, 0)}
    answers = []
    for count in (100, 200):
        weights[..., count:] = 0
        kept = Conv1d(weights=weights, weight_scales=np.full(1, 0.5, np.float32), **fields)
        answers.append(generate(KernelRequest("kernel", (kept,), tensors)))
        assert (2 * 255 * 127 * count < 2**FIELD) == bool(answers[-1])
        weights[..., :200] = 127


def test_a_convolution_with_few_zeros_is_left_to_others() -> None:
    assert generate(single_request(r1(), 3, 2)) == ()
