"""The front end's C against its specification in numpy: every byte, every window."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data.cards import load_card
from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.recordings import read_recordings
from edgeprune.data.synthetic import generate_record
from edgeprune.progress import Silent
from edgeprune.resources import resource_folder
from edgeprune.targets import Adc
from tests.data.patients import three_patients

MIT_BIH = BeatFrontEnd.for_adc(Adc(360, 5.0, 11))
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow")

DRIVER = """
#include "edgeprune_front_end.h"
int32_t state_bytes(void);
uint32_t start = 0;
int32_t drive(const edgeprune_front_end_config *config, const int16_t *samples, int32_t count,
              const int32_t *beats, int32_t beat_count, int32_t block, int32_t delay,
              int8_t *signal, int8_t *rhythm, int32_t *positions, int32_t *refused);
int32_t state_bytes(void) { return (int32_t)sizeof(edgeprune_front_end_state); }
int32_t drive(const edgeprune_front_end_config *config, const int16_t *samples, int32_t count,
              const int32_t *beats, int32_t beat_count, int32_t block, int32_t delay,
              int8_t *signal, int8_t *rhythm, int32_t *positions, int32_t *refused) {
    static edgeprune_front_end_state state;
    int32_t produced = 0, done = 0, beat = 0;
    edgeprune_front_end_reset(&state);
    state.taken = start; /* as if after days of nothing */
    *refused = 0;
    while (done < count) {
        int32_t end = done + block < count ? done + block : count, again;
        while (done < end) {
            done += edgeprune_front_end_samples(config, &state, samples + done, end - done);
            for (again = 1; again;) {
                again = edgeprune_front_end_window(config, &state, signal, rhythm);
                if (again) {
                    positions[produced++] = (int32_t)(state.position - start);
                    signal += 192;
                    rhythm += 18;
                }
            }
        }
        while (beat < beat_count && beats[beat] + delay < done) {
            *refused += !edgeprune_front_end_beat(config, &state, start + (uint32_t)beats[beat]);
            beat++;
            for (again = 1; again;) {
                again = edgeprune_front_end_window(config, &state, signal, rhythm);
                if (again) {
                    positions[produced++] = (int32_t)(state.position - start);
                    signal += 192;
                    rhythm += 18;
                }
            }
        }
    }
    return produced;
}
int32_t beat_after(const edgeprune_front_end_config *config, uint32_t silence);
int32_t beat_after(const edgeprune_front_end_config *config, uint32_t silence) {
    static edgeprune_front_end_state state;
    const int16_t still[8] = {0};
    edgeprune_front_end_reset(&state);
    edgeprune_front_end_samples(config, &state, still, 8);
    edgeprune_front_end_beat(config, &state, 7);
    state.queued = 0; /* its window came out long ago */
    state.taken = 7u + (1u << 30) - 4u;
    edgeprune_front_end_samples(config, &state, still, 8);
    state.taken += silence;
    return edgeprune_front_end_beat(config, &state, state.taken - 1u);
}
"""


class Config(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in MIT_BIH.constants()]


@dataclass(frozen=True)
class Produced:
    signal: npt.NDArray[np.int8]
    rhythm: npt.NDArray[np.int8]
    positions: npt.NDArray[np.int32]
    refused: int


class Compiled:
    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    @property
    def state_bytes(self) -> int:
        return int(self._library.state_bytes())

    def beat_after(self, silence: int) -> int:
        config = Config(*MIT_BIH.constants().values())
        return int(self._library.beat_after(ctypes.byref(config), ctypes.c_uint32(silence)))

    def run(
        self,
        front_end: BeatFrontEnd,
        samples: npt.NDArray[np.int16],
        beats: npt.NDArray[np.int64],
        block: int = 1,
        delay: int = 0,
        start: int = 0,
    ) -> Produced:
        signal = np.zeros((len(beats), 96, 2), np.int8)
        rhythm = np.zeros((len(beats), 18), np.int8)
        positions = np.zeros(len(beats), np.int32)
        refused = ctypes.c_int32()
        told = np.ascontiguousarray(beats, np.int32)
        samples = np.ascontiguousarray(samples)
        ctypes.c_uint32.in_dll(self._library, "start").value = start
        count = self._library.drive(
            ctypes.byref(Config(*front_end.constants().values())),
            *(samples.ctypes.data_as(ctypes.c_void_p), len(samples)),
            *(told.ctypes.data_as(ctypes.c_void_p), len(told), block, delay),
            *(array.ctypes.data_as(ctypes.c_void_p) for array in (signal, rhythm, positions)),
            ctypes.byref(refused),
        )
        return Produced(signal[:count], rhythm[:count], positions[:count], refused.value)


def compile_front_end(folder: Path, ring: int) -> Compiled:
    # Undefined behaviour ends the test run on the spot.
    compiler = [sys.executable, "-m", "ziglang", "cc", "-fsanitize-trap=undefined"]
    if shutil.which("gcc"):
        compiler = ["gcc", "-fsanitize-undefined-trap-on-error"]
    runtime = resource_folder("firmware_export") / "runtime"
    driver = folder / "driver.c"
    driver.write_text(DRIVER)
    library = folder / f"front_end_{ring}.so"
    sources = [str(driver), str(runtime / "edgeprune_front_end.c")]
    options = ["-std=c99", "-O2", "-fsanitize=undefined", "-shared", "-fPIC", f"-I{runtime}"]
    options.append(f"-DEDGEPRUNE_FRONT_END_RING={ring}")
    subprocess.run([*compiler, *options, *WARNINGS, *sources, "-o", str(library)], check=True)
    return Compiled(library)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compile_front_end(tmp_path_factory.mktemp("front_end"), 1024)


def assert_same(
    compiled: Compiled,
    front_end: BeatFrontEnd,
    samples: npt.NDArray[np.int16],
    beats: npt.NDArray[np.int64],
    block: int = 1,
    delay: int = 0,
) -> int:
    expected = front_end.run(samples, beats)
    actual = compiled.run(front_end, samples, beats, block, delay)
    assert actual.refused == 0
    np.testing.assert_array_equal(actual.positions, beats[expected.valid])
    np.testing.assert_array_equal(actual.signal, expected.signal[expected.valid])
    np.testing.assert_array_equal(actual.rhythm, expected.rhythm[expected.valid])
    return len(actual.positions)


def test_every_window_of_mit_bih_is_the_same(
    compiled: Compiled, shared_data: Callable[[str], Path]
) -> None:
    recordings = read_recordings(load_card("mit-bih"), shared_data("mitdb"), Silent(), 0)
    total = sum(
        assert_same(compiled, MIT_BIH, recording.samples, recording.beats)
        for recording in recordings
    )
    assert total > 100_600


@pytest.mark.parametrize(("block", "delay"), [(1, 0), (1, 331), (7, 100), (100, 230), (332, 0)])
def test_blocks_and_the_detectors_delay_change_nothing(
    compiled: Compiled, block: int, delay: int
) -> None:
    recording = generate_record(load_card("synthetic-ecg"), "p01", 7)
    told = recording.beats[recording.beats + delay < len(recording.samples)]
    assert assert_same(compiled, MIT_BIH, recording.samples, told, block, delay) > 300


@pytest.mark.parametrize(
    ("rate", "microvolts"), [(125.0, 2.0), (250.0, 1.0), (500.0, 10.0), (1000.0, 0.5)]
)
def test_other_converters(tmp_path: Path, rate: float, microvolts: float) -> None:
    front_end = BeatFrontEnd.for_adc(Adc(rate, microvolts, 16))
    generator = np.random.default_rng(int(rate))
    samples = generator.integers(-32768, 32768, int(60 * rate)).astype(np.int16)
    beats = np.cumsum(generator.integers(round(0.3 * rate), round(1.5 * rate), 50)).astype(np.int64)
    beats = beats[beats < len(samples)]
    larger = compile_front_end(tmp_path, 1024 if rate < 500 else 2048)
    assert assert_same(larger, front_end, samples, beats) > 30


def walk(kind: str, count: int, generator: np.random.Generator) -> npt.NDArray[np.int16]:
    if kind == "limits":
        return generator.choice(np.array([-32768, 32767], np.int16), count)
    if kind == "square":
        period = int(generator.integers(1, 400))
        high = (np.arange(count) // period) % 2
        return np.where(high, 32767, -32768).astype(np.int16)
    if kind == "still":
        return np.full(count, generator.integers(-32768, 32768), np.int16)
    return generator.normal(0, 300, count).clip(-32768, 32767).astype(np.int16)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["limits", "square", "still", "noise"]),
    seed=st.integers(0, 2**32 - 1),
    gaps=st.lists(
        st.one_of(st.integers(30, 60), st.integers(100, 600), st.integers(1900, 3000)),
        max_size=120,
    ),
    first=st.integers(0, 500),
    tail=st.integers(1, 3000),
    delay=st.integers(0, 300),
    least=st.sampled_from([16, 200, 30000]),
)
def test_extreme_signals_and_rhythms(
    compiled: Compiled,
    kind: str,
    seed: int,
    gaps: list[int],
    first: int,
    tail: int,
    delay: int,
    least: int,
) -> None:
    beats = np.cumsum([first, *gaps]).astype(np.int64)
    samples = walk(kind, int(beats[-1]) + tail, np.random.default_rng(seed))
    front_end = replace(MIT_BIH, amplitude_least=least)
    # A beat that the recording's end hides from the detector does not exist for either side.
    beats = beats[beats + delay < len(samples)]
    assert_same(compiled, front_end, samples, beats, 1, delay)


def test_beats_within_a_window_are_queued_and_the_rest_refused(compiled: Compiled) -> None:
    samples = walk("noise", 3000, np.random.default_rng(0))
    assert assert_same(compiled, MIT_BIH, samples, np.arange(500, 516)) == 16
    assert compiled.run(MIT_BIH, samples, np.arange(500, 520)).refused == 4
    assert compiled.run(MIT_BIH, samples, np.array([500, 500])).refused == 1
    assert compiled.run(MIT_BIH, samples, np.array([500]), delay=333).refused == 1


def test_a_lone_beat_comes_out_after_the_longest_interval(compiled: Compiled) -> None:
    beats = np.array([100], np.int64)
    for count in (2400, 100 + MIT_BIH.rr_most + 333, 100 + MIT_BIH.rr_most + 334, 4000):
        samples = walk("noise", count, np.random.default_rng(count))
        produced = assert_same(compiled, MIT_BIH, samples, beats)
        assert produced == (count >= 100 + MIT_BIH.rr_most + 334)


@pytest.mark.parametrize("start", [2**31 - 9000, 2**32 - 9000, 2**32 - 1])
def test_positions_that_wrap_around(compiled: Compiled, start: int) -> None:
    recording = generate_record(three_patients(60), "p01", 7)
    usual = compiled.run(MIT_BIH, recording.samples, recording.beats)
    later = compiled.run(MIT_BIH, recording.samples, recording.beats, start=start)
    np.testing.assert_array_equal(later.positions, usual.positions)
    np.testing.assert_array_equal(later.signal, usual.signal)
    np.testing.assert_array_equal(later.rhythm, usual.rhythm)


@pytest.mark.parametrize("silence", [0, 2**30, 2**31, 3 * 2**30])
def test_a_beat_is_taken_after_months_without_any(compiled: Compiled, silence: int) -> None:
    assert compiled.beat_after(silence) == 1


def test_no_beats_no_windows(compiled: Compiled) -> None:
    samples = np.zeros(500, np.int16)
    assert assert_same(compiled, MIT_BIH, samples, np.zeros(0, np.int64)) == 0


def test_the_state_is_small(compiled: Compiled) -> None:
    assert compiled.state_bytes < 4096


def test_the_header_states_the_same_shapes() -> None:
    text = (resource_folder("firmware_export") / "runtime" / "edgeprune_front_end.h").read_text()
    front_end = MIT_BIH
    for name, value in (
        ("LENGTH", front_end.signal_shape[0]),
        ("CHANNELS", front_end.signal_shape[1]),
        ("FEATURES", front_end.rhythm_features),
        ("HISTORY", front_end.history),
    ):
        assert f"#define EDGEPRUNE_FRONT_END_{name} {value} " in text
