"""The monitor's C against its specification in numpy: every bit, here and on emulated cores."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.devices import run_front_end, run_image
from edgeprune.errors import CompilerError, NetworkError
from edgeprune.firmware import build_host_library, compile_image, generate, predict_footprint
from edgeprune.monitor import InputMonitor, MonitorSettings, Reason, SampleLimits, fit_monitor
from edgeprune.resources import resource_folder
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.library import pointer
from tests.firmware.networks import behind_front_end
from tests.monitor.watched import (
    FRONT_END,
    Watched,
    random_monitor,
    random_windows,
    watched,
)

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow")
RING = 1024


@pytest.fixture(scope="module")
def fitted() -> Watched:
    return watched(seconds=60)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The three C files; undefined behaviour ends the test run on the spot."""
    compiler = [sys.executable, "-m", "ziglang", "cc", "-fsanitize-trap=undefined"]
    if shutil.which("gcc"):
        compiler = ["gcc", "-fsanitize-undefined-trap-on-error"]
    folder = resource_folder("firmware_export") / "runtime"
    library = tmp_path_factory.mktemp("monitor") / "monitor.so"
    files = [str(folder / f"edgeprune_monitor{part}.c") for part in ("", "_raw", "_signal")]
    options = ["-std=c99", "-O2", "-fsanitize=undefined", "-shared", "-fPIC"]
    subprocess.run([*compiler, *options, *WARNINGS, *files, "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


class Config(ctypes.Structure):
    _fields_ = [
        ("zones", ctypes.c_void_p),
        ("centres", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("zone_count", ctypes.c_int32),
        ("channels", ctypes.c_int32),
        ("read", ctypes.c_int32),
        ("classes", ctypes.c_int32),
        ("unusual", ctypes.c_uint32),
        ("margin", ctypes.c_int32),
    ]


class Limits(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int32)
        for name in ("count", "low", "high", "rail_samples", "block", "flat_range", "flat_blocks")
    ]


def limits_of(samples: SampleLimits) -> Limits:
    return Limits(*(getattr(samples, name) for name, _ in Limits._fields_))


def reasons_in_c(
    runtime: ctypes.CDLL,
    monitor: InputMonitor,
    signal: npt.NDArray[np.int8],
    logits: npt.NDArray[np.int8],
) -> list[int]:
    zones = np.array(monitor.zones, np.int32)
    centres = np.array(monitor.centres, np.int16)
    weights = np.array(monitor.weights, np.uint16)
    config = Config(
        zones.ctypes.data,
        centres.ctypes.data,
        weights.ctypes.data,
        len(zones) - 1,
        monitor.channels,
        monitor.read,
        monitor.classes,
        monitor.unusual,
        monitor.margin,
    )
    limits = limits_of(monitor.samples)
    found = []
    for rows, row in zip(signal, logits, strict=True):
        window, answer = np.ascontiguousarray(rows), np.ascontiguousarray(row)
        found.append(
            runtime.edgeprune_monitor_window(ctypes.byref(config), pointer(window), pointer(answer))
            | runtime.edgeprune_monitor_signal(
                ctypes.byref(limits), pointer(window), monitor.channels
            )
        )
    return found


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_monitor_and_any_window(runtime: ctypes.CDLL, seed: int) -> None:
    monitor = random_monitor(seed)
    signal, logits = random_windows(monitor, 8, seed)
    assert reasons_in_c(runtime, monitor, signal, logits) == list(monitor.verdicts(signal, logits))


def test_the_greatest_sums(runtime: ctypes.CDLL) -> None:
    length = 130_000  # as many as the fit allows
    monitor = InputMonitor(
        *(length, 1, 1, (0, length), ((0,), (0,)), ((1 << 14,), (1 << 14,))),
        *(16_646_399, 255, SampleLimits(length, -128, 127, length + 1, length, 0, 1), None),
    )
    signal = np.where(np.arange(length) % 2, 127, -128).astype(np.int8)[None, :, None]
    logits = np.array([[127, -128]], np.int8)
    assert monitor.score(signal, logits) == [255 * 255 << 8]
    assert reasons_in_c(runtime, monitor, signal, logits) == list(monitor.verdicts(signal, logits))


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["noise", "limits", "still", "steps"]),
    first=st.integers(0, 2**32 - 1),
)
def test_raw_samples_anywhere_in_the_ring(
    runtime: ctypes.CDLL, seed: int, kind: str, first: int
) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(1, RING))
    limits = SampleLimits(
        count,
        int(random.integers(-32768, 0)),
        int(random.integers(1, 32768)),
        int(random.integers(1, 30)),
        int(random.integers(1, count + 1)),
        int(random.choice([0, 1, 2, 50, 65535])),
        int(random.integers(1, 5)),
    )
    ring = {
        "noise": random.normal(0, 5, RING).clip(-32768, 32767),
        "limits": random.choice([-32768, 32767, limits.low, limits.high], RING),
        "still": np.full(RING, random.integers(-32768, 32768)),
        "steps": np.repeat(random.integers(-3, 4, RING // 16), 16),
    }[kind].astype(np.int16)
    places = (first + np.arange(count)) % RING
    found = runtime.edgeprune_monitor_raw(
        ctypes.byref(limits_of(limits)), pointer(ring), RING - 1, ctypes.c_uint32(first)
    )
    assert found == limits.verdicts(ring[places][None, :, None])[0]


def test_the_library_decides_or_says_why_not(
    tmp_path: Path, host_compiler: str, fitted: Watched
) -> None:
    network, monitor = fitted.network, fitted.monitor
    sources = generate(
        *(network, FRONT_END, load_target("host"), labels(network), tmp_path), monitor=monitor
    )
    c = build_host_library(sources, compiler=host_compiler)._library
    inputs = fitted.held.inputs()
    logits = network.run(*inputs)
    for signal, row, reasons in zip(
        inputs[0], logits, monitor.verdicts(inputs[0], logits), strict=True
    ):
        window, answer = np.ascontiguousarray(signal), np.ascontiguousarray(row)
        assert c.edgeprune_monitor(pointer(window), pointer(answer)) == reasons
        decision = c.edgeprune_decide_unless(ctypes.c_uint32(int(reasons)), pointer(answer))
        assert decision == (row.argmax() if reasons == 0 else -1)


def test_an_emulated_core_gives_the_same_reasons(tmp_path: Path, fitted: Watched) -> None:
    network, monitor, device = fitted.network, fitted.monitor, load_target("cortex-m4")
    # Both limits are in the way of some of these windows.
    monitor = replace(monitor, margin=monitor.margin + 20, unusual=monitor.unusual // 2)
    sources = generate(network, FRONT_END, device, labels(network), tmp_path, monitor=monitor)
    image = compile_image(sources, device, tmp_path / "monitored.elf", program="monitored")
    predicted = predict_footprint(sources.program, device, FRONT_END, monitor=True)
    assert image.flash_bytes <= predicted.flash_bytes <= image.flash_bytes + 3000
    classes = network.output_tensor.size
    random = np.random.default_rng(0)
    signal = random.integers(-128, 128, (20, 96, 2), dtype=np.int8)
    rhythm = random.integers(-128, 128, (20, 18), dtype=np.int8)
    run = run_image(image.elf, device, signal, rhythm, classes + 1)
    logits = network.run(signal, rhythm)
    np.testing.assert_array_equal(run.logits[:, :classes], logits)
    np.testing.assert_array_equal(run.logits[:, classes], monitor.verdicts(signal, logits))

    samples = fitted.samples.copy()
    samples[3600:3960] = samples[3600]
    samples[7200:7300] = 1023
    front = run_front_end(image.elf, device, samples, fitted.beats, (96, 2), 18, classes + 1)
    output = FRONT_END.run(samples, fitted.beats)
    beats = fitted.beats[output.valid]
    places = beats[:, None] + np.arange(288) - 144
    raw = samples[np.clip(places, 0, len(samples) - 1)]
    logits = network.run(output.signal[output.valid], output.rhythm[output.valid])
    wanted = monitor.verdicts(output.signal[output.valid], logits, raw)
    for reason in Reason:
        assert 0 < ((wanted & reason) != 0).sum() < len(wanted)
    np.testing.assert_array_equal(front.logits[:, :classes], logits)
    np.testing.assert_array_equal(front.logits[:, classes], wanted)


def test_without_a_front_end_on_a_core(tmp_path: Path, fitted: Watched) -> None:
    network, device = behind_front_end(rhythm=False), load_target("cortex-m0plus")
    random = np.random.default_rng(3)
    signal = np.clip(random.normal(0, 40, (60, 96, 2)), -128, 127).astype(np.int8)
    signal[:9, 20:60] = 5
    signal[6:20, ::2] = 127
    part = replace(
        fitted.training.select(np.zeros(60, np.int64)), signal=signal, rhythm=signal[:, :0, 0]
    )
    clean = part.select(np.arange(20, 60))
    monitor = fit_monitor(MonitorSettings(coverage=0.8), network, clean, clean)
    sources = generate(network, None, device, labels(network), tmp_path, monitor=monitor)
    image = compile_image(sources, device, tmp_path / "monitored.elf", program="monitored")
    run = run_image(image.elf, device, signal, None, network.output_tensor.size + 1)
    wanted = monitor.verdicts(signal, network.run(signal))
    assert {int(each) for reason in Reason for each in np.unique(wanted & reason)} == {
        0,
        1,
        2,
        4,
        8,
    }
    np.testing.assert_array_equal(run.logits[:, -1], wanted)


def test_a_library_without_a_monitor_has_nothing_of_it(tmp_path: Path) -> None:
    network, device = behind_front_end(), load_target("cortex-m4")
    sources = generate(network, FRONT_END, device, labels(network), tmp_path)
    for name in {*sources.files} - {"MISRA.md"}:  # one list for all libraries
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "monitor" not in text.lower(), name
        assert "NO_DECISION" not in text
    with pytest.raises(CompilerError, match="without a monitor"):
        compile_image(sources, device, tmp_path / "monitored.elf", program="monitored")


def test_a_monitor_of_another_network_is_refused(tmp_path: Path, fitted: Watched) -> None:
    monitor, network = fitted.monitor, fitted.network
    for other, front_end, own in (
        (replace(monitor, length=95), FRONT_END, network),
        (replace(monitor, centres=monitor.centres[:-1]), FRONT_END, network),
        (monitor, None, network),
    ):
        with pytest.raises(NetworkError, match="does not fit"):
            generate(own, front_end, load_target("host"), labels(own), tmp_path, monitor=other)


def test_the_header_tells_of_it(tmp_path: Path, fitted: Watched) -> None:
    network = fitted.network
    generate(
        *(network, FRONT_END, load_target("host"), labels(network), tmp_path),
        monitor=fitted.monitor,
    )
    header = (tmp_path / "edgeprune_model.h").read_text()
    for reason in Reason:
        assert f"#define EDGEPRUNE_{reason.name} {int(reason)}u " in header
    readme = (tmp_path / "README.md").read_text()
    for name in ("edgeprune_monitor(", "edgeprune_decide_unless(", "edgeprune_window_reasons("):
        assert name in header
        assert name in readme
