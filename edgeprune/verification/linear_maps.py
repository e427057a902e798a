"""Linear maps between flat values, forward and transposed, over the columns that matter.

A value of a bound graph is a flat row: a feature map [length, channels] in C order, so that the
positions that a neuron can see at all (its cone) are one range of columns. Every map takes and
returns such ranges; a backward pass of a neuron never touches the columns outside of its cone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.network.windows import Sliding, Windows

FloatArray = npt.NDArray[np.float64]
Real = npt.NDArray[np.floating[Any]]
Span = tuple[int, int]

# Columns of one product that keep a matrix multiplication busy, yet waste little of a narrow band.
_BLOCK_COLUMNS = 64


def widen(rows: Real, span: Span, wanted: Span) -> Real:
    """Return `rows`, whose columns stand for `span`, with zeros for the rest of `wanted`."""
    if span == wanted:
        return rows
    result = np.zeros((len(rows), wanted[1] - wanted[0]), rows.dtype)
    result[:, span[0] - wanted[0] : span[1] - wanted[0]] = rows
    return result


class LinearMap(ABC):
    """A matrix [outputs, inputs] that knows its own shape of zeros.

    Every entry is a float64 that is exact (an integer weight or a dyadic multiplier). Products are
    computed in the arithmetic of what is multiplied, float64 or float32.
    """

    inputs: int
    outputs: int

    @abstractmethod
    def forward(self, values: Real) -> Real:
        """Return `values` [n, inputs] times the transposed matrix: [n, outputs]."""

    @abstractmethod
    def transpose(self, rows: Real, span: Span) -> tuple[Real, Span]:
        """Return rows times the matrix, and which inputs the result covers.

        Args:
            rows: float64 [r, width]: coefficients of the outputs in `span`; the others are 0.
            span: First and last (excluded) output that the columns of `rows` stand for.

        Returns:
            Coefficients [r, width] of a range of inputs (the others are 0) and that range.
        """

    @abstractmethod
    def absolute(self) -> LinearMap:
        """Return the map whose entries are the magnitudes of this map's."""

    @cached_property
    def magnitudes(self) -> FloatArray:
        """The sum of the magnitudes of each output's coefficients [outputs]."""
        sums: FloatArray = self.absolute().forward(np.ones((1, self.inputs)))[0]
        return sums

    @cached_property
    def terms(self) -> int:
        """The most products that one entry of a result adds up, forward or transposed."""
        return max(self.inputs, self.outputs)

    def together(self, channels: int) -> FloatArray:
        """Return each output's coefficients, summed over the channels of a map [outputs, length].

        It is what the outputs make of a change that all channels share; kept for the next call.
        """
        if channels not in self._together:
            positions = np.eye(self.inputs // channels)
            found = self.forward(np.repeat(positions, channels, axis=1)).T
            self._together[channels] = np.ascontiguousarray(found)
        return self._together[channels]

    @cached_property
    def _together(self) -> dict[int, FloatArray]:
        return {}

    def matrix(self) -> FloatArray:
        """Return the whole matrix [outputs, inputs]; for tests and small networks."""
        return self.forward(np.eye(self.inputs)).T


@dataclass(frozen=True, eq=False)
class Scaling(LinearMap):
    """Each element times its own factor.

    Args:
        factors: float64 [elements].
    """

    factors: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", len(self.factors))
        object.__setattr__(self, "outputs", len(self.factors))

    def forward(self, values: Real) -> Real:
        """See `LinearMap.forward`."""
        return values * self.factors.astype(values.dtype, copy=False)

    def transpose(self, rows: Real, span: Span) -> tuple[Real, Span]:
        """See `LinearMap.transpose`."""
        return rows * self.factors[slice(*span)].astype(rows.dtype, copy=False), span

    def absolute(self) -> Scaling:
        """See `LinearMap.absolute`."""
        return Scaling(np.abs(self.factors))


@dataclass(frozen=True, eq=False)
class Matrix(LinearMap):
    """A dense matrix.

    Args:
        entries: float64 [outputs, inputs].
    """

    entries: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", self.entries.shape[0])
        object.__setattr__(self, "inputs", self.entries.shape[1])

    def forward(self, values: Real) -> Real:
        """See `LinearMap.forward`."""
        return values @ self._entries(values.dtype).T

    def transpose(self, rows: Real, span: Span) -> tuple[Real, Span]:
        """See `LinearMap.transpose`."""
        return rows @ self._entries(rows.dtype)[slice(*span)], (0, self.inputs)

    def absolute(self) -> Matrix:
        """See `LinearMap.absolute`."""
        return self._absolute

    @cached_property
    def _absolute(self) -> Matrix:
        return Matrix(np.abs(self.entries))

    @cached_property
    def _single(self) -> Real:
        return self.entries.astype(np.float32)

    def _entries(self, dtype: npt.DTypeLike) -> Real:
        return self._single if np.dtype(dtype) == np.float32 else self.entries


@dataclass(frozen=True, eq=False)
class SlidingMap(LinearMap):
    """A convolution as a banded matrix; the same block serves every position.

    Output position p reads the input positions `p * stride + t * dilation - padding`, where they
    lie inside. A product takes as many positions as make it large; the zeros that it then
    multiplies cost less than many small products.

    Args:
        taps: float64 [kernel, output channels, input channels].
        lengths: Input and output positions.
        stride: Input positions between two outputs.
        dilation: Input positions between two taps.
        padding: Positions that the first window lies before the input's first.
    """

    taps: FloatArray
    lengths: tuple[int, int]
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    _blocks: dict[tuple[int, int, int, npt.DTypeLike], Real] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", self.lengths[0] * self.taps.shape[2])
        object.__setattr__(self, "outputs", self.lengths[1] * self.taps.shape[1])

    @property
    def terms(self) -> int:
        """See `LinearMap.terms`; zeros that a product multiplies add no error."""
        return len(self.taps) * max(self.taps.shape[1:])

    def absolute(self) -> SlidingMap:
        """See `LinearMap.absolute`."""
        return self._absolute

    @cached_property
    def _absolute(self) -> SlidingMap:
        taps = np.abs(self.taps)
        return SlidingMap(taps, self.lengths, self.stride, self.dilation, self.padding)

    def forward(self, values: Real) -> Real:
        """See `LinearMap.forward`."""
        _, outs, ins = self.taps.shape
        result = np.zeros((len(values), self.outputs), values.dtype)
        step = max(1, _BLOCK_COLUMNS // outs)
        for first in range(0, self.lengths[1], step):
            last = min(first + step, self.lengths[1])
            start, stop = self._read(first, last)
            if start < stop:
                block = self._block(first, last, start, stop, values.dtype)
                part = values[:, start * ins : stop * ins]
                np.matmul(part, block.T, out=result[:, first * outs : last * outs])
        return result

    def transpose(self, rows: Real, span: Span) -> tuple[Real, Span]:
        """See `LinearMap.transpose`."""
        _, outs, ins = self.taps.shape
        first, last = span[0] // outs, -(-span[1] // outs)
        rows = widen(rows, span, (first * outs, last * outs))
        start, stop = self._read(first, last)
        result = np.empty((len(rows), max(stop - start, 0) * ins), rows.dtype)
        step = max(1, _BLOCK_COLUMNS // ins)
        for left in range(start, stop, step):
            right = min(left + step, stop)
            low, high = self._readers(left, right)
            low, high = max(low, first), min(high, last)
            if low < high:
                block = self._block(low, high, left, right, rows.dtype)
                part = rows[:, (low - first) * outs : (high - first) * outs]
                np.matmul(part, block, out=result[:, (left - start) * ins : (right - start) * ins])
            else:
                result[:, (left - start) * ins : (right - start) * ins] = 0.0
        return result, (start * ins, max(stop, start) * ins)

    def _read(self, first: int, last: int) -> Span:
        """Return the range of input positions that output positions `first..last` read."""
        reach = (len(self.taps) - 1) * self.dilation
        start = first * self.stride - self.padding
        stop = (last - 1) * self.stride - self.padding + reach + 1
        length = self.lengths[0]
        return min(max(start, 0), length), min(max(stop, 0), length)

    def _readers(self, left: int, right: int) -> Span:
        """Return a range of output positions that holds all that read `left..right`."""
        reach = (len(self.taps) - 1) * self.dilation
        low = -((reach - left - self.padding) // self.stride)
        high = (right - 1 + self.padding) // self.stride + 1
        return max(low, 0), min(high, self.lengths[1])

    def _block(self, low: int, high: int, left: int, right: int, dtype: npt.DTypeLike) -> Real:
        """Return the sub-matrix of output positions `low..high`, input positions `left..right`."""
        shift = low * self.stride - self.padding - left
        key = (shift, high - low, right - left, dtype)
        if key not in self._blocks:
            kernel, outs, ins = self.taps.shape
            block = np.zeros((high - low, outs, right - left, ins), dtype)
            for position in range(high - low):
                for tap in range(kernel):
                    column = shift + position * self.stride + tap * self.dilation
                    if 0 <= column < right - left:
                        block[position, :, column] = self.taps[tap]
            self._blocks[key] = block.reshape((high - low) * outs, (right - left) * ins)
        return self._blocks[key]


def sliding_map(taps: FloatArray, windows: Windows, sizes: Sequence[int]) -> SlidingMap:
    """Return a convolution over a map of one axis or of two as a banded matrix.

    A map [length, height, channels] is one [length, height * channels]: what slides over the height
    is part of each tap.

    Args:
        taps: float64 [kernel, (kernel height,) output channels, input channels].
        windows: The geometry.
        sizes: Sizes of the map's axes.
    """
    if len(windows.axes) == 2:
        taps = _over_height(taps, windows.axes[1], sizes[1])
    axis = windows.axes[0]
    lengths = sizes[0], axis.output_length(sizes[0], where="linear bounds")
    return SlidingMap(taps, lengths, axis.stride, axis.dilation, axis.padding[0])


def _over_height(taps: FloatArray, axis: Sliding, height: int) -> FloatArray:
    positions = axis.positions(height)
    rows = np.arange(len(positions))
    kernel, _, outs, ins = taps.shape
    lifted = np.zeros((kernel, len(rows), outs, height, ins))
    for cell in range(axis.kernel):
        read = positions[:, cell]
        inside = (read >= 0) & (read < height)
        lifted[:, rows[inside], :, read[inside]] = taps[:, cell]
    return lifted.reshape(kernel, len(rows) * outs, height * ins)
