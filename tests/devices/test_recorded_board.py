"""A session with QEMU's Cortex-M7 board, byte by byte: what a board answers is read as it is.

The file was made by `record` below, on a machine with QEMU; the board's counter there ran by that
machine's clock, so its ticks say nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprune.devices import frames
from edgeprune.devices.answers import WiredAnswers
from edgeprune.devices.qemu_serial import qemu_stream
from edgeprune.devices.serial_link import SerialLink, Stream
from edgeprune.devices.timing import SILICON, line_timing
from edgeprune.firmware import compile_image, generate
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.networks import residual
from tests.network.strategies import inputs_for

SESSION = Path(__file__).with_name("session-cortex-m7.txt")
WINDOWS = 5


class Recorder:
    """A stream that writes down what goes both ways."""

    def __init__(self, stream: Stream) -> None:
        self.lines: list[str] = []
        self._stream = stream

    def write(self, content: bytes) -> None:
        self.lines.append(f"> {content.hex()}")
        self._stream.write(content)

    def read(self, timeout_seconds: float) -> bytes:
        content = self._stream.read(timeout_seconds)
        if content and self.lines[-1].startswith("<"):
            self.lines[-1] += content.hex()
        elif content:
            self.lines.append(f"< {content.hex()}")
        return content


class Player:
    """The board's side of a session: it answers what it was asked then, and only that."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def write(self, content: bytes) -> None:
        assert self._lines.pop(0) == f"> {content.hex()}"

    def read(self, timeout_seconds: float) -> bytes:
        assert timeout_seconds > 0
        line = self._lines[0] if self._lines else ""
        return bytes.fromhex(self._lines.pop(0)[2:]) if line.startswith("<") else b""

    @property
    def at_end(self) -> bool:
        return not self._lines


def play(stream: Stream, device: str) -> WiredAnswers:
    """Ask all that a check asks of a board, and compare."""
    network = residual()
    windows = inputs_for(network, WINDOWS, seed=6)
    link = SerialLink(stream, device)
    assert link.info().network_sha256 == network.sha256
    answers = WiredAnswers(link)
    np.testing.assert_array_equal(answers.classify(*windows), network.run(*windows))
    used, there = link.stack()
    assert 0 < used <= there
    assert link.check() == 0
    assert link.counts.resends == 0
    return answers


def record(folder: Path) -> None:
    network, target = residual(), load_target("cortex-m7")
    sources = generate(network, None, target, labels(network), folder / "c")
    image = compile_image(sources, target, folder / "image.elf", program="serial")
    with qemu_stream(image.elf, target) as board:
        recorder = Recorder(board)
        play(recorder, "qemu")
    SESSION.write_text("\n".join(recorder.lines) + "\n")


@pytest.mark.parametrize("port", ["/dev/ttyACM0", "/dev/ttyUSB1", "COM3", "/dev/cu.usbmodem14"])
def test_a_board_at_a_serial_port_is_silicon(port: str) -> None:
    player = Player(SESSION.read_text().splitlines())
    answers = play(player, port)
    assert player.at_end
    timing = line_timing(answers, port)
    assert timing is not None
    assert (timing.where, timing.unit, timing.windows) == (SILICON, "cycle", WINDOWS)
    assert 0 < timing.minimum <= timing.mean <= timing.maximum
    assert f"timing ({SILICON})" in timing.text


@pytest.mark.parametrize("device", ["qemu", "/dev/pts/3", "socket://localhost:4000", "ttyACM0"])
def test_what_may_be_an_emulator_is_not_called_silicon(device: str) -> None:
    timing = line_timing(play(Player(SESSION.read_text().splitlines()), device), device)
    assert timing is not None
    assert not timing.is_measured
    assert "not measured" in timing.text
    assert "cycles" not in timing.text


def test_a_board_of_before_has_no_counter() -> None:
    lines = SESSION.read_text().splitlines()
    info = frames.Decoder().feed(bytes.fromhex(lines[1][2:]))[0]
    payload = bytearray(info.payload)
    assert payload[1] & frames.FLAG_TICKS
    payload[1] &= ~frames.FLAG_TICKS & 0xFF
    answer = frames.encode(info.sequence, info.command, bytes(payload), start=frames.ANSWER)
    link = SerialLink(Player([lines[0], f"< {answer.hex()}"]), "here")
    link.info()
    assert link.ticks() is None
