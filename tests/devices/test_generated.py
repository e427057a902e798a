"""Generated firmware on emulated cores against the integer network that it was generated from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.devices import count_front_end, count_instructions, run_front_end, run_image
from edgeprune.devices.qemu_device import COMMAND
from edgeprune.firmware import Labels, compile_image, generate
from edgeprune.network import IntegerNetwork
from edgeprune.targets import Adc, Target, load_target
from tests.devices.conftest import UNICORN_TARGETS
from tests.firmware.networks import behind_front_end, r1

CLASSES = 5
MULTIPLY_ACCUMULATES = 866_624
Build = Callable[[str], tuple[Path, Target]]

needs_qemu = pytest.mark.skipif(shutil.which(COMMAND) is None, reason=f"{COMMAND} is absent")


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return r1()


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, network: IntegerNetwork) -> Build:
    built: dict[str, tuple[Path, Target]] = {}

    def get(name: str) -> tuple[Path, Target]:
        if name not in built:
            target = load_target(name)
            folder = tmp_path_factory.mktemp(name)
            labels = Labels("R1", tuple("NSVFQ"), "random numbers", synthetic=True)
            sources = generate(network, None, target, labels, folder / "firmware")
            image = compile_image(sources, target, folder / "image.elf")
            built[name] = (image.elf, target)
        return built[name]

    return get


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """Random windows and the corners of the input range."""
    windows = np.random.default_rng(1).integers(-128, 128, (16, 256, 1)).astype(np.int8)
    windows[0] = -128
    windows[1] = 127
    windows[2, ::2], windows[2, 1::2] = -128, 127
    return windows


@pytest.mark.parametrize("name", UNICORN_TARGETS)
def test_unicorn_computes_the_specification(
    name: str, build: Build, network: IntegerNetwork, signal: np.ndarray
) -> None:
    elf, target = build(name)
    run = run_image(elf, target, signal, None, CLASSES)
    np.testing.assert_array_equal(run.logits, network.run(signal))


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m7"])
def test_the_profile_names_every_layer(name: str, build: Build, signal: np.ndarray) -> None:
    elf, target = build(name)
    profile = count_instructions(elf, target, signal[:1], None, CLASSES)
    names = [layer.symbol.split("_", 3)[3] for layer in profile.layers if "layer" in layer.symbol]
    # A pool is computed with the convolution before it.
    pooled = ["conv1d_max_pool1d", "conv1d_max_pool1d", "conv1d_average_pool1d"]
    assert names == ["conv1d", *pooled, "dense"]
    assert sum(layer.total for layer in profile.layers) == profile.median
    # No instruction does more than four multiply-accumulates on these cores.
    assert profile.median > MULTIPLY_ACCUMULATES / 4
    assert 0 < profile.stack_bytes < 1024


@pytest.mark.system
@needs_qemu
@pytest.mark.parametrize("name", [*UNICORN_TARGETS, "cortex-m55"])
def test_qemu_computes_the_specification_and_counts_like_unicorn(
    name: str, build: Build, network: IntegerNetwork, signal: np.ndarray
) -> None:
    elf, target = build(name)
    run = run_image(elf, target, signal, None, CLASSES, backend="qemu")
    np.testing.assert_array_equal(run.logits, network.run(signal))
    one = run_image(elf, target, signal[:1], None, CLASSES, backend="qemu")
    assert one.instructions is not None
    if target.emulator is not None:
        profile = count_instructions(elf, target, signal[:1], None, CLASSES)
        assert 0 <= one.instructions.mean - profile.median <= 10


@pytest.mark.parametrize(
    "backend", ["unicorn", pytest.param("qemu", marks=[pytest.mark.system, needs_qemu])]
)
def test_half_an_hour_of_a_patient_passes_the_device(
    backend: str, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    record = wfdb.rdrecord(str(shared_data("mitdb") / "100"), physical=False, channels=[0])
    annotation = wfdb.rdann(str(shared_data("mitdb") / "100"), "atr")
    samples = (record.d_signal[:, 0] - 1024).astype(np.int16)
    is_beat = np.isin(annotation.symbol, list("NLRejAaJSVEFfQ/"))
    beats = annotation.sample[is_beat].astype(np.int64)
    front_end = BeatFrontEnd.for_adc(Adc(360.0, 5.0, 11))
    network = behind_front_end()
    target = load_target("cortex-m7")
    labels = Labels("front end", tuple("NSVFQ"), "random numbers", synthetic=True)
    sources = generate(network, front_end, target, labels, tmp_path / "firmware")
    elf = compile_image(sources, target, tmp_path / "image.elf").elf
    shape = (front_end.signal_shape, front_end.rhythm_features, CLASSES)

    run = run_front_end(elf, target, samples, beats, *shape, backend=backend)
    expected = front_end.run(samples, beats)
    signal, rhythm = expected.signal[expected.valid], expected.rhythm[expected.valid]
    assert len(run.logits) > 2000
    np.testing.assert_array_equal(run.signal, signal)
    np.testing.assert_array_equal(run.rhythm, rhythm)
    np.testing.assert_array_equal(run.logits, network.run(signal, rhythm))

    short = 360 * 10
    profile = count_front_end(elf, target, samples[:short], beats[beats < short], *shape)
    calls = {layer.symbol: layer.calls for layer in profile.layers}
    assert calls["edgeprune_front_end_samples"] == short
    assert calls["edgeprune_classify"] == profile.windows
