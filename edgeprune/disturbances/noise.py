"""Recorded noise mixed in at a signal-to-noise ratio, by the rule of the noise stress test.

The rule is that of the tool `nst`, with which the publisher of the noise made the noisy versions of
record 118 (Moody GB, Muldrow WE, Mark RG: A noise stress test for arrhythmia detectors. Computers
in Cardiology 1984; WFDB Applications Guide, nst(1) and sigamp(1)):

- pp: peak to peak within 50 ms of a beat, of the first 300 normal beats; the mean without the
  smallest and the largest twentieth. S = pp^2 / 8: the power of a sinusoid as high.
- r: root mean square about its mean of each of the noise's first 300 seconds, deviations in whole
  counts; the mean without the smallest and the largest twentieth. N = (g r)^2.
- 10 log10(S / N) is the ratio, hence g = 10^(-dB / 20) sqrt(2) / 4 pp / r.

In the protocol of `nst` the first five minutes are clean, then two minutes with noise and two
without alternate; the noise runs on from the recording's start, and its value where it is switched
stays as an offset, so that no edge is heard. For curves the noise is always there, without its
mean, from a drawn place of the noise and of a drawn one of its channels; and r is then of all the
seconds that are mixed in, because recorded noise is not equally strong everywhere (electrode motion
is 4 dB stronger over the half hour than over its first five minutes), and not in whole counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from edgeprune.data.noise import noise_source, read_noise
from edgeprune.data.recordings import Int16Array, Recording
from edgeprune.disturbances.disturbance import (
    BY_ITSELF,
    Disturbance,
    Disturbed,
    Surroundings,
    no_option,
    with_samples,
)
from edgeprune.errors import DataError

PROTOCOL = "nst"
_CLEAN_SECONDS = 300
_STRETCH_SECONDS = 120
_REACH_SECONDS = 0.05
_MEASUREMENTS = 300
_TRIMMED = 20
_NORMAL = 0

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AddedNoise(Disturbance):
    """Noise of one kind at a signal-to-noise ratio in dB.

    Attributes:
        directory: Folder of the recorded noise; None: synthetic noise.
        protocol: "nst" for the stress test's clean and noisy stretches, "" for noise throughout.
    """

    directory: Path | None = None
    protocol: str = ""

    channels = BY_ITSELF
    unit = "dB"
    severity_is = "signal-to-noise ratio"
    severities = (24.0, 18.0, 12.0, 6.0, 0.0, -6.0)
    lowest = -60.0
    highest = 120.0
    causes: ClassVar[str]

    @classmethod
    def make(cls, severity: float, option: str, surroundings: Surroundings) -> Self:
        """Return noise at that ratio; `option` is "nst" or nothing."""
        if option not in ("", PROTOCOL):
            raise no_option(cls.name, option, (PROTOCOL,))
        return cls(severity, surroundings.noise_directory, option)

    @property
    def option(self) -> str:
        """The protocol, unless the noise is always there."""
        return self.protocol

    @property
    def source(self) -> str:
        """Where the noise comes from."""
        return noise_source(self.name, self.directory)

    def describe(self) -> str:
        """Say what happens."""
        when = (
            "clean for five minutes, then two minutes with and two without by turns"
            if self.protocol
            else "throughout"
        )
        return (
            f"{self.causes} ({self.source}) at a signal-to-noise ratio of {self.severity:g} dB, "
            f"{when}"
        )

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Add the noise, scaled for this recording; of segments for each channel, by its own RMS.

        Raises:
            DataError: The recording has no normal beat to measure, or the noise cannot be read.
        """
        if recording.samples.ndim == 1:
            return self._added(recording, signal_amplitude(recording), seed)
        columns = []
        for channel, samples in enumerate(np.ascontiguousarray(recording.samples.T)):
            # The name decides what is drawn.
            one = replace(recording, name=f"{recording.name}, channel {channel}", samples=samples)
            spread = float(np.std(samples.astype(np.float64)))
            # The amplitude is a peak-to-peak one: of a sine of this RMS.
            part = self._added(one, 2 * math.sqrt(2) * spread, seed)
            columns.append(part.recording.samples)
        return with_samples(recording, np.stack(columns, axis=1))

    def _added(self, recording: Recording, amplitude_of_signal: float, seed: int) -> Disturbed:
        noise = read_noise(self.name, self.directory, recording.adc.rate_hz)
        rate = recording.adc.rate_hz
        if self.protocol:
            places = np.arange(len(recording.samples)) % len(noise.samples)
            mixed = noise.samples[places, 0]
            amplitude = noise_amplitude(noise.samples[:, 0], rate, as_tool=True)
        else:
            generator = self.generator(recording, seed)
            channel = int(generator.integers(noise.samples.shape[1]))
            start = int(generator.integers(len(noise.samples)))
            places = (start + np.arange(len(recording.samples))) % len(noise.samples)
            mixed = noise.samples[places, channel]
            amplitude = noise_amplitude(mixed, rate)
        if amplitude == 0:
            raise DataError(
                "the noise is silent", where=noise.source, hint="fetch it again from its publisher"
            )
        gain = noise_gain(amplitude_of_signal, amplitude, self.severity)
        added = gain * mixed.astype(np.float64)
        added = stress_test(added, rate) if self.protocol else added - added.mean()
        return with_samples(recording, recording.samples + added)


@dataclass(frozen=True)
class ElectrodeMotion(AddedNoise):
    """Electrodes that move against the skin; the noise most like an ectopic beat."""

    name = "electrode-motion"
    title = "electrode motion"
    causes = "noise of moving electrodes"


@dataclass(frozen=True)
class BaselineWander(AddedNoise):
    """Slow wander of the baseline, from breathing and motion."""

    name = "baseline-wander"
    title = "baseline wander"
    causes = "baseline wander"


@dataclass(frozen=True)
class MuscleNoise(AddedNoise):
    """The electromyogram of the muscles below the electrodes."""

    name = "muscle-noise"
    title = "muscle noise"
    causes = "muscle noise"


def noise_gain(peak_to_peak: float, root_mean_square: float, decibel: float) -> float:
    """Return what noise is multiplied by to meet a signal-to-noise ratio."""
    return 10 ** (-decibel / 20) * math.sqrt(2) / 4 * peak_to_peak / root_mean_square


def signal_amplitude(recording: Recording) -> float:
    """Return the mean QRS height of a recording's first normal beats, in counts.

    Normal are the beats of the card's first class.

    Raises:
        DataError: There is none.
    """
    reach = round(_REACH_SECONDS * recording.adc.rate_hz)
    normal = recording.beats[recording.labels == _NORMAL]
    inside = normal[(normal >= reach) & (normal < len(recording.samples) - reach)][:_MEASUREMENTS]
    if len(inside) == 0:
        raise DataError(
            "the recording has no normal beat: its signal-to-noise ratio cannot be set",
            where=f"record {recording.name}",
            hint="leave the record out, or choose disturbances without recorded noise",
        )
    around = recording.samples[inside[:, None] + np.arange(-reach, reach + 1)].astype(np.int64)
    return _trimmed_mean(np.ptp(around, axis=1).astype(np.float64))


def noise_amplitude(samples: Int16Array, rate_hz: float, *, as_tool: bool = False) -> float:
    """Return the mean root mean square of noise over its seconds, in counts.

    Args:
        samples: One channel [n]; less than a second counts as one.
        rate_hz: Samples a second.
        as_tool: As the tool has it: of the first 300 seconds, and deviations in whole counts, which
            makes faint noise seem fainter still.
    """
    second = min(round(rate_hz), len(samples))
    windows = samples[: len(samples) // second * second].reshape(-1, second)
    deviations = windows - windows.mean(axis=1, keepdims=True)
    if as_tool:
        deviations = np.trunc(deviations[:_MEASUREMENTS])
    return _trimmed_mean(np.sqrt(np.square(deviations).mean(axis=1)))


def stress_test(added: FloatArray, rate_hz: float) -> FloatArray:
    """Return noise as it is switched on and off in the protocol of `nst`.

    Args:
        added: Noise in counts, from the recording's start [n].
        rate_hz: Samples a second.

    Returns:
        The same where it is on, moved to begin where the last stretch ended; constant elsewhere.
    """
    held, level = np.zeros_like(added), 0.0
    first, length = round(_CLEAN_SECONDS * rate_hz), round(_STRETCH_SECONDS * rate_hz)
    for number, start in enumerate(range(first, len(added), length)):
        stretch = slice(start, start + length)
        if number % 2 == 0:
            # The sample before a switch is heard with the new gain, and then moved onto itself.
            held[stretch] = added[stretch] - added[start - 1] + level
            level = float(held[stretch][-1])
        else:
            held[stretch] = level
    return held


def _trimmed_mean(values: FloatArray) -> float:
    cut = len(values) // _TRIMMED
    return float(np.sort(values)[cut : len(values) - cut].mean())
