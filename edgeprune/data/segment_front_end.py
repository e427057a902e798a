"""Windows of fixed length over one or more channels, in integers: the second front end.

    int8 = clip8((sum of `factor` counts * gain + half) >> shift)

for each channel by itself. Nothing is remembered from one window to the next and nothing after a
window is waited for. The C of the device (firmware_export/runtime/edgeprune_segments.c) computes
the same to the bit, sample by sample as they come.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.front_ends import SEGMENTS, FrontEndOutput
from edgeprune.data.integer_arithmetic import Int8Array, Int16Array, Int64Array, clip8
from edgeprune.errors import ConfigurationError
from edgeprune.targets import Adc

_HIGHEST = 127
# With these a sum times the gain, and half a step, stay within the device's 32 bits.
_LARGEST_PRODUCT = 1 << 15
_MOST_SHIFT = 29
_MOST_SAMPLES = 1 << 16


@dataclass(frozen=True)
class SegmentFrontEnd:
    """The integer constants of segments; `run` is the specification.

    Attributes:
        factor: Raw samples summed to one sample of the window.
        length: Samples of the window.
        channels: Channels, in the order of the card.
        step: Raw samples from one window's first sample to the next one's.
        gain: What a sum is multiplied by.
        shift: How many bits the product then loses.
    """

    factor: int
    length: int
    channels: int
    step: int
    gain: int
    shift: int

    @staticmethod
    def for_card(card: DatasetCard, adc: Adc) -> SegmentFrontEnd:
        """Return the front end for a data set's windows at a converter.

        Raises:
            ConfigurationError: The converter's unit is another, a window is no whole number of its
                samples, or full scale is not possible with its counts.
        """
        window, unit = card.window, card.signal.unit
        assert window is not None
        if adc.unit != unit:
            raise ConfigurationError(
                f"the converter counts {adc.unit}, the signal of {card.name} is in {unit}",
                where="adc",
                hint="leave the target's converter out (--target without [adc])",
            )
        factor = window.factor
        length = _whole(window.seconds * adc.rate_hz / factor, card, "window.seconds")
        step = _whole(
            (window.step_seconds or window.seconds) * adc.rate_hz, card, "window.step_seconds"
        )
        if step % factor:
            raise ConfigurationError(
                f"windows {step} samples apart do not share sums of {factor} samples",
                where=card.path,
                hint="choose window.step_seconds so that it is a multiple of window.factor samples",
            )
        channels = len(card.signal.channels)
        if length * channels > _MOST_SAMPLES:
            raise ConfigurationError(
                f"a window has {length} samples of {channels} channels",
                where=card.path,
                hint=f"at most {_MOST_SAMPLES:,} together: shorten window.seconds, raise "
                "window.factor, or leave channels out",
            )
        # With the unit "rms" a count is a thousandth of the RMS as it else is a microvolt.
        full_scale = window.full_scale * (1000.0 if unit == "rms" else 1.0)
        per_sum = _HIGHEST * adc.microvolt_per_count / (factor * full_scale)
        shift = min(math.floor(math.log2(_LARGEST_PRODUCT / (factor * per_sum))), _MOST_SHIFT)
        gain = round(per_sum * 2.0**shift) if shift >= 0 else 0
        if gain < 1:
            raise ConfigurationError(
                f"a full scale of {window.full_scale:g} {unit} is not possible with counts of "
                f"{adc.microvolt_per_count:g}",
                where=card.path,
                hint="window.full_scale becomes 127 in the network's input: between 1 and 10^8 "
                "counts",
            )
        return SegmentFrontEnd(factor, length, channels, step, gain, shift)

    @property
    def kind(self) -> str:
        """Segments."""
        return SEGMENTS

    @property
    def signal_shape(self) -> tuple[int, int]:
        """Length and channels of the signal input."""
        return self.length, self.channels

    @property
    def signal_scale(self) -> float:
        """Real step of one LSB of the signal input: full scale is nearly 4."""
        return 1 / 32

    @property
    def signal_zero_point(self) -> int:
        """The integer that stands for 0."""
        return 0

    @property
    def rhythm_features(self) -> int:
        """Segments have no rhythm input."""
        return 0

    @property
    def rhythm_scale(self) -> float:
        """Of an input that segments do not have."""
        return 1 / 32

    @property
    def rhythm_zero_point(self) -> int:
        """Of an input that segments do not have."""
        return 0

    @property
    def delay_beats(self) -> int:
        """Nothing after a window is waited for."""
        return 0

    @property
    def reach(self) -> tuple[int, int]:
        """Raw samples before and after a window's first sample that it needs."""
        return 0, self.factor * self.length - 1

    def constants(self) -> Mapping[str, int]:
        """Return the fields of the C struct `edgeprune_segments_config`, in its order."""
        return {
            "factor": self.factor,
            "length": self.length,
            "channels": self.channels,
            "step": self.step,
            "gain": self.gain,
            "shift": self.shift,
        }

    def run(self, samples: Int16Array, beats: Int64Array) -> FrontEndOutput:
        """Return the network's input for every window of one recording.

        Args:
            samples: int16 [n, channels], counts of the converter.
            beats: First sample of each window, int64 [k], ascending.
        """
        count, raw_length = len(beats), self.factor * self.length
        valid = (beats >= 0) & (beats + raw_length <= len(samples))
        signal = np.zeros((count, *self.signal_shape), np.int8)
        # One window at a time: a recording's windows may overlap and be many.
        for number in np.flatnonzero(valid).tolist():
            start = int(beats[number])
            raw = samples[start : start + raw_length].astype(np.int64)
            sums = raw.reshape(self.length, self.factor, self.channels).sum(axis=1)
            signal[number] = self.scale(sums)
        gain = np.full(count, self.gain, np.int64)
        return FrontEndOutput(signal, np.zeros((count, 0), np.int8), gain, valid)

    def starts(self, samples: int) -> Int64Array:
        """Return the first samples of all windows that a device makes of a recording."""
        last = samples - self.factor * self.length
        return np.arange(0, max(last + 1, 0), self.step, dtype=np.int64)

    def scale(self, sums: Int64Array) -> Int8Array:
        """Return sums of `factor` counts as the network's input; it rises with each sum."""
        return clip8((sums * self.gain + ((1 << self.shift) >> 1)) >> self.shift)

    def microvolt_per_lsb(self, gain: Int64Array, adc: Adc) -> npt.NDArray[np.float64]:
        """Return what one step of the signal input is at the electrodes, for each window."""
        return adc.microvolt_per_count * (1 << self.shift) / (gain * float(self.factor))


def _whole(samples: float, card: DatasetCard, key: str) -> int:
    if samples < 1 or abs(samples - round(samples)) > 1e-6:
        raise ConfigurationError(
            f"{key} is {samples:g} samples of the window at this converter",
            where=card.path,
            hint="choose seconds, window.factor and rate so that it is a whole number",
        )
    return round(samples)
