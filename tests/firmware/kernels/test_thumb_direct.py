"""Direct convolutions on Cortex-M0+ against the numpy specification, one kernel alone."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from edgeprune.firmware.kernels import KernelRequest
from edgeprune.firmware.kernels.code import single_request
from edgeprune.firmware.kernels.thumb.direct import direct_convolution
from tests.firmware.kernels.thumb_cases import check, weighted_requests
from tests.firmware.networks import r1


@given(
    request=weighted_requests(),
    choice=st.integers(0, 1000),
    seed=st.integers(0, 2**32 - 1),
    misalignment=st.integers(0, 3),
)
@settings(
    max_examples=100,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_random_layers(request: KernelRequest, choice: int, seed: int, misalignment: int) -> None:
    answers = direct_convolution(request)
    assume(answers)
    check(answers[choice % len(answers)], request, "cortex-m0plus", seed, misalignment)


@pytest.mark.parametrize(
    ("first", "count", "most"),
    [(0, 1, 97_500), (1, 2, 996_000), (3, 2, 957_000), (5, 2, 608_000), (8, 1, 2_500)],
)
def test_layers_of_r1(first: int, count: int, most: int) -> None:
    request = single_request(r1(), first, count)
    best = min(direct_convolution(request), key=lambda code: code.instructions)
    check(best, request, "cortex-m0plus", 1, 1)
    assert best.instructions <= most
