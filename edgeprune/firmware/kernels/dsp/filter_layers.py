"""The layers that a filter bank computes, and whether its kernel can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeprune.firmware.kernels.code import KernelRequest
from edgeprune.firmware.kernels.dsp import expansion
from edgeprune.firmware.kernels.dsp.epilogue import Epilogue
from edgeprune.firmware.kernels.dsp.geometry import Geometry
from edgeprune.network import (
    AveragePool1d,
    Conv1d,
    Conv2d,
    DepthwiseConv2d,
    Operation,
    Reshape,
    Table,
)
from edgeprune.network.windows import Sliding

_MOST_UNROLLED_WORDS = 800
_MOST_MULTIPLIER = 8
_POOLS = (2, 4, 8, 16)


@dataclass(frozen=True, eq=False)
class FilterLayers:
    """A convolution along the length, the weighted sums over its height, and what follows.

    Attributes:
        geometry: The filters over one line, as a convolution over its samples.
        filters: What follows the filters' sums.
        sums: What follows the sums over the height.
        spatial: The sums over the height.
        height: Lines of the map.
        table: What the sums' output is looked up in, if anything.
        pool: The mean of positions that do not overlap, if there is one.
    """

    geometry: Geometry
    filters: Epilogue
    sums: Epilogue
    spatial: DepthwiseConv2d
    height: int
    table: Table | None
    pool: AveragePool1d | None

    @staticmethod
    def of(request: KernelRequest) -> FilterLayers | None:
        """Return the layers of a request; None where they are others or do not fit."""
        if len(request.operations) < 2:
            return None
        first, second, *rest = request.operations
        if not isinstance(first, Conv2d) or not isinstance(second, DepthwiseConv2d):
            return None
        tensors = request.tensors
        length, height, depth = tensors[first.inputs[0]].shape
        alone = first.windows.axes[1] == Sliding(1) and first.groups == 1
        whole = second.windows.axes == (Sliding(1), Sliding(height))
        after = following(rest, tensors[second.output].row_size, request)
        if not (alone and whole and after) or second.channel_multiplier > _MOST_MULTIPLIER:
            return None
        line = Conv1d(
            name=first.name,
            inputs=first.inputs,
            output=first.output,
            weights=first.weights[:, :, 0],
            bias=first.bias,
            weight_scales=first.weight_scales,
            clamp_low=first.clamp_low,
            clamp_high=first.clamp_high,
            stride=first.stride[0],
            dilation=first.dilation[0],
            padding=first.padding[0],
        )
        geometry = Geometry(line, length, height * depth, tensors[first.output].shape[0])
        single = [KernelRequest(request.symbol, (each,), tensors) for each in (first, second)]
        filters, sums = (Epilogue.of(each) for each in single)
        if filters is None or sums is None or not expansion.fits(geometry):
            return None
        if len(geometry.visits) * min(first.outputs, 2) > _MOST_UNROLLED_WORDS:
            return None
        return FilterLayers(geometry, filters, sums, second, height, *after)

    @property
    def multiplier(self) -> int:
        """Sums of each filter."""
        return self.spatial.channel_multiplier

    @property
    def pooled(self) -> int:
        """Positions that make one of the output."""
        return self.pool.kernel if self.pool else 1

    @property
    def outputs(self) -> int:
        """Output positions."""
        return self.geometry.positions // self.pooled

    @property
    def positions(self) -> int:
        """Positions that are computed: the pool may leave some out."""
        return self.outputs * self.pooled

    @property
    def is_direct(self) -> bool:
        """Whether the sums' int8 values are the output."""
        return self.table is None and self.pool is None


def following(
    operations: Sequence[Operation], channels: int, request: KernelRequest
) -> tuple[Table | None, AveragePool1d | None] | None:
    """Return the table and the mean that some operations are; None where they are others.

    Args:
        operations: In order, reshapes that keep the rows among them.
        channels: Bytes of a row.
        request: What they are part of.
    """
    table: Table | None = None
    pool: AveragePool1d | None = None
    for operation in operations:
        if pool is not None:
            return None
        if isinstance(operation, Table) and table is None:
            table = operation
        elif isinstance(operation, AveragePool1d) and _tiles(operation):
            pool = operation
        elif not isinstance(operation, Reshape) or not _keeps_rows(operation, channels, request):
            return None
    ends_in_work = not operations or not isinstance(operations[-1], Reshape)
    return (table, pool) if ends_in_work else None


def _tiles(pool: AveragePool1d) -> bool:
    alone = pool.kernel == pool.stride and pool.padding == (0, 0)
    return alone and pool.kernel in _POOLS


def _keeps_rows(operation: Reshape, channels: int, request: KernelRequest) -> bool:
    output = request.tensors[operation.output]
    return output.is_map and output.row_size == channels
