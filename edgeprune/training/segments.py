"""What another amplifier, electrode or moment would have made of a segment: few, simple changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SegmentAugmentation:
    """Strengths, all of them at strength 1; units are steps of the int8 window (LSB).

    Attributes:
        gain: Change of every channel's own gain, as a logarithm (standard deviation).
        shift: Largest shift in time, all channels together, as a share of the window.
        noise: White noise (standard deviation of its standard deviation).
    """

    gain: float = 0.15
    shift: float = 0.05
    noise: float = 1.5

    def __call__(
        self, signal: Tensor, rhythm: Tensor, strength: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return changed segments; strength 0 returns them as they are.

        Args:
            signal: Float [n, channels, length], LSB from the zero point.
            rhythm: Float [n, features], of which segments have none; returned as it is.
            strength: Factor on every strength.
            generator: Where the draws come from.
        """
        if strength == 0:
            return signal, rhythm
        count, channels, length = signal.shape
        most = int(self.shift * strength * length)
        moved = torch.randint(-most, most + 1, (count, 1), generator=generator)
        # At its ends the signal is held.
        place = (torch.arange(length) + moved).clamp(0, length - 1)
        signal = signal.gather(2, place[:, None].expand(count, channels, length))
        gain = self.gain * strength * torch.randn(count, channels, 1, generator=generator)
        spread = self.noise * strength * torch.randn(count, 1, 1, generator=generator).abs()
        noise = spread * torch.randn(signal.shape, generator=generator)
        return (signal * torch.exp(gain) + noise).clamp(-127, 127), rhythm
