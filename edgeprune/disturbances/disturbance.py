"""What every disturbance is: a severity, words for it, and what it does to a whole recording.

A disturbance changes the raw counts of a whole recording, within the converter's range, and may
misplace its beats. The front end then runs over all of it, so that its memory (template, gain, RR
history) has seen the disturbance too. An attack differs: there one window changes and the memory is
held (`edgeprune.data.held_front_end`).
"""

from __future__ import annotations

import re
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from edgeprune.data.recordings import Int16Array, Int64Array, Recording
from edgeprune.errors import ConfigurationError
from edgeprune.registry import Registry

_A_MINUTE = re.compile(r"(\d+(?:\.\d+)?)/min")

THREAT_MODEL = (
    "The whole recording changes and the front end's memory sees it too: windows are cut anew at "
    "the annotated beats, or at misplaced ones where the disturbance says so."
)


THREAT_MODEL_OF_SEGMENTS = (
    "The whole recording changes: windows are cut from it where they were before it was disturbed."
)

# How a disturbance meets recordings of several channels.
EACH_CHANNEL = "each"
ALL_ALIKE = "alike"
BY_ITSELF = "by itself"
BEATS_ONLY = "beats"


@dataclass(frozen=True)
class Surroundings:
    """What disturbances draw on beside the recording.

    Attributes:
        noise_directory: Folder of recorded noise (`edgeprune.data.noise`); None: it is generated.
    """

    noise_directory: Path | None = None


@dataclass(frozen=True, eq=False)
class Disturbed:
    """A disturbed recording.

    Attributes:
        recording: The recording as the device now sees it.
        origin: For each of its beats the index of the beat in the undisturbed recording, or -1
            for one that is none, int64 [k].
    """

    recording: Recording
    origin: Int64Array


@dataclass(frozen=True)
class Disturbance(ABC):
    """One disturbance of one severity; instances are picklable and keep no state.

    Attributes:
        severity: How much of it, in `unit`.
        name: Name of the family, as configurations write it.
        title: The family in words.
        unit: Unit of the severity; empty for a plain number.
        severity_is: What the severity measures.
        severities: The default grid, from mild to severe.
        channels: How it meets recordings of several channels: `EACH_CHANNEL` with draws of its
            own, `ALL_ALIKE` with the same draws, `BY_ITSELF` where `apply` takes samples
            [n, channels], and `BEATS_ONLY` where it is of beats and has no meaning for segments.
    """

    severity: float

    name: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str]
    severity_is: ClassVar[str]
    severities: ClassVar[tuple[float, ...]]
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = float("inf")
    channels: ClassVar[str] = EACH_CHANNEL

    @classmethod
    def make(cls, severity: float, option: str, surroundings: Surroundings) -> Self:
        """Return the disturbance of that severity.

        Args:
            severity: In the family's unit, within `lowest` to `highest`.
            option: What was written behind "@"; empty for the default.
            surroundings: What disturbances draw on beside the recording.

        Raises:
            ConfigurationError: The family has no such option.
        """
        del surroundings
        if option:
            raise no_option(cls.name, option, ())
        return cls(severity)

    @property
    def option(self) -> str:
        """What is written behind "@"; empty for the default."""
        return ""

    @property
    def text(self) -> str:
        """The disturbance as configurations write it, e.g. "electrode-motion:6dB"."""
        at = f"@{self.option}" if self.option else ""
        return f"{self.name}:{self.severity:g}{self.unit}{at}"

    @property
    def family(self) -> str:
        """The family with its option, as configurations write it, e.g. "mains-hum@60Hz"."""
        return f"{self.name}@{self.option}" if self.option else self.name

    @property
    def source(self) -> str:
        """Where recorded noise comes from, "synthetic" where it is generated, else nothing."""
        return ""

    @abstractmethod
    def describe(self) -> str:
        """Return one sentence on what happens to the recording, with units."""

    @abstractmethod
    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Return the recording as it would have come from a disturbed lead.

        Args:
            recording: Raw counts of the device's converter.
            seed: Decides all that is drawn, together with the record's name and the family; equal
                draws serve all severities, so that points of a curve are paired.

        Returns:
            int16 counts within the converter's range.
        """

    def generator(self, recording: Recording, seed: int) -> np.random.Generator:
        """Return the random numbers of this family for one record."""
        keys = [zlib.crc32(text.encode()) for text in (recording.name, self.name)]
        return np.random.default_rng([seed, *keys])


DISTURBANCES: Registry[type[Disturbance]] = Registry("disturbance")


def times_a_minute(name: str, option: str, usual: float) -> float:
    """Return the rate of an option such as "10/min"; the usual one where there is none.

    Raises:
        ConfigurationError: The option is no rate.
    """
    match = _A_MINUTE.fullmatch(option or f"{usual:g}/min")
    if match is None:
        raise no_option(name, option, (f"{usual:g}/min",))
    return float(match[1])


def no_option(name: str, option: str, known: tuple[str, ...]) -> ConfigurationError:
    """Return the error of an unknown choice behind "@"."""
    return ConfigurationError(
        f"disturbance '{name}' has no choice '@{option}'",
        where=f"{name}@{option}",
        hint=f"known: {', '.join(f'@{each}' for each in known)}" if known else "leave it out",
    )


def count_range(recording: Recording) -> tuple[int, int]:
    """Return the least and the greatest count that the recording's converter delivers."""
    half = 1 << (recording.adc.bits - 1)
    return -half, half - 1


def in_range(recording: Recording, counts: npt.NDArray[np.float64] | Int64Array) -> Int16Array:
    """Return counts rounded to the nearest and cut off at the ends of the converter's range."""
    return np.clip(np.rint(counts), *count_range(recording)).astype(np.int16)


def with_samples(
    recording: Recording, counts: npt.NDArray[np.float64] | Int64Array | Int16Array
) -> Disturbed:
    """Return the recording with other counts [n], rounded and cut off, its beats unmoved."""
    samples = in_range(recording, np.asarray(counts, np.float64))
    return Disturbed(replace(recording, samples=samples), np.arange(len(recording.beats)))


def apply_to(disturbance: Disturbance, recording: Recording, seed: int) -> Disturbed:
    """Return a recording of beats or of segments as it would have come from disturbed leads.

    Raises:
        ConfigurationError: The disturbance is of beats and the recording is cut into segments.
    """
    samples = recording.samples
    if samples.ndim == 1 or disturbance.channels == BY_ITSELF:
        return disturbance.apply(recording, seed)
    if disturbance.channels == BEATS_ONLY:
        raise ConfigurationError(
            f"'{disturbance.text}' is of beats, and these are segments of a signal",
            where="disturbances.cases",
            hint="leave it out",
        )
    parts = []
    for channel in range(samples.shape[1]):
        alike = disturbance.channels == ALL_ALIKE or channel == 0
        # The name decides what is drawn.
        name = recording.name if alike else f"{recording.name}, channel {channel}"
        one = replace(recording, name=name, samples=np.ascontiguousarray(samples[:, channel]))
        parts.append(disturbance.apply(one, seed))
    joined = np.stack([part.recording.samples for part in parts], axis=1)
    return Disturbed(replace(recording, samples=joined), parts[0].origin)
