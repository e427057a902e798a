"""What every DSP kernel's test checks."""

from __future__ import annotations

import numpy as np

from edgeprune.firmware.kernels import KernelCode, KernelRequest
from edgeprune.network.tensor import Int8Array
from edgeprune.targets import Target
from tests.firmware.kernels.bench import Bench, expected


def check(
    code: KernelCode, request: KernelRequest, target: Target, seed: int, *given: Int8Array
) -> None:
    """Run a kernel over the whole output twice and over parts of it; compare and count."""
    random = np.random.default_rng(seed)
    bench = Bench(code, request, target, misalignment=int(random.integers(0, 4)))
    assert bench.code_bytes <= code.code_bytes
    shapes = [request.source.shape] + ([request.other.shape] if request.other else [])
    extremes = tuple(random.choice([-128, 127], shape).astype(np.int8) for shape in shapes)
    inputs = given or tuple(random.integers(-128, 128, shape).astype(np.int8) for shape in shapes)
    for values in (inputs, extremes):
        outcome = bench.run(*values)
        wanted = expected(request, *values)
        np.testing.assert_array_equal(outcome.output, wanted)
        assert outcome.instructions == code.instructions
        assert outcome.stack_bytes <= code.stack_bytes
    if code.overwrites_input and request.output.size <= request.source.size:
        found = bench.run(*extremes, in_place=True).output
        np.testing.assert_array_equal(found, wanted)
    if not code.unit:
        return
    length = request.output.shape[0]
    units = -(-length // code.unit)
    for _ in range(3):
        begin, end = sorted(int(edge) for edge in random.integers(0, units + 1, 2))
        if begin == end:
            continue
        first, last = begin * code.unit, min(end * code.unit, length)
        outcome = bench.run(*extremes, first=first, count=last - first)
        np.testing.assert_array_equal(outcome.output[first:last], wanted[first:last])
        # The paint of everything else shows that nothing else was written.
        rest = np.delete(outcome.output, np.s_[first:last], axis=0)
        assert (rest == np.int8(-91)).all()
