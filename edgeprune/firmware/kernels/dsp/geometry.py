"""Where a convolution's inputs lie once they are expanded to words of two 16-bit numbers.

A chunk of output positions reads the rows `row + stride * q + phase`, where `row` is the first
row of its first window (in the padding, perhaps). Of each row the channels are paired into words,
and the words of four rows in a row lie together:

    [tile = q / 4][plane = phase and pair of channels][q % 4]

so that a block of four positions finds the four words of a tap side by side and the next block
begins one tile further on. Loops over planes want all words of a plane in a row instead; the
tiles then lie inside the planes. With a single channel, a pair is a cell and the one of the next
tap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.dsp.chain import Chain
from edgeprune.network import Conv1d

LANES = 4
"""Positions of a block and words of a plane in a tile."""


@dataclass(frozen=True)
class Visit:
    """A tap as a block meets it.

    Attributes:
        plane: The plane that it reads.
        start: The `q` that it reads for the first position.
        cells: (kernel index, channel in the group) of the low and the high half; None for nothing.
    """

    plane: int
    start: int
    cells: tuple[tuple[int, int] | None, tuple[int, int] | None]


@dataclass(frozen=True)
class Layout:
    """Where words lie in scratch memory.

    Attributes:
        plane_bytes: From a plane's words of a tile to the next plane's.
        tile_bytes: From a tile to the next.
        size: Bytes in all.
    """

    plane_bytes: int
    tile_bytes: int
    size: int

    @staticmethod
    def by_tile(planes: int, tiles: int) -> Layout:
        """All planes of a tile together."""
        return Layout(4 * LANES, 4 * LANES * planes, 4 * LANES * planes * tiles)

    @staticmethod
    def by_plane(planes: int, tiles: int) -> Layout:
        """All tiles of a plane together."""
        return Layout(4 * LANES * tiles, 4 * LANES, 4 * LANES * planes * tiles)

    def offset(self, plane: int, place: int) -> int:
        """Return where the word `q = place` of a plane lies, in bytes from the first tile."""
        tile, lane = divmod(place, LANES)
        return plane * self.plane_bytes + tile * self.tile_bytes + 4 * lane


@dataclass(frozen=True, eq=False)
class Geometry:
    """The shape of a convolution and of its expanded inputs.

    Attributes:
        operation: The convolution.
        rows: Length of the input.
        channels: Channels of the input, of all groups.
        positions: Output positions of the convolution.
    """

    operation: Conv1d
    rows: int
    channels: int
    positions: int

    @staticmethod
    def of(chain: Chain) -> Geometry | None:
        """Return the geometry of a chain that begins with a convolution."""
        operation, tensors = chain.weighted, chain.request.tensors
        if not isinstance(operation, Conv1d):
            return None
        rows, channels = tensors[operation.inputs[0]].shape
        return Geometry(operation, rows, channels, tensors[operation.output].shape[0])

    @property
    def depth(self) -> int:
        """Input channels of a group."""
        return int(self.operation.weights.shape[2])

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return self.operation.outputs // self.operation.groups

    @property
    def pairs_taps(self) -> bool:
        """Whether a word holds two cells of one channel."""
        return self.depth == 1 and self.channels == 1

    @property
    def stride(self) -> int:
        """Rows from one position to the next."""
        return self.operation.stride

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """The rows below the stride at which taps begin."""
        return tuple(sorted({tap % self.stride for tap, _ in self._taps}))

    @cached_property
    def pairs(self) -> tuple[tuple[int, int | None], ...]:
        """The channels of a group as they come in words."""
        if self.pairs_taps:
            return ((0, 0),)
        whole = self.depth // 4 * 4
        pairs: list[tuple[int, int | None]] = []
        for first in range(0, whole, 4):
            pairs += [(first, first + 2), (first + 1, first + 3)]
        rest: dict[int, list[tuple[int, int | None]]] = {
            0: [],
            1: [(whole, None)],
            2: [(whole, whole + 1)],
            3: [(whole, whole + 2), (whole + 1, None)],
        }
        return tuple(pairs + rest[self.depth - whole])

    @property
    def planes(self) -> int:
        """Planes of a tile."""
        return len(self.phases) * len(self.pairs)

    @property
    def reach(self) -> int:
        """The largest start of a visit."""
        return max(visit.start for visit in self.visits)

    @property
    def extra_tiles(self) -> int:
        """Tiles that the last block reads beyond its own."""
        return -(-self.reach // LANES)

    @cached_property
    def visits(self) -> tuple[Visit, ...]:
        """The taps, plane by plane, in the order in which they slide over a plane's words."""
        visits = []
        for number, phase in enumerate(self.phases):
            here = [(tap, indices) for tap, indices in self._taps if tap % self.stride == phase]
            for index, pair in enumerate(self.pairs):
                plane = number * len(self.pairs) + index
                for tap, indices in here:
                    low, high = (
                        None if kernel is None or channel is None else (kernel, channel)
                        for kernel, channel in zip(indices, pair, strict=True)
                    )
                    visits.append(Visit(plane, tap // self.stride, (low, high)))
        return tuple(visits)

    @cached_property
    def _taps(self) -> tuple[tuple[int, tuple[int, int | None]], ...]:
        """Of each visit of a pair: its row, and the kernel index of both halves."""
        kernel, dilation = self.operation.weights.shape[1], self.operation.dilation
        if self.pairs_taps:
            return tuple(
                (index * dilation, (index, index + 1 if index + 1 < kernel else None))
                for index in range(0, kernel, 2)
            )
        return tuple((index * dilation, (index, index)) for index in range(kernel))

    def weight_words(
        self, channels: Sequence[int], visits: Sequence[Visit]
    ) -> list[tuple[int, int]]:
        """Return both halves of each word that a block of output channels reads, in order."""
        weights = self.operation.weights

        def half(channel: int, cell: tuple[int, int] | None) -> int:
            return 0 if cell is None else int(weights[channel, cell[0], cell[1]])

        return [
            (half(channel, visit.cells[0]), half(channel, visit.cells[1]))
            for visit in visits
            for channel in channels
        ]

    def weight_sum(self, channel: int) -> int:
        """Return the sum of an output channel's weights."""
        return int(np.sum(self.operation.weights[channel], dtype=np.int64))


def packed(words: list[tuple[int, int]]) -> bytes:
    """Return two words of two int8 as four bytes that SXTB16 takes apart again."""
    words = words + [(0, 0)] * (len(words) % 2)
    numbers = [
        byte
        for first, second in zip(words[::2], words[1::2], strict=True)
        for byte in (first[0], second[0], first[1], second[1])
    ]
    return np.array(numbers, np.int8).tobytes()
