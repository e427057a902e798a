"""What is known of a value while the inputs move: an interval, or its exact tie to the change.

The change of the signal enters every channel of a window alike (both channels of the front end are
the beat, one of them less a template that is held), so that what a first layer makes of it is not
what it makes of a box: the changes of neighbouring samples and of the channels belong together.
`Related` keeps that until the first operation that is not linear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Linear = Callable[[Tensor], Tensor]


class SignalChanges(Protocol):
    """What a change of the signal can be, for every window of a batch."""

    def support(self, directions: Tensor) -> Tensor:
        """Return the most that the change weighs along directions that all windows share.

        Args:
            directions: Float [length, m].

        Returns:
            Largest value of `<direction, change>`, [n, m]; the least is its negative.
        """
        ...

    def own_support(self, directions: Tensor) -> Tensor:
        """Return the same for directions of each window: [n, k, length] to [n, k]."""
        ...


@dataclass(frozen=True)
class Interval:
    """A value that lies within `radius` of `centre`.

    Attributes:
        clean: The value for unchanged inputs, float [n, ...].
        centre: Float [n, ...]; often, but not always, the clean value.
        radius: Float [n, ...], not negative.
    """

    clean: Tensor
    centre: Tensor
    radius: Tensor

    @property
    def low(self) -> Tensor:
        """Least value."""
        return self.centre - self.radius

    @property
    def high(self) -> Tensor:
        """Greatest value."""
        return self.centre + self.radius

    @staticmethod
    def between(clean: Tensor, low: Tensor, high: Tensor) -> Interval:
        """Return the interval from `low` to `high`."""
        return Interval(clean, (high + low) / 2, (high - low) / 2)

    def linear(self, apply: Linear, response: Linear, magnitude: Linear) -> Interval:
        """Return what an affine operation makes of it.

        Args:
            apply: The operation.
            response: The operation without its constant part.
            magnitude: The operation with the absolute values of its weights, without a constant.
        """
        clean = apply(self.clean)
        centre = clean if self.centre is self.clean else apply(self.centre)
        return Interval(clean, centre, magnitude(self.radius))

    def monotone(self, apply: Linear) -> Interval:
        """Return what an operation makes of it that never falls where its input rises."""
        return Interval.between(apply(self.clean), apply(self.low), apply(self.high))

    def interval(self) -> Interval:
        """Return itself."""
        return self


@dataclass(frozen=True)
class Related:
    """A value that follows the change of the signal: `centre + <response, change> + rest`.

    Attributes:
        clean: The value for unchanged inputs, float [n, ...].
        centre: Float [n, ...].
        response: What a unit change of each sample adds, float [length, ...].
        slack: Largest absolute rest (rounding, clipping), float [n, ...].
        changes: What the change can be.
    """

    clean: Tensor
    centre: Tensor
    response: Tensor
    slack: Tensor
    changes: SignalChanges

    def linear(self, apply: Linear, response: Linear, magnitude: Linear) -> Related:
        """Return what an affine operation makes of it; see `Interval.linear`."""
        clean = apply(self.clean)
        centre = clean if self.centre is self.clean else apply(self.centre)
        return Related(clean, centre, response(self.response), magnitude(self.slack), self.changes)

    def monotone(self, apply: Linear) -> Interval:
        """Return what a monotone operation makes of it: an interval from here on."""
        return self.interval().monotone(apply)

    def interval(self) -> Interval:
        """Return the interval, which is exact for every element alone."""
        radius = self.changes.support(self.response.flatten(1)).reshape(self.clean.shape)
        return Interval(self.clean, self.centre, radius + self.slack)


Bounded = Interval | Related


def related_signal(
    signal: Tensor, changes: SignalChanges, rounding: float | Tensor, limit: float
) -> Related:
    """Return the signal input, whose change enters every channel alike.

    Args:
        signal: Float [n, channels, length].
        changes: What the change can be.
        rounding: Half a step of the network's input, in the signal's own unit, shaped for it.
        limit: Largest absolute value of the signal. Where it can be met, the channels no longer
            change alike, and the change counts once more as a rest.
    """
    _, channels, length = signal.shape
    unit = torch.eye(length)
    response = unit[:, None, :].expand(length, channels, length)
    most = changes.support(unit).detach()[:, None, :]
    clipped = signal.abs() + most + rounding > limit
    slack = torch.where(clipped, most, 0.0) + rounding
    return Related(signal, signal, response, slack, changes)
