"""Which operations become one step."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeprune.devices import run_image
from edgeprune.firmware import compile_image, generate
from edgeprune.network import Add, Conv1d, Dense, IntegerNetwork, Operation, Reshape, Tensor
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.network.strategies import inputs_for

TOOLCHAIN = "gnu" if shutil.which("arm-none-eabi-gcc") else "zig"


def projection(seed: int = 0) -> IntegerNetwork:
    """Return a block whose shortcut is a convolution too: the sum of two convolutions."""
    random = np.random.default_rng(seed)

    def conv(name: str, kernel: int) -> Operation:
        return Conv1d(
            name=name,
            inputs=("signal",),
            output=name,
            weights=random.integers(-90, 90, (8, kernel, 4)).astype(np.int8),
            bias=np.zeros(8, np.int32),
            weight_scales=np.full(8, 0.01, np.float32),
            padding=(kernel // 2, kernel // 2),
        )

    tensors = (
        Tensor("signal", (32, 4), 0.0625, 3),
        Tensor("main", (32, 8), 0.125, 0),
        Tensor("shortcut", (32, 8), 0.15625, 4),
        Tensor("sum", (32, 8), 0.15625, -128),
        Tensor("flat", (256,), 0.15625, -128),
        Tensor("logits", (3,), 0.5, 0),
    )
    operations = (
        conv("main", 3),
        conv("shortcut", 1),
        Add(name="sum", inputs=("main", "shortcut"), output="sum", clamp_low=-128),
        Reshape(name="flat", inputs=("sum",), output="flat", shape=(256,)),
        Dense(
            name="logits",
            inputs=("flat",),
            output="logits",
            weights=random.integers(-90, 90, (3, 256)).astype(np.int8),
            bias=np.zeros(3, np.int32),
            weight_scales=np.full(1, 0.01, np.float32),
        ),
    )
    by_name = {tensor.name: tensor for tensor in tensors}
    return IntegerNetwork(by_name, ("signal",), ("logits",), operations)


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m3", "cortex-m7"])
def test_of_two_convolutions_that_are_added_one_takes_the_sum(tmp_path: Path, name: str) -> None:
    network, target = projection(), load_target(name)
    sources = generate(network, None, target, labels(network), tmp_path / "c")
    computed = [item.name for layer in sources.program.layers for item in layer.step.operations]
    assert sorted(computed) == sorted(operation.name for operation in network.operations)
    image = compile_image(sources, target, tmp_path / "image.elf", toolchain=TOOLCHAIN)
    windows = inputs_for(network, 5, seed=1)
    run = run_image(image.elf, target, *windows, None, 3)
    np.testing.assert_array_equal(run.logits, network.run(*windows))
