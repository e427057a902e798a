"""Which operations in a row one DSP kernel computes, and what its last steps are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeprune.firmware.kernels.code import KernelRequest
from edgeprune.network import Add, AveragePool1d, MaxPool1d, Operation
from edgeprune.network.operation import ClampedOperation
from edgeprune.network.pool import PoolOverLength
from edgeprune.network.weighted import WeightedOperation

FUSED_POOLS = (1, 2, 4)


@dataclass(frozen=True, eq=False)
class Chain:
    """A weighted operation and what follows it in the same function.

    Attributes:
        request: What was asked for.
        weighted: The convolution or dense layer.
        addition: The sum with a second tensor, if there is one.
        adds_first: Whether the weighted operation's output is the sum's first operand.
        pool: Positions of which one is made, without overlap; 1 without such a pool.
        means: Whether that is their mean and not the largest.
        averaged: Positions that a global average takes; 0 without one.
        low: The least output (before an average, if there is one).
        high: The greatest.
        average_low: The least average.
        average_high: The greatest.
    """

    request: KernelRequest
    weighted: WeightedOperation
    addition: Add | None
    adds_first: bool
    pool: int
    means: bool
    averaged: int
    low: int
    high: int
    average_low: int
    average_high: int

    @property
    def weighted_bounds(self) -> tuple[int, int]:
        """The least and greatest value that the weighted operation's own output needs."""
        if self.addition is not None:
            return self.weighted.clamp_low, self.weighted.clamp_high
        return self.low, self.high

    @staticmethod
    def of(request: KernelRequest, pools: Sequence[int] = FUSED_POOLS) -> Chain | None:
        """Return the chain, or None where the operations are not one that is fused here.

        Args:
            request: The operations.
            pools: Sizes of pools that the kernel can fuse.
        """
        weighted, *rest = request.operations
        if not isinstance(weighted, WeightedOperation):
            return None
        addition: Add | None = None
        adds_first = True
        if rest and isinstance(rest[0], Add):
            addition, rest = rest[0], rest[1:]
            adds_first = addition.inputs[0] == weighted.output
            if addition.inputs[0] == addition.inputs[1]:
                return None
        clamped: ClampedOperation = addition or weighted
        low, high = clamped.clamp_low, clamped.clamp_high
        pool, means, averaged, average_low, average_high = 1, False, 0, low, high
        for operation in rest:
            length = request.tensors[operation.inputs[0]].shape[0]
            if averaged or means:
                return None
            if (
                isinstance(operation, PoolOverLength)
                and pool == 1
                and _is_maximum(operation, length)
            ):
                pool = operation.kernel
                low, high = (
                    min(max(bound, operation.clamp_low), operation.clamp_high)
                    for bound in (low, high)
                )
            elif isinstance(operation, AveragePool1d) and _takes_all(operation, length):
                averaged = length
                average_low, average_high = operation.clamp_low, operation.clamp_high
            elif isinstance(operation, AveragePool1d) and pool == 1 and _tiles(operation):
                pool, means = operation.kernel, True
                average_low, average_high = operation.clamp_low, operation.clamp_high
            else:
                return None
        if pool not in pools or (pool > 1 and averaged):
            return None
        return Chain(
            request,
            weighted,
            addition,
            adds_first,
            pool,
            means,
            averaged,
            low,
            high,
            average_low,
            average_high,
        )


def _tiles(operation: PoolOverLength) -> bool:
    return operation.kernel == operation.stride and operation.padding == (0, 0)


def _is_maximum(operation: PoolOverLength, length: int) -> bool:
    """Whether a pool is a maximum without overlap; the mean of one position is one too."""
    alone = operation.kernel == 1 and length > 1
    return (alone or isinstance(operation, MaxPool1d)) and _tiles(operation)


def _takes_all(operation: Operation, length: int) -> bool:
    return (
        isinstance(operation, AveragePool1d)
        and operation.kernel == length
        and operation.padding == (0, 0)
    )
