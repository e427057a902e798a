"""Generated pools against the numpy specification, on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelRequest
from edgeprune.firmware.kernels.dsp.pools import generate_pool
from edgeprune.network import AveragePool1d, MaxPool1d, Tensor
from edgeprune.targets import load_target
from tests.firmware.kernels.dsp_checks import check

TARGETS = [load_target(name) for name in ("cortex-m4", "cortex-m7")]
Kind = type[MaxPool1d] | type[AveragePool1d]


def pool(
    kind: Kind,
    length: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    clamp: tuple[int, int] = (-128, 127),
) -> KernelRequest:
    operation = kind(
        name="p",
        inputs=("x",),
        output="y",
        kernel=kernel,
        stride=stride,
        padding=padding,
        clamp_low=clamp[0],
        clamp_high=clamp[1],
    )
    shape = operation.output_shape((length, channels))
    tensors = {
        "x": Tensor("x", (length, channels), 0.5, 3),
        "y": Tensor("y", shape, 0.5, 3),
    }
    operation.check(tensors)
    return KernelRequest("kernel", (operation,), tensors)


@pytest.mark.parametrize("kind", [MaxPool1d, AveragePool1d])
@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 40),
    channels=st.integers(1, 14) | st.just(33),
    kernel=st.integers(1, 9) | st.integers(10, 40),
    stride=st.integers(1, 4),
    left=st.integers(0, 5),
    right=st.integers(0, 5),
    clamp=st.sampled_from([(-128, 127), (0, 127), (-128, 40), (-30, 20), (7, 7)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_pool_is_exact(
    kind: Kind,
    length: int,
    channels: int,
    kernel: int,
    stride: int,
    left: int,
    right: int,
    clamp: tuple[int, int],
    seed: int,
) -> None:
    if kind is AveragePool1d:
        windows = -(-length // stride)
        total = max((windows - 1) * stride + kernel - length, 0)
        left, right = (total // 2, total - total // 2) if seed % 2 else (0, 0)
    try:
        request = pool(kind, length, channels, kernel, stride, (left, right), clamp)
    except NetworkError:
        return
    codes = generate_pool(request)
    assert codes
    for code in codes:
        check(code, request, TARGETS[seed % 2], seed)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 6, 7, 10, 16, 255, 256, 257])
def test_every_sum_is_divided_as_in_the_specification(kernel: int) -> None:
    sums = np.unique(np.linspace(-128 * kernel, 127 * kernel, 2000).round().astype(np.int64))
    # Each channel's cells add up to one of the sums: the ties of even kernels are among them.
    base, extra = np.divmod(sums, kernel)
    values = base + (np.arange(kernel)[:, None] < extra)
    for start in range(0, len(sums), 200):
        part = values[:, start : start + 200].astype(np.int8)
        request = pool(AveragePool1d, kernel, part.shape[1], kernel)
        check(generate_pool(request)[0], request, TARGETS[0], kernel, part)


def test_pools_of_two_take_less_than_two_instructions_a_byte() -> None:
    (least, *_) = sorted(
        code.instructions for code in generate_pool(pool(MaxPool1d, 128, 32, 2, 2))
    )
    assert least < 64 * 32 * 2
    (least, *_) = sorted(
        code.instructions for code in generate_pool(pool(AveragePool1d, 128, 32, 2, 2))
    )
    assert least < 64 * 32 * 6


def test_a_slower_way_says_why() -> None:
    (code,) = generate_pool(pool(MaxPool1d, 60, 4, 30, 1, (20, 20)))
    assert "too large" in code.slower
