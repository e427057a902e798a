"""Where a convolution's inputs lie once they are expanded to words of two 16-bit numbers.

A chunk of output positions reads the rows `row + stride * q + phase`, where `row` is the first
row of its first window (in the padding, perhaps). Of each row the channels are paired into words,
and the words of four rows in a row lie together:

    [tile = q / 4][plane = phase and pair of channels][q % 4]

so that a block of four positions finds the four words of a tap side by side and the next block
begins one tile further on. Loops over planes want all words of a plane in a row instead; the
tiles then lie inside the planes. A channel that is left over is paired with itself, one tap
further on.
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
class Plane:
    """The words of one phase and two channels, or of a channel and itself one tap further on.

    Attributes:
        phase: The row below the stride.
        low: Channel in the group of the low half.
        high: That of the high half; None for nothing.
        pairs_taps: Whether the high half is the cell of the next tap.
    """

    phase: int
    low: int
    high: int | None
    pairs_taps: bool = False


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
    def kernel(self) -> int:
        """Taps."""
        return int(self.operation.weights.shape[1])

    @property
    def last(self) -> int | None:
        """The channel of a group that is left over when the others are paired."""
        return self.depth - 1 if self.depth % 2 else None

    @property
    def pairs_taps(self) -> bool:
        """Whether that channel's words hold two taps."""
        return self.last is not None and self.kernel > 1

    @property
    def stride(self) -> int:
        """Rows from one position to the next."""
        return self.operation.stride

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """The rows below the stride at which taps begin."""
        return tuple(sorted({plane.phase for plane in self.planes}))

    @cached_property
    def planes(self) -> tuple[Plane, ...]:
        """The planes of a tile, phase by phase."""
        whole = self.depth // 4 * 4
        pairs: list[tuple[int, int]] = []
        for first in range(0, whole, 4):
            pairs += [(first, first + 2), (first + 1, first + 3)]
        if self.depth - whole >= 2:
            pairs.append((whole, whole + 1))
        planes = []
        for phase in range(self.stride):
            planes += [Plane(phase, *pair) for pair in pairs]
            if self.last is not None:
                high = self.last if self.pairs_taps else None
                planes.append(Plane(phase, self.last, high, self.pairs_taps))
        return tuple(plane for plane in planes if self._starts(plane))

    def _starts(self, plane: Plane) -> list[int]:
        """Return the taps that a plane's words begin with."""
        taps = range(0, self.kernel, 2 if plane.pairs_taps else 1)
        dilation, stride = self.operation.dilation, self.stride
        return [tap for tap in taps if tap * dilation % stride == plane.phase]

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
        for index, plane in enumerate(self.planes):
            for tap in self._starts(plane):
                second = tap + 1 if plane.pairs_taps else tap
                exists = plane.high is not None and second < self.kernel
                high = (second, plane.high) if exists and plane.high is not None else None
                start = tap * self.operation.dilation // self.stride
                visits.append(Visit(index, start, ((tap, plane.low), high)))
        return tuple(visits)

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
