"""Packed products on cores with DSP instructions: many taps, pools of three, sums in parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgeprune.firmware.kernels import KernelRequest
from edgeprune.firmware.kernels.code import single_request
from edgeprune.firmware.kernels.thumb.packed import packed_convolution
from tests.firmware.kernels.dsp_requests import CORES, Scales, Shape, convolution
from tests.firmware.kernels.thumb_cases import check
from tests.firmware.networks import eeg, r1


@st.composite
def _shapes(draw: st.DrawFn) -> Shape:
    kernel, stride = draw(st.integers(1, 30)), draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    return Shape(
        length=kernel + draw(st.integers(0, 60)),
        channels=groups * draw(st.integers(1, 6)),
        outputs=groups * draw(st.integers(1, 5)),
        kernel=kernel,
        stride=stride,
        dilation=1,
        padding=draw(st.tuples(st.integers(0, 4), st.integers(0, 4))),
        groups=groups,
        pool=draw(st.sampled_from([1, 2, 3, 3, 6])),
    )


def _extreme(request: KernelRequest, kind: str) -> KernelRequest:
    """Return the request with all weights at an end of their range, or with either sign."""
    first, *others = request.operations
    weights = first.weights  # type: ignore[attr-defined]
    if kind == "signs":
        weights = np.where(weights < 0, -127, 127).astype(np.int8)
    elif kind:
        weights = np.full_like(weights, int(kind))
    return replace(request, operations=(replace(first, weights=weights), *others))  # type: ignore[call-arg]


@given(
    shape=_shapes(),
    clamp=st.sampled_from(["", "relu", "both"]),
    kind=st.sampled_from(["", "-128", "127", "signs"]),
    core=st.sampled_from(CORES),
    choice=st.integers(0, 1000),
    seed=st.integers(0, 2**32 - 1),
)
@settings(
    max_examples=80,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_long_convolutions_are_exact(
    shape: Shape, clamp: str, kind: str, core: str, choice: int, seed: int
) -> None:
    numbers = Scales(seed=seed, steps=0.5, spread=1.5, zero_points=(-3, -128), clamp=clamp)
    request = _extreme(convolution(shape, numbers), kind)
    answers = packed_convolution(request)
    assert answers or kind
    if answers:
        check(answers[choice % len(answers)], request, core, seed, seed % 4)


@pytest.mark.parametrize("kind", ["-128", "127", "signs"])
@pytest.mark.parametrize("pool", [1, 2, 3])
def test_sums_in_parts_are_exact_at_the_ends_of_their_range(kind: str, pool: int) -> None:
    numbers = Scales(seed=1, steps=0.5, spread=0.0, zero_points=(127, -128), clamp="")
    shape = Shape(length=140, channels=3, outputs=3, kernel=60, pool=pool)
    request = _extreme(convolution(shape, numbers), kind)
    answers = packed_convolution(request)
    assert answers
    for code in answers[:: max(len(answers) // 6, 1)]:
        check(code, request, "cortex-m4", 1, 1)


@pytest.mark.parametrize(("first", "most", "memory"), [(0, 300_000, 1300), (2, 610_000, 1800)])
def test_long_taps_and_pools_of_three_of_the_eeg_network(
    first: int, most: int, memory: int
) -> None:
    request = single_request(eeg(), first, 2)
    fitting = [code for code in packed_convolution(request) if code.scratch_bytes <= memory]
    best = min(fitting, key=lambda code: code.instructions)
    assert best.instructions <= most
    check(best, request, "cortex-m7", 1, 1)


def test_chunks_over_their_input_take_less_memory_than_input_and_output_apart() -> None:
    request = single_request(r1(), 1, 2)
    whole = min(packed_convolution(request), key=lambda code: code.instructions)
    codes = [code for code in packed_convolution(request) if code.overwrites_input]
    half = min(code.scratch_bytes for code in codes if code.instructions <= 206_000)
    assert half <= 0.65 * whole.scratch_bytes
