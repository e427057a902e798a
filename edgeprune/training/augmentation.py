"""What another sensor, electrode or heart would have made of a window.

A window's first channel is the beat; a second one, where there is one, is what differs from the
patient's usual beat, so that their difference is the usual beat (the template). What belongs to
patient and electrode changes both, what belongs to the moment changes the beat alone. Units are
steps of the int8 window (LSB).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """Strengths, all of them at strength 1.

    Attributes:
        rate_hz: Samples a second of the window.
        center: Sample of the beat, about which time is stretched.
        warp: Largest stretch of time, as the logarithm of its factor.
        shift: Largest error of the beat's position, in samples.
        lead: Share of the derivative that another electrode position mixes in (standard deviation).
        flip: Probability that electrodes are swapped.
        tremor: Atrial waves or tremor, LSB (standard deviation of a sine's amplitude, 3 to 9 Hz;
            half of it again at 1 to 4 Hz).
        beat_gain: Beat to beat change of amplitude, as a share (standard deviation).
        gain: Change of the amplifier's gain, as a logarithm (standard deviation).
        wander: Baseline wander, LSB (standard deviation of a sine's amplitude, 0.15 to 0.75 Hz).
        mains: Mains hum left over, LSB (standard deviation of a sine's amplitude).
        mains_hz: Frequency of the mains.
        noise: White noise, LSB (standard deviation of its standard deviation).
        offset: Direct offset, LSB (standard deviation).
        rhythm_noise: Noise of the rhythm features, LSB (standard deviation).
    """

    rate_hz: float = 120.0
    center: int = 48
    warp: float = 0.1
    shift: float = 2.0
    lead: float = 0.2
    flip: float = 0.15
    tremor: float = 4.0
    beat_gain: float = 0.06
    gain: float = 0.15
    wander: float = 3.0
    mains: float = 0.5
    mains_hz: float = 50.0
    noise: float = 1.5
    offset: float = 1.0
    rhythm_noise: float = 1.5

    def __call__(
        self, signal: Tensor, rhythm: Tensor, strength: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return changed windows and rhythm features; strength 0 returns them as they are.

        Args:
            signal: Float [n, channels, length], LSB from the zero point.
            rhythm: Float [n, features], LSB from the zero point.
            strength: Factor on every strength.
            generator: Where the draws come from.
        """
        if strength == 0:
            return signal, rhythm

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator) * strength

        def uniform(*shape: int) -> Tensor:
            return (2 * torch.rand(*shape, generator=generator) - 1) * strength

        count, channels, length = signal.shape
        has_template = channels == 2
        waves = signal
        if has_template:
            waves = torch.stack((signal[:, 0], signal[:, 0] - signal[:, 1]), 1)
        moved = torch.zeros(count, waves.shape[1], 1)
        moved[:, 0] = self.shift * uniform(count, 1)
        waves = _resample(waves, self.center, torch.exp(self.warp * uniform(count, 1, 1)), moved)
        waves = waves + self.lead * normal(count, 1, 1) * _derivative(waves)
        swapped = torch.rand(count, 1, 1, generator=generator) < self.flip * strength
        waves = torch.where(swapped, -waves, waves)
        time = torch.arange(length) / self.rate_hz
        beat = waves[:, :1]
        beat = beat * (1 + self.beat_gain * normal(count, 1, 1))
        beat = beat + self.offset * normal(count, 1, 1)
        for low, high, amplitude in (
            (0.15, 0.75, self.wander),
            (3.0, 9.0, self.tremor),
            (1.0, 4.0, self.tremor / 2),
            (self.mains_hz, self.mains_hz, self.mains),
        ):
            share, phase = torch.rand(2, count, 1, 1, generator=generator)
            turns = (low + (high - low) * share) * time + phase
            beat = beat + amplitude * normal(count, 1, 1) * torch.sin(2 * math.pi * turns)
        spread = self.noise * normal(count, 1, 1).abs()
        beat = beat + spread * torch.randn(count, 1, length, generator=generator)
        others = beat - waves[:, 1:] if has_template else waves[:, 1:]
        gain = torch.exp(self.gain * normal(count, 1, 1))
        changed = (torch.cat((beat, others), 1) * gain).clamp(-127, 127)
        return changed, rhythm + self.rhythm_noise * normal(*rhythm.shape)


def _resample(waves: Tensor, center: int, factor: Tensor, moved: Tensor) -> Tensor:
    """Stretch time about `center` by `factor` and move by `moved` samples, linearly between."""
    length = waves.shape[2]
    place = (torch.arange(length) - center) * factor + center + moved
    place = place.expand_as(waves).clamp(0, length - 1)
    first = place.long().clamp(max=length - 2)
    share = place - first
    return waves.gather(2, first) * (1 - share) + waves.gather(2, first + 1) * share


def _derivative(waves: Tensor) -> Tensor:
    padded = functional.pad(waves, (2, 2), mode="replicate")
    wide = padded[:, :, 4:] - padded[:, :, :-4]
    return wide + padded[:, :, 3:-1] - padded[:, :, 1:-3]
