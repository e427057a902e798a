"""Random networks on emulated cores: whole, in steps, portable, guarded and streamed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from edgeprune.devices import run_image
from edgeprune.errors import NetworkError
from edgeprune.firmware import compile_image, generate
from edgeprune.firmware.streaming import least_hop
from edgeprune.network import IntegerNetwork
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.test_streaming import windows
from tests.network.strategies import Case, cases, networks

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7")
FAST = "gnu" if shutil.which("arm-none-eabi-gcc") else "zig"
SOME = settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.filter_too_much],
)


@given(cases(most_operations=10, count=3), st.sampled_from(CORES), st.booleans(), st.booleans())
@SOME
def test_a_device_agrees_with_its_twin(
    tmp_path_factory: pytest.TempPathFactory,
    case: Case,
    name: str,
    small_steps: bool,
    guards: bool,
) -> None:
    network, target, folder = case.network, load_target(name), tmp_path_factory.mktemp("twin")
    words = labels(network)
    sources = generate(
        network, None, target, words, folder / "c", small_steps=small_steps, guards=guards
    )
    elf = folder / "image.elf"
    compile_image(sources, target, elf, toolchain=FAST, program="twin")
    signal, rhythm = case.inputs if len(case.inputs) == 2 else (*case.inputs, None)
    run = run_image(elf, target, signal, rhythm, network.output_tensor.size)
    np.testing.assert_array_equal(run.logits, network.run(*case.inputs))


@given(networks(), st.integers(1, 3), st.sampled_from(CORES))
@SOME
def test_a_device_streams(
    tmp_path_factory: pytest.TempPathFactory, network: IntegerNetwork, steps: int, name: str
) -> None:
    hop = steps * least_hop(network)
    target, folder = load_target(name), tmp_path_factory.mktemp("stream")
    try:
        sources = generate(network, None, target, labels(network), folder / "c", hop=hop)
    except NetworkError:
        reject()
    elf = folder / "image.elf"
    compile_image(sources, target, elf, toolchain=FAST, program="stream")
    (signal,) = windows(network, hop, 3, count=5)
    run = run_image(elf, target, signal, None, network.output_tensor.size)
    np.testing.assert_array_equal(run.logits, network.run(signal))
