"""Frames: against the C header, against garbage, and against the C program on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgeprune.devices import frames
from edgeprune.devices.serial_link import SerialLink
from edgeprune.errors import DeviceError
from edgeprune.firmware import generate
from edgeprune.network import IntegerNetwork
from edgeprune.resources import resource_folder
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.networks import r1, residual
from tests.network.strategies import inputs_for

BOARDS = resource_folder("firmware_export") / "boards"
# A UART of this machine's standard input and output, with what the start-up offers.
HOST_UART = """
#include "board.h"
#include "uart.h"
#include <stdio.h>
#include <stdlib.h>
void uart_start(void) {}
uint8_t uart_read(void) {
    int value = getchar();
    if (value == EOF) { exit(0); }
    return (uint8_t)value;
}
void uart_write(uint8_t value) { putchar(value); }
uint32_t board_stack_bytes(void) { return 4000u; }
uint32_t board_stack_used(void) { return 300u; }
"""
Serve = Callable[[bytes], bytes]
payloads = st.binary(max_size=40)
commands = st.integers(0, 255)


def test_the_numbers_are_those_of_the_c_header() -> None:
    text = (BOARDS / "frames.h").read_text()
    found = dict(re.findall(r"#define FRAME_(\w+) (0x\w+|\d+)u", text))
    assert len(found) == 20
    for name, value in found.items():
        assert getattr(frames, name) == int(value, 0), name


def test_the_published_check_value() -> None:
    assert frames.crc16(b"123456789") == 0x29B1
    assert frames.encode(2, b"\x01", start=frames.ANSWER)[:5] == b"\x5a\x02\x01\x00\x01"
    for command, payload in ((256, b""), (-1, b""), (0, bytes(65536))):
        with pytest.raises(ValueError, match="no frame"):
            frames.encode(command, payload)


def slow_crc(content: bytes) -> int:
    """Return the CRC by long division, bit by bit, over the whole message."""
    register = 0xFFFF
    for bit in (byte >> shift & 1 for byte in content for shift in range(7, -1, -1)):
        top = register >> 15 ^ bit
        register = register << 1 & 0xFFFF ^ (0x1021 if top else 0)
    return register


@given(content=st.binary(max_size=60))
def test_the_crc_is_a_long_division(content: bytes) -> None:
    assert frames.crc16(content) == slow_crc(content)


def plausible(content: bytes, start: int = frames.ANSWER) -> bool:
    """Whether a frame begins anywhere in these bytes, by brute force."""
    for begin in range(len(content)):
        for end in range(begin + frames.OVERHEAD, len(content) + 1):
            part = content[begin:end]
            length = int.from_bytes(part[2:4], "little")
            if part[0] == start and length == len(part) - frames.OVERHEAD:
                crc = int.from_bytes(part[-2:], "little")
                if crc == slow_crc(part[1:-2]):
                    return True
    return False


garbage = st.one_of(
    st.binary(max_size=30),
    st.lists(st.sampled_from([0x5A, 0, 1, 2, 0xFF]), max_size=30).map(bytes),
)


@given(
    sent=st.lists(st.tuples(commands, payloads), max_size=4),
    noise=st.lists(garbage, min_size=5, max_size=5),
    cuts=st.lists(st.integers(0, 300), max_size=5),
)
def test_frames_are_found_in_garbage(
    sent: list[tuple[int, bytes]], noise: list[bytes], cuts: list[int]
) -> None:
    assume(not any(plausible(part) for part in noise))
    stream = noise[0]
    for (command, payload), after in zip(sent, noise[1:], strict=False):
        stream += frames.encode(command, payload, start=frames.ANSWER) + after
    stream += bytes(frames.OVERHEAD + 64)
    decoder = frames.Decoder(most_payload=64)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    found = [frame for first, last in pairwise(edges) for frame in decoder.feed(stream[first:last])]
    # A start byte in the noise may claim bytes of a frame after it, never a whole CRC of it.
    assert found == [frames.Frame(command, payload) for command, payload in sent]


@given(payload=payloads, command=commands, data=st.data())
def test_no_damaged_frame_is_taken(payload: bytes, command: int, data: st.DataObject) -> None:
    content = bytearray(frames.encode(command, payload, start=frames.ANSWER))
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    decoder = frames.Decoder(most_payload=64)
    found = decoder.feed(bytes(content) + bytes(frames.OVERHEAD + 64))
    assert frames.Frame(command, payload) not in found


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return residual()


@pytest.fixture(scope="module")
def serve(
    network: IntegerNetwork,
    tmp_path_factory: pytest.TempPathFactory,
    host_compiler: tuple[str, ...],
) -> Serve:
    return program(network, tmp_path_factory.mktemp("serial"), host_compiler)


def program(
    network: IntegerNetwork, folder: Path, compiler: tuple[str, ...], hop: int | None = None
) -> Serve:
    """Return a function that gives the C program some input and returns all its output."""
    host = load_target("host")
    sources = generate(network, None, host, labels(network), folder / "c", hop=hop)
    (folder / "uart_host.c").write_text(HOST_UART)
    files = [str(sources.folder / name) for name in sources.c_files]
    files += [str(BOARDS / "serial_main.c"), str(folder / "uart_host.c")]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-O1"]
    flags += ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
    flags += [f"-I{BOARDS}", f"-I{sources.folder}", f"-I{sources.folder / 'runtime'}"]
    binary = folder / "serial"
    subprocess.run([*compiler, *flags, *files, "-o", str(binary)], check=True)

    def run(content: bytes) -> bytes:
        return subprocess.run(
            [str(binary)], input=content, capture_output=True, check=True, timeout=20
        ).stdout

    return run


@pytest.fixture(scope="module")
def host_compiler() -> tuple[str, ...]:
    """Return a C compiler of this machine that has the sanitizer."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    return ("gcc",)


def answers(output: bytes) -> list[tuple[int, bytes]]:
    """Split what the program wrote, which is answers and nothing else."""
    found = []
    while output:
        end = frames.OVERHEAD + int.from_bytes(output[2:4], "little")
        assert output[0] == frames.ANSWER
        assert int.from_bytes(output[end - 2 : end], "little") == slow_crc(output[1 : end - 2])
        found.append((output[1], output[4 : end - 2]))
        output = output[end:]
    return found


class Pipe:
    """A stream to the program: it is started anew for each request."""

    def __init__(self, serve: Serve) -> None:
        self._serve, self._waiting = serve, b""

    def write(self, content: bytes) -> None:
        self._waiting += self._serve(content)

    def read(self, timeout_seconds: float) -> bytes:
        content, self._waiting = self._waiting, b""
        return content


def test_the_program_classifies(serve: Serve, network: IntegerNetwork) -> None:
    link = SerialLink(Pipe(serve), "here", timeout_seconds=0.1)
    info = link.info()
    assert (info.signal_bytes, info.rhythm_bytes, info.classes) == (120, 5, 4)
    assert (info.network_sha256, info.flags & 3) == (network.sha256, frames.FLAG_SYNTHETIC)
    assert info.most_payload == 125
    windows = inputs_for(network, 6, seed=2)
    for signal, rhythm, logits in zip(*windows, network.run(*windows), strict=True):
        np.testing.assert_array_equal(link.classify(signal, rhythm), logits)
    assert link.stack() == (300, 4000)
    assert link.check() == 0
    with pytest.raises(DeviceError, match="a wrong length"):
        link.classify(windows[0][0])
    with pytest.raises(DeviceError, match="a command that it does not offer"):
        link.start()
    link.resynchronize()


def test_a_silent_device_is_named() -> None:
    link = SerialLink(Pipe(lambda content: b""), "the port", timeout_seconds=0.01)
    for request in (link.info, link.next_window):
        with pytest.raises(DeviceError, match="no answer") as caught:
            request()
        assert caught.value.where == "the port"


def test_a_damaged_request_is_sent_again(serve: Serve, network: IntegerNetwork) -> None:
    sent = []

    def noisy(content: bytes) -> bytes:
        sent.append(content)
        return serve(content[:-1] + b"\x00" if len(sent) == 1 else content)

    info = SerialLink(Pipe(noisy), "here", timeout_seconds=0.1).info()
    assert info.network_sha256 == network.sha256
    assert len(sent) == 3


def test_another_protocol_is_refused() -> None:
    other = frames.encode(frames.INFO, b"\x07" + bytes(80), start=frames.ANSWER)
    with pytest.raises(DeviceError, match="version 7 of the protocol"):
        SerialLink(Pipe(lambda content: other), "here").info()


device_garbage = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from([0xA5, 0, 1, 2, 0x7D, 0xFF]), max_size=40).map(bytes),
    st.tuples(commands, payloads).map(lambda pair: frames.encode(*pair)),
)


@given(noise=st.lists(device_garbage, max_size=6).map(b"".join))
@settings(max_examples=60, deadline=None)
def test_the_program_comes_through_any_garbage(
    serve: Serve, network: IntegerNetwork, noise: bytes
) -> None:
    signal, rhythm = (values[0] for values in inputs_for(network, 1, seed=3))
    request = frames.encode(frames.CLASSIFY, signal.tobytes() + rhythm.tobytes())
    # As many zeros as the protocol promises are enough, from whatever state.
    output = answers(serve(noise + bytes(125 + frames.OVERHEAD - 1) + request))
    logits = network.run(signal[None], rhythm[None])[0]
    assert output[-1] == (frames.CLASSIFY, logits.tobytes())
    for command, payload in output[:-1]:
        if command & frames.ERROR:
            assert payload[0] in (frames.BAD_CRC, frames.BAD_LENGTH, frames.BAD_COMMAND)


@given(command=commands, length=st.integers(0, 140))
@settings(max_examples=40, deadline=None)
def test_what_the_program_refuses(serve: Serve, command: int, length: int) -> None:
    assume((command, length) != (frames.CLASSIFY, 125))
    assume(command not in (frames.INFO, frames.STACK, frames.CHECK))
    output = answers(serve(frames.encode(command, bytes(length))))
    too_long = length > 125 or command == frames.CLASSIFY
    code = frames.BAD_LENGTH if too_long else frames.BAD_COMMAND
    assert output == [(command | frames.ERROR, bytes((code,)))]


@given(length=st.integers(0, 125), bit=st.integers(8, 64))
@settings(max_examples=30, deadline=None)
def test_a_flipped_bit_is_never_answered_well(serve: Serve, length: int, bit: int) -> None:
    content = bytearray(frames.encode(frames.STACK, bytes(length)))
    assume(bit // 8 < len(content))
    content[bit // 8] ^= 1 << bit % 8
    for command, _ in answers(serve(bytes(content))):
        assert command & frames.ERROR


def test_a_stream_over_the_frames(tmp_path: Path, host_compiler: tuple[str, ...]) -> None:
    network, hop = r1(), 32
    serve = program(network, tmp_path, host_compiler, hop)
    signal = np.random.default_rng(8).integers(-128, 128, (256 + 3 * hop, 1)).astype(np.int8)
    parts = [signal[first : first + hop].tobytes() for first in range(0, len(signal), hop)]
    begin, one = frames.encode(frames.STREAM), frames.encode(frames.STREAM, parts[0])
    content = begin + b"".join(frames.encode(frames.STREAM, part) for part in parts)
    output = answers(serve(content + begin + one + frames.encode(frames.STREAM, b"short")))
    windows = np.stack([signal[first : first + 256] for first in range(0, 3 * hop + 1, hop)])
    expected = [row.tobytes() for row in network.run(windows)]
    nothing = (frames.STREAM, b"")
    assert output == [
        *[nothing] * (1 + 256 // hop - 1),
        *((frames.STREAM, logits) for logits in expected),
        *[nothing] * 2,
        (frames.STREAM | frames.ERROR, bytes((frames.BAD_LENGTH,))),
    ]
    link = SerialLink(Pipe(serve), "here", timeout_seconds=0.1)
    assert link.info().flags & frames.FLAG_STREAM
    assert link.stream(signal[:hop]) is None
