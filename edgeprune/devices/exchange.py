"""The exchange block: how windows reach an image in memory and how its logits come back.

The layout is firmware_export/boards/exchange.h; a test compares the two.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeprune.errors import DeviceError

MAGIC = 0x45505845
VERSION = 1
CLASSIFY = 1
FRONT_END = 2
DONE = 1
FAULT_EXIT = 99
HEADER_FIELDS = (
    "magic",
    "version",
    "command",
    "count",
    "status",
    "signal_bytes",
    "rhythm_bytes",
    "class_count",
    "input_offset",
    "output_offset",
    "beat_count",
    "beats_offset",
    "file_offset",
    "produced",
    "ticks_minimum",
    "ticks_maximum",
    "ticks_low",
    "ticks_high",
    "ticks_empty",
    "stack_used",
    "stack_bytes",
)
HEADER_BYTES = 128
_HEADER = struct.Struct(f"<{len(HEADER_FIELDS)}I")
_ALIGNMENT = 4
_STATUS_TEXTS = {
    0: "never touched the exchange block",
    2: "found no exchange block",
    3: "expects another version of the exchange block",
    4: "holds a network of other sizes",
    5: "does not offer this command",
    7: "found its own model damaged",
    FAULT_EXIT: "took a fault",
}
_STATUS_HINTS = {
    0: "link the image for this target: it reads another address",
    2: "link the image for this target: it reads another address",
    3: "build the firmware again with this version of edgeprune",
    4: "run the image with the network that it was generated from",
    5: "build the image with the front end",
}


@dataclass(frozen=True)
class Request:
    """What is written to the exchange memory before a run.

    Attributes:
        content: The header and all inputs, from the start of the block.
        windows: The most windows that the image may produce.
        record_bytes: Bytes of output a window.
        output_offset: Where the outputs will lie.
    """

    content: bytes
    windows: int
    record_bytes: int
    output_offset: int

    @property
    def total_bytes(self) -> int:
        """Exchange memory that the run needs."""
        return self.output_offset + self.windows * self.record_bytes


@dataclass(frozen=True)
class Response:
    """What a run left in the exchange memory.

    Attributes:
        outputs: int8 [produced, record_bytes].
        ticks_minimum: Timer ticks of the cheapest window; 0 where there is no timer.
        ticks_maximum: Timer ticks of the dearest window.
        ticks_total: Timer ticks of all windows.
        stack_used: Bytes of stack that were ever written, as the image itself saw it.
    """

    outputs: NDArray[np.int8]
    ticks_minimum: int
    ticks_maximum: int
    ticks_total: int
    stack_used: int


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _header(**fields: int) -> bytes:
    values = {"magic": MAGIC, "version": VERSION, **fields}
    packed = _HEADER.pack(*(values.get(name, 0) for name in HEADER_FIELDS))
    return packed.ljust(HEADER_BYTES, b"\0")


def windows_that_fit(exchange_bytes: int, window_bytes: int, classes: int) -> int:
    """Return how many windows fit the exchange memory with their inputs and logits."""
    return max(0, exchange_bytes - HEADER_BYTES - _ALIGNMENT) // (window_bytes + classes)


def pack_windows(
    signal: NDArray[np.int8], rhythm: NDArray[np.int8] | None, classes: int
) -> Request:
    """Lay out ready windows for the command CLASSIFY.

    Args:
        signal: int8 [n, length, channels].
        rhythm: int8 [n, features], or None for a network without that input.
        classes: Number of logits.

    Raises:
        ValueError: A window is not int8, or there is not one rhythm a signal.
    """
    count = len(signal)
    flat = signal.reshape(count, -1)
    if rhythm is None:
        rhythm = np.empty((count, 0), np.int8)
    if signal.dtype != np.int8 or rhythm.dtype != np.int8 or len(rhythm) != count:
        raise ValueError(
            f"windows are int8: {count} signals of {signal.dtype}, {len(rhythm)} of {rhythm.dtype}"
        )
    inputs = np.concatenate([flat, rhythm.reshape(count, -1)], axis=1)
    output_offset = _aligned(HEADER_BYTES + inputs.size)
    header = _header(
        command=CLASSIFY,
        count=count,
        signal_bytes=flat.shape[1],
        rhythm_bytes=inputs.shape[1] - flat.shape[1],
        class_count=classes,
        input_offset=HEADER_BYTES,
        output_offset=output_offset,
    )
    return Request(header + inputs.tobytes(), count, classes, output_offset)


def pack_recording(
    samples: NDArray[np.int16],
    beats: NDArray[np.int64],
    signal_bytes: int,
    rhythm_bytes: int,
    classes: int,
) -> Request:
    """Lay out a raw recording for the command FRONT_END.

    Args:
        samples: int16 [n], or [n, channels] of segments, counts of the device's converter.
        beats: int64 [k], ascending sample positions; of segments the first samples, which the
            device finds by itself.
        signal_bytes: length * channels of the network's signal input.
        rhythm_bytes: Rhythm features of the network, 0 for none.
        classes: Number of logits.

    Raises:
        ValueError: The samples are not int16.
    """
    if samples.dtype != np.int16:
        raise ValueError(f"samples are int16, not {samples.dtype}")
    beats_offset = _aligned(HEADER_BYTES + 2 * samples.size)
    output_offset = beats_offset + 4 * len(beats)
    header = _header(
        command=FRONT_END,
        count=len(samples),
        signal_bytes=signal_bytes,
        rhythm_bytes=rhythm_bytes,
        class_count=classes,
        input_offset=HEADER_BYTES,
        output_offset=output_offset,
        beat_count=len(beats),
        beats_offset=beats_offset,
    )
    content = (header + samples.astype("<i2").tobytes()).ljust(beats_offset, b"\0")
    content += beats.astype("<u4").tobytes()
    record_bytes = signal_bytes + rhythm_bytes + classes
    return Request(content, len(beats), record_bytes, output_offset)


def unpack(request: Request, memory: bytes, exit_code: int, where: str) -> Response:
    """Read the outputs of a run.

    Args:
        request: What the run was given.
        memory: The exchange memory after the run, `request.total_bytes` of it.
        exit_code: What the image passed to the semihosting exit.
        where: Names the image and the backend in an error.

    Raises:
        DeviceError: The image refused the request, faulted, or left something impossible.
    """
    found = dict(zip(HEADER_FIELDS, _HEADER.unpack_from(memory), strict=True))
    status = found["status"] or exit_code
    if status != DONE or exit_code != 0:
        reason = _STATUS_TEXTS.get(status, f"ended with status {status}, exit code {exit_code}")
        raise DeviceError(
            f"the image {reason}",
            where=where,
            hint=_STATUS_HINTS.get(status, "this is a defect of the firmware: keep and report it"),
        )
    sent = request.content[: 4 * HEADER_FIELDS.index("status")]
    produced = found["produced"]
    fewest = request.windows if found["command"] == CLASSIFY else 0
    if memory[: len(sent)] != sent or not fewest <= produced <= request.windows:
        raise DeviceError(
            f"the image left an impossible exchange block: {produced} outputs "
            f"for {request.windows} windows",
            where=where,
            hint="this is a defect of the firmware: keep the image and report it",
        )
    outputs = np.frombuffer(
        memory, np.int8, produced * request.record_bytes, request.output_offset
    ).reshape(produced, request.record_bytes)
    return Response(
        outputs.copy(),
        found["ticks_minimum"],
        found["ticks_maximum"],
        found["ticks_low"] | found["ticks_high"] << 32,
        found["stack_used"],
    )
