"""Convolutions as the Helium kernels see them: windows of bytes, vectors of weights, blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.firmware.kernels.code import KernelRequest
from edgeprune.firmware.kernels.mve.emission import vectors_in
from edgeprune.network import Add, AveragePool1d, Conv1d, DepthwiseConv1d, MaxPool1d
from edgeprune.network.arithmetic import Multiplier
from edgeprune.network.tensor import Int8Array, Int64Array


@dataclass(frozen=True, eq=False)
class Windowed:
    """A convolution, perhaps with a pool behind it; a depthwise one has groups of one channel.

    Attributes:
        weights: int8 [out, kernel, depth].
        bias: What is added to the sum of w * x, the input's zero point not subtracted from x.
        multiplier: From accumulator to output.
        stride: Cells between two windows.
        dilation: Cells between two cells of a window.
        pad_left: Cells before the first.
        groups: Parts into which the channels are split.
        length: Cells of the input.
        channels: Of the input.
        pool: Positions whose maximum is one output, 1 without a maximum pool.
        outputs: Output positions; of a global average those that it averages.
        source_zero: The input's zero point.
        zero_point: The output's.
        clamp: Of each output, the maximum pool's included.
        average: The global average pool behind it.
        residual: The sum with another tensor behind it, before the average.
        upward: Whether halves may be rounded up: the clamp hides the difference.
    """

    weights: Int8Array
    bias: Int64Array
    multiplier: Multiplier
    stride: int
    dilation: int
    pad_left: int
    groups: int
    length: int
    channels: int
    pool: int
    outputs: int
    source_zero: int
    zero_point: int
    clamp: tuple[int, int]
    average: AveragePool1d | None
    residual: Add | None
    upward: bool

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return len(self.weights)

    @property
    def kernel(self) -> int:
        """Cells of a window."""
        return self.weights.shape[1]

    @property
    def depth(self) -> int:
        """Input channels that a window sees."""
        return self.weights.shape[2]

    @property
    def span(self) -> int:
        """Cells from a window's first to its last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def advance(self) -> int:
        """Input cells from one output to the next."""
        return self.pool * self.stride


def windowed(request: KernelRequest) -> Windowed | None:
    """Return what a request computes if it is a convolution with nothing or a pool behind it."""
    first, *behind = request.operations
    if isinstance(first, DepthwiseConv1d):
        weights = np.ascontiguousarray(first.weights.T)[:, :, np.newaxis]
        groups = first.onnx_groups
    elif isinstance(first, Conv1d):
        weights, groups = first.weights, first.groups
    else:
        return None
    length, channels = request.source.shape
    made = request.tensors[first.output]
    positions = made.shape[0]
    low, high = first.clamp_low, first.clamp_high
    pool, average = 1, None
    residual = behind[0] if behind and isinstance(behind[0], Add) else None
    if residual is not None:
        behind = behind[1:]
    if behind:
        last = behind[0]
        if len(behind) > 1 or not isinstance(last, MaxPool1d | AveragePool1d):
            return None
        if last.padding != (0, 0):
            return None
        if isinstance(last, AveragePool1d):
            if last.kernel != positions:
                return None
            average = last
        elif last.kernel != last.stride or residual is not None:
            return None
        else:
            pool = last.kernel
            low, high = (int(np.clip(v, last.clamp_low, last.clamp_high)) for v in (low, high))
    zero = request.source.zero_point
    sums = weights.astype(np.int64).sum(axis=(1, 2))
    return Windowed(
        weights=weights,
        bias=first.bias.astype(np.int64) - zero * sums,
        multiplier=first.multiplier(request.tensors),
        stride=first.stride,
        dilation=first.dilation,
        pad_left=first.padding[0],
        groups=groups,
        length=length,
        channels=channels,
        pool=pool,
        outputs=positions // pool,
        source_zero=zero,
        zero_point=made.zero_point,
        clamp=(low, high),
        average=average,
        residual=residual,
        upward=first.clamp_low >= made.zero_point,
    )


@dataclass(frozen=True)
class Layout:
    """How a group's input lies in the scratch memory.

    Attributes:
        name: For people.
        pitch: Bytes from one cell to the next.
        step: Bytes from one window to the next.
        offsets: Where in a window each vector begins.
    """

    name: str
    pitch: int
    step: int
    offsets: tuple[int, ...]

    @property
    def vectors(self) -> int:
        """Vectors of weights that a channel has."""
        return len(self.offsets)

    def weights(self, shape: Windowed, channel: int) -> Int8Array:
        """Return a channel's weights, [vectors, 16], zero where a vector reads too much."""
        given = shape.weights[channel]
        padded = np.zeros((shape.kernel, self.pitch), np.int8)
        padded[:, : shape.depth] = given
        if self.name == "rows":
            return padded.reshape(-1, 16)
        spread = np.zeros((shape.span, self.pitch), np.int8)
        spread[:: shape.dilation] = padded
        flat = np.zeros(self.vectors * 16, np.int8)
        flat[: spread.size] = spread.reshape(-1)
        return flat.reshape(-1, 16)


def layouts(shape: Windowed) -> tuple[Layout, ...]:
    """Return the layouts of a group's cells that make sense.

    Without gaps, a window is one stretch of bytes (a dilated one holds weights of zero). With
    rows of whole vectors, windows that overlap read the same vectors.
    """
    count = vectors_in(shape.span * shape.depth)
    found = [
        Layout(
            "dense",
            shape.depth,
            shape.stride * shape.depth,
            tuple(16 * vector for vector in range(count)),
        )
    ]
    pitch = 16 * vectors_in(shape.depth)
    rows = tuple(
        tap * shape.dilation * pitch + column
        for tap in range(shape.kernel)
        for column in range(0, pitch, 16)
    )
    if rows != found[0].offsets and len(rows) <= 2 * count:
        found.append(Layout("rows", pitch, shape.stride * pitch, rows))
    return tuple(found)


@dataclass(frozen=True)
class Quad:
    """Four accumulators that become one vector: position and channel of each, and which vector."""

    vector: int
    cells: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Block:
    """Eight outputs that are computed together, in two vectors of four.

    Attributes:
        outputs: Output positions: 8 or 4.
        channels: 1 or 2.
        rounds: What is accumulated at once: one or two quads.
    """

    outputs: int
    channels: int
    rounds: tuple[tuple[Quad, ...], ...]

    @property
    def lanes(self) -> tuple[tuple[int, int], ...]:
        """Output position and channel of the eight 16-bit lanes after both are narrowed."""
        if self.channels == 2:
            return tuple((lane // 2, lane % 2) for lane in range(8))
        return tuple((lane // 2 + 4 * (lane % 2), 0) for lane in range(8))


def blocks(pool: int) -> tuple[Block, ...]:
    """Return the shapes of blocks for a pool of that many positions."""

    def quad(vector: int, begin: int, tap: int, channel: int = 0) -> Quad:
        return Quad(vector, tuple(((begin + f) * pool + tap, channel) for f in range(4)))

    pairs = [(tap, tap + 1) for tap in range(0, pool - 1, 2)]
    single = [
        (quad(half, 4 * half, one), quad(half, 4 * half, two))
        for half in range(2)
        for one, two in pairs
    ]
    if pool % 2:
        single.append((quad(0, 0, pool - 1), quad(1, 4, pool - 1)))
    double = [(quad(0, 0, tap, 0), quad(1, 0, tap, 1)) for tap in range(pool)]
    return Block(8, 1, tuple(single)), Block(4, 2, tuple(double))


def weight_groups(layout: Layout, block: Block, room: int) -> tuple[tuple[int, ...], ...]:
    """Split a channel's vectors into groups whose weights fit `room` registers.

    Vectors whose windows meet at the same bytes go together, so that a load serves several.
    """
    most = room // block.channels
    if layout.vectors <= most:
        return (tuple(range(layout.vectors)),)
    kin: dict[int, list[int]] = {}
    for vector, offset in enumerate(layout.offsets):
        kin.setdefault(offset % layout.step, []).append(vector)
    if max(len(each) for each in kin.values()) == 1:
        ordered = list(range(layout.vectors))
        return tuple(tuple(ordered[n : n + most]) for n in range(0, len(ordered), most))
    # Even parts: a part of one vector shares nothing.
    parts: list[tuple[int, ...]] = []
    for each in kin.values():
        count = -(-len(each) // most)
        parts += [tuple(int(v) for v in part) for part in np.array_split(each, count)]
    return tuple(parts)
