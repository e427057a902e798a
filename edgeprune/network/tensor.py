"""What is known of a value that flows through an IntegerNetwork."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.errors import NetworkError

INT8_LOW = -128
INT8_HIGH = 127

Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]

# Products of two scales must stay ordinary float32 numbers: TFLite multiplies scales in float32.
_SMALLEST_SCALE = 2.0**-60
_LARGEST_SCALE = 2.0**60


@dataclass(frozen=True)
class Tensor:
    """An int8 tensor: its shape and the real numbers that its integers stand for.

    The integer q stands for `scale * (q - zero_point)`.

    Args:
        name: Unique in its network.
        shape: `(length, channels)` or `(length, height, channels)` of a feature map, `(features,)`
            of a vector; without the batch.
        scale: The real step of one LSB, exactly a float32.
        zero_point: The integer that stands for 0.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 2, 3) or any(size < 1 for size in self.shape):
            raise NetworkError(
                f"shape {self.shape} is neither (length, channels), nor (length, height, "
                "channels), nor (features,)",
                where=f"tensor '{self.name}'",
            )
        if not INT8_LOW <= self.zero_point <= INT8_HIGH:
            raise NetworkError(
                f"zero point {self.zero_point} is not an int8", where=f"tensor '{self.name}'"
            )
        check_scale(self.scale, where=f"tensor '{self.name}'")

    @property
    def size(self) -> int:
        """Elements (= bytes) of one window."""
        return math.prod(self.shape)

    @property
    def is_map(self) -> bool:
        """Whether this is a feature map, of one axis or two, and not a vector."""
        return len(self.shape) > 1

    @property
    def row_size(self) -> int:
        """Elements at one position of the length; all of a vector."""
        return self.size // self.shape[0] if self.is_map else self.size

    def same_range(self, other: Tensor) -> bool:
        """Whether the integers of both tensors stand for the same real numbers."""
        return self.scale == other.scale and self.zero_point == other.zero_point

    def quantize(self, values: npt.ArrayLike) -> Int8Array:
        """Turn real numbers into integers as ONNX's QuantizeLinear does (float32, half to even)."""
        steps = np.rint(np.asarray(values, np.float32) / np.float32(self.scale))
        integers: Int8Array = np.clip(steps + self.zero_point, INT8_LOW, INT8_HIGH).astype(np.int8)
        return integers

    def dequantize(self, values: Integers) -> Float32Array:
        """Turn integers into the real numbers that they stand for, in float32."""
        centred: Float32Array = (values.astype(np.int32) - self.zero_point).astype(np.float32)
        return centred * np.float32(self.scale)


def check_scale(scale: float, *, where: str) -> None:
    """Refuse a scale that is not a positive, ordinary float32.

    Raises:
        NetworkError: It is not.
    """
    if not (_SMALLEST_SCALE <= scale <= _LARGEST_SCALE and float(np.float32(scale)) == scale):
        raise NetworkError(
            f"scale {scale!r} is not a float32 between 2^-60 and 2^60",
            where=where,
            hint="recalibrate the quantizer: a range of zero, infinite or NaN width gives this",
        )
