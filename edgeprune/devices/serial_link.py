"""Talks in frames to a device that runs the program "serial", over any stream of bytes."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeprune.devices import frames
from edgeprune.errors import DeviceError

# For a device that has not said yet how long its frames may be.
_FIRST_FLUSH = 4096
# To send these again could do them twice: the answer may have been lost after the work was done.
_ONCE = frozenset((frames.STREAM, frames.SAMPLES, frames.BEAT, frames.NEXT))
_INFO = struct.Struct("<BBHIHH64s")
_REASONS = {
    frames.BAD_CRC: "a damaged frame",
    frames.BAD_LENGTH: "a wrong length",
    frames.BAD_COMMAND: "a command that it does not offer",
    frames.FAILED: "its inputs",
}


class Stream(Protocol):
    """A connection; pyserial's ports and the files of a socket or pty fit behind it."""

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


class SerialLink:
    """The host's side of the protocol: one request, one answer, repeated where one got lost.

    Args:
        stream: The connection.
        where: Names the device in an error.
        timeout_seconds: How long an answer may take.
        attempts: How often a request is sent before it counts as lost.
    """

    def __init__(
        self, stream: Stream, where: str, *, timeout_seconds: float = 5.0, attempts: int = 3
    ) -> None:
        self._stream = stream
        self._where = where
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._flush_bytes = _FIRST_FLUSH

    def request(self, command: int, payload: bytes = b"") -> bytes:
        """Send a request and return the payload of its answer.

        Raises:
            DeviceError: The device refuses it, or does not answer.
        """
        attempts = 1 if command in _ONCE else self._attempts
        damaged = command | frames.ERROR, bytes((frames.BAD_CRC,))
        for attempt in range(self._attempts):
            if attempt:
                self.resynchronize()
            self._stream.write(frames.encode(command, payload))
            answer = self._answer(command)
            if answer is None:
                if attempt + 1 >= attempts:
                    break
            elif (answer.command, answer.payload) != damaged:
                return self._accepted(answer)
        raise DeviceError(
            f"the device gave no answer to command {command:#04x}",
            where=self._where,
            hint="check the port and its speed, and that the program 'serial' was flashed",
        )

    def _accepted(self, answer: frames.Frame) -> bytes:
        if not answer.command & frames.ERROR:
            return answer.payload
        code = answer.payload[0] if answer.payload else 0
        raise DeviceError(
            f"the device refused {_REASONS.get(code, f'the request, code {code}')}",
            where=self._where,
            hint="compare the network and the version in its information with yours",
        )

    def resynchronize(self) -> None:
        """Lead the device out of any half-received frame, and forget its answers to that."""
        self._stream.write(bytes(self._flush_bytes))
        while self._stream.read(0.1):
            pass

    def info(self) -> DeviceInfo:
        """Ask the device what it is.

        Raises:
            DeviceError: It does not answer, or speaks another version of the protocol.
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
        info = DeviceInfo(
            protocol,
            flags,
            classes,
            signal,
            rhythm,
            most,
            network.decode("ascii", "replace"),
            payload[_INFO.size :].decode("ascii", "replace"),
        )
        self._flush_bytes = info.most_payload + frames.OVERHEAD
        return info

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

    def _answer(self, command: int) -> frames.Frame | None:
        """Return the answer to a command, or None where none comes in time."""
        decoder = frames.Decoder()
        end = time.monotonic() + self._timeout_seconds
        while (left := end - time.monotonic()) > 0:
            for frame in decoder.feed(self._stream.read(left)):
                if frame.command & ~frames.ERROR == command:
                    return frame
        return None
