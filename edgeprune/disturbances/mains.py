"""Mains hum: a sinusoid at the mains frequency, which wanders slowly as the grid's does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from edgeprune.data.recordings import Recording
from edgeprune.disturbances.disturbance import (
    Disturbance,
    Disturbed,
    Surroundings,
    no_option,
    with_samples,
)

_FREQUENCIES = {"50Hz": 50.0, "60Hz": 60.0}
# Grids keep within 0.2 Hz in normal operation; the frequency drifts over seconds.
_WANDER_HZ = 0.1
_WANDER_SECONDS = 10.0


@dataclass(frozen=True)
class MainsHum(Disturbance):
    """Mains hum of an amplitude in uV.

    Attributes:
        mains_hz: Nominal frequency.
    """

    mains_hz: float = 50.0

    name = "mains-hum"
    title = "mains hum"
    unit = "uV"
    severity_is = "amplitude of the hum"
    severities = (50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)

    @classmethod
    def make(cls, severity: float, option: str, surroundings: Surroundings) -> Self:
        """Return hum of that amplitude; `option` is "50Hz" or "60Hz"."""
        del surroundings
        if option not in ("", *_FREQUENCIES):
            raise no_option(cls.name, option, tuple(_FREQUENCIES))
        return cls(severity, _FREQUENCIES[option or "50Hz"])

    @property
    def option(self) -> str:
        """The frequency, unless it is 50 Hz."""
        return "" if self.mains_hz == 50.0 else f"{self.mains_hz:g}Hz"

    def describe(self) -> str:
        """Say what happens."""
        return (
            f"{self.mains_hz:g} Hz hum of {self.severity:g} uV amplitude from a drawn phase, its "
            f"frequency wandering by about {_WANDER_HZ:g} Hz"
        )

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Add the hum to all samples."""
        generator = self.generator(recording, seed)
        rate, count = recording.adc.rate_hz, len(recording.samples)
        knots = np.arange(0, count / rate + _WANDER_SECONDS, _WANDER_SECONDS)
        wander = np.interp(
            np.arange(count) / rate, knots, generator.normal(0, _WANDER_HZ, len(knots))
        )
        cycles = generator.random() + np.cumsum(self.mains_hz + wander) / rate
        amplitude = self.severity / recording.adc.microvolt_per_count
        return with_samples(recording, recording.samples + amplitude * np.sin(2 * np.pi * cycles))
