"""Whole boards in QEMU that answer over their UART."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.devices import frames
from edgeprune.devices.qemu_device import COMMAND
from edgeprune.devices.serial_link import SerialLink
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.firmware import TOOLCHAINS, Image, compile_image, generate
from edgeprune.firmware.programs import PROGRAMS
from edgeprune.firmware.writer import environment
from edgeprune.resources import resource_folder
from edgeprune.targets import Adc, Memory, Target, Uart, load_target
from tests.firmware.conftest import labels
from tests.firmware.networks import behind_front_end, residual
from tests.firmware.test_front_end import expected, recording
from tests.network.strategies import inputs_for

needs_qemu = pytest.mark.skipif(shutil.which(COMMAND) is None, reason=f"{COMMAND} is absent")
BOARDS = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
TOOLCHAIN = "gnu" if shutil.which("arm-none-eabi-gcc") else "zig"


def microbit() -> Target:
    """Return the BBC micro:bit: a Cortex-M0 with 16 KB of RAM and Nordic's UART."""
    target = load_target("cortex-m0plus")
    assert target.memories is not None
    assert target.qemu is not None
    return dataclasses.replace(
        target,
        name="microbit",
        memories=dataclasses.replace(target.memories, ram=Memory(0x2000_0000, 0x4000)),
        qemu=dataclasses.replace(target.qemu, machine="microbit"),
        uart=Uart("nrf", 0x4000_2000, 16_000_000, 115_200),
    )


class Socket:
    """The stream of a connected socket, and a pipe to QEMU's monitor.

    QEMU looks at a socket that the board was not ready to hear only when something else happens:
    an empty line for its monitor does.
    """

    def __init__(self, connection: socket.socket, monitor: IO[bytes]) -> None:
        self._connection, self._monitor = connection, monitor

    def write(self, content: bytes) -> None:
        self._connection.sendall(content)
        self._monitor.write(b"\n")
        self._monitor.flush()

    def read(self, timeout_seconds: float) -> bytes:
        self._connection.settimeout(timeout_seconds)
        try:
            return self._connection.recv(65536)
        except TimeoutError:
            return b""


@contextmanager
def powered(elf: Path, target: Target) -> Iterator[SerialLink]:
    """Start a board whose UART is one end of a socket; stop it afterwards."""
    assert target.qemu is not None
    here, there = socket.socketpair()
    with here, there:
        command = [COMMAND, "-M", target.qemu.machine, "-kernel", str(elf), "-display", "none"]
        command += ["-monitor", "stdio", "-net", "none"]
        command += ["-chardev", f"socket,id=uart,fd={there.fileno()}", "-serial", "chardev:uart"]
        board = subprocess.Popen(
            command,
            pass_fds=[there.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert board.stdin is not None
        try:
            yield SerialLink(Socket(here, board.stdin), target.name, timeout_seconds=1)
        finally:
            board.kill()
            board.wait()


def build(folder: Path, target: Target) -> Image:
    network = residual()
    sources = generate(network, None, target, labels(network), folder / "c")
    return compile_image(
        sources, target, folder / "image.elf", toolchain=TOOLCHAIN, program="serial"
    )


@pytest.mark.system
@needs_qemu
@pytest.mark.parametrize("name", [*BOARDS, "microbit"])
def test_golden_windows_over_the_uart(tmp_path: Path, name: str) -> None:
    network = residual()
    target = microbit() if name == "microbit" else load_target(name)
    image = build(tmp_path, target)
    windows = inputs_for(network, 12, seed=4)
    with powered(image.elf, target) as link:
        info = link.info()
        assert (info.network_sha256, info.classes) == (network.sha256, 4)
        for signal, rhythm, logits in zip(*windows, network.run(*windows), strict=True):
            np.testing.assert_array_equal(link.classify(signal, rhythm), logits)
        used, there = link.stack()
        assert there == image.stack_bytes
        assert link.check() == 0
        assert 0 < used <= there
        # Half a frame, then silence: flags lead out of it.
        link._stream.write(frames.encode(9, frames.CLASSIFY, bytes(125))[:40])
        link.resynchronize()
        assert link.info() == info


@pytest.mark.system
@needs_qemu
def test_raw_samples_over_the_uart(tmp_path: Path) -> None:
    network, target = behind_front_end(), load_target("cortex-m4")
    front_end = BeatFrontEnd.for_adc(Adc(250.0, 5.0, 11))
    sources = generate(network, front_end, target, labels(network), tmp_path / "c")
    image = compile_image(
        sources, target, tmp_path / "image.elf", toolchain=TOOLCHAIN, program="serial"
    )
    samples, beats = recording(250.0, 8)
    logits = network.run(*expected(front_end, samples, beats))
    found, waiting = [], list(beats)
    with powered(image.elf, target) as link:
        info = link.info()
        assert info.flags & frames.FLAG_FRONT_END
        link.start()
        done = 0
        while done < len(samples):
            # A beat is told right after its sample.
            beat = waiting[0] + 1 if waiting else len(samples)
            end = min(done + info.most_payload // 2, beat, len(samples))
            taken = link.push_samples(samples[done:end])
            done += taken
            while waiting and waiting[0] < done:
                assert link.push_beat(int(waiting.pop(0)))
            while window := link.next_window():
                found.append(window[1])
    np.testing.assert_array_equal(np.array(found), logits[: len(found)])
    assert len(found) == len(logits)


def test_a_target_without_a_uart_is_told_so(tmp_path: Path) -> None:
    target = load_target("cortex-m4")
    with pytest.raises(ConfigurationError, match="names no UART"):
        build(tmp_path, dataclasses.replace(target, uart=None))
    with pytest.raises(UnknownNameError, match="no UART 'modem'|modem"):
        build(tmp_path, dataclasses.replace(target, uart=Uart("modem", 0, 1, 1)))


# A model that takes next to nothing, with the sizes and the texts of R1.
NO_MODEL = """
#include <stdint.h>
#define EDGEPRUNE_OK 0
#define EDGEPRUNE_SIGNAL_BYTES 256
#define EDGEPRUNE_RHYTHM_BYTES 0
#define EDGEPRUNE_CLASS_COUNT 5
#define EDGEPRUNE_SYNTHETIC 1
#define EDGEPRUNE_HAS_FRONT_END 0
int edgeprune_classify(const int8_t *signal, const int8_t *rhythm, int8_t *logits);
int edgeprune_check_weights(void);
int edgeprune_check_arena(void);
const char *edgeprune_version(void);
const char *edgeprune_network_hash(void);
"""
NO_MODEL_CODE = """
#include "edgeprune_model.h"
int edgeprune_classify(const int8_t *signal, const int8_t *rhythm, int8_t *logits) {
    *logits = (int8_t)(*signal + *rhythm);
    return 0;
}
int edgeprune_check_weights(void) { return 0; }
int edgeprune_check_arena(void) { return 0; }
const char *edgeprune_version(void) { return "0.3.0"; }
const char *edgeprune_network_hash(void) {
    return "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
}
"""


@pytest.mark.parametrize("name", BOARDS)
def test_the_program_takes_little(tmp_path: Path, name: str) -> None:
    target = load_target(name)
    board, compiler = PROGRAMS.get("serial")(target), TOOLCHAINS.get(TOOLCHAIN)(target)
    for file in (*board.c_files, *board.headers):
        shutil.copy(resource_folder("firmware_export") / "boards" / file, tmp_path)
    (tmp_path / "edgeprune_model.h").write_text(NO_MODEL)
    (tmp_path / "model.c").write_text(NO_MODEL_CODE)
    objects = [f"{file}.o" for file in ("model.c", *board.c_files)]
    for file in objects:
        compiler.compile(file[:-2], Path(file), ("-Os", *board.defines, "-I."), tmp_path)
    script = environment("boards").get_template("image.ld.j2")
    (tmp_path / "image.ld").write_text(script.render(target=target, stack_bytes=0))
    compiler.link(objects, "image.ld", "image.elf", tmp_path)
    with (tmp_path / "image.elf").open("rb") as stream:
        sizes = {each.name: each["sh_size"] for each in ELFFile(stream).iter_sections()}
    assert sizes[".text"] <= 1700
    assert sizes.get(".data", 0) == 0
    assert sizes[".bss"] <= 256 + 112
