"""Random convolutions, and what may follow them in one kernel."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import strategies as st

from edgeprune.firmware.kernels import KernelRequest
from edgeprune.network import (
    Add,
    AveragePool1d,
    Conv1d,
    DepthwiseConv1d,
    MaxPool1d,
    Operation,
    Tensor,
)


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
def layers(draw: st.DrawFn, choices: tuple[int, ...] = (1, 1, 1, 2, 0)) -> Layer:
    """Draw a layer; 0 groups stand for a depthwise convolution."""
    groups = draw(st.sampled_from(choices))
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
        after=draw(st.sampled_from(["", "", "max", "mean", "average", "add", "add and max"])),
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
    few = 2 + layer.seed % 2 * 2
    kernel = {"max": few, "mean": few, "average": tensors[name].shape[0]}
    for kind, pool in (("max", MaxPool1d), ("mean", AveragePool1d), ("average", AveragePool1d)):
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
