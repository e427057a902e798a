"""The constants of a program as they lie in flash, and their check sum."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from edgeprune.firmware.lowering import Array, Layer, Program

# What `edgeprune_check_weights` walks over first: the constants of all assembly, in one piece.
ASSEMBLY_REGION = "edgeprune_constants"


def assembly_constants(program: Program) -> bytes:
    """Return the constants of the layers in assembly, in order, each filled up to words."""
    return b"".join(
        padded(layer.step.code.constants) for layer in program.layers if layer.step.code is not None
    )


def padded(content: bytes) -> bytes:
    """Return bytes filled up to whole words, as they are written."""
    return content + b"\0" * (-len(content) % 4)


def arrays(program: Program) -> Iterator[tuple[str, Layer, str, Array]]:
    """Yield (C name, layer, field, array) of every array of the portable layers, in order."""
    for layer in program.layers:
        for number, call in enumerate(layer.calls):
            for field, array in call.arrays.items():
                yield array_name(layer, number, field), layer, field, array


def array_name(layer: Layer, number: int, field: str) -> str:
    """Return the C name of an array of a layer's call."""
    part = f"_{number}" if number else ""
    return f"layer_{layer.index:02d}{part}_{field}"


def check_sum(program: Program) -> int:
    """Return the CRC-32 of all constants, in the order in which the device reads them."""
    crc = zlib.crc32(assembly_constants(program))
    for _, _, _, array in arrays(program):
        crc = zlib.crc32(array.astype(array.dtype.newbyteorder("<")).tobytes(), crc)
    return crc
