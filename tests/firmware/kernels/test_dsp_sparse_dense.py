"""Generated sparse dense layers against the numpy specification, on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelRequest
from edgeprune.firmware.kernels.dsp import dense
from edgeprune.firmware.kernels.dsp.sparse_dense import generate
from edgeprune.network import Dense, Tensor
from edgeprune.targets import load_target
from tests.firmware.kernels.dsp_checks import check

TARGETS = [load_target(name) for name in ("cortex-m4", "cortex-m7", "cortex-m33")]


def layer(
    features: int,
    outputs: int,
    sparsity: float,
    seed: int,
    clamp: tuple[int, int] = (-128, 127),
    spread: float = 0.0,
    zeros: tuple[int, int] = (-128, 3),
) -> KernelRequest:
    random = np.random.default_rng(seed)
    weights = random.integers(-128, 128, (outputs, features)).astype(np.int8)
    weights[random.random(weights.shape) < sparsity] = 0
    operation = Dense(
        name="d",
        inputs=("x",),
        output="y",
        weights=weights,
        bias=random.integers(-3000, 3000, outputs).astype(np.int32),
        weight_scales=np.exp2(random.uniform(-7 - spread, -6, outputs)).astype(np.float32),
        clamp_low=clamp[0],
        clamp_high=clamp[1],
    )
    scale = float(np.float32(0.3 * np.sqrt(features * (1 - sparsity) + 1)))
    tensors = {
        "x": Tensor("x", (features,), 0.5, zeros[0]),
        "y": Tensor("y", (outputs,), scale, zeros[1]),
    }
    operation.check(tensors)
    return KernelRequest("kernel", (operation,), tensors)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 80) | st.integers(250, 300),
    st.integers(1, 14),
    st.sampled_from([0.6, 0.75, 0.9, 1.0]),
    st.sampled_from([(-128, 127), (-128, 50), (0, 127), (3, 127)]),
    st.sampled_from([0.0, 6.0]),
    st.tuples(*[st.sampled_from([-128, 0, 127])] * 2),
    st.integers(0, 2**32 - 1),
)
def test_a_sparse_dense_layer_is_exact(
    features: int,
    outputs: int,
    sparsity: float,
    clamp: tuple[int, int],
    spread: float,
    zeros: tuple[int, int],
    seed: int,
) -> None:
    try:
        request = layer(features, outputs, sparsity, seed, clamp, spread, zeros)
    except NetworkError:
        return
    for code in generate(request):
        check(code, request, TARGETS[seed % 3], seed)


@pytest.mark.parametrize(("sparsity", "share"), [(0.75, 0.5), (0.9, 0.25)])
def test_fewer_weights_take_fewer_instructions_and_less_flash(
    sparsity: float, share: float
) -> None:
    request = layer(128, 20, sparsity, 1)
    codes, others = generate(request), dense.generate(request)
    least = min(code.instructions for code in codes)
    assert least < min(code.instructions for code in others) * share
    assert min(c.flash_bytes for c in codes) < min(c.flash_bytes for c in others)


def test_a_layer_with_few_zeros_is_left_to_others() -> None:
    assert generate(layer(64, 5, 0.0, 1)) == ()
