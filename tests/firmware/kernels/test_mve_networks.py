"""Whole networks in Helium on QEMU's Cortex-M55: every logit, and what a window costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprune.devices import run_image
from edgeprune.firmware import compile_image, generate
from edgeprune.firmware.selection import Implementation, implement
from edgeprune.network import IntegerNetwork
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.kernels.mve_bench import needs_board
from tests.firmware.networks import eeg, r1, residual
from tests.network.strategies import inputs_for

pytestmark = needs_board
_TARGET = load_target("cortex-m55")
# What a window costs beside its kernels: calls, arguments, copies of concatenations.
_CALLS = 400


def _counted(implementation: Implementation) -> int:
    """Return the instructions that the kernels predict."""
    assert {step.kernel for step in implementation.steps if step.code is None} <= {"", "copy"}
    return sum(step.code.instructions for step in implementation.steps if step.code)


def _measured(network: IntegerNetwork, folder: Path, toolchain: str) -> int:
    """Return the instructions of a window, after a look at the logits of several."""
    sources = generate(network, None, _TARGET, labels(network), folder / "c", optimize="speed")
    image = compile_image(sources, _TARGET, folder / "image.elf", toolchain=toolchain)
    inputs = inputs_for(network, 5, seed=3)
    signal, rhythm = inputs if len(inputs) == 2 else (*inputs, None)
    classes = network.output_tensor.size
    run = run_image(image.elf, _TARGET, signal, rhythm, classes, backend="qemu")
    np.testing.assert_array_equal(run.logits, network.run(*inputs))
    assert run.instructions is not None
    return run.instructions.maximum


@pytest.mark.parametrize(
    ("network", "most"), [(r1(), 100_000), (residual(), 9_000), (eeg(), 290_000)]
)
@pytest.mark.parametrize("toolchain", ["gnu", "zig"])
def test_whole_networks(network: IntegerNetwork, most: int, toolchain: str, tmp_path: Path) -> None:
    counted = _counted(implement(network, _TARGET, "speed"))
    measured = _measured(network, tmp_path, toolchain)
    assert counted <= measured <= counted + _CALLS
    assert measured <= most
