"""The device's front end for one beat, from first principles: a matrix, stairs, three energies.

From raw counts to the signal there is one sum with integer weights for each sample of the window;
what follows (rounding, the template's difference, the gain, the clips) rises with that sum. So the
whole front end is one more step of stairs in front of the network, and needs no rule of its own.
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

LENGTH, BEFORE, BOXCAR = 96, 48, 64
SQUARE = BOXCAR * BOXCAR
QRS, P_WAVE = slice(36, 62), slice(14, 38)
_PEAK = 64
# Fractional bits of the step's slope: of gain / 2^14, beyond the 12 of the conditioning.
_SLOPE_SHIFT = 20


@dataclass(frozen=True)
class Converter:
    """The analogue-to-digital converter.

    Attributes:
        rate: Samples a second.
        bits: Of a count, which is signed.
        microvolt: Of one count.
    """

    rate: Fraction
    bits: int
    microvolt: Fraction

    @staticmethod
    def read(entry: Mapping[str, Any]) -> Converter:
        """Read the header's entry; refuse what no front end takes."""
        bits = entry["bits"]
        # As decimals: 6.6 uV are two counts of 3.3 uV.
        rate, microvolt = (Fraction(str(entry[key])) for key in ("rate_hz", "microvolt_per_count"))
        if not (isinstance(bits, int) and 2 <= bits <= 16 and microvolt > 0 and 96 <= rate <= 1050):
            raise Refused(f"the converter {dict(entry)} is none that the front end takes")
        return Converter(rate, bits, microvolt)

    @property
    def factor(self) -> int:
        """Raw samples a conditioned sample: what brings the rate nearest to 120 Hz."""
        return min(max(1, round(self.rate / 120)), 7)

    @property
    def reach(self) -> int:
        """Raw samples that a window reads."""
        return self.factor * (LENGTH + 2 * BOXCAR - 1)

    @property
    def counts(self) -> tuple[int, int]:
        """Least and greatest count."""
        return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1

    @property
    def unit(self) -> str:
        """Of a count."""
        return "uV"

    def places(self, count: int) -> Ints:
        """Return the time of each raw value, in samples from the beat [count]."""
        return np.arange(count) - self.factor * (BEFORE + BOXCAR)

    @property
    def least_amplitude(self) -> int:
        """Smaller peaks of a template count as this: a sixth of a millivolt, at least 16."""
        return max(16, round(Fraction(1000, 6) / self.microvolt * 2 * self.factor))


def conditioning(factor: int) -> Ints:
    """Return the weights [reach, LENGTH]: a boxcar of two blocks minus a triangular mean."""
    triangle = np.convolve(np.ones(BOXCAR, int), np.ones(BOXCAR, int))
    blocks = np.zeros((LENGTH + 2 * BOXCAR - 1, LENGTH), np.int64)
    for sample in range(LENGTH):
        sums = -triangle
        sums[BOXCAR - 1] += SQUARE
        # A sum is over two neighbouring blocks.
        blocks[sample : sample + len(sums), sample] += sums
        blocks[sample + 1 : sample + 1 + len(sums), sample] += sums
    return np.repeat(blocks, factor, axis=0)


@dataclass(frozen=True, eq=False)
class Beat:
    """One beat as it was held.

    Attributes:
        converter: Where the counts came from.
        raw: Counts [reach].
        template: Conditioned counts [LENGTH].
        gain: Times 2^14.
        intervals: The RR features.
    """

    converter: Converter
    raw: Ints
    template: Ints
    gain: int
    intervals: Ints

    def require_consistent(self) -> None:
        """Refuse counts that no converter delivers and a gain that is not the template's."""
        low, high = self.converter.counts
        if len(self.raw) != self.converter.reach or len(self.template) != LENGTH:
            raise Refused("the beat has not as many samples as the converter's window")
        if self.raw.min() < low or self.raw.max() > high:
            raise Refused("a held count is beyond the converter's range")
        if np.abs(self.template).max() > 32768 or np.abs(self.intervals).max() > 127:
            raise Refused("the template or an RR feature is beyond its range")
        peak = max(int(np.abs(self.template[QRS]).max()), self.converter.least_amplitude)
        if self.gain != (_PEAK << 14) // peak:
            raise Refused("the gain is not that of the template")

    def inputs(self, raw: Ints) -> tuple[Ints, Ints]:
        """Return the network's flat inputs for raw counts, value by value."""
        sums = raw @ conditioning(self.converter.factor)
        energies, _ = _squares(self, sums, sums)
        return _signal(self, np.repeat(sums, 2)), self._features(energies)

    def _features(self, energies: Ints) -> Ints:
        return np.concatenate([self.intervals, form(self.template, energies)])

    def step(self, signal: str) -> Step:
        """Return the front end as a step from the change of the counts to the signal."""
        weights = conditioning(self.converter.factor)
        both = np.repeat(weights, 2, axis=1)
        rows = np.arange(2 * LENGTH)
        slopes = np.full(len(rows), self.gain << _SLOPE_SHIFT >> 14)
        found = Stairs(self._thresholds(), slopes, 12 + _SLOPE_SHIFT)
        terms = ((CHANGE, Linear(both[None], 1, 1)),)
        return Step("front end", signal, terms, self.raw @ both, (0, 0), rows, found, found, found)

    def _thresholds(self) -> Ints:
        """Return the least sum that gives each signal value: the front end, solved for it.

        A channel c gives at least v from c >= ceil((v * 2^14 - 2^13) / gain) on; c is a conditioned
        count less the template, and that count is (sum + SQUARE / 2) >> 12; both clip to int16.
        """
        values = np.arange(LEAST + 1, MOST + 1)
        channel = -((2**13 - (values << 14)) // self.gain)
        template = np.stack([np.zeros_like(self.template), self.template], axis=1).reshape(-1, 1)
        count = np.clip(channel, -32768, 32768) + template
        sums = (np.clip(count, -32768, 32768) << 12) - SQUARE // 2
        never = (channel > 32767) | (count > 32767)
        always = (channel <= -32768) | (count <= -32768) | (values == -127)
        return np.where(always, -NEVER, np.where(never, NEVER, sums))

    def rhythm(self, change: ChangeSet) -> tuple[Ints, Ints]:
        """Return the least and greatest rhythm features over a set of changes."""
        weights = conditioning(self.converter.factor)
        middle = self.raw @ weights
        low, high = middle + change.least(weights.T), middle - change.least(-weights.T)
        least, greatest = _squares(self, low, high)
        nominal = conditioned(middle)
        for which, (zone, template) in enumerate(_zones(self)):
            # Along the unchanged beat u: <c, u>^2 / <u, u> <= <c, c>, and
            # <c, c> = <u, u> + 2 <c - u, u> + <c - u, c - u>.
            ends = [conditioned(at)[zone] for at in (low, high)]
            uncut = ends[0].min() > -32768 and ends[1].max() < 32767
            ends = [end - template for end in ends]
            if not uncut or max(np.abs(end).max() for end in ends) >= 32767:
                continue
            u = nominal[zone] - template
            along = weights[:, zone] @ u
            # What conditioning rounds off is within half a count.
            rounding = int(np.abs(u).sum()) * (SQUARE // 2)
            base = int(middle[zone] @ u) - SQUARE * int(template @ u)
            below = base + int(change.least(along[None])[0]) - rounding
            above = base - int(change.least(-along[None])[0]) + rounding
            own = int(u @ u)
            farthest = np.maximum(np.abs(ends[0] - u), np.abs(ends[1] - u))
            most = own + 2 * (above // SQUARE - own) + int(farthest @ farthest)
            greatest[which] = min(int(greatest[which]), most)
            if below > 0 and own > 0:
                cosine = -(-(below * below) // (own * SQUARE * SQUARE))
                least[which] = max(int(least[which]), cosine)
        return self._features(least), self._features(greatest)


def conditioned(sums: Ints) -> Ints:
    """Return conditioned counts of unrounded sums."""
    return np.clip((sums + SQUARE // 2) >> 12, -32768, 32767)


def _signal(beat: Beat, sums: Ints) -> Ints:
    """Return the signal of sums [..., 2 * LENGTH], each sample twice: itself and its difference."""
    values = conditioned(sums)
    template = np.stack([np.zeros_like(beat.template), beat.template], axis=1).reshape(-1)
    channels = np.clip(values - template, -32768, 32767)
    return np.asarray(np.clip((channels * beat.gain + 2**13) >> 14, -127, 127))


def _zones(beat: Beat) -> tuple[tuple[slice, Ints], ...]:
    zero = np.zeros_like(beat.template)
    return (QRS, beat.template[QRS]), (P_WAVE, beat.template[P_WAVE]), (QRS, zero[QRS])


def _squares(beat: Beat, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Return the least and greatest energies [3] for unrounded sums within low..high."""
    ends: list[tuple[int, int]] = []
    for zone, template in _zones(beat):
        a, b = (np.clip(conditioned(at)[zone] - template, -32768, 32767) for at in (low, high))
        near = np.where((a <= 0) & (b >= 0), 0, np.minimum(np.abs(a), np.abs(b)))
        far = np.maximum(np.abs(a), np.abs(b))
        ends.append((int(near @ near), int(far @ far)))
    least, greatest = np.array(ends, np.int64).T
    return least.copy(), greatest.copy()


def form(template: Ints, energies: Ints) -> Ints:
    """Return the form features of the energies of QRS difference, P difference, QRS."""
    qrs, p_wave, own = (log_energy(int(each)) for each in energies)
    expected = log_energy(int(template[QRS] @ template[QRS]))
    features = (qrs - expected) >> 1, ((p_wave - expected) >> 1) + 64, own - expected
    return np.clip(np.array(features, np.int64), -127, 127)


def log_energy(energy: int) -> int:
    """Return log2(energy / 256 + 1) in 1/32 octave, linear within the octave, floored."""
    value = (energy >> 8) + 1
    exponent = value.bit_length() - 1
    return 32 * exponent + ((value << 5) >> exponent) - 32
