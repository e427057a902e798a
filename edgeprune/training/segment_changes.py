"""What a perturbation at the converter does to a batch of segments, differentiably.

Each value of a segment's input depends on its own raw samples alone, so that what it can be is a
box. Changes that move many samples together (a gain, hum) are taken for each value by itself, which
is more than they can do: bounds are then wider than those that certificates rest on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.errors import ConfigurationError
from edgeprune.targets import Adc
from edgeprune.training.bounded import Interval
from edgeprune.training.changes import (
    LargestChange,
    PerturbationSpec,
    Perturbed,
    Sine,
    TotalChange,
    within,
)

if TYPE_CHECKING:
    from edgeprune.data.front_end import BeatFrontEnd
    from edgeprune.data.front_ends import FrontEnd

_HIGHEST = 127  # of the network's input, LSB


class PerturbedSegments:
    """Turns batches of segments into the bounded inputs of a classifier; see `Perturbed`.

    Args:
        spec: What moves.
        front_end: What makes the network's input of the raw samples.
        adc: The converter.

    Raises:
        ConfigurationError: The rhythm is to move, which segments do not have.
    """

    def __init__(self, spec: PerturbationSpec, front_end: SegmentFrontEnd, adc: Adc) -> None:
        if spec.rhythm_lsb:
            raise ConfigurationError(
                "RR intervals are of beats, and these are segments of a signal",
                where="robustness.perturbation",
                hint="leave 'rr' out",
            )
        self.spec = spec
        self._front_end = front_end
        step = front_end.signal_scale
        # A microvolt of one raw sample, in real units of the input.
        self._per_microvolt = step * front_end.gain / 2.0**front_end.shift / adc.microvolt_per_count

    @property
    def samples(self) -> int:
        """Raw values that a window reads."""
        length, channels = self._front_end.signal_shape
        return length * channels * self._front_end.factor

    def changed(
        self, signal: Tensor, rhythm: Tensor, gain: Tensor, change: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return signal and rhythm after one change of the raw samples, without roundings.

        Args:
            signal: Float [n, channels, length], real.
            rhythm: Float [n, 0].
            gain: Of windows of beats; that of segments is the front end's own.
            change: Microvolts, float [n, raw values], in the order of `HeldSegments.raw`.
        """
        del gain
        length, channels = self._front_end.signal_shape
        sums = change.reshape(len(change), length, channels, -1).sum(3).transpose(1, 2)
        moved = signal + self._per_microvolt * sums
        return within(moved, signal, _HIGHEST * self._front_end.signal_scale), rhythm

    def inputs(
        self, signal: Tensor, rhythm: Tensor, gain: Tensor, factor: float
    ) -> tuple[Interval, Interval]:
        """Return signal and rhythm with what they can be.

        Args:
            signal: Float [n, channels, length], real.
            rhythm: Float [n, 0].
            gain: See `changed`.
            factor: Share of the perturbation, for warming up.
        """
        del gain
        spec, step = self.spec, self._front_end.signal_scale
        still = Interval(rhythm, rhythm, torch.zeros_like(rhythm))
        if spec.signal_lsb:
            radius = torch.full_like(signal, spec.signal_lsb * step * factor)
            return Interval(signal, signal, radius), still
        most = sum(self._most(part) for part in spec.parts) * self._per_microvolt * factor
        radius = most + signal.abs() * (spec.gain * factor) + step * 0.5 * min(1.0, 4 * factor)
        limit = _HIGHEST * step
        low = torch.minimum((signal - radius).clamp(-limit, limit), signal)
        high = torch.maximum((signal + radius).clamp(-limit, limit), signal)
        return Interval.between(signal, low, high), still

    def _most(self, part: object) -> float:
        """Return the most that a sum of raw samples changes, in microvolts."""
        factor = self._front_end.factor
        if isinstance(part, TotalChange):
            return math.sqrt(factor) * part.microvolt
        return factor * cast(LargestChange | Sine, part).microvolt


def perturbed(
    spec: PerturbationSpec, front_end: FrontEnd, adc: Adc
) -> Perturbed | PerturbedSegments:
    """Return what turns the batches of a front end into bounded inputs.

    Raises:
        ConfigurationError: The perturbation has no meaning for its windows.
    """
    if isinstance(front_end, SegmentFrontEnd):
        return PerturbedSegments(spec, front_end, adc)
    return Perturbed(spec, cast("BeatFrontEnd", front_end), adc)
