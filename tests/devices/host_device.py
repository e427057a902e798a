"""The C program "serial" as a process of this machine: a device with a state of its own."""

from __future__ import annotations

import os
import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeprune.data import BeatFrontEnd
from edgeprune.firmware import generate
from edgeprune.network import IntegerNetwork
from edgeprune.resources import resource_folder
from edgeprune.targets import load_target
from tests.firmware.conftest import labels

BOARDS = resource_folder("firmware_export") / "boards"
# A UART of this machine's standard input and output, with what the start-up offers.
HOST_UART = """
#include "board.h"
#include "uart.h"
#include <stdlib.h>
#include <unistd.h>
static uint8_t waiting[4096];
static size_t count;
static void flush(void) {
    if (count != 0 && write(1, waiting, count) != (ssize_t)count) { exit(2); }
    count = 0;
}
void uart_start(void) {}
uint8_t uart_read(void) {
    static uint8_t read_bytes[4096];
    static ssize_t there, next;
    if (next == there) {
        flush();
        there = read(0, read_bytes, sizeof read_bytes);
        next = 0;
        if (there <= 0) { exit(0); }
    }
    return read_bytes[next++];
}
void uart_write(uint8_t value) {
    waiting[count++] = value;
    if (count == sizeof waiting) { flush(); }
}
uint32_t board_stack_bytes(void) { return 4000u; }
uint32_t board_stack_used(void) { return 300u; }
void board_start_ticks(void) {}
uint32_t board_ticks(void) {
    static uint32_t now, step;
    step += 7u;
    now += step;
    return now;
}
"""


def compile_program(
    network: IntegerNetwork,
    folder: Path,
    compiler: tuple[str, ...],
    *,
    hop: int | None = None,
    front_end: BeatFrontEnd | None = None,
) -> Path:
    """Compile the program with the sanitizer."""
    host = load_target("host")
    sources = generate(network, front_end, host, labels(network), folder / "c", hop=hop)
    (folder / "uart_host.c").write_text(HOST_UART)
    files = [str(sources.folder / name) for name in sources.c_files]
    files += [str(BOARDS / "serial_main.c"), str(folder / "uart_host.c")]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-O1"]
    flags += ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
    flags += [f"-I{BOARDS}", f"-I{sources.folder}", f"-I{sources.folder / 'runtime'}"]
    binary = folder / "serial"
    subprocess.run([*compiler, *flags, *files, "-o", str(binary)], check=True)
    return binary


@dataclass
class HostDevice:
    """A running program.

    Attributes:
        process: The program.
        line: Our end of its UART.
        written: Everything that the host sent so far.
    """

    process: subprocess.Popen[bytes]
    line: socket.socket
    written: bytes = b""

    def write(self, content: bytes) -> None:
        self.written += content
        self.line.sendall(content)

    def read(self, timeout_seconds: float) -> bytes:
        if not select.select([self.line], [], [], timeout_seconds)[0]:
            return b""
        return self.line.recv(65536)


@contextmanager
def powered(binary: Path) -> Iterator[HostDevice]:
    """Start the program; stop it afterwards."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen([str(binary)], stdin=theirs, stdout=theirs, env=dict(os.environ))
        try:
            yield HostDevice(process, ours)
        finally:
            process.kill()
            process.wait()
