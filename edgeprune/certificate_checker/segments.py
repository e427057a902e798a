"""The device's front end for one segment, from first principles: sums of neighbours, and stairs.

A value of the network's input is a sum of `factor` raw counts, times a gain, shifted, clipped: one
more step of stairs in front of the network, whose sums no other value shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from edgeprune.certificate_checker.bounds import CHANGE, ChangeSet
from edgeprune.certificate_checker.network import Step
from edgeprune.certificate_checker.stairs import LEAST, MOST, NEVER, Ints, Linear, Refused, Stairs

_FIELDS = ("factor", "length", "channels", "step", "gain", "shift")
_UNITS = ("uV", "rms")
# A device's sums have 32 bits: 2^15 * factor * gain is at most 2^30.
_LARGEST_PRODUCT, _MOST_SHIFT = 1 << 15, 29
# Bits of the step's slope, and of the scale that it is in.
_SLOPE_BITS, _MOST_SLOPE_SHIFT = 18, 44


@dataclass(frozen=True)
class SegmentConverter:
    """The analogue-to-digital converter, and how windows are made of its counts.

    Attributes:
        rate: Samples a second.
        bits: Of a count, which is signed.
        microvolt: Of one count; of a normalised signal in thousandths of its RMS.
        unit: "uV" or "rms".
        factor: Raw samples that are summed to one of the window.
        length: Samples of the window.
        channels: Its channels.
        gain: What a sum is multiplied by.
        shift: Bits that the product loses.
    """

    rate: Fraction
    bits: int
    microvolt: Fraction
    unit: str
    factor: int
    length: int
    channels: int
    gain: int
    shift: int

    @staticmethod
    def read(entry: Mapping[str, Any]) -> SegmentConverter:
        """Read the header's entry; refuse what no front end takes."""
        bits, unit, given = entry["bits"], entry["unit"], entry["segments"]
        rate, microvolt = (Fraction(str(entry[key])) for key in ("rate_hz", "microvolt_per_count"))
        numbers = [given[name] for name in _FIELDS]
        if not all(isinstance(each, int) and each >= 0 for each in (bits, *numbers)):
            raise Refused(f"the segments {dict(given)} are not of whole numbers")
        factor, length, channels, step, gain, shift = numbers
        possible = 2 <= bits <= 16 and microvolt > 0 and rate > 0 and unit in _UNITS
        possible &= min(factor, length, channels, step, gain) >= 1 and shift <= _MOST_SHIFT
        if not possible or factor * gain > _LARGEST_PRODUCT:
            raise Refused(f"the converter {dict(entry)} is none that the front end takes")
        return SegmentConverter(rate, bits, microvolt, unit, factor, length, channels, gain, shift)

    @property
    def reach(self) -> int:
        """Raw values that a window reads."""
        return self.factor * self.length * self.channels

    @property
    def counts(self) -> tuple[int, int]:
        """Least and greatest count."""
        return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1

    def places(self, count: int) -> Ints:
        """Return the time of each raw value, in samples from the window's first [count]."""
        number = np.arange(count)
        within, sample = number % self.factor, number // (self.factor * self.channels)
        return np.asarray(sample * self.factor + within)


@dataclass(frozen=True, eq=False)
class Window:
    """One segment as it was held.

    Attributes:
        converter: Where the counts came from.
        raw: Counts [reach]: by sample of the window, then channel, then the `factor` of each sum.
    """

    converter: SegmentConverter
    raw: Ints

    def require_consistent(self) -> None:
        """Refuse counts that no converter delivers."""
        low, high = self.converter.counts
        if len(self.raw) != self.converter.reach:
            raise Refused("the segment has not as many samples as the converter's window")
        if self.raw.min() < low or self.raw.max() > high:
            raise Refused("a held count is beyond the converter's range")

    def inputs(self, raw: Ints) -> tuple[Ints, ...]:
        """Return the network's flat input for raw counts, value by value."""
        converter = self.converter
        half = 2**converter.shift // 2
        products = self._sums(raw) * converter.gain + half
        return (np.clip(products // 2**converter.shift, -127, 127),)

    def step(self, signal: str) -> Step:
        """Return the front end as a step from the change of the counts to the signal."""
        converter = self.converter
        sums = converter.length * converter.channels
        linear = Linear(np.ones((1, converter.factor, 1), np.int64), sums, sums)
        room = _SLOPE_BITS - converter.gain.bit_length()
        finer = max(0, min(room, _MOST_SLOPE_SHIFT - converter.shift))
        slope = np.array([converter.gain << finer])
        found = Stairs(self._thresholds()[None], slope, converter.shift + finer)
        rows = np.zeros(sums, np.int64)
        terms = ((CHANGE, linear),)
        bias = self._sums(self.raw)
        return Step("front end", signal, terms, bias, (0, 0), rows, found, found, found)

    def rhythm(self, change: ChangeSet) -> tuple[Ints, Ints]:
        """Refuse: a segment has no second input."""
        del change
        raise Refused("the network has a second input, which segments do not have")

    def _sums(self, raw: Ints) -> Ints:
        return np.asarray(raw.reshape(-1, self.converter.factor).sum(axis=1))

    def _thresholds(self) -> Ints:
        """Return the least sum that gives each value: v from sum * gain + half = v * 2^shift on."""
        converter = self.converter
        values = np.arange(LEAST + 1, MOST + 1)
        half = 2**converter.shift // 2
        sums = -((half - (values << converter.shift)) // converter.gain)
        # Nothing lies below the clip.
        return np.where(values == -127, -NEVER, sums)
