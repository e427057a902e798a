"""Packed convolutions on Cortex-M3 against the numpy specification, one kernel alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgeprune.firmware.kernels import KernelRequest
from edgeprune.firmware.kernels.code import single_request
from edgeprune.firmware.kernels.thumb.direct import direct_after_packed
from edgeprune.firmware.kernels.thumb.packed import packed_convolution
from tests.firmware.kernels.thumb_cases import check, weighted_requests
from tests.firmware.networks import r1


@given(
    request=weighted_requests(),
    target=st.sampled_from(["cortex-m3", "cortex-m3", "cortex-m4", "cortex-m7"]),
    choice=st.integers(0, 1000),
    seed=st.integers(0, 2**32 - 1),
    misalignment=st.integers(0, 3),
)
@settings(
    max_examples=80,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
def test_random_layers(
    request: KernelRequest, target: str, choice: int, seed: int, misalignment: int
) -> None:
    answers = packed_convolution(request)
    assert answers
    check(answers[choice % len(answers)], request, target, seed, misalignment)


@pytest.mark.parametrize(
    ("first", "count", "most"),
    [(0, 1, 27_000), (1, 2, 195_000), (3, 2, 180_000), (5, 2, 130_000), (8, 1, 1_500)],
)
def test_layers_of_r1(first: int, count: int, most: int) -> None:
    request = single_request(r1(), first, count)
    best = min(packed_convolution(request), key=lambda code: code.instructions)
    check(best, request, "cortex-m3", 1, 1)
    assert best.instructions <= most


def test_no_answer_where_sums_could_leave_their_lanes() -> None:
    network = r1()
    weights = np.full((16, 161, 1), -128, np.int8)
    heavy = replace(network.operations[0], weights=weights, padding=(80, 80))
    request = KernelRequest("kernel", (heavy,), network.tensors)
    assert packed_convolution(request) == ()
    answers = direct_after_packed(request)
    assert answers
    assert all(answer.slower for answer in answers)
    check(answers[0], request, "cortex-m3", 1, 1)
    assert direct_after_packed(single_request(network, 0)) == ()
