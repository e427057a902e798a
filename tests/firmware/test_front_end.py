"""Raw samples to logits: the generated C, here and on emulated cores, against the specification."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.devices import run_front_end
from edgeprune.errors import DeviceError, NetworkError
from edgeprune.firmware import (
    FirmwareSources,
    build_host_library,
    compile_image,
    generate,
    predict_footprint,
)
from edgeprune.firmware.front_end_files import front_end_ring
from edgeprune.network.tensor import Int8Array
from edgeprune.targets import Adc, load_target
from tests.firmware.conftest import Make, labels
from tests.firmware.networks import behind_front_end, r1


def recording(rate: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return samples with noise and beats, int16 and int64."""
    random = np.random.default_rng(2)
    beats = np.cumsum(rate * random.uniform(0.35, 1.4, int(seconds))).astype(np.int64)
    count = int(beats[-1] + rate)
    samples = random.normal(0, 20, count) + 200 * np.sin(np.arange(count) / rate)
    for beat in beats:
        samples[beat - 3 : beat + 4] += (
            random.uniform(0.5, 1.5)
            * np.array([50, 200, 700, 1000, 500, -200, -50])[: max(0, count - beat + 3)]
        )
    return samples.round().astype(np.int16), beats


def expected(
    front_end: BeatFrontEnd, samples: np.ndarray, beats: np.ndarray
) -> tuple[Int8Array, Int8Array]:
    output = front_end.run(samples, beats)
    return output.signal[output.valid], output.rhythm[output.valid]


def sources_for(
    folder: Path, front_end: BeatFrontEnd, target: str, *, rhythm: bool = True
) -> FirmwareSources:
    network = behind_front_end(rhythm)
    return generate(network, front_end, load_target(target), labels(network), folder)


@pytest.mark.parametrize("rate", [128.0, 250.0, 360.0])
@pytest.mark.parametrize("rhythm", [True, False])
def test_windows_on_this_machine(
    tmp_path: Path, host_compiler: str, rate: float, rhythm: bool
) -> None:
    front_end = BeatFrontEnd.for_adc(Adc(rate, 5.0, 11))
    library = build_host_library(
        sources_for(tmp_path, front_end, "host", rhythm=rhythm), compiler=host_compiler
    )
    samples, beats = recording(rate, 60)
    signal, features = library.front_end(samples, beats)
    want_signal, want_rhythm = expected(front_end, samples, beats)
    np.testing.assert_array_equal(signal, want_signal)
    if rhythm:
        np.testing.assert_array_equal(features, want_rhythm)
    else:
        assert features.shape == (len(signal), 0)


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m3", "cortex-m7"])
def test_windows_and_logits_on_emulated_cores(tmp_path: Path, name: str) -> None:
    front_end = BeatFrontEnd.for_adc(Adc(360.0, 5.0, 11))
    target = load_target(name)
    sources = sources_for(tmp_path, front_end, name)
    image = compile_image(sources, target, tmp_path / "image.elf")
    footprint = predict_footprint(sources.program, target, front_end)
    assert image.flash_bytes <= footprint.flash_bytes <= image.flash_bytes + 2048
    assert image.ram_bytes <= footprint.ram_bytes <= image.ram_bytes + 1100
    samples, beats = recording(360.0, 30)
    run = run_front_end(image.elf, target, samples, beats, (96, 2), 18, 5)
    want_signal, want_rhythm = expected(front_end, samples, beats)
    np.testing.assert_array_equal(run.signal, want_signal)
    np.testing.assert_array_equal(run.rhythm, want_rhythm)
    np.testing.assert_array_equal(run.logits, sources.network.run(want_signal, want_rhythm))


def test_the_ring_is_a_power_of_two_and_long_enough() -> None:
    for rate, ring in ((120.0, 256), (250.0, 512), (360.0, 1024), (500.0, 1024)):
        front_end = BeatFrontEnd.for_adc(Adc(rate, 5.0, 12))
        assert front_end_ring(front_end) == ring >= 224 * front_end.factor


def test_a_network_for_other_inputs_is_refused(tmp_path: Path) -> None:
    front_end = BeatFrontEnd.for_adc(Adc(360.0, 5.0, 11))
    network = r1()
    with pytest.raises(NetworkError, match="the front end makes"):
        generate(network, front_end, load_target("host"), labels(network), tmp_path)


def test_a_library_without_a_front_end_says_so(make_sources: Make, host_compiler: str) -> None:
    library = build_host_library(make_sources(r1()), compiler=host_compiler)
    with pytest.raises(DeviceError, match="no front end"):
        library.front_end(np.zeros(9, np.int16), np.zeros(0, np.int64))
