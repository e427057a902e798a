"""Sliding windows over the length axis, shared by convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgeprune.errors import NetworkError

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Sliding:
    """The geometry of a window that slides over a padded length.

    Args:
        kernel: Cells that a window reads.
        stride: Cells between two windows.
        dilation: Cells between two cells of a window.
        padding: Cells added left and right.
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

    def pad(self, values: npt.NDArray[Scalar], fill: int) -> npt.NDArray[Scalar]:
        """Return `values` [n, length, channels] with the padding filled in."""
        if self.padding == (0, 0):
            return values
        return np.pad(values, ((0, 0), self.padding, (0, 0)), constant_values=fill)

    def taps(self, padded: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Return a read-only view [n, windows, kernel, channels] of padded values."""
        count, length, channels = padded.shape
        along_n, along_length, along_channels = padded.strides
        windows = (length - self.span) // self.stride + 1
        return np.lib.stride_tricks.as_strided(
            padded,
            (count, windows, self.kernel, channels),
            (along_n, along_length * self.stride, along_length * self.dilation, along_channels),
            writeable=False,
        )

    def valid_cells(self, length: int) -> npt.NDArray[np.int64]:
        """Return how many cells of each window lie inside the unpadded length."""
        inside = np.zeros((1, length + sum(self.padding), 1), np.int64)
        inside[:, self.padding[0] : self.padding[0] + length] = 1
        return np.asarray(self.taps(inside).sum(axis=2).reshape(-1))
