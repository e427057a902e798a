"""Toom-Cook convolutions on Cortex-M0+: the matrices alone, then kernels against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelRequest
from edgeprune.firmware.kernels.code import single_request
from edgeprune.firmware.kernels.thumb.points import Points
from edgeprune.firmware.kernels.thumb.toom import toom_convolution
from edgeprune.network import Conv1d
from tests.firmware.kernels.thumb_cases import _pool, check
from tests.firmware.networks import r1
from tests.network.strategies import Sketch


@pytest.mark.parametrize(("pairs", "taps"), [(1, 2), (1, 3), (2, 3), (2, 5), (3, 3), (3, 7)])
def test_the_matrices_convolve(pairs: int, taps: int) -> None:
    points, random = Points(pairs), np.random.default_rng(pairs)
    outputs = points.products - taps + 1
    filters = random.integers(-128, 128, taps)
    data = random.integers(-128, 128, points.products)
    # The polynomials M(x) / (x - p), by numpy's own arithmetic.
    rows = [np.poly([q for q in points.finite if q != p])[::-1] for p in points.finite]
    rows = [np.pad(row, (0, points.products - len(row))) for row in rows]
    rows.insert(1, np.poly(points.finite)[::-1])
    values = np.array(rows).round().astype(np.int64) @ data
    products = points.weights(filters) * values
    finite = np.array([[p**i for p in points.finite] for i in range(outputs)], dtype=np.int64)
    sums = finite @ np.delete(products, 1)
    sums[-1] += points.scale * products[1]
    expected = [int(filters @ data[i : i + taps]) for i in range(outputs)]
    assert (sums == points.scale * np.array(expected)).all()
    assert (points.inverse * (points.scale >> points.twos)) % 2**32 == 1


@st.composite
def _requests(draw: st.DrawFn) -> KernelRequest:
    sketch = Sketch(np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    length, channels = draw(st.integers(4, 50)), draw(st.integers(1, 40))
    source = sketch.input("signal", (length, channels))
    taps = draw(st.integers(2, min(7, length)))
    padding = (draw(st.integers(0, taps)), draw(st.integers(0, taps)))
    weights = sketch.weights((draw(st.integers(1, 6)), taps, channels))
    output = source
    while output is source:
        try:
            output = sketch.weighted(
                lambda **fields: Conv1d(weights=weights, padding=padding, **fields),
                source,
                weights[0].size,
                len(weights),
                len(weights),
            )
        except NetworkError:
            continue
    pool = draw(st.sampled_from([None, 2, 4, "all"]))
    if pool is not None:
        _pool(draw, sketch, output, pool)
    return KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)


@given(
    request=_requests(),
    choice=st.integers(0, 1000),
    seed=st.integers(0, 2**32 - 1),
    misalignment=st.integers(0, 3),
)
@settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_random_layers(request: KernelRequest, choice: int, seed: int, misalignment: int) -> None:
    answers = toom_convolution(request)
    assume(answers)
    check(answers[choice % len(answers)], request, "cortex-m0plus", seed, misalignment)


@pytest.mark.parametrize(
    ("first", "count", "most"), [(1, 2, 575_000), (3, 2, 497_000), (5, 2, 363_000)]
)
def test_layers_of_r1(first: int, count: int, most: int) -> None:
    request = single_request(r1(), first, count)
    best = min(toom_convolution(request), key=lambda code: code.instructions)
    check(best, request, "cortex-m0plus", 1, 1)
    assert best.instructions <= most
