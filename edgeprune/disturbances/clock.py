"""Faults of the sampling clock: jitter from sample to sample, and a rate that is off."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeprune.data.recordings import Recording
from edgeprune.disturbances.disturbance import (
    ALL_ALIKE,
    Disturbance,
    Disturbed,
    in_range,
    with_samples,
)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SamplingJitter(Disturbance):
    """Every sample is taken a little too early or too late."""

    name = "sampling-jitter"
    channels = ALL_ALIKE
    title = "sampling jitter"
    unit = "ms"
    severity_is = "standard deviation of a sample's time"
    severities = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
    highest = 100.0

    def describe(self) -> str:
        """Say what happens."""
        return (
            f"each sample is taken too early or too late by {self.severity:g} ms (standard "
            "deviation, independent from sample to sample)"
        )

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Take every sample at another time, between samples by cubic interpolation."""
        count = len(recording.samples)
        errors = self.generator(recording, seed).normal(size=count)
        times = np.arange(count) + errors * self.severity / 1000 * recording.adc.rate_hz
        return with_samples(recording, interpolate(recording.samples, times))


@dataclass(frozen=True)
class ClockDrift(Disturbance):
    """The sampling clock runs too fast or too slow."""

    name = "clock-drift"
    channels = ALL_ALIKE
    title = "clock drift"
    unit = "%"
    severity_is = "error of the sampling rate"
    severities = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
    highest = 25.0

    def describe(self) -> str:
        """Say what happens."""
        return (
            f"the sampling clock is off by {self.severity:g} %, too fast or too slow as drawn for "
            "each record"
        )

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Resample by cubic interpolation; beats move to the nearest sample."""
        sign = self.generator(recording, seed).choice([-1, 1])
        ratio = 1 + sign * self.severity / 100
        count = int((len(recording.samples) - 1) * ratio) + 1
        samples = in_range(recording, interpolate(recording.samples, np.arange(count) / ratio))
        beats = np.minimum(np.rint(recording.beats * ratio).astype(np.int64), count - 1)
        moved = replace(recording, samples=samples, beats=beats)
        return Disturbed(moved, np.arange(len(beats)))


def interpolate(samples: npt.NDArray[np.int16], times: FloatArray) -> FloatArray:
    """Return a signal between its samples by Catmull and Rom's cubic; at samples it is exact.

    Args:
        samples: int16 [n]; beyond its ends the first and the last are held.
        times: In samples [m], from 0.
    """
    last = len(samples) - 1
    times = np.clip(times, 0, last)
    whole = np.minimum(times.astype(np.int64), max(last - 1, 0))
    rest = times - whole
    before, left, right, after = (
        samples[np.clip(whole + step, 0, last)].astype(np.float64) for step in (-1, 0, 1, 2)
    )
    slope, bend = right - before, 2 * before - 5 * left + 4 * right - after
    return np.asarray(
        left + 0.5 * rest * (slope + rest * (bend + rest * (3 * (left - right) + after - before)))
    )
