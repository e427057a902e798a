"""Whole networks in Helium on QEMU's Cortex-M55: every logit, and what a window costs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgeprune.devices import run_image
from edgeprune.firmware import OBJECTIVES, compile_image, generate
from edgeprune.firmware.selection import Implementation, implement
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.kernels.mve_bench import needs_board
from tests.firmware.networks import eeg, r1, residual
from tests.firmware.test_random_networks import COUNT
from tests.network.strategies import Case, cases, inputs_for

pytestmark = needs_board
_TARGET = load_target("cortex-m55")
# What a window costs beside its kernels: calls, arguments, copies of concatenations.
_CALLS = 400


def _counted(implementation: Implementation) -> int:
    """Return the instructions that the kernels predict."""
    assert {step.kernel for step in implementation.steps if step.code is None} <= {"", "copy"}
    return sum(step.code.instructions for step in implementation.steps if step.code)


def _measured(
    network: IntegerNetwork,
    inputs: tuple[Int8Array, ...],
    folder: Path,
    toolchain: str = "gnu",
    optimize: str = "speed",
) -> int:
    """Return the instructions of a window, after a look at the logits of all."""
    sources = generate(network, None, _TARGET, labels(network), folder / "c", optimize=optimize)
    image = compile_image(sources, _TARGET, folder / "image.elf", toolchain=toolchain)
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
    measured = _measured(network, inputs_for(network, 5, seed=3), tmp_path, toolchain)
    assert counted <= measured <= counted + _CALLS
    assert measured <= most


@given(case=cases(most_operations=12, count=3), optimize=st.sampled_from(OBJECTIVES.names()))
@settings(
    max_examples=COUNT,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
def test_random_networks(case: Case, optimize: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _measured(case.network, case.inputs, Path(folder), optimize=optimize)
