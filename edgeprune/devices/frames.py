"""The frame protocol between a host and a device; firmware_export/boards/frames.h describes it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

REQUEST = 0xA5
ANSWER = 0x5A
ESCAPE = 0x7D
TWIST = 0x20
PROTOCOL = 2
ERROR = 0x80
FRAGMENT = 32
INFO = 0x01
CLASSIFY = 0x02
STACK = 0x03
CHECK = 0x04
STREAM = 0x05
TICKS = 0x06
WRITE = 0x08
RUN = 0x0B
START = 0x10
SAMPLES = 0x11
BEAT = 0x12
NEXT = 0x13
FLAG_SYNTHETIC = 1
FLAG_FRONT_END = 2
FLAG_STREAM = 4
FLAG_TICKS = 8
BAD_CRC = 1
BAD_LENGTH = 2
BAD_COMMAND = 3
FAILED = 4
NOT_ASKED = 5
_HEAD = struct.Struct("<BB")
_CRC = struct.Struct("<I")
# Bytes of a frame beside its payload and its flags.
OVERHEAD = _HEAD.size + _CRC.size
_MOST_PAYLOAD = 0xFFFF


def crc32(content: bytes) -> int:
    """Return the CRC-32 of IEEE 802.3 of some bytes."""
    return zlib.crc32(content)


def encode(sequence: int, command: int, payload: bytes = b"", *, start: int = REQUEST) -> bytes:
    """Return a frame between its flags: one before it, two behind.

    Args:
        sequence: 0 to 255; tells a request from the one before.
        command: 0 to 255.
        payload: At most 65,535 bytes.
        start: The flag: REQUEST or ANSWER.

    Raises:
        ValueError: The sequence, the command or the payload is out of range.
    """
    within = 0 <= sequence <= 0xFF and 0 <= command <= 0xFF
    if not within or len(payload) > _MOST_PAYLOAD:
        raise ValueError(
            f"no frame holds sequence {sequence}, command {command} and {len(payload)} bytes"
        )
    content = _HEAD.pack(sequence, command) + payload
    content += _CRC.pack(crc32(content))
    for byte in (ESCAPE, start):
        content = content.replace(bytes((byte,)), bytes((ESCAPE, byte ^ TWIST)))
    return bytes((start,)) + content + bytes((start, start))


@dataclass(frozen=True)
class Frame:
    """A frame that came in whole."""

    sequence: int
    command: int
    payload: bytes


@dataclass
class Decoder:
    """Finds the frames in a stream of bytes, whatever stands between them.

    Attributes:
        start: The flag: ANSWER on a host.
        damaged: How often there were bytes between two flags that are no frame.
    """

    start: int = ANSWER
    damaged: int = 0
    _waiting: bytearray = field(default_factory=bytearray)

    @property
    def pending(self) -> bool:
        """Whether there are bytes that no flag has ended yet."""
        return bool(self._waiting)

    def feed(self, content: bytes) -> list[Frame]:
        """Take bytes and return the frames that they complete."""
        self._waiting += content
        *complete, rest = self._waiting.split(bytes((self.start,)))
        # No frame is longer than this, escaped.
        self._waiting = rest[-2 * (_MOST_PAYLOAD + OVERHEAD) :]
        found = []
        for part in complete:
            frame = _decode(bytes(part))
            if frame is not None:
                found.append(frame)
            elif part:
                self.damaged += 1
        return found


def _decode(part: bytes) -> Frame | None:
    """Return the frame that stands between two flags, or None where it is damaged."""
    first, *escaped = part.split(bytes((ESCAPE,)))
    if not all(escaped):
        return None
    content = first + b"".join(bytes((each[0] ^ TWIST,)) + each[1:] for each in escaped)
    if len(content) < OVERHEAD:
        return None
    body, crc = content[: -_CRC.size], content[-_CRC.size :]
    if _CRC.pack(crc32(body)) != crc:
        return None
    sequence, command = _HEAD.unpack_from(body)
    return Frame(sequence, command, body[_HEAD.size :])
