"""Random networks as assembly on emulated cores: every logit as the specification says.

EDGEPRUNE_RANDOM_NETWORKS sets how many; `make study-firmware` takes 500.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgeprune.devices import run_image
from edgeprune.firmware import OBJECTIVES, compile_image, generate
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.network.strategies import Case, cases

COUNT = int(os.environ.get("EDGEPRUNE_RANDOM_NETWORKS", "4"))
# GNU Arm is many times quicker to start; both compilers assemble the same text.
TOOLCHAIN = "gnu" if shutil.which("arm-none-eabi-gcc") else "zig"


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7"])
@given(case=cases(most_operations=12, count=3), optimize=st.sampled_from(OBJECTIVES.names()))
@settings(
    max_examples=COUNT,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)
def test_random_networks_in_assembly(name: str, case: Case, optimize: str) -> None:
    target = load_target(name)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        words = labels(case.network)
        sources = generate(case.network, None, target, words, place / "c", optimize=optimize)
        image = compile_image(sources, target, place / "image.elf", toolchain=TOOLCHAIN)
        signal, rhythm = case.inputs if len(case.inputs) == 2 else (*case.inputs, None)
        run = run_image(image.elf, target, signal, rhythm, case.network.output_tensor.size)
    np.testing.assert_array_equal(run.logits, case.network.run(*case.inputs))
