"""Families of changes: what they are at the converter, in whole numbers and from first principles.

Amounts are read from the perturbation's text, decimal by decimal. Real numbers are kept times
2^FRACTION, rounded outward.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from edgeprune.certificate_checker.front_end import Converter
from edgeprune.certificate_checker.segments import SegmentConverter
from edgeprune.certificate_checker.stairs import Ints, Refused, times

FRACTION = 20
# Amounts and parameters within this of each other are the same: texts and files hold decimals.
NEAR = Fraction(1, 10**9)
TURN_BITS = 100
# pi times 2^100.
PI = 3982441812995697363688351113952
Interval = tuple[Fraction, Fraction]
Parameters = tuple[Interval, ...]

_UNITS = {"uV": Fraction(1), "mV": Fraction(1000), "%": Fraction(1, 100), "Hz": Fraction(1)}
# Of a normalised signal, thousandths of its RMS stand in the place of microvolts.
_UNITS |= {"lsb": Fraction(1), "": Fraction(1), "rms": Fraction(1000)}
_VOLTAGES = ("uV", "mV", "rms")
_MOST_GRID = 512


@dataclass(frozen=True, eq=False)
class Space:
    """What moves: raw counts, or the values of a network's first input.

    Attributes:
        raw: Unchanged values.
        counts: Least and greatest value.
        converter: None where the network's input itself moves.
    """

    raw: Ints
    counts: tuple[int, int]
    converter: Converter | SegmentConverter | None


@dataclass(frozen=True, eq=False)
class Reach:
    """What a part can change over a box of its parameters, times 2^FRACTION.

    Attributes:
        low, high: Of every sample by itself.
        least: Bounds `coefficients . change` from below; None where the box says it all.
    """

    low: Ints
    high: Ints
    least: Callable[[Ints], Ints] | None = None


class Part(Protocol):
    """One family of changes with its size."""

    @property
    def rounds(self) -> bool:
        """Whether the converter rounds what the part adds."""

    def whole(self, space: Space) -> list[Parameters]:
        """Return the alternatives of the parameters' boxes."""

    def reach(self, space: Space, parameters: Parameters) -> Reach:
        """Return what the parameters can change."""

    def at(self, space: Space, parameters: Sequence[Fraction]) -> Reach:
        """Return the one change that parameters make, as a box that holds it."""


@dataclass(frozen=True)
class Amount:
    """A number in microvolts, milliseconds, hertz, shares, LSB or samples."""

    value: Fraction
    unit: str

    @staticmethod
    def read(text: str, units: Sequence[str]) -> Amount:
        """Read "20uV"; refuse other units."""
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?([a-zA-Z%]*)", text)
        if match is None or match[3] not in units:
            raise Refused(f"'{text}' is no amount in {' or '.join(units)}")
        return Amount(Fraction(match[1] + (match[2] or "")) * _UNITS[match[3]], match[3])

    def counts(self, space: Space) -> Fraction:
        """Return it in units of what moves."""
        if self.unit not in _VOLTAGES:
            return self.value
        if space.converter is None:
            raise Refused("a voltage without a converter")
        if (self.unit == "rms") != (space.converter.unit == "rms"):
            raise Refused(f"an amount in {self.unit}, and counts in {space.converter.unit}")
        return self.value / space.converter.microvolt


@dataclass(frozen=True)
class LInfinity:
    """Every sample by whole counts, at most the radius."""

    radius: Amount
    rounds: bool = False

    @staticmethod
    def read(text: str) -> LInfinity:
        """Read "20uV" or "2lsb"."""
        return LInfinity(Amount.read(text, (*_VOLTAGES, "lsb")))

    def _bound(self, space: Space) -> Ints:
        radius = (self.radius.counts(space) + NEAR).__floor__()
        return np.full(len(space.raw), radius << FRACTION)

    def whole(self, space: Space) -> list[Parameters]:
        """See `Part.whole`."""
        return [()]

    def reach(self, space: Space, parameters: Parameters) -> Reach:
        """See `Part.reach`."""
        return Reach(-self._bound(space), self._bound(space))

    def at(self, space: Space, parameters: Sequence[Fraction]) -> Reach:
        """See `Part.at`: all of the set, for it has no parameters."""
        return self.reach(space, ())


@dataclass(frozen=True)
class Segment:
    """Changes along one direction: all samples times 1 + t (gain), or plus t counts (offset)."""

    size: Amount
    kind: str

    @staticmethod
    def read_gain(text: str) -> Segment:
        """Read "10%"."""
        return Segment(Amount.read(text, ("%",)), "gain")

    @staticmethod
    def read_offset(text: str) -> Segment:
        """Read "200uV"."""
        return Segment(Amount.read(text, _VOLTAGES), "offset")

    @property
    def rounds(self) -> bool:
        """A shift of all samples is rounded alike: it is a whole number of counts."""
        return self.kind == "gain"

    def whole(self, space: Space) -> list[Parameters]:
        """See `Part.whole`."""
        limit = self.size.value
        if self.kind == "offset":
            limit = Fraction((self.size.counts(space) + Fraction(1, 2) + NEAR).__floor__())
        return [((-limit, limit),)]

    def reach(self, space: Space, parameters: Parameters) -> Reach:
        """See `Part.reach`."""
        ((first, last),) = parameters
        direction = space.raw if self.kind == "gain" else np.ones_like(space.raw)
        fine = FRACTION + 16
        start = ((first - NEAR) * 2**fine).__floor__()
        stop = -((-(last + NEAR) * 2**fine).__floor__())

        def least(coefficients: Ints) -> Ints:
            along = times(coefficients, direction).astype(object)
            return np.asarray(np.minimum(along * start, along * stop) >> 16)

        ends = np.stack([direction.astype(object) * start, direction.astype(object) * stop])
        low, high = ends.min(axis=0) >> 16, -((-ends.max(axis=0)) >> 16)
        return Reach(low.astype(np.int64), high.astype(np.int64), least)

    def at(self, space: Space, parameters: Sequence[Fraction]) -> Reach:
        """See `Part.at`."""
        (value,) = parameters
        if self.kind == "offset" and value.denominator != 1:
            raise Refused("the counterexample's offset is no whole number of counts")
        return self.reach(space, ((value, value),))


@dataclass(frozen=True)
class Sinusoid:
    """c cos(w t) + s sin(w t), c^2 + s^2 <= a^2, t in seconds from the beat, w in some ranges.

    Between two frequencies d apart, e^(jwt) lies within d^2 t^2 / 8 of its chord (its second
    derivative is at most t^2): the hull of a grid's discs and that bend hold the set.
    """

    size: Amount
    ranges: tuple[Interval, ...]
    rounds: bool = True

    @staticmethod
    def read_wander(text: str) -> Sinusoid:
        """Read "500uV@0.5Hz": any frequency up to that."""
        size, _, most = text.partition("@")
        limits = ((Fraction(0), Amount.read(most, ("Hz",)).value),)
        return Sinusoid(Amount.read(size, _VOLTAGES), limits)

    @staticmethod
    def read_hum(text: str) -> Sinusoid:
        """Read "100uV@50Hz" or "100uV@50/60Hz"."""
        size, _, mains = text.partition("@")
        values = sorted({Amount.read(f"{each}Hz", ("Hz",)).value for each in mains[:-2].split("/")})
        if not mains.endswith("Hz"):
            raise Refused(f"'{text}' has no frequency in Hz")
        return Sinusoid(Amount.read(size, _VOLTAGES), tuple((each, each) for each in values))

    def whole(self, space: Space) -> list[Parameters]:
        """See `Part.whole`: w in radians a second, both amplitudes in counts."""
        size = self.size.counts(space)
        turn = Fraction(2 * PI, 2**TURN_BITS)
        return [
            ((turn * low, turn * high), (-size, size), (-size, size)) for low, high in self.ranges
        ]

    def reach(self, space: Space, parameters: Parameters) -> Reach:
        """See `Part.reach`."""
        first, last = parameters[0][0] - NEAR, parameters[0][1] + NEAR
        size = self.size.counts(space)
        radius = _up(size + NEAR)
        box = [(_down(low - NEAR), _up(high + NEAR)) for low, high in parameters[1:]]
        seconds = _seconds(space)
        farthest = max(abs(each) for each in seconds)
        # So fine that the bend stays below 1/64 count.
        count = 1 + math.isqrt(int(8 * size * ((last - first) * farthest) ** 2) + 1)
        count = min(count, _MOST_GRID)
        step = (last - first) / count
        waves = [_wave(first + k * step, space) for k in range(count + 1)]
        bend = np.array([_up(size * step**2 * each**2 / 8) + 1 for each in seconds])

        (low_c, high_c), (low_s, high_s) = box

        def disc(along: int, across: int) -> int:
            straight = along * (low_c if along > 0 else high_c)
            straight += across * (low_s if across > 0 else high_s)
            rounded = -radius * (math.isqrt(along * along + across * across) + 1)
            return (straight if straight > rounded else rounded) >> FRACTION

        def least(coefficients: Ints) -> Ints:
            sizes = np.abs(coefficients)
            # The waves' own errors are below one unit each.
            slack = times(sizes, bend) + ((2 * radius * sizes.sum(axis=1) >> FRACTION) + 1)
            found = []
            for wave in waves:
                projected = times(coefficients, wave.T).tolist()
                found.append([disc(int(along), int(across)) for along, across in projected])
            return np.asarray(np.min(np.array(found, object), axis=0) - slack)

        return Reach(*_extent(waves, box, radius, bend), least)

    def at(self, space: Space, parameters: Sequence[Fraction]) -> Reach:
        """See `Part.at`."""
        turn, cosine, sine = parameters
        if cosine**2 + sine**2 > (self.size.counts(space) + NEAR) ** 2:
            raise Refused("the counterexample's amplitude is beyond the set's")
        wave = _wave(turn, space).astype(object)
        total = wave[0] * _down(cosine) + wave[1] * _down(sine)
        slack = _up(abs(cosine) + abs(sine)) * 2 + 2**FRACTION
        low, high = (total - slack) >> FRACTION, (total + slack + 2**FRACTION) >> FRACTION
        return Reach(low.astype(np.int64), high.astype(np.int64))


def _extent(
    waves: Sequence[Ints], box: Sequence[tuple[int, int]], radius: int, bend: Ints
) -> tuple[Ints, Ints]:
    """Return what every sample by itself can be over a grid of frequencies."""
    ends = []
    for wave in waves:
        low = high = np.zeros(len(bend), np.int64)
        for values, (least, most) in zip(wave, box, strict=True):
            low = low + np.minimum(values * least, values * most)
            high = high + np.maximum(values * least, values * most)
        ends.append((low >> FRACTION, -(-high >> FRACTION)))
    low, high = np.min([a for a, _ in ends], axis=0), np.max([b for _, b in ends], axis=0)
    slack = bend + (2 * radius >> FRACTION) + 1
    return np.maximum(low, -radius) - slack, np.minimum(high, radius) + slack


def _seconds(space: Space) -> list[Fraction]:
    if space.converter is None:
        raise Refused("a sinusoid in seconds without a converter")
    places = space.converter.places(len(space.raw)).tolist()
    return [Fraction(place) / space.converter.rate for place in places]


def _wave(turn: Fraction, space: Space) -> Ints:
    """Return cos and sin of turn * t [2, samples] times 2^FRACTION, each within one unit.

    e^(jx) of one sample's angle by its series, of the others by powers of it; the errors of 2^-90 a
    product stay far below a unit.
    """
    assert space.converter is not None
    bits = 96
    angle = (turn / space.converter.rate * 2**bits).__floor__()
    cosine, sine, term, order = 0, 0, 1 << bits, 0
    while term:
        if order % 2:
            sine += term if order % 4 == 1 else -term
        else:
            cosine += term if order % 4 == 0 else -term
        order += 1
        term = (term * angle >> bits) // order
    places = space.converter.places(len(space.raw))
    powers = [(1 << bits, 0)]
    for _ in range(int(np.abs(places).max(initial=0))):
        a, b = powers[-1]
        powers.append(((a * cosine - b * sine) >> bits, (a * sine + b * cosine) >> bits))
    down = bits - FRACTION
    table = np.array([[a >> down, b >> down] for a, b in powers], np.int64).T
    found = table[:, np.abs(places)]
    found[1] *= np.where(places < 0, -1, 1)
    return found


def _down(value: Fraction) -> int:
    scaled: int = math.floor(value * 2**FRACTION)
    return scaled


def _up(value: Fraction) -> int:
    scaled: int = math.ceil(value * 2**FRACTION)
    return scaled


FAMILIES: dict[str, Callable[[str], Part]] = {
    "linf": LInfinity.read,
    "gain": Segment.read_gain,
    "offset": Segment.read_offset,
    "wander": Sinusoid.read_wander,
    "hum": Sinusoid.read_hum,
}
