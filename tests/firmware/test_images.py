"""Images of all targets: they link, fit, stay the same, and compute what the network says."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgeprune.devices import count_instructions, run_image
from edgeprune.errors import ConfigurationError, TargetTooSmallError
from edgeprune.firmware import OBJECTIVES, Image, compile_image, generate, predict_footprint
from edgeprune.firmware.image import INTERRUPT_FRAME_BYTES
from edgeprune.targets import MICROCONTROLLER, Memory, Target, list_targets, load_target
from tests.firmware.conftest import Make, labels
from tests.firmware.networks import r1, residual
from tests.network.strategies import Case, cases, inputs_for

DEVICES = tuple(name for name in list_targets() if load_target(name).kind == MICROCONTROLLER)
EMULATED = tuple(name for name in DEVICES if load_target(name).emulator is not None)


@pytest.mark.parametrize("toolchain", ["zig", "gnu"])
@pytest.mark.parametrize("name", DEVICES)
def test_every_operator_on_every_target(
    make_sources: Make, tmp_path: Path, name: str, toolchain: str
) -> None:
    if toolchain == "gnu" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("GNU Arm is not installed")
    network, target = residual(), load_target(name)
    windows = inputs_for(network, 40, seed=1)
    sources = make_sources(network, name)
    image = compile_image(sources, target, tmp_path / "image.elf", toolchain=toolchain)
    footprint = predict_footprint(sources.program, target)
    assert image.flash_bytes <= footprint.flash_bytes <= image.flash_bytes + 2048
    assert image.ram_bytes <= footprint.ram_bytes <= image.ram_bytes + 300
    assert sum(symbol.bytes for symbol in image.symbols) <= image.flash_bytes + image.ram_bytes
    if target.emulator is None:
        return
    run = run_image(image.elf, target, *windows, classes=4)
    np.testing.assert_array_equal(run.logits, network.run(*windows))
    assert run.stack_bytes <= image.stack_bytes - INTERRUPT_FRAME_BYTES + 8


@given(case=cases(most_operations=12, count=3), name=st.sampled_from(EMULATED))
@settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_random_networks_on_emulated_cores(
    make_sources: Make, tmp_path: Path, case: Case, name: str
) -> None:
    target = load_target(name)
    image = compile_image(make_sources(case.network, name), target, tmp_path / "image.elf")
    signal, rhythm = case.inputs if len(case.inputs) == 2 else (*case.inputs, None)
    classes = case.network.output_tensor.size
    run = run_image(image.elf, target, signal, rhythm, classes)
    np.testing.assert_array_equal(run.logits, case.network.run(*case.inputs))


@pytest.mark.parametrize(
    ("name", "most"), [("cortex-m7", 1.75), ("cortex-m4", 1.9), ("cortex-m3", 3.1)]
)
def test_instructions_of_r1(make_sources: Make, tmp_path: Path, name: str, most: float) -> None:
    network, target = r1(), load_target(name)
    windows = inputs_for(network, 2, seed=1)
    image = compile_image(make_sources(network, name), target, tmp_path / "image.elf")
    assert image.flash_bytes <= 64 * 1024
    assert image.ram_bytes <= 20 * 1024
    profile = count_instructions(image.elf, target, *windows, None, 5)
    assert profile.maximum / network.multiply_accumulates() <= most
    symbols = {layer.symbol for layer in profile.layers}
    assert {"edgeprune_layer_00_conv1d", "edgeprune_layer_08_dense"} <= symbols


@pytest.mark.parametrize(
    ("name", "toolchain"), [("cortex-m4", "zig"), ("cortex-m0plus", "zig"), ("cortex-m4", "gnu")]
)
def test_two_builds_in_different_folders_are_the_same(
    tmp_path: Path, name: str, toolchain: str
) -> None:
    if toolchain == "gnu" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("GNU Arm is not installed")
    images: list[Image] = []
    for folder in ("first", "a/second folder"):
        network, target = residual(), load_target(name)
        sources = generate(network, None, target, labels(network), tmp_path / folder / "c")
        elf = tmp_path / folder / "image.elf"
        images.append(compile_image(sources, target, elf, toolchain=toolchain))
    first, second = images
    assert first.elf.read_bytes() == second.elf.read_bytes()
    assert first.sha256 == second.sha256
    # No path at all: neither of these folders nor of this machine's tools.
    for word in (str(tmp_path), "site-packages", ".cache", "/usr/", "/home/"):
        assert word.encode() not in first.elf.read_bytes()
    names = sorted(path.name for path in (tmp_path / "first" / "c").iterdir())
    for file in names:
        one, other = (tmp_path / folder / "c" / file for folder in ("first", "a/second folder"))
        assert one.is_dir() or one.read_bytes() == other.read_bytes()


def smaller(target: Target, **memories: int) -> Target:
    """Return the target with other sizes of flash or ram."""
    assert target.memories is not None
    changed = {
        name: Memory(getattr(target.memories, name).origin, size) for name, size in memories.items()
    }
    return replace(target, memories=replace(target.memories, **changed))


def test_a_target_too_small_is_refused_before_compiling(make_sources: Make, tmp_path: Path) -> None:
    sources = make_sources(r1())
    target = load_target("cortex-m4")
    with pytest.raises(TargetTooSmallError, match="16384 bytes of flash|has 16384") as caught:
        compile_image(sources, smaller(target, flash=16384), tmp_path / "image.elf")
    assert "conv1d 'c6'" in caught.value.what
    with pytest.raises(TargetTooSmallError, match="of RAM") as caught:
        compile_image(sources, smaller(target, ram=4096), tmp_path / "image.elf")
    assert "arena, peak in c2" in caught.value.what
    assert not (tmp_path / "image.elf").exists()


def test_the_host_has_no_image(make_sources: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no image"):
        compile_image(make_sources(r1()), load_target("host"), tmp_path / "image.elf")


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m7"])
def test_the_smallest_is_no_larger_than_any_other(tmp_path: Path, name: str) -> None:
    target, network = load_target(name), residual()
    sizes = {}
    for optimize in OBJECTIVES:
        place = tmp_path / optimize
        sources = generate(network, None, target, labels(network), place, optimize=optimize)
        sizes[optimize] = compile_image(sources, target, place / "image.elf").flash_bytes
    sources = generate(network, None, load_target("host"), labels(network), tmp_path / "c")
    sizes["portable"] = compile_image(sources, target, tmp_path / "image.elf").flash_bytes
    # The choice rests on a prediction of the code's size.
    assert sizes["size"] <= min(sizes.values()) + 1024, sizes
