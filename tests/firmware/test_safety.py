"""What the device finds out about itself: flipped bits, overruns, wrong logits; bounded steps."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from edgeprune.devices import count_instructions, run_image
from edgeprune.errors import DeviceError
from edgeprune.firmware import Golden, compile_image, generate
from edgeprune.firmware.image import INTERRUPT_FRAME_BYTES
from edgeprune.firmware.slices import SLICE_INSTRUCTIONS, instructions_of, slice_rows
from edgeprune.firmware.toolchains import WARNINGS
from edgeprune.targets import list_targets, load_target
from tests.firmware.conftest import Make, labels
from tests.firmware.faults import Device, undetected_flips, undetected_overruns
from tests.firmware.library import (
    BAD_WEIGHTS,
    OK,
    SELF_TEST_FAILED,
    Library,
)
from tests.firmware.networks import r1, residual
from tests.firmware.test_streaming import windows
from tests.network.strategies import Case, cases, inputs_for

EMULATED = tuple(name for name in list_targets() if load_target(name).emulator and "cortex" in name)
FAST = "gnu" if shutil.which("arm-none-eabi-gcc") else "zig"


@given(cases(most_operations=10, count=2))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_networks_in_steps(make_sources: Make, host_compiler: str, case: Case) -> None:
    sources = make_sources(case.network)
    library = Library(sources, host_compiler)
    expected = case.network.run(*case.inputs)
    counts = set()
    for index in range(len(expected)):
        steps, logits = library.stepped(*(values[index] for values in case.inputs))
        np.testing.assert_array_equal(logits, expected[index])
        counts.add(steps)
    layers = [layer for layer in sources.program.layers if layer.symbol]
    pieces = [-(-layer.rows // slice_rows(layer, case.network)) for layer in layers]
    assert counts == {max(sum(pieces), 1)}
    assert library.c.edgeprune_check_arena() == OK
    assert library.c.edgeprune_check_weights() == OK
    assert library.c.edgeprune_self_test() == OK


def test_a_step_of_r1_is_small(make_sources: Make) -> None:
    network = r1()
    for name in ("cortex-m0plus", "cortex-m7"):
        sources = make_sources(network, name)
        for layer in sources.program.layers:
            part = slice_rows(layer, network)
            share = instructions_of(layer, network) * part / layer.rows
            assert share <= SLICE_INSTRUCTIONS or part == layer.rows or part <= 4, layer.symbol


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m7"])
def test_the_header_tells_the_steps(tmp_path: Path, name: str, small: bool) -> None:
    network, target = r1(), load_target(name)
    folder = tmp_path / "c"
    sources = generate(network, None, target, labels(network), folder, small_steps=small)
    header = (sources.folder / "edgeprune_model.h").read_text()
    stated = re.findall(r"EDGEPRUNE_STEPS (\d+) .* about (\d+) instructions", header)[0]
    image = compile_image(sources, target, tmp_path / "i.elf", toolchain=FAST, program="twin")
    device = Device(image.elf, target)
    window = inputs_for(network, 3, seed=1)[0][2]
    memory = target.memories.exchange.origin
    device.write(memory, window.tobytes())
    assert device.call("edgeprune_begin", memory, 0, memory + 4096) == OK
    counts, more = [], 1
    while more:
        more, instructions = device.count("edgeprune_step")
        counts.append(instructions)
    logits = np.frombuffer(device.read(memory + 4096, 5), np.int8)
    np.testing.assert_array_equal(logits, network.run(window[None])[0])
    assert len(counts) == int(stated[0])
    assert max(counts) <= 1.4 * int(stated[1])
    if small:
        # A whole last layer, or one block of rows of Cortex-M0+, may be a little more.
        assert max(counts) <= 5 * SLICE_INSTRUCTIONS


def test_begin_forgets_an_unfinished_window(make_sources: Make, host_compiler: str) -> None:
    network = r1()
    library = Library(make_sources(network), host_compiler)
    (first, second, *_) = inputs_for(network, 4, seed=2)[0][2:]
    logits = np.zeros(5, np.int8)
    pointers = [ctypes.c_void_p(values.ctypes.data) for values in (first, logits)]
    assert library.c.edgeprune_begin(pointers[0], None, pointers[1]) == OK
    assert library.c.edgeprune_step() == 1
    np.testing.assert_array_equal(library.stepped(second)[1], network.run(second[None])[0])


@pytest.mark.parametrize("name", EMULATED)
def test_the_device_compares_assembly_steps_and_portable_c(
    make_sources: Make, tmp_path: Path, name: str
) -> None:
    target = load_target(name)
    for number, network in enumerate((r1(), residual())):
        signal, *rhythm = inputs_for(network, 12, seed=1)
        sources = make_sources(network, name)
        image = compile_image(
            sources, target, tmp_path / f"{number}.elf", toolchain=FAST, program="twin"
        )
        classes = network.output_tensor.size
        run = run_image(image.elf, target, signal, *(rhythm or [None]), classes)
        np.testing.assert_array_equal(run.logits, network.run(signal, *rhythm))
        assert 0 < run.stack_bytes <= image.stack_bytes - INTERRUPT_FRAME_BYTES + 8


@pytest.mark.system
@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="QEMU is absent")
@pytest.mark.parametrize("program", ["twin", "stream"])
def test_the_board_with_helium_compares_and_streams(tmp_path: Path, program: str) -> None:
    network, target = r1(), load_target("cortex-m55")
    (signal,) = windows(network, 32, 1, count=6)
    sources = generate(network, None, target, labels(network), tmp_path / "c", hop=32, guards=True)
    elf = tmp_path / "i.elf"
    image = compile_image(sources, target, elf, program=program)
    run = run_image(elf, target, signal, None, 5, backend="qemu")
    np.testing.assert_array_equal(run.logits, network.run(signal))
    assert 0 < run.stack_bytes <= image.stack_bytes - INTERRUPT_FRAME_BYTES + 8


def test_the_device_notices_a_twin_that_differs(make_sources: Make, tmp_path: Path) -> None:
    network, target = r1(), load_target("cortex-m7")
    sources = make_sources(network, "cortex-m7")
    image = compile_image(sources, target, tmp_path / "i.elf", toolchain=FAST, program="twin")
    device = Device(image.elf, target)
    address, _ = device.twin["layer_00_weights"]
    content = image.elf.read_bytes()
    place = content.index(device.read(address, 64))
    broken = bytearray(content)
    broken[place + 1] ^= 0x40
    image.elf.write_bytes(broken)
    with pytest.raises(DeviceError, match="own model damaged"):
        run_image(image.elf, target, *inputs_for(network, 1, seed=1), None, 5)


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m7"])
def test_every_flip_and_every_overrun_is_noticed(
    make_sources: Make, tmp_path: Path, name: str
) -> None:
    network, target = r1(), load_target(name)
    sources = make_sources(network, name)
    image = compile_image(sources, target, tmp_path / "i.elf", toolchain=FAST, program="twin")
    device = Device(image.elf, target)
    assert undetected_flips(device, sources, 300, seed=3) == 0
    missed, tried = undetected_overruns(device, seed=4)
    assert missed == 0
    assert tried > 200


def test_the_check_sum_is_that_of_zlib_over_the_very_bytes(
    make_sources: Make, tmp_path: Path
) -> None:
    """A wrong expectation is noticed as well: the check is not always true."""
    network, target = r1(), load_target("cortex-m4")
    sources = make_sources(network, "cortex-m4")
    for path in sources.folder.glob("edgeprune_*.c"):
        text = path.read_text()
        path.write_text(re.sub(r"\*expected = 0x(.)", _other_digit, text))
    image = compile_image(sources, target, tmp_path / "i.elf", toolchain=FAST, program="twin")
    assert Device(image.elf, target).call("edgeprune_check_weights") == BAD_WEIGHTS


def _other_digit(found: re.Match[str]) -> str:
    return f"*expected = 0x{(int(found[1], 16) + 1) % 16:X}"


_OVERRUN = """
#include "edgeprune_model.h"
#include "edgeprune_network.h"
#include <string.h>
#include <stdio.h>
void edgeprune_trace(int32_t operation, const int8_t *values, int32_t count);
static int armed, length, before;
/* Between two layers, something writes `length` bytes beyond one end of the arena. */
void edgeprune_trace(int32_t operation, const int8_t *values, int32_t count) {
    (void)count;
    if (armed && operation == OPERATION) {
        int8_t *arena = (int8_t *)(uintptr_t)values - OFFSET;
        memset(before ? arena - length : arena + EDGEPRUNE_ARENA_BYTES, 0x11, (size_t)length);
    }
}
int main(void) {
    static int8_t signal[EDGEPRUNE_SIGNAL_BYTES], logits[EDGEPRUNE_CLASS_COUNT];
    if (edgeprune_classify(signal, 0, logits) != EDGEPRUNE_OK) { return 1; }
    for (before = 0; before < 2; before++) {
        for (length = 1; length <= 8; length++) {
            armed = 1;
            if (edgeprune_classify(signal, 0, logits) != EDGEPRUNE_ARENA_DAMAGED) { return 2; }
            armed = 0;
            if (edgeprune_classify(signal, 0, logits) != EDGEPRUNE_OK) { return 3; }
            armed = 1;
            if (edgeprune_begin(signal, 0, logits) != EDGEPRUNE_OK) { return 4; }
            edgeprune_network(signal, 0, logits);
            if (edgeprune_check_arena() != EDGEPRUNE_ARENA_DAMAGED) { return 5; }
            if (edgeprune_check_arena() != EDGEPRUNE_OK) { return 6; }
        }
    }
    return 0;
}
"""


def test_a_write_beyond_the_arena_is_told_with_the_window(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    network = r1()
    sources = generate(network, None, load_target("host"), labels(network), tmp_path)
    (tmp_path / "overrun.c").write_text(_OVERRUN)
    offset = sources.portable.plan.places["p3"].offset
    command = ["gcc", *WARNINGS, "-DEDGEPRUNE_TRACE", "-DOPERATION=2", f"-DOFFSET={offset}"]
    command += ["-I.", "-Iruntime", "overrun.c", *sources.c_files, "-o", "overrun"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "overrun"], check=False)
    assert done.returncode == 0


_REGIONS = """
#include "edgeprune_model.h"
#include "edgeprune_network.h"
#include <string.h>
void edgeprune_trace(int32_t operation, const int8_t *values, int32_t count);
static const int32_t faults[][3] = { FAULTS }; /* operation, place in the arena, length */
static int8_t *arena;
static int32_t fault = -1;
void edgeprune_trace(int32_t operation, const int8_t *values, int32_t count) {
    (void)count;
    if (operation == FIRST) { arena = (int8_t *)(uintptr_t)values - OFFSET; }
    if (fault >= 0 && operation == faults[fault][0]) {
        memset(arena + faults[fault][1], 0x3C, (size_t)faults[fault][2]);
    }
}
int main(void) {
    static int8_t signal[EDGEPRUNE_SIGNAL_BYTES], rhythm[EDGEPRUNE_RHYTHM_BYTES + 1];
    static int8_t logits[EDGEPRUNE_CLASS_COUNT], again[EDGEPRUNE_CLASS_COUNT];
    if (edgeprune_classify(signal, rhythm, logits) != EDGEPRUNE_OK) { return 1; }
    for (fault = 0; fault < (int32_t)(sizeof faults / sizeof faults[0]); fault++) {
        if (edgeprune_classify(signal, rhythm, again) != EDGEPRUNE_ARENA_DAMAGED) { return 2; }
    }
    fault = -1;
    if (edgeprune_classify(signal, rhythm, again) != EDGEPRUNE_OK) { return 3; }
    return memcmp(logits, again, sizeof logits) == 0 ? 0 : 4;
}
"""


def test_a_write_beyond_any_tensor_is_told_where_guards_are_wanted(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    for number, network in enumerate((r1(), residual())):
        folder = tmp_path / str(number)
        sources = generate(network, None, load_target("host"), labels(network), folder, guards=True)
        program = sources.portable
        indices = [layer.index for layer in program.layers]
        faults = [
            (indices[place], region.offset + region.size, length)
            for region in program.plan.regions
            for place in range(region.first, min(region.last, len(indices) - 1) + 1)
            for length in (1, 8)
        ]
        # Where the first operation writes tells the trace where the arena lies.
        first = next(layer for layer in program.layers if layer.output.region == "arena")
        text = _REGIONS.replace(
            "FAULTS", ", ".join(f"{{{', '.join(map(str, fault))}}}" for fault in faults)
        )
        text = text.replace("FIRST", str(first.index)).replace("OFFSET", str(first.output.offset))
        (folder / "regions.c").write_text(text)
        command = ["gcc", *WARNINGS, "-DEDGEPRUNE_TRACE", "-I.", "-Iruntime", "regions.c"]
        subprocess.run([*command, *sources.c_files, "-o", "regions"], cwd=folder, check=True)
        assert subprocess.run([folder / "regions"], check=False).returncode == 0


@given(cases(most_operations=10, count=2))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_guards_change_no_logit(
    tmp_path_factory: pytest.TempPathFactory, host_compiler: str, case: Case
) -> None:
    folder = tmp_path_factory.mktemp("guards")
    words = labels(case.network)
    sources = generate(case.network, None, load_target("host"), words, folder, guards=True)
    library = Library(sources, host_compiler)
    expected = case.network.run(*case.inputs)
    np.testing.assert_array_equal(library.host.run(*case.inputs), expected)
    for index in range(len(expected)):
        _, logits = library.stepped(*(values[index] for values in case.inputs))
        np.testing.assert_array_equal(logits, expected[index])
        assert library.c.edgeprune_check_arena() == OK


def test_a_wrong_golden_logit_fails_the_self_test(tmp_path: Path, host_compiler: str) -> None:
    network = residual()
    golden = Golden(inputs_for(network, 3, seed=5))
    sources = generate(network, None, load_target("host"), labels(network), tmp_path, golden=golden)
    assert Library(sources, host_compiler).c.edgeprune_self_test() == OK
    path = tmp_path / "edgeprune_self_test.c"
    start, marker, values = path.read_text().partition("golden_logits[EDGEPRUNE_CLASS_COUNT] = {")
    number = re.search(r"-?\d+", values)
    assert number is not None
    wrong = (int(number[0]) + 1 + 128) % 256 - 128
    path.write_text(start + marker + values.replace(number[0], str(wrong), 1))
    assert Library(sources, host_compiler).c.edgeprune_self_test() == SELF_TEST_FAILED
    path.write_text("#define EDGEPRUNE_NO_SELF_TEST\n" + path.read_text())
    assert not hasattr(Library(sources, host_compiler).c, "edgeprune_self_test")


_STREAM = """
#include "edgeprune_model.h"
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#define MOVES 20
#define TOTAL (EDGEPRUNE_SIGNAL_BYTES + MOVES * EDGEPRUNE_HOP_BYTES)
int main(void) {
    uint32_t state = 1;
    int32_t index, at;
    int8_t *samples = malloc(TOTAL), *logits = malloc(EDGEPRUNE_CLASS_COUNT);
    int8_t *again = malloc(EDGEPRUNE_CLASS_COUNT), *window = malloc(EDGEPRUNE_SIGNAL_BYTES);
    int8_t *hop = malloc(EDGEPRUNE_HOP_BYTES);
    for (index = 0; index < TOTAL; index++) {
        state = state * 1664525u + 1013904223u;
        samples[index] = (int8_t)(state >> 24);
    }
    if (edgeprune_check_weights() || edgeprune_self_test()) { return 1; }
    edgeprune_stream_reset();
    for (at = 0; at + EDGEPRUNE_HOP_BYTES <= TOTAL; at += EDGEPRUNE_HOP_BYTES) {
        int result;
        memcpy(hop, samples + at, EDGEPRUNE_HOP_BYTES);
        result = edgeprune_stream(hop, logits);
        if (at + EDGEPRUNE_HOP_BYTES < EDGEPRUNE_SIGNAL_BYTES) {
            if (result != EDGEPRUNE_NOT_READY) { return 2; }
            continue;
        }
        if (result != EDGEPRUNE_OK) { return 3; }
        index = at + EDGEPRUNE_HOP_BYTES - EDGEPRUNE_SIGNAL_BYTES;
        memcpy(window, samples + index, EDGEPRUNE_SIGNAL_BYTES);
        if (edgeprune_classify(window, NULL, again) != EDGEPRUNE_OK) { return 4; }
        if (memcmp(logits, again, EDGEPRUNE_CLASS_COUNT) != 0) { return 5; }
        if (at % 3 == 0) {
            edgeprune_begin(window, NULL, again);
            while (edgeprune_step()) { }
            if (memcmp(logits, again, EDGEPRUNE_CLASS_COUNT) != 0) { return 6; }
            if (edgeprune_classify(window, NULL, again) != EDGEPRUNE_OK) { return 7; }
        }
    }
    free(samples); free(logits); free(again); free(window); free(hop);
    return edgeprune_check_arena();
}
"""


def test_streams_and_steps_under_the_sanitizers(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    network = r1()
    sources = generate(network, None, load_target("host"), labels(network), tmp_path, hop=32)
    (tmp_path / "stream.c").write_text(_STREAM)
    command = ["gcc", *WARNINGS, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command += ["-I.", "-Iruntime", "stream.c", *sources.c_files, "-o", "stream"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "stream"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "most"), [("cortex-m7", 180_000), ("cortex-m0plus", 1_000_000)])
def test_streams_on_emulated_cores(tmp_path: Path, name: str, most: int) -> None:
    network, target = r1(), load_target(name)
    (signal,) = windows(network, 32, 1, count=8)
    words, folder = labels(network), tmp_path / "c"
    sources = generate(network, None, target, words, folder, optimize="speed", hop=32)
    elf = tmp_path / "i.elf"
    image = compile_image(sources, target, elf, toolchain=FAST, program="stream")
    run = run_image(image.elf, target, signal, None, 5)
    np.testing.assert_array_equal(run.logits, network.run(signal))
    profile = count_instructions(image.elf, target, signal, None, 5)
    # The first window is computed whole; every other takes the same, but for divisions in software.
    assert profile.median <= 1.0001 * profile.minimum
    assert profile.median <= most
    assert profile.maximum >= 2.5 * profile.median
