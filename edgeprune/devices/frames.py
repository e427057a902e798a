"""The frame protocol between a host and a device; firmware_export/boards/frames.h describes it."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass, field

REQUEST = 0xA5
ANSWER = 0x5A
PROTOCOL = 1
ERROR = 0x80
INFO = 0x01
CLASSIFY = 0x02
STACK = 0x03
CHECK = 0x04
STREAM = 0x05
START = 0x10
SAMPLES = 0x11
BEAT = 0x12
NEXT = 0x13
FLAG_SYNTHETIC = 1
FLAG_FRONT_END = 2
FLAG_STREAM = 4
BAD_CRC = 1
BAD_LENGTH = 2
BAD_COMMAND = 3
FAILED = 4
# Bytes of a frame beside its payload.
OVERHEAD = 6
_HEAD = struct.Struct("<BBH")
_CRC = struct.Struct("<H")
_MOST_PAYLOAD = 0xFFFF


def crc16(content: bytes) -> int:
    """Return the CRC-16/CCITT of some bytes."""
    return binascii.crc_hqx(content, 0xFFFF)


def encode(command: int, payload: bytes = b"", *, start: int = REQUEST) -> bytes:
    """Return a frame.

    Args:
        command: 0 to 255.
        payload: At most 65,535 bytes.
        start: REQUEST or ANSWER.

    Raises:
        ValueError: The command or the payload is out of range.
    """
    if not 0 <= command <= 0xFF or len(payload) > _MOST_PAYLOAD:
        raise ValueError(f"no frame holds command {command} and {len(payload)} bytes")
    content = _HEAD.pack(start, command, len(payload)) + payload
    return content + _CRC.pack(crc16(content[1:]))


@dataclass(frozen=True)
class Frame:
    """A frame that came in whole."""

    command: int
    payload: bytes


@dataclass
class Decoder:
    """Finds the frames in a stream of bytes, whatever stands between them.

    A frame is any start byte with a length that is allowed and a CRC that fits; what cannot be
    part of one is dropped. Where two could overlap, the one that begins first is taken.

    Attributes:
        start: The byte that frames begin with: ANSWER on a host.
        most_payload: The longest payload that a frame may have. The smaller, the sooner the
            decoder knows that a start byte was garbage.
    """

    start: int = ANSWER
    most_payload: int = _MOST_PAYLOAD
    _waiting: bytearray = field(default_factory=bytearray)

    def feed(self, content: bytes) -> list[Frame]:
        """Take bytes and return the frames that they complete."""
        self._waiting += content
        found = []
        while frame := self._next():
            found.append(frame)
        return found

    def _next(self) -> Frame | None:
        """Return the first whole frame, or None; garbage before it is dropped."""
        waiting = self._waiting
        while True:
            begin = waiting.find(self.start)
            del waiting[: begin if begin >= 0 else len(waiting)]
            if len(waiting) < _HEAD.size:
                return None
            _, command, length = _HEAD.unpack_from(waiting)
            if length <= self.most_payload:
                end = _HEAD.size + length
                if len(waiting) < end + _CRC.size:
                    return None
                if _CRC.unpack_from(waiting, end)[0] == crc16(bytes(waiting[1:end])):
                    payload = bytes(waiting[_HEAD.size : end])
                    del waiting[: end + _CRC.size]
                    return Frame(command, payload)
            del waiting[0]
