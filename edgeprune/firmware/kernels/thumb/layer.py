"""A weighted operation and its pools as both Thumb generators see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.code import KernelRequest
from edgeprune.firmware.kernels.dsp.chain import FUSED_POOLS, Chain
from edgeprune.network import Conv1d, Dense, DepthwiseConv1d
from edgeprune.network.tensor import Int64Array


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution of `groups` groups; a dense layer is one of a single row.

    A window's taps are sorted into phases (the row of a tap modulo the stride): within a phase,
    the next output position reads the next row.

    Attributes:
        chain: Where it comes from.
        weights: [outputs, kernel, inputs of a group].
        groups: Parts into which the channels are split.
        stride: Rows from one position to the next.
        dilation: Rows from one tap to the next.
        pad_left: Rows of padding before the first.
        rows: Length of the input.
        channels: Channels of the input, of all groups.
        length: Positions of the convolution.
    """

    chain: Chain
    weights: Int64Array
    groups: int
    stride: int
    dilation: int
    pad_left: int
    rows: int
    channels: int
    length: int

    @staticmethod
    def of(request: KernelRequest, pools: Sequence[int] = FUSED_POOLS) -> Layer | None:
        """Return the layer, or None where the operations are no such thing.

        Args:
            request: The operations.
            pools: Sizes of pools that the kernel can fuse.
        """
        chain = Chain.of(request, pools)
        if chain is None or chain.addition is not None or chain.means:
            return None
        operation, tensors = chain.weighted, request.tensors
        shape = tensors[operation.inputs[0]].shape
        weights = operation.weights.astype(np.int64)
        if isinstance(operation, Dense):
            weights = weights[:, np.newaxis]
            return Layer(chain, weights, 1, 1, 1, 0, 1, shape[0], 1)
        if isinstance(operation, Conv1d):
            groups = operation.groups
        elif isinstance(operation, DepthwiseConv1d):
            groups, weights = shape[1], weights.T[:, :, np.newaxis]
        else:
            return None
        return Layer(
            chain,
            weights,
            groups,
            operation.stride,
            operation.dilation,
            operation.padding[0],
            shape[0],
            shape[1],
            tensors[operation.output].shape[0],
        )

    @property
    def outputs(self) -> int:
        """Output channels."""
        return len(self.weights)

    @property
    def group_outputs(self) -> int:
        """Output channels of a group."""
        return self.outputs // self.groups

    @property
    def depth(self) -> int:
        """Input channels of a group."""
        return self.weights.shape[2]

    @property
    def needed(self) -> int:
        """Positions of the convolution that the output depends on."""
        pool = self.chain.pool
        return self.length // pool * pool

    @property
    def output_rows(self) -> int:
        """Rows of the function's output."""
        return 1 if self.chain.averaged else self.length // self.chain.pool

    @property
    def input_zero(self) -> int:
        """Zero point of the input."""
        return self.chain.request.source.zero_point

    @property
    def output_zero(self) -> int:
        """Zero point of the output."""
        return self.chain.request.output.zero_point

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """The phases that have taps."""
        return tuple(sorted({row % self.stride for row in self._tap_rows}))

    @cached_property
    def taps(self) -> tuple[tuple[int, int, int], ...]:
        """Each tap as (index of the phase, position in the phase, kernel index), sorted."""
        return tuple(
            sorted(
                (self.phases.index(row % self.stride), row // self.stride, index)
                for index, row in enumerate(self._tap_rows)
            )
        )

    @property
    def reach(self) -> int:
        """The largest position of a tap in its phase."""
        return max(place for _, place, _ in self.taps)

    @cached_property
    def biases(self) -> Int64Array:
        """What is added to the sums of weights times inputs, zero point included."""
        sums: Int64Array = self.weights.reshape(self.outputs, -1).sum(axis=1)
        return np.subtract(self.chain.weighted.bias, self.input_zero * sums, dtype=np.int64)

    @property
    def _tap_rows(self) -> list[int]:
        return [index * self.dilation for index in range(self.weights.shape[1])]
