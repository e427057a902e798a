"""Where packed inputs and weights lie, and whether their lanes stay apart (see `packed`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.thumb.emission import words
from edgeprune.firmware.kernels.thumb.layer import Layer
from edgeprune.firmware.kernels.thumb.wide_rescaling import WideRescaling

LONGEST_PAIR = 1020
"""The furthest offset of LDRD."""


@dataclass(frozen=True)
class Step:
    """One packed multiplication: words `place` and up of a phase, weights of two taps.

    Attributes:
        phase: Index of the phase.
        place: First word in the phase's plane.
        even: Kernel index of the even tap, or None.
        odd: Kernel index of the odd tap, or None.
    """

    phase: int
    place: int
    even: int | None
    odd: int | None


@dataclass(frozen=True, eq=False)
class PackedPlan:
    """One way to lay out a layer: chunks, planes of packed inputs, packed weights.

    Attributes:
        layer: The layer.
        chunk: Positions of a chunk.
        expands: Whether weights are bytes in flash, packed for each block of channels.
        unroll: Input channels of a round of the inner loop.
        tall: Whether a block is one channel and six positions, not two and four.
    """

    layer: Layer
    chunk: int
    expands: bool
    unroll: int
    tall: bool = False

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The packed multiplications of an input channel."""
        taps = {(phase, place): index for phase, place, index in self.layer.taps}
        pairs = sorted({(phase, place // 2) for phase, place in taps})
        return tuple(
            Step(phase, pair, taps.get((phase, 2 * pair)), taps.get((phase, 2 * pair + 1)))
            for phase, pair in pairs
        )

    @property
    def single(self) -> bool:
        """Whether there is only one position."""
        return self.layer.needed == 1

    @property
    def width(self) -> int:
        """Output channels of a block."""
        return 1 if self.tall or self.layer.group_outputs == 1 else 2

    @property
    def spans(self) -> int:
        """Accumulators of a channel in a block."""
        return 1 if self.single else 3 if self.tall else 2

    @property
    def positions(self) -> int:
        """Positions of the convolution in a block."""
        return 1 if self.single else 2 * self.spans

    @property
    def rows_out(self) -> int:
        """Output rows of a block."""
        return self.positions // self.layer.chain.pool

    @property
    def blocks(self) -> int:
        """Blocks of a whole call."""
        return -(-self.layer.needed // self.positions)

    @property
    def chunk_blocks(self) -> int:
        """Blocks of a chunk."""
        return min(self.blocks, max(self.chunk // self.positions, 1))

    @cached_property
    def chunks(self) -> list[int]:
        """Blocks of each chunk of a whole call."""
        whole, rest = divmod(self.blocks, self.chunk_blocks)
        return [self.chunk_blocks] * whole + ([rest] if rest else [])

    @property
    def has_edge(self) -> bool:
        """Whether a block waits for the one to its right."""
        return not self.single and self.layer.needed >= self.positions

    def words_of(self, blocks: int) -> int:
        """Words of a plane that a chunk of so many blocks reads."""
        return blocks * self.spans + int(self.has_edge) + max(step.place for step in self.steps)

    @property
    def pitch(self) -> int:
        """Bytes of a plane."""
        return self.words_of(self.chunk_blocks) * 4

    @property
    def plane_bytes(self) -> int:
        """From one input channel to the next."""
        return self.pitch * len(self.layer.phases)

    @property
    def planes_bytes(self) -> int:
        """Bytes of all planes."""
        return self.plane_bytes * self.layer.channels

    @property
    def weight_words(self) -> int:
        """Words of packed weights of a block."""
        return self.layer.depth * len(self.steps) * self.width

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch memory."""
        return self.planes_bytes + (self.weight_words * 4 if self.expands else 0)

    @property
    def rounds(self) -> int:
        """Rounds of the loop over the input channels."""
        return self.layer.depth // self.unroll

    @cached_property
    def splits(self) -> bool:
        """Whether the lanes of all channels would meet: each round then has sums of its own."""
        return self.rounds > 1 and not self._lane_of(self.layer.depth)

    @cached_property
    def lane(self) -> int:
        """Bits of the lower lanes; 0 where no division fits."""
        return self._lane_of(self.unroll if self.splits else self.layer.depth)

    def _lane_of(self, channels: int) -> int:
        """Return the bits for sums over that many input channels at a time."""
        layer = self.layer
        shape = (layer.outputs, -1, layer.depth // channels, channels)
        magnitudes = np.abs(layer.weights).reshape(shape).sum(axis=3)
        sums = np.zeros((3, layer.outputs, layer.depth // channels), np.int64)
        for step in self.steps:
            for tap, lanes in ((step.odd, (0, 1)), (step.even, (1, 2))):
                for each in lanes if tap is not None else ():
                    sums[each] += magnitudes[:, tap] * 128
        low, middle, high = (int(value) for value in sums.max(axis=(1, 2)))
        for bits in (21, 20, 22, 19, 18):
            half = 1 << (bits - 1)
            if max(low, middle) < half and high + 1 < 1 << (63 - 2 * bits):
                return bits
        return 0

    @cached_property
    def rescaling(self) -> WideRescaling:
        """What follows the accumulators."""
        return WideRescaling(self.layer, (self.rounds if self.splits else 1) << (self.lane - 1))

    @property
    def fits(self) -> bool:
        """Whether every offset fits its instruction."""
        layer = self.layer
        furthest = 4 * max(step.place for step in self.steps) + 4 * self.spans
        furthest += (len(layer.phases) - 1) * self.pitch
        return (
            self.lane > 0
            and furthest <= LONGEST_PAIR
            and self.plane_bytes <= 4000
            and self.rows_out * layer.outputs + 2 <= 4000
            and (not layer.chain.averaged or len(self.chunks) == 1)
            and self.positions % layer.chain.pool == 0
        )

    @cached_property
    def channel_blocks(self) -> list[int]:
        """First output channel of each block; the last two may overlap."""
        size = self.layer.group_outputs
        starts = list(range(0, size - self.width + 1, self.width))
        if starts[-1] + self.width < size:
            starts.append(size - self.width)
        return [group * size + start for group in range(self.layer.groups) for start in starts]

    def constants(self) -> bytes:
        """Return records, a row of zero points, and the weights."""
        layer = self.layer
        records, weights = b"", b""
        for first in self.channel_blocks:
            group = first // layer.group_outputs
            records += words(first, group * layer.depth * self.plane_bytes)
            for channel in range(first, first + self.width):
                records += self.rescaling.record(channel)
            weights += self._block_weights(first)
        zero = bytes([layer.input_zero & 0xFF]) * (-(-layer.channels // 4) * 4)
        return records + zero + weights

    def _block_weights(self, first: int) -> bytes:
        pairs = [
            tuple(
                None if tap is None else int(self.layer.weights[channel, tap, depth])
                for tap in (step.odd, step.even)
            )
            for depth in range(self.layer.depth)
            for step in self.steps
            for channel in range(first, first + self.width)
        ]
        if self.expands:
            return bytes(number & 0xFF for pair in pairs for number in pair if number is not None)
        return words(*((odd or 0) + ((even or 0) << self.lane) for odd, even in pairs))

    @property
    def record_bytes(self) -> int:
        """Bytes of a block of channels' constants."""
        return 8 + 4 * self.rescaling.words * self.width
