"""Roundings of the integer network on real numbers, with gradients that pass straight through."""

from __future__ import annotations

from torch import Tensor, nn

from edgeprune.quantization.calibration import ActivationRange
from edgeprune.training import bound_steps as steps
from edgeprune.training.bound_rules import BoundedModule
from edgeprune.training.bound_steps import Step
from edgeprune.training.bounded import Bounded

_LOW, _HIGH = -128, 127
_MOST = 127  # of a weight


def rounded(value: Tensor) -> Tensor:
    """Return the nearest whole numbers; the gradient is that of the value itself."""
    return value + (value.round() - value).detach()


class FakeQuantize(BoundedModule):
    """Rounds and clamps an activation to its 256 values.

    Args:
        given: Scale and zero point.
    """

    def __init__(self, given: ActivationRange) -> None:
        super().__init__()
        self.scale = given.scale
        self.least = (_LOW - given.zero_point) * given.scale
        self.most = (_HIGH - given.zero_point) * given.scale

    def forward(self, value: Tensor) -> Tensor:
        """Return the value as the integer network has it."""
        return rounded(value.clamp(self.least, self.most) / self.scale) * self.scale

    def bound(self, value: Bounded) -> Step:
        """Bound the rounding: exactly for intervals, by half a step for lines."""
        operand = value.interval()
        lines = steps.clamped(operand, self.least, self.most, self.scale / 2)
        return Step(operand.monotone(self), lines.pull)


class RoundedWeights(nn.Module):
    """Rounds weights to int8, symmetric about 0.

    Args:
        per_channel: A scale for each output channel, or one for all weights.
    """

    def __init__(self, *, per_channel: bool) -> None:
        super().__init__()
        self.per_channel = per_channel

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weights [outputs, ...] as the integer network has them."""
        sizes = weight.detach().abs()
        largest = sizes.flatten(1).amax(1) if self.per_channel else sizes.amax().reshape(1)
        scale = (largest / _MOST).clamp(min=1e-12).reshape(-1, *([1] * (weight.ndim - 1)))
        return rounded(weight / scale) * scale
