"""Pools, sums and changes of range on Cortex-M3 and Cortex-M0+ against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from edgeprune.firmware.kernels import KernelRequest
from edgeprune.firmware.kernels.thumb import THUMB_1_GENERATORS, THUMB_2_GENERATORS
from edgeprune.network import Add, AveragePool1d, Requantize
from tests.firmware.kernels.thumb_cases import check
from tests.network.strategies import Sketch, _average_pool, _max_pool

GENERATORS = {"cortex-m3": THUMB_2_GENERATORS, "cortex-m0plus": THUMB_1_GENERATORS}


@st.composite
def _requests(draw: st.DrawFn) -> KernelRequest:
    sketch = Sketch(np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    kind = draw(st.sampled_from(["max", "average", "add", "double", "requantize"]))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 20)))
    if kind not in ("max", "average") and draw(st.booleans()):
        shape = shape[:1]
    source = sketch.input("signal", shape)
    if kind == "max":
        _max_pool(draw, sketch, source)
    elif kind == "average":
        _average_pool(draw, sketch, source)
    else:
        other = sketch.input("other", shape) if kind == "add" else source
        scale, zero_point = sketch.range()
        scale = float(np.float32(max(source.scale, other.scale) * scale))
        fields = sketch.clamp(zero_point)
        if kind == "requantize":
            operation = Requantize(**sketch.header(source), **fields)
        else:
            operation = Add(**sketch.header(source, other), **fields)
        sketch.append(operation, scale, zero_point)
    return KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)


def _check(request: KernelRequest, target: str, seed: int, misalignment: int) -> bool:
    codes = [code for generator in GENERATORS[target] for code in generator(request)]
    for code in codes:
        check(code, request, target, seed, misalignment)
    return bool(codes)


@given(
    request=_requests(),
    target=st.sampled_from(sorted(GENERATORS)),
    seed=st.integers(0, 2**32 - 1),
    misalignment=st.integers(0, 3),
)
@settings(
    max_examples=80,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
def test_random_operations(
    request: KernelRequest, target: str, seed: int, misalignment: int
) -> None:
    done = _check(request, target, seed, misalignment)
    # Only sums for which no linear form was found may go without an answer.
    assume(done or isinstance(request.operations[0], Add))
    assert done or isinstance(request.operations[0], Add)


@pytest.mark.parametrize("target", sorted(GENERATORS))
@pytest.mark.parametrize("length", [1, 3, 32, 77, 200])
def test_global_averages(target: str, length: int) -> None:
    sketch = Sketch(np.random.default_rng(length))
    source = sketch.input("signal", (length, 5))
    operation = AveragePool1d(**sketch.header(source), kernel=length, stride=length)
    sketch.append(operation, source.scale, source.zero_point)
    request = KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)
    assert _check(request, target, length, 1)
