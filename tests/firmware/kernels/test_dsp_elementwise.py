"""Generated sums and changes of range against the numpy specification, on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelRequest
from edgeprune.firmware.kernels.dsp import elementwise
from edgeprune.firmware.kernels.dsp.elementwise import generate_add, generate_requantize
from edgeprune.network import Add, Operation, Requantize, Tensor
from edgeprune.targets import load_target
from tests.firmware.kernels.dsp_checks import check

TARGETS = [load_target(name) for name in ("cortex-m4", "cortex-m7")]


def zero_points() -> st.SearchStrategy[int]:
    return st.sampled_from([-128, -1, 0, 127]) | st.integers(-128, 127)


def scales() -> st.SearchStrategy[float]:
    return st.floats(-7, 7).map(lambda power: float(np.float32(2.0**power))) | st.sampled_from(
        [1.0, 0.5]
    )


def clamps() -> st.SearchStrategy[tuple[int, int]]:
    ordered = st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(
        lambda pair: (min(pair), max(pair))
    )
    return st.sampled_from([(-128, 127), (0, 127), (-8, 7)]) | ordered


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(st.integers(1, 12), st.integers(1, 9)) | st.tuples(st.integers(1, 70))


def request_of(operation: Operation, *tensors: Tensor) -> KernelRequest:
    named = {tensor.name: tensor for tensor in tensors}
    operation.check(named)
    return KernelRequest("kernel", (operation,), named)


@settings(max_examples=40, deadline=None)
@given(
    shapes(), scales(), scales(), zero_points(), zero_points(), clamps(), st.integers(0, 2**32 - 1)
)
def test_a_change_of_range_is_exact(
    shape: tuple[int, ...],
    first: float,
    second: float,
    zero: int,
    other: int,
    clamp: tuple[int, int],
    seed: int,
) -> None:
    operation = Requantize(
        name="r", inputs=("x",), output="y", clamp_low=clamp[0], clamp_high=clamp[1]
    )
    try:
        request = request_of(
            operation, Tensor("x", shape, first, zero), Tensor("y", shape, second, other)
        )
    except NetworkError:
        return
    codes = generate_requantize(request)
    assert codes
    for code in codes:
        check(code, request, TARGETS[seed % 2], seed)


@pytest.mark.parametrize("zero", [-128, 0, 127])
@pytest.mark.parametrize("other", [-128, 127])
def test_every_byte_is_moved_to_another_zero_point(zero: int, other: int) -> None:
    operation = Requantize(name="r", inputs=("x",), output="y")
    request = request_of(operation, Tensor("x", (256,), 0.5, zero), Tensor("y", (256,), 0.5, other))
    (code,) = generate_requantize(request)
    check(code, request, TARGETS[0], 0, np.arange(-128, 128).astype(np.int8))


@pytest.mark.parametrize("exact", [False, True])
@settings(max_examples=40, deadline=None)
@given(
    shape=shapes(),
    powers=st.tuples(scales(), scales()),
    ratio=st.floats(-3, 8),
    zeros=st.tuples(zero_points(), zero_points(), zero_points()),
    clamp=clamps(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_sum_is_exact(
    exact: bool,
    shape: tuple[int, ...],
    powers: tuple[float, float],
    ratio: float,
    zeros: tuple[int, int, int],
    clamp: tuple[int, int],
    seed: int,
) -> None:
    scale = float(np.float32(max(powers) * 2.0**ratio))
    operation = Add(
        name="a", inputs=("x", "z"), output="y", clamp_low=clamp[0], clamp_high=clamp[1]
    )
    request = request_of(
        operation,
        Tensor("x", shape, powers[0], zeros[0]),
        Tensor("z", shape, powers[1], zeros[1]),
        Tensor("y", shape, scale, zeros[2]),
    )
    with pytest.MonkeyPatch.context() as patch:
        if exact:
            patch.setattr(elementwise.LinearSum, "of", staticmethod(lambda *_: None))
        codes = generate_add(request)
    assert codes
    for code in codes:
        assert bool(code.slower) == (code.approach == "gemmlowp's three roundings")
        check(code, request, TARGETS[seed % 2], seed)


def test_a_thousand_bytes_take_few_instructions() -> None:
    rows = Tensor("x", (100, 10), 0.5, 3)
    change = Requantize(name="r", inputs=("x",), output="y")
    (moved,) = generate_requantize(request_of(change, rows, Tensor("y", (100, 10), 0.5, 0)))
    assert moved.instructions < 1000
    scaled = generate_requantize(request_of(change, rows, Tensor("y", (100, 10), 0.6875, 0)))
    assert min(code.instructions for code in scaled) < 3300
    total = Add(name="a", inputs=("x", "z"), output="y")
    (code,) = generate_add(
        request_of(
            total, rows, Tensor("z", (100, 10), 0.3125, 0), Tensor("y", (100, 10), 0.6875, 0)
        )
    )
    assert code.instructions < 7000


def test_other_operations_are_left_to_others() -> None:
    change = Requantize(name="r", inputs=("x",), output="y")
    tensors = (Tensor("x", (4,), 0.5, 3), Tensor("y", (4,), 0.5, 3))
    assert generate_add(request_of(change, *tensors)) == ()
