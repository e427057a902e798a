"""Sliding windows over the length of a feature map, or over its length and its height."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgeprune.errors import NetworkError

Scalar = TypeVar("Scalar", bound=np.generic)

# A map is [length, channels] or [length, height, channels]: time comes first, as it is sampled.
AXES = ("length", "height")
_BEFORE = ("pad_left", "pad_top")


@dataclass(frozen=True)
class Sliding:
    """The geometry of a window along one axis.

    Args:
        kernel: Cells that a window reads.
        stride: Cells between two windows.
        dilation: Cells between two cells of a window.
        padding: Cells added before and after.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)

    @property
    def span(self) -> int:
        """Cells from a window's first cell to its last, both included."""
        return (self.kernel - 1) * self.dilation + 1

    def check(self, *, where: str) -> None:
        """Raise a NetworkError unless every number is possible."""
        if min(self.kernel, self.stride, self.dilation) < 1 or min(self.padding) < 0:
            raise NetworkError(
                f"kernel {self.kernel}, stride {self.stride}, dilation {self.dilation} and "
                f"padding {self.padding} do not describe a window",
                where=where,
            )

    def output_length(self, length: int, *, where: str) -> int:
        """Return the number of windows over `length` cells, or raise a NetworkError for none."""
        room = length + sum(self.padding) - self.span
        if room < 0:
            raise NetworkError(
                f"a window of {self.span} cells does not fit a length of {length}", where=where
            )
        return room // self.stride + 1

    def same_padding(self, length: int) -> tuple[int, int]:
        """Return the padding that TFLite computes for SAME over that length."""
        windows = -(-length // self.stride)
        total = max((windows - 1) * self.stride + self.span - length, 0)
        return total // 2, total - total // 2

    def positions(self, length: int) -> npt.NDArray[np.int64]:
        """Return where each window's cells lie [windows, kernel]; some lie in the padding."""
        windows = self.output_length(length, where="windows")
        starts = np.arange(windows, dtype=np.int64) * self.stride - self.padding[0]
        return starts[:, np.newaxis] + np.arange(self.kernel) * self.dilation

    def inside(self, length: int) -> npt.NDArray[np.int64]:
        """Return `positions` [windows, kernel], ascending, with no padding in them.

        A cell in the padding repeats one of its own window; each window must have one inside.
        """
        positions = self.positions(length)
        valid = (positions >= 0) & (positions < length)
        first = np.take_along_axis(positions, valid.argmax(axis=1)[:, np.newaxis], axis=1)
        return np.sort(np.where(valid, positions, first), axis=1)

    def valid_cells(self, length: int) -> npt.NDArray[np.int64]:
        """Return how many cells of each window lie inside the unpadded length."""
        positions = self.positions(length)
        return np.asarray(((positions >= 0) & (positions < length)).sum(axis=1))


@dataclass(frozen=True)
class Windows:
    """Windows that slide over the length of a map, or over its length and its height.

    Args:
        axes: The geometry along each axis, the length first.
    """

    axes: tuple[Sliding, ...]

    @property
    def kernel(self) -> tuple[int, ...]:
        """Cells that a window reads along each axis."""
        return tuple(axis.kernel for axis in self.axes)

    @property
    def cells(self) -> int:
        """Cells that a window reads."""
        return math.prod(self.kernel)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Cells added before and after, along each axis."""
        return tuple(axis.padding for axis in self.axes)

    @property
    def is_padded(self) -> bool:
        """Whether there is any padding."""
        return any(padding != (0, 0) for padding in self.padding)

    @property
    def is_dilated(self) -> bool:
        """Whether windows skip cells."""
        return any(axis.dilation != 1 for axis in self.axes)

    def idle_axis(self, sizes: Sequence[int]) -> str:
        """Return the axis of a single cell over which nothing slides; empty for none of two."""
        idle = (
            name
            for name, axis, size in zip(AXES, self.axes, sizes, strict=False)
            if size == 1 and axis == Sliding(1) and len(self.axes) > 1
        )
        return next(idle, "")

    def check(self, *, where: str) -> None:
        """Raise a NetworkError unless every number is possible."""
        for axis in self.axes:
            axis.check(where=where)

    def output_sizes(self, sizes: Sequence[int], *, where: str) -> tuple[int, ...]:
        """Return the windows along each axis, or raise a NetworkError where none fits."""
        return tuple(
            axis.output_length(size, where=where)
            for axis, size in zip(self.axes, sizes, strict=True)
        )

    def pad(self, values: npt.NDArray[Scalar], fill: int) -> npt.NDArray[Scalar]:
        """Return `values` [n, length, (height,) channels] with the padding filled in."""
        if not self.is_padded:
            return values
        return np.pad(values, ((0, 0), *self.padding, (0, 0)), constant_values=fill)

    def taps(self, padded: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Return a read-only view [n, *windows, *kernel, channels] of padded values."""
        axes = len(self.axes)
        strides = padded.strides[1 : 1 + axes]
        windows = [
            (size - axis.span) // axis.stride + 1
            for axis, size in zip(self.axes, padded.shape[1:], strict=False)
        ]
        steps = zip(strides, self.axes, strict=True)
        cells = zip(strides, self.axes, strict=True)
        return np.lib.stride_tricks.as_strided(
            padded,
            (len(padded), *windows, *self.kernel, padded.shape[-1]),
            (
                padded.strides[0],
                *(step * axis.stride for step, axis in steps),
                *(step * axis.dilation for step, axis in cells),
                padded.strides[-1],
            ),
            writeable=False,
        )

    def by_cell(
        self, padded: npt.NDArray[Scalar]
    ) -> Iterator[tuple[tuple[int, ...], npt.NDArray[Scalar]]]:
        """Yield each cell of the kernel and its padded value in every window [n, *windows, c]."""
        for cell in np.ndindex(*self.kernel):
            reach = zip(self.axes, cell, padded.shape[1:], strict=False)
            parts = (
                slice(place * axis.dilation, size - axis.span + place * axis.dilation + 1)
                for axis, place, size in reach
            )
            strided = (
                slice(part.start, part.stop, axis.stride)
                for part, axis in zip(parts, self.axes, strict=True)
            )
            index: tuple[slice, ...] = (slice(None), *strided)
            yield cell, padded[index]

    def valid_cells(self, sizes: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return how many cells of each window [*windows] lie inside the unpadded map."""
        counts = np.ones((), np.int64)
        for axis, size in zip(self.axes, sizes, strict=True):
            counts = np.multiply.outer(counts, axis.valid_cells(size))
        return np.asarray(counts)

    def elements(self, sizes: Sequence[int], channels: int) -> npt.NDArray[np.int64]:
        """Return which elements of a map each output reads of its own channel [outputs, cells].

        Ascending; a cell in the padding repeats one of its own window.
        """
        cells = np.zeros((1, 1), np.int64)
        for axis, size in zip(self.axes, sizes, strict=True):
            inside = axis.inside(size)
            cells = size * cells[:, np.newaxis, :, np.newaxis] + inside[:, np.newaxis]
            cells = cells.reshape(-1, cells.shape[2] * inside.shape[1])
        elements = cells[:, np.newaxis] * channels + np.arange(channels)[:, np.newaxis]
        return np.asarray(elements.reshape(-1, elements.shape[2]))

    def c_fields(self, *, dilates: bool = True) -> dict[str, int]:
        """Return the geometry as fields of a C kernel's parameter struct, in order."""
        fields: dict[str, int] = {}
        for number in ("kernel", "stride", "dilation")[: 3 if dilates else 2]:
            for name, axis in zip(AXES, self.axes, strict=False):
                key = number if len(self.axes) == 1 else f"{number}_{name}"
                fields[key] = getattr(axis, number)
        for name, axis in zip(_BEFORE, self.axes, strict=False):
            fields[name] = axis.padding[0]
        return fields

    def onnx_attributes(self, *, dilates: bool = True) -> dict[str, list[int]]:
        """Return the geometry as attributes of ONNX's Conv and pools, which name the height first.

        Args:
            dilates: Whether the operator has a dilation.
        """
        axes = tuple(reversed(self.axes))
        attributes = {
            "kernel_shape": [axis.kernel for axis in axes],
            "strides": [axis.stride for axis in axes],
            "pads": [axis.padding[end] for end in range(2) for axis in axes],
        }
        if dilates:
            attributes["dilations"] = [axis.dilation for axis in axes]
        return attributes


def c_sizes(prefix: str, sizes: Sequence[int]) -> dict[str, int]:
    """Return the sizes of a map's axes as fields of a C kernel's parameter struct."""
    return {f"{prefix}_{name}": size for name, size in zip(AXES, sizes, strict=False)}
