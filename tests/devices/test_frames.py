"""Frames: against the C header, against garbage, and against the C program on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from edgeprune.devices import frames
from edgeprune.devices.serial_link import SerialLink
from edgeprune.errors import DeviceError
from edgeprune.network import IntegerNetwork
from tests.devices.host_device import BOARDS, HostDevice, compile_program, powered
from tests.firmware.networks import r1, residual
from tests.network.strategies import inputs_for

payloads = st.binary(max_size=40)
commands = st.integers(0, 255)
sequences = st.integers(0, 255)
escaped_often = st.one_of(
    payloads, st.lists(st.sampled_from([0x5A, 0xA5, 0x7D, 0x5D, 0x7A, 0]), max_size=40).map(bytes)
)
device_garbage = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from([0xA5, 0x7D, 0, 1, 2, 0x85, 0xFF]), max_size=40).map(bytes),
    st.tuples(sequences, commands, payloads).map(lambda each: frames.encode(*each)),
)


def test_the_numbers_are_those_of_the_c_header() -> None:
    text = (BOARDS / "frames.h").read_text()
    found = dict(re.findall(r"#define FRAME_(\w+) (0x\w+|\d+)u", text))
    assert len(found) == 28
    for name, value in found.items():
        assert getattr(frames, name) == int(value, 0), name


def test_the_published_check_value() -> None:
    assert frames.crc32(b"123456789") == 0xCBF43926
    assert frames.encode(7, 2, b"\x01", start=frames.ANSWER)[:4] == b"\x5a\x07\x02\x01"
    for sequence, command, payload in (
        (0, 256, b""),
        (0, -1, b""),
        (256, 1, b""),
        (0, 0, bytes(65536)),
    ):
        with pytest.raises(ValueError, match="no frame"):
            frames.encode(sequence, command, payload)


def slow_crc(content: bytes) -> int:
    """Return the CRC by long division, bit by bit, over the whole message."""
    register = 0xFFFFFFFF
    for bit in (byte >> shift & 1 for byte in content for shift in range(8)):
        top = register >> 31 ^ bit
        register = register << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if top else 0)
    return int(f"{register ^ 0xFFFFFFFF:032b}"[::-1], 2)


@given(content=st.binary(max_size=60))
def test_the_crc_is_a_long_division(content: bytes) -> None:
    assert frames.crc32(content) == slow_crc(content)


def unescaped(part: bytes) -> bytes:
    """Read a frame byte by byte, as frames.h says."""
    found = bytearray()
    values = iter(part)
    for value in values:
        found.append(next(values) ^ 0x20 if value == 0x7D else value)
    return bytes(found)


@given(sequence=sequences, command=commands, payload=escaped_often)
def test_a_frame_is_what_the_header_says(sequence: int, command: int, payload: bytes) -> None:
    content = frames.encode(sequence, command, payload)
    assert (content[:1], content[-2:]) == (b"\xa5", b"\xa5\xa5")
    assert frames.REQUEST not in content[1:-2]
    plain = unescaped(content[1:-2])
    assert plain[:-4] == bytes((sequence, command)) + payload
    assert int.from_bytes(plain[-4:], "little") == slow_crc(plain[:-4])


@given(
    sent=st.lists(st.tuples(sequences, commands, escaped_often), max_size=4),
    noise=st.lists(escaped_often, min_size=5, max_size=5),
    cuts=st.lists(st.integers(0, 300), max_size=5),
)
def test_frames_are_found_in_garbage(
    sent: list[tuple[int, int, bytes]], noise: list[bytes], cuts: list[int]
) -> None:
    stream = noise[0]
    for (sequence, command, payload), after in zip(sent, noise[1:], strict=False):
        stream += frames.encode(sequence, command, payload, start=frames.ANSWER) + after
    decoder = frames.Decoder()
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    found = [frame for first, last in pairwise(edges) for frame in decoder.feed(stream[first:last])]
    assert found == [frames.Frame(*each) for each in sent]


@given(payload=escaped_often, command=commands, data=st.data())
def test_no_damaged_frame_is_taken(payload: bytes, command: int, data: st.DataObject) -> None:
    content = bytearray(frames.encode(3, command, payload, start=frames.ANSWER))
    place = data.draw(st.integers(1, len(content) - 3))
    fault = data.draw(st.sampled_from(["flip", "drop", "twice"]))
    if fault == "flip":
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    elif fault == "drop":
        del content[place]
    else:
        content.insert(place, content[place])
    decoder = frames.Decoder()
    found = decoder.feed(bytes(content))
    assert found == []
    good = frames.encode(3, command, payload, start=frames.ANSWER)
    assert decoder.feed(good) == [frames.Frame(3, command, payload)]
    assert decoder.damaged


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return residual()


@pytest.fixture(scope="module")
def host_compiler() -> tuple[str, ...]:
    """Return a C compiler of this machine that has the sanitizer."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    return ("gcc",)


@pytest.fixture(scope="module")
def program(
    network: IntegerNetwork,
    tmp_path_factory: pytest.TempPathFactory,
    host_compiler: tuple[str, ...],
) -> Path:
    return compile_program(network, tmp_path_factory.mktemp("serial"), host_compiler)


@pytest.fixture
def device(program: Path) -> Iterator[HostDevice]:
    with powered(program) as running:
        yield running


def serve(program: Path, content: bytes) -> list[frames.Frame]:
    """Start the program, give it some input and return its answers; it writes nothing else."""
    output = subprocess.run(
        [str(program)], input=content, capture_output=True, check=True, timeout=20
    ).stdout
    decoder = frames.Decoder()
    found = decoder.feed(output)
    assert not decoder.damaged
    assert not decoder.pending
    again = (
        frames.encode(each.sequence, each.command, each.payload, start=frames.ANSWER)
        for each in found
    )
    assert output == b"".join(again)
    return found


HELLO = frames.encode(0, frames.INFO)


def test_the_program_classifies(device: HostDevice, network: IntegerNetwork) -> None:
    link = SerialLink(device, "here", timeout_seconds=2)
    info = link.info()
    assert (info.signal_bytes, info.rhythm_bytes, info.classes) == (120, 5, 4)
    assert (info.network_sha256, info.flags & 3) == (network.sha256, frames.FLAG_SYNTHETIC)
    assert info.flags & frames.FLAG_TICKS
    assert info.most_payload == 125
    windows = inputs_for(network, 6, seed=2)
    for signal, rhythm, logits in zip(*windows, network.run(*windows), strict=True):
        np.testing.assert_array_equal(link.classify(signal, rhythm), logits)
    # This board's clock goes on by 7, 14, 21 ...: 14 for an empty measurement, and the sixth window
    # took the fourteenth step.
    assert link.ticks() == 7 * 14 - 14
    assert link.stack() == (300, 4000)
    assert link.check() == 0
    with pytest.raises(DeviceError, match="a wrong length"):
        link.classify(windows[0][0])
    with pytest.raises(DeviceError, match="a command that it does not offer"):
        link.start()
    assert link.counts.resends == 0
    # Half a frame, then silence: flags lead out of it.
    device.write(frames.encode(9, frames.CLASSIFY, bytes(125))[:40])
    link.resynchronize()
    assert link.info() == info


class Recorded:
    """A stream whose device answers by a function of what it was sent."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer, self._waiting, self.sent = answer, b"", 0

    def write(self, content: bytes) -> None:
        self.sent += 1
        self._waiting += self._answer(content)

    def read(self, timeout_seconds: float) -> bytes:
        content, self._waiting = self._waiting, b""
        if not content:
            time.sleep(timeout_seconds)
        return content


def test_a_silent_device_is_named() -> None:
    stream = Recorded(lambda content: b"")
    link = SerialLink(stream, "the port", timeout_seconds=0.01)
    for request in (link.info, link.next_window):
        with pytest.raises(DeviceError, match="no answer") as caught:
            request()
        assert caught.value.where == "the port"
    assert 2 <= stream.sent <= 6


@pytest.mark.parametrize("garbage", [b"login: ", b"\x5a\x00\x5a", bytes(range(256))])
def test_garbage_is_named(garbage: bytes) -> None:
    link = SerialLink(Recorded(lambda content: garbage), "the port", timeout_seconds=0.02)
    with pytest.raises(DeviceError, match="answers garbage"):
        link.info()


def test_a_device_that_never_stops_babbling_is_named() -> None:
    class Babbling(Recorded):
        def read(self, timeout_seconds: float) -> bytes:
            time.sleep(0.001)
            return b"Zzz"

    stream = Babbling(lambda content: b"")
    begin = time.monotonic()
    with pytest.raises(DeviceError, match="answers garbage"):
        SerialLink(stream, "the port", timeout_seconds=0.05).info()
    assert time.monotonic() - begin < 5
    assert stream.sent < 10


def test_a_reset_is_named(program: Path, network: IntegerNetwork) -> None:
    signal, rhythm = (values[0] for values in inputs_for(network, 1, seed=3))
    with powered(program) as first, powered(program) as second:
        link = SerialLink(first, "the port", timeout_seconds=2)
        link.classify(signal, rhythm)
        link._stream = second
        with pytest.raises(DeviceError, match="was reset while it was in use"):
            link.classify(signal, rhythm)


def test_another_protocol_is_refused() -> None:
    def other(content: bytes) -> bytes:
        return frames.encode(content[1], frames.INFO, b"\x07" + bytes(80), start=frames.ANSWER)

    with pytest.raises(DeviceError, match="version 7 of the protocol"):
        SerialLink(Recorded(other), "here").info()


@given(noise=st.lists(device_garbage, max_size=6).map(b"".join))
@settings(max_examples=60, deadline=None)
def test_the_program_comes_through_any_garbage(
    program: Path, network: IntegerNetwork, noise: bytes
) -> None:
    signal, rhythm = (values[0] for values in inputs_for(network, 1, seed=3))
    request = frames.encode(77, frames.CLASSIFY, signal.tobytes() + rhythm.tobytes())
    output = serve(program, noise + HELLO + request)
    logits = network.run(signal[None], rhythm[None])[0]
    assert output[-1] == frames.Frame(77, frames.CLASSIFY, logits.tobytes())
    assert output[-2].command == frames.INFO


@given(command=commands, length=st.integers(0, 140))
@example(command=frames.CLASSIFY, length=126)
@example(command=frames.STREAM, length=126)
@settings(max_examples=40, deadline=None)
def test_what_the_program_refuses(program: Path, command: int, length: int) -> None:
    assume((command, length) != (frames.CLASSIFY, 125))
    assume(command not in (frames.INFO, frames.STACK, frames.CHECK, frames.WRITE))
    asked = frames.encode(8, command, bytes(length))
    large = command in (frames.CLASSIFY, frames.STREAM, frames.SAMPLES)
    overflows = length > (125 if large else 2 + frames.FRAGMENT)
    no_window = overflows or command == frames.CLASSIFY
    code = frames.BAD_LENGTH if no_window else frames.BAD_COMMAND
    if command == frames.RUN:
        # No bytes have the CRC 0 but none at all, which are no window.
        code = frames.BAD_COMMAND if length == 7 else frames.BAD_LENGTH
    refused = frames.Frame(8, command | frames.ERROR, bytes((code,)))
    assert serve(program, HELLO + asked)[1:] == [refused]
    unasked = frames.Frame(8, command | frames.ERROR, bytes((frames.NOT_ASKED,)))
    # What does not fit is refused before anybody looks at what it is.
    assert serve(program, asked) == [refused if overflows else unasked]


@given(length=st.integers(0, 34), bit=st.integers(8, 64))
@settings(max_examples=30, deadline=None)
def test_a_flipped_bit_is_never_answered_well(program: Path, length: int, bit: int) -> None:
    content = bytearray(frames.encode(5, frames.STACK, bytes(length)))
    assume(bit // 8 < len(content) - 2)
    content[bit // 8] ^= 1 << bit % 8
    hello, *others = serve(program, HELLO + bytes(content))
    assert hello.command == frames.INFO
    assert all(each.command & frames.ERROR for each in others)


def test_pieces_make_a_request(program: Path, network: IntegerNetwork) -> None:
    signal, rhythm = (values[0] for values in inputs_for(network, 1, seed=3))
    window = signal.tobytes() + rhythm.tobytes()
    run = bytes((frames.CLASSIFY, 125, 0)) + frames.crc32(window).to_bytes(4, "little")
    starts = [96, 0, 64, 32]
    pieces = [
        frames.encode(
            number, frames.WRITE, start.to_bytes(2, "little") + window[start : start + 32]
        )
        for number, start in enumerate(starts)
    ]
    request = frames.encode(9, frames.RUN, run)
    logits = network.run(signal[None], rhythm[None])[0].tobytes()
    kept = [frames.Frame(number, frames.WRITE, b"") for number in range(4)]
    answer = frames.Frame(9, frames.RUN, logits)
    assert serve(program, HELLO + b"".join(pieces) + request)[1:] == [*kept, answer]
    lost = frames.Frame(9, frames.RUN | frames.ERROR, bytes((frames.BAD_CRC,)))
    assert serve(program, HELLO + b"".join(pieces[1:]) + request)[-1] == lost
    for offset, length in ((96, 30), (125, 1), (0xFFFF, 4), (0, 0)):
        outside = frames.encode(4, frames.WRITE, offset.to_bytes(2, "little") + bytes(length))
        refused = frames.Frame(4, frames.WRITE | frames.ERROR, bytes((frames.BAD_LENGTH,)))
        assert serve(program, HELLO + outside)[1:] == [refused]


def test_a_stream_over_the_frames(tmp_path: Path, host_compiler: tuple[str, ...]) -> None:
    network, hop = r1(), 32
    program = compile_program(network, tmp_path, host_compiler, hop=hop)
    signal = np.random.default_rng(8).integers(-128, 128, (256 + 3 * hop, 1)).astype(np.int8)
    parts = [signal[first : first + hop].tobytes() for first in range(0, len(signal), hop)]
    payloads = [b"", *parts, b"", parts[0], b"short"]
    # Each request comes twice, as from a host that missed the answer, and is executed once.
    content = b"".join(
        2 * frames.encode(number & 0xFF, frames.STREAM, payload)
        for number, payload in enumerate(payloads)
    )
    output = serve(program, HELLO + content)[1:]
    assert output[::2] == output[1::2]
    windows = np.stack([signal[first : first + 256] for first in range(0, 3 * hop + 1, hop)])
    expected = [row.tobytes() for row in network.run(windows)]
    assert [(each.command, each.payload) for each in output[::2]] == [
        *[(frames.STREAM, b"")] * (1 + 256 // hop - 1),
        *((frames.STREAM, logits) for logits in expected),
        *[(frames.STREAM, b"")] * 2,
        (frames.STREAM | frames.ERROR, bytes((frames.BAD_LENGTH,))),
    ]
    with powered(program) as device:
        link = SerialLink(device, "here", timeout_seconds=2)
        assert link.info().flags & frames.FLAG_STREAM
        assert link.stream(signal[:hop]) is None
