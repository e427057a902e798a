"""Filters over the length with the sums over the height, against the numpy specification."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelRequest
from edgeprune.firmware.kernels.dsp.filter_bank import generate
from edgeprune.network import (
    AveragePool1d,
    Conv2d,
    DepthwiseConv2d,
    Operation,
    Reshape,
    Table,
    Tensor,
)
from edgeprune.network.functions import FUNCTIONS
from edgeprune.targets import load_target
from tests.firmware.kernels.dsp_checks import check

TARGETS = [load_target(name) for name in ("cortex-m4", "cortex-m7", "cortex-m33")]


@dataclass(frozen=True)
class Bank:
    """Numbers of a filter bank and of what follows it."""

    length: int
    height: int
    filters: int
    kernel: int
    depth: int = 1
    multiplier: int = 2
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    pool: int = 1
    looks_up: bool = False
    clamped: bool = False
    zero_points: tuple[int, int, int] = (3, -7, 11)
    steps: tuple[float, float] = (0.0, 0.0)
    spread: float = 0.0
    seed: int = 0


BANKS = st.builds(
    Bank,
    length=st.integers(8, 80),
    height=st.integers(2, 5),
    filters=st.integers(1, 5),
    kernel=st.integers(1, 12),
    depth=st.sampled_from([1, 1, 1, 2, 3, 4, 5]),
    multiplier=st.integers(1, 4),
    stride=st.sampled_from([1, 1, 2, 3]),
    dilation=st.sampled_from([1, 1, 2, 3]),
    padding=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    pool=st.sampled_from([1, 2, 4, 8, 16]),
    looks_up=st.booleans(),
    clamped=st.booleans(),
    zero_points=st.tuples(*[st.sampled_from([-128, -1, 0, 5, 127])] * 3),
    steps=st.tuples(*[st.one_of(st.floats(-2, 3), st.floats(-8, 24))] * 2),
    spread=st.sampled_from([0.0, 0.0, 2.0, 6.0]),
    seed=st.integers(0, 2**32 - 1),
)


def request_of(bank: Bank) -> KernelRequest:
    """Return the request, or raise a NetworkError where there is no such network."""
    random = np.random.default_rng(bank.seed)
    scales = [0.0625]
    operations: list[Operation] = []
    tensors = {"x": Tensor("x", (bank.length, bank.height, bank.depth), 0.0625, 9)}
    widths = (bank.filters, bank.filters * bank.multiplier)
    shapes = ((bank.filters, bank.kernel, 1, bank.depth), (1, bank.height, widths[1]))
    for number, (outputs, shape) in enumerate(zip(widths, shapes, strict=True)):
        taps = bank.kernel * bank.depth if number == 0 else bank.height
        reach = 5000.0 * taps**0.5
        clamp = sorted(random.integers(-128, 128, 2).tolist()) if bank.clamped else [-128, 127]
        fields = {
            "name": "fs"[number],
            "inputs": ("xf"[number],),
            "output": "fs"[number],
            "weights": random.integers(-128, 128, shape).astype(np.int8),
            "bias": random.normal(0, reach, outputs).round().astype(np.int32),
            "weight_scales": (0.01 * np.exp2(random.uniform(-bank.spread, 0, outputs))).astype(
                "<f4"
            ),
            "clamp_low": clamp[0],
            "clamp_high": clamp[1],
        }
        operation: Operation
        if number == 0:
            operation = Conv2d(
                stride=(bank.stride, 1),
                dilation=(bank.dilation, 1),
                padding=(bank.padding, (0, 0)),
                **fields,
            )
        else:
            operation = DepthwiseConv2d(channel_multiplier=bank.multiplier, **fields)
        scales.append(scales[-1] * 0.01 * reach / 60 * 2.0 ** bank.steps[number])
        source = tensors["xf"[number]].shape
        scale = float(np.float32(scales[-1]))
        point = bank.zero_points[number]
        tensors["fs"[number]] = Tensor("fs"[number], operation.output_shape(source), scale, point)
        operations.append(operation)
    last = tensors["s"]
    if bank.looks_up:
        tensors["t"] = Tensor("t", last.shape, last.scale, bank.zero_points[2])
        entries = random.integers(-128, 128, 256).astype(np.int8)
        arguments = tuple(FUNCTIONS.get("elu").parameters.values())
        operations.append(
            Table(
                name="t", inputs=("s",), output="t", function="elu", arguments=arguments,
                entries=entries,
            )
        )  # fmt: skip
        last = tensors["t"]
    if bank.pool > 1:
        rows = (last.shape[0], last.size // last.shape[0])
        tensors["r"] = Tensor("r", rows, last.scale, last.zero_point)
        operations.append(Reshape(name="r", inputs=(last.name,), output="r", shape=rows))
        clamp = sorted(random.integers(-128, 128, 2).tolist()) if bank.clamped else [-128, 127]
        pool = AveragePool1d(
            name="p", inputs=("r",), output="p", kernel=bank.pool, stride=bank.pool,
            clamp_low=clamp[0], clamp_high=clamp[1],
        )  # fmt: skip
        tensors["p"] = Tensor("p", pool.output_shape(rows), last.scale, last.zero_point)
        operations.append(pool)
    for operation in operations:
        operation.check(tensors)
    return KernelRequest("kernel", tuple(operations), tensors)


@settings(max_examples=25, deadline=None)
@given(BANKS)
def test_a_filter_bank_is_exact(bank: Bank) -> None:
    assume(bank.filters * bank.multiplier > 1)
    try:
        request = request_of(bank)
    except NetworkError:
        return
    for code in generate(request):
        check(code, request, TARGETS[bank.seed % 3], bank.seed % 1000)


@pytest.mark.parametrize(("height", "most"), [(2, 1.15), (16, 0.95)])
def test_instructions_a_multiply_accumulate(height: int, most: float) -> None:
    bank = Bank(160, height, 8, 64, padding=(32, 32), pool=4, looks_up=True)
    request = request_of(bank)
    codes = generate(request)
    macs = sum(each.multiply_accumulates(request.tensors) for each in request.operations)
    assert min(code.instructions for code in codes) < most * macs
    # What is between both convolutions takes 160 * height * 8 bytes: none of it exists.
    assert min(code.scratch_bytes for code in codes) < 600
    check(codes[-1], request, TARGETS[1], 1)


@pytest.mark.parametrize(
    "change",
    [
        {"padding": ((0, 0), (1, 0))},
        {"weights": np.ones((3, 4, 2, 1), np.int8)},
        {"stride": (1, 2)},
    ],
)
def test_other_windows_are_left_to_others(change: dict[str, object]) -> None:
    request = request_of(Bank(20, 4, 3, 4))
    first, second = request.operations
    assert generate(request)
    assert not generate(
        KernelRequest("kernel", (replace(first, **change), second), request.tensors)
    )
    assert not generate(KernelRequest("kernel", (first,), request.tensors))
