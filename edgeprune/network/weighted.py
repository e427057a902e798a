"""What convolutions and dense layers share: an integer weighted sum, a bias, a requantization."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edgeprune.network.arithmetic import Multiplier, saturate
from edgeprune.network.operation import Bounds, ClampedOperation, Tensors, frozen
from edgeprune.network.tensor import (
    Float32Array,
    Floats,
    Int8Array,
    Int32Array,
    Int64Array,
    Integers,
    Tensor,
    check_scale,
)

if TYPE_CHECKING:
    from edgeprune.network.qdq_graph import QdqGraph


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedOperation(ClampedOperation):
    """A linear operation: `clamp(zero_point + requantize(bias + sum w * (x - zero_point_x)))`.

    Args:
        weights: int8, symmetric (zero point 0); the shape is the operator's own.
        bias: int32 [out], in steps of input scale * weight scale.
        weight_scales: float32 [out], or [1] where the operator allows one scale for all.
    """

    weight_rank: ClassVar[int]
    shares_scale: ClassVar[bool] = False

    weights: Int8Array
    bias: Int32Array
    weight_scales: Float32Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen(self.weights, np.int8))
        object.__setattr__(self, "bias", frozen(self.bias, np.int32))
        object.__setattr__(self, "weight_scales", frozen(self.weight_scales, np.float32))

    @property
    @abstractmethod
    def output_axis(self) -> int:
        """The axis of `weights` that counts the outputs."""

    @abstractmethod
    def weighted_sums(self, centred: Floats, weights: Floats) -> Floats:
        """Return sum w * x for inputs from which the zero point is already subtracted."""

    @property
    def outputs(self) -> int:
        """Output channels or features."""
        return self.weights.shape[self.output_axis]

    def check(self, tensors: Tensors) -> None:
        """See `Operation.check`."""
        self.require(
            self.weights.ndim == self.weight_rank and self.weights.size > 0,
            f"weights of shape {self.weights.shape} where {self.weight_rank} axes are needed",
        )
        self.require(
            self.bias.shape == (self.outputs,),
            f"{self.outputs} outputs have a bias of shape {self.bias.shape}",
        )
        self.require(
            self.weight_scales.shape == (self.outputs,)
            or (self.shares_scale and self.weight_scales.shape == (1,)),
            f"{self.outputs} outputs have {len(self.weight_scales)} weight scales",
        )
        for scale in self.weight_scales:
            check_scale(float(scale), where=f"weights of {self.kind} '{self.name}'")
        super().check(tensors)
        reach = self._reach(tensors)
        self.multiplier(tensors).require_room(
            reach + np.abs(self.bias.astype(np.int64)), where=f"{self.kind} '{self.name}'"
        )

    def multiplier(self, tensors: Tensors) -> Multiplier:
        """Return the factors from accumulator to output, one an output channel."""
        scales = tensors[self.inputs[0]].scale, tensors[self.output].scale
        known = self._multipliers.get(scales)
        if known is None:
            factors = scales[0] * self.weight_scales.astype(np.float64) / scales[1]
            known = Multiplier.of(np.broadcast_to(factors, self.bias.shape))
            self._multipliers[scales] = known
        return known

    @cached_property
    def _multipliers(self) -> dict[tuple[float, float], Multiplier]:
        # What `multiplier` gave, by the scales of input and output: attacks ask thousands of times.
        return {}

    def bias_scales(self, source: Tensor) -> Float32Array:
        """Return the real step of the bias, a float32 as TFLite and ONNX store it."""
        return np.asarray(np.float32(source.scale) * self.weight_scales, np.float32)

    def run(self, tensors: Tensors, *values: Int8Array) -> Int8Array:
        """See `Operation.run`."""
        source = tensors[self.inputs[0]]
        number = self._exact_type(tensors, spread=1)
        centred: Floats = values[0].astype(number)
        centred -= source.zero_point
        sums = self.weighted_sums(centred, self.weights.astype(number))
        return self._finish(tensors, sums.astype(np.int64))

    def interval(self, tensors: Tensors, *bounds: Bounds) -> Bounds:
        """Bound the output exactly, channel by channel: weights split by sign, then monotone.

        The accumulator's extremes over a box are (A(low + high, w) -+ A(high - low, |w|)) / 2,
        which takes two products instead of four; interval propagation is the abstract
        interpretation of ISO/IEC 24029-2, 6.2.1.5.
        """
        ((low, high),) = bounds
        number = self._exact_type(tensors, spread=2)
        zero_point = tensors[self.inputs[0]].zero_point
        centres: Floats = np.add(low, high, dtype=number)
        centres -= 2 * zero_point
        widths: Floats = np.subtract(high, low, dtype=number)
        weights: Floats = self.weights.astype(number)
        centre = self.weighted_sums(centres, weights).astype(np.int64)
        width = self.weighted_sums(widths, np.abs(weights)).astype(np.int64)
        return (
            self._finish(tensors, (centre - width) >> 1),
            self._finish(tensors, (centre + width) >> 1),
        )

    def parameters(self) -> int:
        """See `Operation.parameters`."""
        return self.weights.size + self.bias.size

    def weight_bytes(self) -> int:
        """See `Operation.weight_bytes`."""
        return self.weights.nbytes + self.bias.nbytes

    def c_arrays(self, tensors: Tensors) -> dict[str, Integers]:
        """Return the pointer fields of the C kernel's parameter struct, in order."""
        multiplier = self.multiplier(tensors)
        return {
            "weights": self.weights,
            "bias": self.bias,
            "multiplier": multiplier.mantissa,
            "shift": multiplier.exponent.astype(np.int8),
        }

    def c_output_parameters(self, tensors: Tensors) -> dict[str, int]:
        """Return the scalar fields that end every weighted kernel's struct, in order."""
        return {
            "input_zero_point": tensors[self.inputs[0]].zero_point,
            "output_zero_point": tensors[self.output].zero_point,
            "clamp_low": self.clamp_low,
            "clamp_high": self.clamp_high,
        }

    def write_qdq_weights(
        self, graph: QdqGraph, tensors: Tensors, onnx_weights: Int8Array
    ) -> tuple[str, str]:
        """Append the weights and bias with their DequantizeLinear; return their float names.

        ONNX counts the outputs along axis 0.
        """
        bias_scales = self.bias_scales(tensors[self.inputs[0]])
        return (
            graph.dequantized_constant(f"{self.name}.weight", onnx_weights, self.weight_scales),
            graph.dequantized_constant(f"{self.name}.bias", self.bias, bias_scales),
        )

    def _reach(self, tensors: Tensors) -> Int64Array:
        """Return the largest magnitude of sum w * (x - zero_point) for each output."""
        return self._magnitudes * (128 + abs(tensors[self.inputs[0]].zero_point))

    @cached_property
    def _magnitudes(self) -> Int64Array:
        """Sum of |w| for each output."""
        magnitudes = np.abs(np.moveaxis(self.weights.astype(np.int64), self.output_axis, 0))
        return np.asarray(magnitudes.reshape(self.outputs, -1).sum(axis=1))

    def _exact_type(self, tensors: Tensors, spread: int) -> np.dtype[np.floating[Any]]:
        """Return the fastest float in which every partial sum is an exact integer.

        Products of integers add up exactly, in any order, while no partial sum leaves the range
        in which a float holds all integers: 2^24 or 2^53. The latter is above any int32.
        """
        exact = spread * int(self._reach(tensors).max()) < 2**24
        return np.dtype(np.float32 if exact else np.float64)

    def _finish(self, tensors: Tensors, sums: Int64Array) -> Int8Array:
        sums += self.bias
        scaled = self.multiplier(tensors).apply(sums)
        return saturate(scaled, tensors[self.output].zero_point, self.clamp_low, self.clamp_high)
