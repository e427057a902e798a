"""Faults of amplifier and converter: narrower rails, wrong gain or offset, fewer bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.data.recordings import Recording
from edgeprune.disturbances.disturbance import Disturbance, Disturbed, with_samples


@dataclass(frozen=True)
class Saturation(Disturbance):
    """The amplifier saturates at narrower rails than the converter's range has."""

    name = "saturation"
    title = "saturation"
    unit = "uV"
    severity_is = "level of the rails"
    severities = (2000.0, 1500.0, 1000.0, 700.0, 500.0, 300.0)

    def describe(self) -> str:
        """Say what happens."""
        return f"the amplifier saturates at {self.severity:g} uV either way"

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Cut all samples off at the rails."""
        del seed
        rail = self.severity / recording.adc.microvolt_per_count
        return with_samples(recording, np.clip(recording.samples.astype(np.float64), -rail, rail))


@dataclass(frozen=True)
class GainError(Disturbance):
    """The gain is wrong by a share, up or down."""

    name = "gain-error"
    title = "gain error"
    unit = "%"
    severity_is = "error of the gain"
    severities = (5.0, 10.0, 20.0, 40.0, 60.0, 80.0)
    highest = 100.0

    def describe(self) -> str:
        """Say what happens."""
        return f"the gain is wrong by {self.severity:g} %, up or down as drawn for each record"

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Multiply all samples."""
        sign = self.generator(recording, seed).choice([-1, 1])
        return with_samples(recording, recording.samples * (1 + sign * self.severity / 100))


@dataclass(frozen=True)
class OffsetError(Disturbance):
    """A constant voltage is added, as electrodes add one."""

    name = "offset-error"
    title = "offset error"
    unit = "uV"
    severity_is = "offset"
    severities = (300.0, 1000.0, 2000.0, 3000.0, 4000.0, 4500.0)

    def describe(self) -> str:
        """Say what happens."""
        return f"an offset of {self.severity:g} uV, its sign drawn for each record"

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Shift all samples; the converter's range cuts off what leaves it."""
        sign = self.generator(recording, seed).choice([-1, 1])
        offset = sign * self.severity / recording.adc.microvolt_per_count
        return with_samples(recording, recording.samples + offset)


@dataclass(frozen=True)
class Resolution(Disturbance):
    """The converter resolves fewer bits over the same range."""

    name = "resolution"
    title = "lower resolution of the converter"
    unit = "bit"
    severity_is = "effective bits"
    severities = (8.0, 7.0, 6.0, 5.0, 4.0, 3.0)
    lowest = 1.0
    highest = 16.0

    def describe(self) -> str:
        """Say what happens."""
        return f"the converter resolves {self.severity:g} bits over its range"

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Round all samples to the coarser steps, halves upwards as converters do."""
        del seed
        step = 2.0 ** max(recording.adc.bits - self.severity, 0)
        return with_samples(recording, step * np.floor(recording.samples / step + 0.5))
