"""What each channel of a sparse convolution sums up, and between which bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeprune.firmware.kernels.code import KernelRequest
from edgeprune.firmware.kernels.dsp.epilogue import Epilogue
from edgeprune.firmware.kernels.dsp.planes import Planes
from edgeprune.firmware.kernels.dsp.sparse_weights import Weight, nonzero_weights
from edgeprune.network.convolution import OverLength
from edgeprune.network.operation import ClampedOperation


@dataclass(frozen=True, eq=False)
class Sums:
    """The sums of one convolution.

    Attributes:
        request: What was asked for.
        epilogue: What follows the sums.
        operation: The convolution.
        planes: Where its inputs lie.
    """

    request: KernelRequest
    epilogue: Epilogue
    operation: OverLength
    planes: Planes

    @cached_property
    def weights(self) -> tuple[tuple[Weight, ...], ...]:
        """Of each output channel, what it is multiplied by."""
        return nonzero_weights(self.operation, self.planes)

    @property
    def factor(self) -> int:
        """How many times the sum the accumulators hold."""
        return 2 if self.epilogue.doubled else 1

    @cached_property
    def biases(self) -> list[int]:
        """What each accumulator begins with: bytes are multiplied as they are."""
        zero_point = self.request.source.zero_point
        return [
            self.factor * (int(bias) - zero_point * sum(weight.value for weight in weights))
            for bias, weights in zip(self.operation.bias, self.weights, strict=True)
        ]

    @cached_property
    def ranges(self) -> list[tuple[int, int]]:
        """The least and the greatest sum of each channel."""
        ranges = []
        for bias, weights in zip(self.biases, self.weights, strict=True):
            values = [self.factor * weight.value for weight in weights]
            low = sum(min(-128 * value, 127 * value) for value in values)
            high = sum(max(-128 * value, 127 * value) for value in values)
            ranges.append((bias + low, bias + high))
        return ranges

    @cached_property
    def fixed(self) -> dict[int, int]:
        """The value of each channel that has no weights at all."""
        if self.epilogue.reads_other:
            return {}
        tensors, source = self.request.tensors, self.request.source
        values = np.full((1, *source.shape), source.zero_point, np.int8)
        values = self.operation.run(tensors, values)[:, :1]
        if not self.epilogue.averages:
            for clamped in self.epilogue.chain.request.operations[1:]:
                if isinstance(clamped, ClampedOperation):
                    values = np.clip(values, clamped.clamp_low, clamped.clamp_high)
        channels = (channel for channel, weights in enumerate(self.weights) if not weights)
        return {channel: int(values[0, 0, channel]) for channel in channels}
