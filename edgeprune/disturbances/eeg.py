"""What eyes, muscles and electrodes do to an EEG: SYNTHETIC noise, made by rule.

The shapes are those of `edgeprune.data.eeg_artefacts`. They come at drawn times, and each severity
has the same ones, only larger.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from edgeprune.data.eeg_artefacts import (
    FloatArray,
    blink_shape,
    blink_spread,
    muscle_noise,
    pop_shape,
)
from edgeprune.data.recordings import Recording
from edgeprune.disturbances.disturbance import (
    BY_ITSELF,
    Disturbance,
    Disturbed,
    Surroundings,
    times_a_minute,
    with_samples,
)
from edgeprune.errors import ConfigurationError

_BURST_SECONDS = (0.5, 2.0)


@dataclass(frozen=True)
class _Artefact(Disturbance):
    """Something that is added to the channels at drawn times.

    Attributes:
        a_minute: How often a minute on average; 0 for the family's own rate.
    """

    a_minute: float = 0.0

    unit = "uV"
    channels = BY_ITSELF
    usual: ClassVar[float]

    @classmethod
    def make(cls, severity: float, option: str, surroundings: Surroundings) -> Self:
        """Return artefacts of that size; `option` is their rate, e.g. "10/min"."""
        del surroundings
        rate = times_a_minute(cls.name, option, cls.usual)
        return cls(severity, 0.0 if rate == cls.usual else rate)

    @property
    def option(self) -> str:
        """The rate, unless it is the usual one."""
        return f"{self.a_minute:g}/min" if self.a_minute else ""

    @property
    def source(self) -> str:
        """Made by rule."""
        return "synthetic"

    @property
    def rate(self) -> float:
        """How often a minute on average."""
        return self.a_minute or self.usual

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Add the artefacts.

        Raises:
            ConfigurationError: The signal's volts are not known.
        """
        if recording.adc.unit != "uV":
            raise ConfigurationError(
                f"'{self.text}' is in uV, and the volts of this signal are not known",
                where="disturbances.cases",
                hint="leave it out: the publisher normalised the signal",
            )
        generator = self.generator(recording, seed)
        samples = recording.samples
        counts = samples.reshape(len(samples), -1).astype(np.float64)
        number = generator.poisson(self.rate * len(counts) / recording.adc.rate_hz / 60)
        scale = self.severity / recording.adc.microvolt_per_count
        for place in np.sort(generator.integers(0, len(counts), number)).tolist():
            shape = self.shape(recording, generator)
            end = min(place + len(shape), len(counts))
            counts[place:end] += scale * shape[: end - place]
        return with_samples(recording, counts.reshape(samples.shape))

    @abstractmethod
    def shape(self, recording: Recording, generator: np.random.Generator) -> FloatArray:
        """Return one artefact of size 1, [samples, channels]."""


@dataclass(frozen=True)
class EyeBlink(_Artefact):
    """Eye blinks: a slow wave that is largest at the frontal poles and fades towards the back."""

    name = "eye-blink"
    title = "eye blinks"
    severity_is = "height at the frontal poles"
    severities = (25.0, 50.0, 100.0, 150.0, 200.0, 300.0)
    usual = 15.0

    def describe(self) -> str:
        """Say what happens."""
        return (
            f"eye blinks (SYNTHETIC) of {self.severity:g} uV at the frontal poles, {self.rate:g} a "
            "minute: slow waves of 0.4 s, in each channel as its electrodes see them"
        )

    def shape(self, recording: Recording, generator: np.random.Generator) -> FloatArray:
        """Return a blink, spread over the channels by their names."""
        del generator
        channels = recording.channels
        names = recording.lead.split(", ")
        spread = blink_spread(names) if len(names) == channels else (1.0,) * channels
        return np.asarray(blink_shape(recording.adc.rate_hz)[:, None] * np.array(spread))


@dataclass(frozen=True)
class EmgBurst(_Artefact):
    """Bursts of muscle: jaws, forehead, neck."""

    name = "emg-burst"
    title = "bursts of muscle"
    severity_is = "RMS of a burst in the channel that sees most of it"
    severities = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
    usual = 6.0

    def describe(self) -> str:
        """Say what happens."""
        low, high = _BURST_SECONDS
        return (
            f"bursts of muscle (SYNTHETIC) of {self.severity:g} uV RMS from 20 Hz to 100 Hz, "
            f"{low:g} s to {high:g} s long, {self.rate:g} a minute, each channel with noise and "
            "strength of its own"
        )

    def shape(self, recording: Recording, generator: np.random.Generator) -> FloatArray:
        """Return a burst; one channel, drawn, sees all of it."""
        rate = recording.adc.rate_hz
        channels = recording.channels
        length = max(4, round(generator.uniform(*_BURST_SECONDS) * rate))
        strength = generator.uniform(0.2, 1.0, channels)
        strength[generator.integers(channels)] = 1.0
        noise = [muscle_noise(generator, length, rate) for _ in range(channels)]
        return np.asarray(np.stack(noise, axis=1) * strength)


@dataclass(frozen=True)
class ElectrodePop(_Artefact):
    """Pops of single electrodes: a step that the amplifier takes back."""

    name = "electrode-pop"
    title = "electrode pops"
    severity_is = "height of the step"
    severities = (25.0, 50.0, 100.0, 200.0, 400.0, 800.0)
    usual = 4.0

    def describe(self) -> str:
        """Say what happens."""
        return (
            f"pops of single electrodes (SYNTHETIC), {self.rate:g} a minute: a step of "
            f"{self.severity:g} uV, up or down, in one channel, that decays within 0.3 s to 1/e"
        )

    def shape(self, recording: Recording, generator: np.random.Generator) -> FloatArray:
        """Return a pop of one channel, drawn with its sign."""
        channels = recording.channels
        chosen = np.zeros(channels)
        chosen[generator.integers(channels)] = generator.choice([-1, 1])
        return np.asarray(pop_shape(recording.adc.rate_hz)[:, None] * chosen)
