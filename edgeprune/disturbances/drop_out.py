"""Short losses of the signal: drop-outs to a constant level, lead-off to a rail."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np

from edgeprune.data.recordings import Recording
from edgeprune.disturbances.disturbance import (
    Disturbance,
    Disturbed,
    Surroundings,
    count_range,
    times_a_minute,
    with_samples,
)


@dataclass(frozen=True)
class _Loss(Disturbance):
    """A loss of the signal for some milliseconds, again and again.

    Attributes:
        a_minute: Losses a minute on average; when each begins is drawn.
    """

    a_minute: float = 10.0

    unit = "ms"
    severity_is = "duration of each loss"
    severities = (50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)

    @classmethod
    def make(cls, severity: float, option: str, surroundings: Surroundings) -> Self:
        """Return losses of that duration; `option` is their rate, e.g. "10/min"."""
        del surroundings
        return cls(severity, times_a_minute(cls.name, option, cls.a_minute))

    @property
    def option(self) -> str:
        """The rate, unless it is 10 a minute."""
        return "" if self.a_minute == type(self).a_minute else f"{self.a_minute:g}/min"

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Lose the signal at drawn times."""
        generator = self.generator(recording, seed)
        rate, count = recording.adc.rate_hz, len(recording.samples)
        losses = generator.poisson(self.a_minute * count / rate / 60)
        starts = np.sort(generator.integers(0, count, losses))
        signs = generator.choice([-1, 1], losses)
        samples = recording.samples.copy()
        length = round(self.severity / 1000 * rate)
        for start, sign in zip(starts.tolist(), signs.tolist(), strict=True):
            samples[start : start + length] = self.level(recording, start, sign)
        return with_samples(recording, samples)

    @abstractmethod
    def level(self, recording: Recording, start: int, sign: int) -> int:
        """Return the count that a loss holds from sample `start` on; `sign` is drawn."""


@dataclass(frozen=True)
class DropOut(_Loss):
    """The signal freezes: a sample that a link lost is replaced by the last one."""

    name = "drop-out"
    title = "drop-outs"

    def describe(self) -> str:
        """Say what happens."""
        return f"the signal freezes for {self.severity:g} ms, {self.a_minute:g} times a minute"

    def level(self, recording: Recording, start: int, sign: int) -> int:
        """Return the last count before the loss."""
        del sign
        return int(recording.samples[max(start - 1, 0)])


@dataclass(frozen=True)
class LeadOff(_Loss):
    """The electrode comes off: the amplifier goes to one of its rails."""

    name = "lead-off"
    title = "lead-off"

    def describe(self) -> str:
        """Say what happens."""
        return (
            f"the electrode comes off for {self.severity:g} ms, {self.a_minute:g} times a minute: "
            "the converter delivers one end of its range"
        )

    def level(self, recording: Recording, start: int, sign: int) -> int:
        """Return one end of the converter's range."""
        del start
        return count_range(recording)[int(sign > 0)]
