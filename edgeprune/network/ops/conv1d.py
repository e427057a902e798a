"""1-D convolution, grouped or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgeprune.network.convolution import Convolution
from edgeprune.network.operation import CCall, Tensors
from edgeprune.network.tensor import Floats, Int8Array

if TYPE_CHECKING:
    from edgeprune.network.tflite_graph import TfliteGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv1d(Convolution):
    """Convolution over the length.

    Args:
        weights: int8 [out, kernel, in / groups].
        groups: Parts into which the channels are split; each sees only its own inputs.
    """

    kind: ClassVar[str] = "conv1d"
    summary: ClassVar[str] = "1-D convolution: stride, dilation, any padding, groups"
    weight_rank: ClassVar[int] = 3

    groups: int = 1

    @property
    def output_axis(self) -> int:
        """See `WeightedOperation.output_axis`."""
        return 0

    @property
    def kernel_axis(self) -> int:
        """See `Convolution.kernel_axis`."""
        return 1

    @property
    def onnx_groups(self) -> int:
        """See `Convolution.onnx_groups`."""
        return self.groups

    def onnx_weights(self) -> Int8Array:
        """See `Convolution.onnx_weights`."""
        return self.weights.transpose(0, 2, 1)

    def require_channels(self, channels: int) -> None:
        """See `Convolution.require_channels`."""
        self.require(
            self.groups >= 1
            and channels == self.groups * self.weights.shape[2]
            and self.outputs % self.groups == 0,
            f"{channels} channels in and {self.outputs} out do not split into {self.groups} groups "
            f"of {self.weights.shape[2]} inputs",
        )
        self.require(
            self.groups == 1 or self.groups < channels,
            "as many groups as channels are a depthwise_conv1d",
        )

    def weighted_sums(self, centred: Floats, weights: Floats) -> Floats:
        """See `WeightedOperation.weighted_sums`."""
        padded = self.sliding.pad(centred, 0)
        by_group = [
            self._group_sums(part, filters)
            for part, filters in zip(
                np.split(padded, self.groups, axis=2),
                np.split(weights, self.groups, axis=0),
                strict=True,
            )
        ]
        return by_group[0] if self.groups == 1 else np.concatenate(by_group, axis=2)

    def _group_sums(self, padded: Floats, weights: Floats) -> Floats:
        taps = self.sliding.taps(padded)
        count, windows = taps.shape[:2]
        sums = taps.reshape(count * windows, -1) @ weights.reshape(len(weights), -1).T
        return np.asarray(sums.reshape(count, windows, len(weights)))

    def c_calls(self, tensors: Tensors) -> tuple[CCall, ...]:
        """See `Operation.c_calls`."""
        return (self.c_call(tensors, {"groups": self.groups}),)

    def write_tflite(self, graph: TfliteGraph, tensors: Tensors) -> None:
        """CONV_2D of height 1, after a PAD where there is padding."""
        weights = self.weights[:, np.newaxis]
        self.write_tflite_convolution(graph, tensors, "CONV_2D", weights, axis=0, strideH=1)
