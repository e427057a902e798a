"""The C of segments against its specification in numpy: every byte, whatever the blocks are."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.firmware import Labels, build_host_library, generate
from edgeprune.firmware.front_end_files import front_end_header
from edgeprune.network import Dense, IntegerNetwork, Reshape, Tensor
from edgeprune.resources import resource_folder
from edgeprune.targets import load_target

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow")
DRIVER = """
#include "edgeprune_segments.h"
uint32_t start = 0;
int32_t drive(const edgeprune_segments_config *config, const int16_t *samples, int32_t count,
              int32_t block, int8_t *signal, int32_t *positions);
int32_t drive(const edgeprune_segments_config *config, const int16_t *samples, int32_t count,
              int32_t block, int8_t *signal, int32_t *positions) {
    static edgeprune_segments_state state;
    int32_t done = 0, produced = 0;
    edgeprune_segments_reset(config, &state);
    state.taken = start; /* as if after days of nothing */
    while (done < count) {
        int32_t end = done + block < count ? done + block : count;
        while (done < end) {
            done += edgeprune_segments_samples(config, &state, samples + done * config->channels,
                                               end - done);
            while (edgeprune_segments_window(config, &state, signal)) {
                positions[produced++] = (int32_t)(state.position - start);
                signal += config->length * config->channels;
            }
        }
    }
    return produced;
}
"""


class Config(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in SegmentFrontEnd(1, 1, 1, 1, 1, 0).constants()]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("segments")
    # Undefined behaviour ends the test run on the spot.
    compiler = [sys.executable, "-m", "ziglang", "cc", "-fsanitize-trap=undefined"]
    if shutil.which("gcc"):
        compiler = ["gcc", "-fsanitize-undefined-trap-on-error"]
    runtime = resource_folder("firmware_export") / "runtime"
    (folder / "driver.c").write_text(DRIVER)
    sources = ["driver.c", str(runtime / "edgeprune_segments.c")]
    options = ["-std=c99", "-O2", "-fsanitize=undefined", "-shared", "-fPIC", f"-I{runtime}"]
    command = [*compiler, *options, *WARNINGS, *sources, "-o", "segments.so"]
    subprocess.run(command, check=True, cwd=folder)
    return ctypes.CDLL(str(folder / "segments.so"))


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    extreme=st.booleans(),
    factor=st.integers(1, 5),
    length=st.integers(1, 7),
    channels=st.integers(1, 4),
    step=st.integers(1, 12),
    shift=st.integers(0, 29),
    count=st.integers(0, 150),
    block=st.integers(1, 40),
    start=st.sampled_from([0, 2**32 - 50]),
)
def test_every_window_is_the_same(
    compiled: ctypes.CDLL,
    seed: int,
    extreme: bool,
    factor: int,
    length: int,
    channels: int,
    step: int,
    shift: int,
    count: int,
    block: int,
    start: int,
) -> None:
    generator = np.random.default_rng(seed)
    gain = int(generator.integers(1, (1 << 15) // factor + 1))
    front_end = SegmentFrontEnd(factor, length, channels, factor * step, gain, shift)
    samples = generator.integers(-32768, 32768, (count, channels)).astype(np.int16)
    if extreme:
        samples = np.where(samples < 0, np.int16(-32768), np.int16(32767))
    starts = front_end.starts(count)
    expected = front_end.run(samples, starts)
    assert expected.valid.all()
    signal = np.full((len(starts) + 1, length, channels), 99, np.int8)
    positions = np.zeros(len(starts) + 1, np.int32)
    ctypes.c_uint32.in_dll(compiled, "start").value = start
    produced = compiled.drive(
        ctypes.byref(Config(*front_end.constants().values())),
        *(samples.ctypes.data_as(ctypes.c_void_p), count, block),
        *(array.ctypes.data_as(ctypes.c_void_p) for array in (signal, positions)),
    )
    assert produced == len(starts)
    assert np.array_equal(positions[:produced], starts)
    assert np.array_equal(signal[:produced], expected.signal)


def network_of(front_end: SegmentFrontEnd) -> IntegerNetwork:
    generator = np.random.default_rng(0)
    size = front_end.length * front_end.channels
    tensors = {
        "signal": Tensor("signal", front_end.signal_shape, front_end.signal_scale, 0),
        "flat": Tensor("flat", (size,), front_end.signal_scale, 0),
        "logits": Tensor("logits", (2,), 0.5, 0),
    }
    flat = Reshape(name="flat", inputs=("signal",), output="flat", shape=(size,))
    dense = Dense(
        name="dense",
        inputs=("flat",),
        output="logits",
        weights=generator.integers(-127, 128, (2, size)).astype(np.int8),
        bias=np.zeros(2, np.int32),
        weight_scales=np.full(2, 2.0**-6, np.float32),
    )
    return IntegerNetwork(tensors, ("signal",), ("logits",), (flat, dense))


def test_a_generated_library_makes_windows_of_several_channels(tmp_path: Path) -> None:
    front_end = SegmentFrontEnd(2, 8, 3, 8, 700, 11)
    labels = Labels("test", ("quiet", "seizure"), "nothing", True, ("F7-T7", "Cz", "*/ x"))
    sources = generate(network_of(front_end), front_end, load_target("host"), labels, tmp_path)
    assert "runtime/edgeprune_segments.c" in sources.c_files
    header = (tmp_path / "edgeprune_model.h").read_text()
    assert "F7-T7, Cz, * / x" in header
    assert "push_beat" not in header
    assert "push_beat" not in (tmp_path / "README.md").read_text()
    assert "EDGEPRUNE_SEGMENTS_BYTES 24" in front_end_header(front_end)
    compiler = "gcc" if shutil.which("gcc") else "zig"
    library = build_host_library(sources, compiler=compiler, flags=("-O1",))
    samples = np.random.default_rng(1).integers(-900, 900, (90, 3)).astype(np.int16)
    starts = front_end.starts(len(samples))
    signal, rhythm = library.front_end(samples, starts)
    expected = front_end.run(samples, starts)
    assert np.array_equal(signal, expected.signal)
    assert rhythm.shape == (len(starts), 0)
    assert len(signal) == 10
