"""Random layers for the kernels of Cortex-M3 and Cortex-M0+, and the check of one kernel."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelCode, KernelRequest
from edgeprune.network import AveragePool1d, MaxPool1d, Tensor
from edgeprune.targets import load_target
from tests.firmware.kernels.bench import Bench, expected
from tests.network.strategies import Sketch, _conv, _dense, _depthwise


@st.composite
def weighted_requests(draw: st.DrawFn) -> KernelRequest:
    """Draw a convolution, depthwise convolution or dense layer, perhaps with a pool."""
    sketch = Sketch(np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    kind = draw(st.sampled_from([_conv, _conv, _depthwise, _dense]))
    if kind is _dense:
        source = sketch.input("signal", (draw(st.integers(1, 40)),))
    else:
        source = sketch.input("signal", (draw(st.integers(1, 40)), draw(st.integers(1, 8))))
    output = source
    while output is source:
        try:
            output = kind(draw, sketch, source)
        except NetworkError:
            continue
    pool = draw(st.sampled_from([None, 2, 3, 4, 6, "all"])) if output.is_map else None
    if pool is not None:
        _pool(draw, sketch, output, pool)
    return KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)


def _pool(draw: st.DrawFn, sketch: Sketch, source: Tensor, pool: int | str) -> None:
    size = source.shape[0] if pool == "all" else int(pool)
    if size > source.shape[0]:
        return
    fields = {"kernel": size, "stride": size, **sketch.clamp(source.zero_point)}
    make = AveragePool1d if pool == "all" else MaxPool1d
    sketch.append(make(**sketch.header(source), **fields), source.scale, source.zero_point)


def check(
    code: KernelCode, request: KernelRequest, target_name: str, seed: int, misalignment: int
) -> None:
    """Compare whole calls and a partial one with the specification; the count is exact."""
    random = np.random.default_rng(seed)
    bench = Bench(code, request, load_target(target_name), misalignment)
    assert code.code_bytes >= bench.code_bytes
    sources = [request.source] + ([request.other] if request.other is not None else [])
    windows = [
        [random.integers(-128, 128, source.shape).astype(np.int8) for source in sources],
        [np.full(source.shape, random.choice([-128, 127]), np.int8) for source in sources],
    ]
    for values in windows:
        if request.other is not None and request.other.name == request.source.name:
            values[1] = values[0]
        whole = expected(request, *values)
        outcome = bench.run(*values)
        np.testing.assert_array_equal(outcome.output, whole)
        assert outcome.instructions == code.instructions
        assert outcome.stack_bytes <= code.stack_bytes
        if code.overwrites_input and request.output.size <= request.source.size:
            again = bench.run(*values, in_place=True)
            np.testing.assert_array_equal(again.output, whole)
        if code.unit:
            rows = len(whole)
            first = int(random.integers(0, -(-rows // code.unit))) * code.unit
            count = int(random.integers(1, rows - first + 1))
            count = min(-(-count // code.unit) * code.unit, rows - first)
            part = bench.run(*values, first=first, count=count).output
            np.testing.assert_array_equal(part[first : first + count], whole[first : first + count])
            rest = np.delete(part, np.s_[first : first + count], axis=0)
            assert (rest.view(np.uint8) == 0xA5).all()
