"""Talks in frames to a device that runs the program "serial", over any stream of bytes."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeprune.devices import frames
from edgeprune.devices.frame_size import MOST_FAILURES, FrameSize
from edgeprune.errors import DeviceError

# Their payloads may come in pieces before them.
_LARGE = frozenset((frames.CLASSIFY, frames.STREAM, frames.SAMPLES))
# To give one of these up for another request could do it twice.
_ONCE = frozenset((frames.STREAM, frames.SAMPLES))
# Tries that make a request fail although the device is heard.
_MOST_TRIES, _MOST_RUNS = 1000, 20
# Share of all attempts' time limits without one good frame that makes a device silent.
_SILENCE = 0.99
# After something damaged the rest of it is waited for, until the line is quiet for this long.
_QUIET_SECONDS = 0.01
_LEAST_PATIENCE_SECONDS, _PATIENCE = 0.25, 10
_INFO = struct.Struct("<BBHIHH64s")
_WRITE = struct.Struct("<H")
_RUN = struct.Struct("<BHI")
_PIECES_LOST = (frames.RUN | frames.ERROR, bytes((frames.BAD_CRC,)))
_REASONS = {
    frames.BAD_CRC: "a damaged payload",
    frames.BAD_LENGTH: "a wrong length",
    frames.BAD_COMMAND: "a command that it does not offer",
    frames.FAILED: "its inputs",
}


class Stream(Protocol):
    """A connection that keeps the order of its bytes; see `edgeprune.devices.connections`."""

    def write(self, content: bytes) -> None:
        """Send all bytes."""

    def read(self, timeout_seconds: float) -> bytes:
        """Return what has come, waiting for at least one byte; nothing after the time limit."""


@dataclass(frozen=True)
class DeviceInfo:
    """What a device says of itself.

    Attributes:
        protocol: Version of the frame protocol.
        flags: Sum of `frames.FLAG_...`.
        classes: Number of logits.
        signal_bytes: Bytes of the network's signal input.
        rhythm_bytes: Bytes of its rhythm input, 0 for none.
        most_payload: The longest payload that the device takes.
        network_sha256: Hash of the network.
        version: Version of edgeprune that generated it.
    """

    protocol: int
    flags: int
    classes: int
    signal_bytes: int
    rhythm_bytes: int
    most_payload: int
    network_sha256: str
    version: str


@dataclass
class LineCounts:
    """What a line did to the frames so far.

    Attributes:
        requests: Requests that were answered.
        resends: How often a request was sent again.
        damaged: Damaged frames: those that the device told of, and those that the host received.
        timeouts: How often nothing came in time.
    """

    requests: int = 0
    resends: int = 0
    damaged: int = 0
    timeouts: int = 0


class _Lost(Enum):
    """Why there is no answer."""

    DAMAGED = "a frame was damaged"
    LATE = "nothing came in time"


class SerialLink:
    """The host's side of the protocol: one request, one answer, repeated where one got lost.

    No command is executed twice, however often it is sent. Where long frames do not get through,
    payloads are sent in pieces.

    Args:
        stream: The connection.
        where: Names the device in an error.
        timeout_seconds: How long an answer may take.
        attempts: For how many such times no good frame may come before the device counts as silent.

    Attributes:
        counts: What the line did to the frames so far.
    """

    def __init__(
        self, stream: Stream, where: str, *, timeout_seconds: float = 5.0, attempts: int = 3
    ) -> None:
        self._stream = stream
        self._where = where
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._sequence = 0
        self._info: DeviceInfo | None = None
        self._decoder = frames.Decoder()
        self._slowest: dict[int, float] = {}
        self._alive = 0.0
        self._size = FrameSize()
        self.counts = LineCounts()

    def request(self, command: int, payload: bytes = b"") -> bytes:
        """Send a request and return the payload of its answer.

        Raises:
            DeviceError: The device refuses it, does not answer, answers garbage, or was reset.
            PortError: The connection is gone.
        """
        if self._info is None and command != frames.INFO:
            self.info()
        if command not in _LARGE or len(payload) <= frames.FRAGMENT:
            return self._accepted(self._ask(command, payload))
        if self._size.whole:
            failures = _MOST_TRIES if command in _ONCE else MOST_FAILURES
            answer = self._try(command, payload, failures)
            if answer is not None:
                return self._accepted(answer)
        return self._accepted(self._in_pieces(command, payload))

    def _in_pieces(self, command: int, payload: bytes) -> frames.Frame:
        """Bring the payload piece by piece, then let the device execute the command."""
        run = _RUN.pack(command, len(payload), frames.crc32(payload))
        for _ in range(_MOST_RUNS):
            offset = 0
            while offset < len(payload):
                piece = payload[offset : offset + self._size.bytes]
                self._accepted(self._ask(frames.WRITE, _WRITE.pack(offset) + piece))
                offset += len(piece)
            answer = self._ask(frames.RUN, run)
            # A damaged frame can look like another command and take the place of the pieces.
            if (answer.command, answer.payload[:1]) != _PIECES_LOST:
                self._size.settle()
                return answer
        raise self._bad_line()

    def _ask(self, command: int, payload: bytes) -> frames.Frame:
        answer = self._try(command, payload, _MOST_TRIES)
        if answer is None:
            raise self._bad_line()
        return answer

    def _try(self, command: int, payload: bytes, most_failures: int) -> frames.Frame | None:
        """Send one request until it is answered; None after so many failures."""
        self._sequence = (self._sequence + 1) & 0xFF
        content = frames.encode(self._sequence, command, payload)
        late, damaged = 0, self._decoder.damaged
        self._alive = time.monotonic()
        for attempt in range(most_failures):
            self.counts.resends += attempt > 0
            begin = time.monotonic()
            self._stream.write(content)
            answer = self._listen(command, self._patience(command) * 2**late)
            if isinstance(answer, frames.Frame):
                seconds = time.monotonic() - begin
                self._slowest[command] = max(self._slowest.get(command, 0.0), seconds)
                self.counts.requests += 1
                self._size.note(len(payload), lost=False)
                return answer
            self._size.note(len(payload), lost=True)
            self.counts.timeouts += answer is _Lost.LATE
            late = late + 1 if answer is _Lost.LATE else 0
            # A computer that is busy can keep an answer for longer than any before took.
            if time.monotonic() - self._alive > _SILENCE * self._attempts * self._timeout_seconds:
                garbage = self._decoder.damaged > damaged or self._decoder.pending
                raise self._no_answer(command, "answers garbage" if garbage else "gave no answer")
        return None

    def _patience(self, command: int) -> float:
        """Return how long to wait: what such a request took, with much to spare."""
        slowest = self._slowest.get(command)
        if slowest is None:
            return self._timeout_seconds
        return min(max(_PATIENCE * slowest, _LEAST_PATIENCE_SECONDS), self._timeout_seconds)

    def _listen(self, command: int, patience: float) -> frames.Frame | _Lost:
        """Return the answer to the last request, or why there is none."""
        before = self._decoder.damaged
        now = time.monotonic()
        end = now + min(patience, self._timeout_seconds)
        quiet = end
        while now < end:
            content = self._stream.read(max(min(end, quiet) - now, 0.0))
            if not content and quiet < end:
                break
            refused = 0
            for frame in self._decoder.feed(content):
                self._alive = time.monotonic()
                if frame.sequence == self._sequence and frame.command & ~frames.ERROR == command:
                    return frame
                refused += frame.command == frames.ERROR
            self.counts.damaged += refused
            now = time.monotonic()
            if refused or self._decoder.damaged > before or (content and quiet < end):
                quiet = now + _QUIET_SECONDS
        self.counts.damaged += self._decoder.damaged - before
        return _Lost.DAMAGED if quiet < end else _Lost.LATE

    def _accepted(self, answer: frames.Frame) -> bytes:
        if not answer.command & frames.ERROR:
            return answer.payload
        code = answer.payload[0] if answer.payload else 0
        if code == frames.NOT_ASKED:
            raise DeviceError(
                "the device was reset while it was in use",
                where=self._where,
                hint="look at its supply and its watchdog, then run the same command again",
            )
        raise DeviceError(
            f"the device refused {_REASONS.get(code, f'the request, code {code}')}",
            where=self._where,
            hint="compare the network and the version in its information with yours",
        )

    def _no_answer(self, command: int, what: str) -> DeviceError:
        return DeviceError(
            f"the device {what} to command {command:#04x}",
            where=self._where,
            hint="check that this is the board's port and its speed, and that the board holds the "
            "image that answers over the UART, of this version of edgeprune (edgeprune flash, or "
            "edgeprune check --image FILE and a programmer of yours); reset it, and run the same "
            "command again",
        )

    def _bad_line(self) -> DeviceError:
        return DeviceError(
            f"the line damages too much: {self.counts.damaged} frames, "
            f"{self.counts.resends} requests sent again",
            where=self._where,
            hint="take a shorter cable or a lower speed, then run the same command again",
        )

    def resynchronize(self) -> None:
        """Lead the device out of any half-received frame, and forget its answers to that."""
        self._stream.write(bytes((frames.REQUEST,)) * 2)
        while self._stream.read(0.1):
            pass
        self._decoder = frames.Decoder()

    def info(self) -> DeviceInfo:
        """Ask the device what it is.

        Raises:
            DeviceError: It does not answer, or speaks another version of the protocol.
            PortError: The connection is gone.
        """
        payload = self.request(frames.INFO)
        if len(payload) < _INFO.size or payload[0] != frames.PROTOCOL:
            raise DeviceError(
                f"the device speaks version {payload[0] if payload else '?'} of the protocol, "
                f"edgeprune speaks {frames.PROTOCOL}",
                where=self._where,
                hint="build and flash the firmware again with this version of edgeprune",
            )
        protocol, flags, classes, signal, rhythm, most, network = _INFO.unpack_from(payload)
        self._info = DeviceInfo(
            protocol,
            flags,
            classes,
            signal,
            rhythm,
            most,
            network.decode("ascii", "replace"),
            payload[_INFO.size :].decode("ascii", "replace"),
        )
        return self._info

    def classify(
        self, signal: NDArray[np.int8], rhythm: NDArray[np.int8] | None = None
    ) -> NDArray[np.int8]:
        """Return the logits of one window, int8 [classes].

        Args:
            signal: int8 [length, channels].
            rhythm: int8 [features], for a network with two inputs.

        Raises:
            DeviceError: The window does not fit the device's network, or there is no answer.
        """
        window = signal.tobytes() + (b"" if rhythm is None else rhythm.tobytes())
        return np.frombuffer(self.request(frames.CLASSIFY, window), np.int8)

    def stack(self) -> tuple[int, int]:
        """Return the bytes of stack that were ever written, and that there are.

        Raises:
            DeviceError: There is no answer.
        """
        used, there = struct.unpack("<II", self.request(frames.STACK))
        return used, there

    def check(self) -> int:
        """Let the device check its constants and its arena; return 0 or an EDGEPRUNE_... result.

        Raises:
            DeviceError: There is no answer.
        """
        return int.from_bytes(self.request(frames.CHECK), "little")

    def ticks(self) -> int | None:
        """Return the ticks of the board's counter that the last window took; None without one.

        Raises:
            DeviceError: There is no answer.
        """
        if self._info is None or not self._info.flags & frames.FLAG_TICKS:
            return None
        return int.from_bytes(self.request(frames.TICKS), "little")

    def stream(self, samples: NDArray[np.int8]) -> NDArray[np.int8] | None:
        """Bring the next samples of a stream; return the logits of the window that ends with them.

        Args:
            samples: int8 [hop, channels]; none to begin a stream anew.

        Returns:
            int8 [classes], or None before the first window is full.

        Raises:
            DeviceError: The samples are no hop, the device offers no stream, or does not answer.
        """
        payload = self.request(frames.STREAM, samples.tobytes())
        return np.frombuffer(payload, np.int8) if payload else None

    def start(self) -> None:
        """Let the front end forget the patient.

        Raises:
            DeviceError: The device has no front end, or does not answer.
        """
        self.request(frames.START)

    def push_samples(self, samples: NDArray[np.int16]) -> int:
        """Send converter counts; return how many were taken before a window became ready.

        Raises:
            DeviceError: They are more than a frame holds, or there is no answer.
        """
        (taken,) = struct.unpack(
            "<H", self.request(frames.SAMPLES, samples.astype("<i2").tobytes())
        )
        return int(taken)

    def push_beat(self, position: int) -> bool:
        """Tell of a beat at a sample; return whether it was in time.

        Raises:
            DeviceError: There is no answer.
        """
        return self.request(frames.BEAT, struct.pack("<I", position)) != b"\0"

    def next_window(self) -> tuple[int, NDArray[np.int8]] | None:
        """Classify the next window that is ready: its beat's sample and logits, or None.

        Raises:
            DeviceError: There is no answer.
        """
        payload = self.request(frames.NEXT)
        if not payload:
            return None
        return int.from_bytes(payload[:4], "little"), np.frombuffer(payload[4:], np.int8)
