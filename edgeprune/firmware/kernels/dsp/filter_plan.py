"""The numbers of a filter bank's kernel: chunks, what lies where in scratch memory, constants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.code import KernelRequest
from edgeprune.firmware.kernels.dsp.expansion import Expansion, Tiles
from edgeprune.firmware.kernels.dsp.filter_layers import FilterLayers
from edgeprune.firmware.kernels.dsp.geometry import LANES, Geometry, Layout, packed


@dataclass(frozen=True, eq=False)
class FilterPlan:
    """What a kernel that computes `chunk` blocks of positions at a time needs to know.

    Scratch memory holds the sums of a chunk over the height, [filter][block][position][sum], and
    behind them the words of one line; later the chunk's int8 values, where they are not the output.

    Attributes:
        request: What is computed.
        layers: Its layers.
        chunk: Blocks of a chunk.
    """

    request: KernelRequest
    layers: FilterLayers
    chunk: int

    @property
    def geometry(self) -> Geometry:
        """The filters over one line."""
        return self.layers.geometry

    @property
    def chunk_count(self) -> int:
        """Chunks of the whole output."""
        return -(-self.block_count // self.chunk)

    @property
    def block_count(self) -> int:
        """Blocks of the whole output."""
        return -(-self.layers.positions // LANES)

    @cached_property
    def layout(self) -> Layout:
        """Where the words of one line lie."""
        tiles = self.chunk + self.geometry.extra_tiles
        return Layout.by_tile(len(self.geometry.planes), tiles)

    @cached_property
    def expansion(self) -> Expansion:
        """How a line's samples become words."""
        zero_point = self.request.source.zero_point
        return Expansion(self.geometry, self.layout, zero_point, self.layers.filters.doubled)

    @property
    def sections(self) -> tuple[tuple[int, int], ...]:
        """Filters of a block, and how many blocks a position has of them."""
        pairs, rest = divmod(self.geometry.outputs, 2)
        return tuple(each for each in ((2, pairs), (1, rest)) if each[1])

    @property
    def block_bytes(self) -> int:
        """Bytes of the sums of one filter and block: [position][sum]."""
        return 4 * LANES * self.layers.multiplier

    @property
    def filter_bytes(self) -> int:
        """Bytes of the sums of one filter: [block][position][sum]."""
        return self.chunk * self.block_bytes

    @property
    def sums_bytes(self) -> int:
        """Bytes of the sums of all filters."""
        return self.geometry.outputs * self.filter_bytes

    @property
    def scratch_bytes(self) -> int:
        """Scratch memory in all; the values lie where nothing is read from the words any more."""
        return self.sums_bytes + max(self.layout.size, self.values_bytes)

    @property
    def values_bytes(self) -> int:
        """Bytes of a chunk's int8 values where they are not yet the output."""
        rows = self.chunk * LANES
        return 0 if self.layers.is_direct else rows * self.layers.sums.row_bytes

    @property
    def unit(self) -> int:
        """Filters whose sums are finished together: an even number of sums if there is one."""
        return 2 if self.layers.multiplier % 2 and self.geometry.outputs % 2 == 0 else 1

    @property
    def finished(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Of a unit, the sums that are finished at once as (filter, sum): two or one."""
        sums = range(self.layers.multiplier)
        cells = [(line, each) for line in range(self.unit) for each in sums]
        return tuple(tuple(cells[first : first + 2]) for first in range(0, len(cells), 2))

    @cached_property
    def constants(self) -> bytes:
        """The filters, the records of the sums, and the weights over the height."""
        words: list[bytes] = []
        first = 0
        for count, blocks in self.sections:
            for _ in range(blocks):
                channels = tuple(range(first, first + count))
                biases = [self.expansion.bias(channel) for channel in channels]
                record = self.layers.filters.record(channels, biases)
                words.append(np.array(record, "<u4").tobytes())
                words.append(packed(self.geometry.weight_words(channels, self.geometry.visits)))
                first += count
        sums, spatial = self.layers.sums, self.layers.spatial
        weights = spatial.weights[0].astype(np.int64)
        zero_point = self.request.tensors[spatial.inputs[0]].zero_point
        offsets = spatial.bias.astype(np.int64) - zero_point * weights.sum(axis=0)
        for unit in range(0, self.geometry.outputs, self.unit):
            for cells in self.finished:
                outputs = [(unit + line) * self.layers.multiplier + each for line, each in cells]
                record = sums.record(outputs, [int(offsets[output]) for output in outputs])
                words.append(np.array(record, "<u4").tobytes())
        if self.layers.table is not None:
            words.append(self.layers.table.entries.tobytes())
        return b"".join(words) + spatial.weights.astype(np.int8).tobytes()

    @property
    def spatial_at(self) -> int:
        """Where the weights over the height lie in the constants."""
        return len(self.constants) - self.layers.spatial.weights.size

    @property
    def expanded(self) -> Tiles:
        """The tiles of all chunks of one line."""
        shape, row = self.geometry, -self.geometry.operation.padding[0]
        total = Tiles(0, 0, 0, (0,) * len(shape.phases))
        for first in range(0, self.block_count, self.chunk):
            blocks = min(self.chunk, self.block_count - first)
            total += self.expansion.tiles(row, blocks + shape.extra_tiles)
            row += self.chunk * LANES * shape.stride
        return total
