"""The sum of two bytes as two multiply-adds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.firmware.kernels.dsp.linear_sum import LinearSum
from edgeprune.network import Add, Tensor

_RANGES = st.tuples(st.floats(-3, 3), st.integers(-128, 127))


@settings(max_examples=40, deadline=None)
@given(_RANGES, _RANGES, _RANGES, st.sampled_from([(-128, 127), (-128, 90), (-5, 127), (3, 40)]))
def test_a_found_sum_is_exact_for_every_pair_of_bytes(
    first: tuple[float, int],
    second: tuple[float, int],
    output: tuple[float, int],
    clamp: tuple[int, int],
) -> None:
    tensors = {
        name: Tensor(name, (65536,), float(np.float32(0.1 * 2.0 ** numbers[0])), numbers[1])
        for name, numbers in (("a", first), ("b", second), ("s", output))
    }
    addition = Add(name="s", inputs=("a", "b"), output="s", clamp_low=clamp[0], clamp_high=clamp[1])
    found = LinearSum.of(addition, tensors)
    if found is None:
        return
    values = np.arange(-128, 128).astype(np.int8)
    ones, others = np.repeat(values, 256), np.tile(values, 256)
    # The words of the device: everything modulo 2^32.
    words = ones.astype(np.int64) * found.first + others * found.second + found.offset
    words = (words + 2**31) % 2**32 - 2**31
    sums = np.clip(words >> found.shift, *clamp)
    np.testing.assert_array_equal(sums, addition.run(tensors, ones[None], others[None])[0])


def test_ordinary_ranges_are_found() -> None:
    tensors = {
        "a": Tensor("a", (4,), float(np.float32(0.021)), -128),
        "b": Tensor("b", (4,), float(np.float32(0.034)), 4),
        "s": Tensor("s", (4,), float(np.float32(0.029)), -128),
    }
    addition = Add(name="s", inputs=("a", "b"), output="s", clamp_low=-128)
    assert LinearSum.of(addition, tensors) is not None
