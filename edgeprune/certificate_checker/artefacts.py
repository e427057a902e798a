"""Blinks and pops of an EEG: a known shape that begins at any whole sample, times an amplitude.

The shapes are computed here anew, by series in whole numbers: a raised cosine of 0.4 s, and an
exponential that falls to 1/e in 0.3 s. A table holds one onset a row, times 2^FRACTION and within
one unit; its first parameter is the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from edgeprune.certificate_checker.families import (
    FRACTION,
    NEAR,
    PI,
    TURN_BITS,
    Amount,
    Parameters,
    Reach,
    Space,
)
from edgeprune.certificate_checker.segments import SegmentConverter
from edgeprune.certificate_checker.stairs import Ints, Refused, narrow, times

_BITS = 96
_BLINK_SECONDS, _POP_SECONDS = Fraction(2, 5), Fraction(3, 10)


@dataclass(frozen=True)
class Artefact:
    """A blink in all channels by their shares, or a pop in any one channel, up or down."""

    size: Amount
    kind: str
    shares: tuple[Fraction, ...] = ()
    rounds: bool = True

    @staticmethod
    def read_blink(text: str) -> Artefact:
        """Read "100uV", or "100uV@1/0.35" with a share for each channel."""
        size, separator, listed = text.partition("@")
        try:
            shares = tuple(Fraction(each) for each in listed.split("/")) if separator else ()
        except ValueError as error:
            raise Refused(f"'{listed}' is no list of shares") from error
        return Artefact(Amount.read(size, ("uV", "mV", "rms")), "blink", shares)

    @staticmethod
    def read_pop(text: str) -> Artefact:
        """Read "200uV"."""
        return Artefact(Amount.read(text, ("uV", "mV", "rms")), "pop")

    def whole(self, space: Space) -> list[Parameters]:
        """See `Part.whole`: the row and the amplitude in counts; a pop's channel is its own."""
        size = self.size.counts(space)
        onsets, alternatives = self._onsets(space), 1 if self.kind == "blink" else _channels(space)
        least = Fraction(0) if self.kind == "blink" else -size
        return [
            ((Fraction(k * len(onsets)), Fraction((k + 1) * len(onsets) - 1)), (least, size))
            for k in range(alternatives)
        ]

    def reach(self, space: Space, parameters: Parameters) -> Reach:
        """See `Part.reach`."""
        (first, last), (least_size, most_size) = parameters
        rows = self._rows(space)
        begin = -((-(first - NEAR)).__floor__())
        end = max(begin, (last + NEAR).__floor__())
        if begin < 0 or end >= len(rows):
            raise Refused("a piece reaches beyond the onsets of the artefact")
        cut = rows[begin : end + 1]
        one = 1 << FRACTION
        low_size, high_size = ((least_size - NEAR) * one).__floor__(), _up(most_size + NEAR)
        largest = max(abs(low_size), abs(high_size))
        # A shape's unit, a share's half and what is rounded off their product.
        slack = 3 * ((largest >> FRACTION) + 1) + 2

        ends = cut.min(axis=0), cut.max(axis=0)
        corners = [end.astype(object) * size for end in ends for size in (low_size, high_size)]
        low = (np.minimum.reduce(corners) >> FRACTION).astype(np.int64) - slack
        high = -(-np.maximum.reduce(corners) >> FRACTION).astype(np.int64) + slack

        def least(coefficients: Ints) -> Ints:
            sizes = np.abs(coefficients).sum(axis=1)
            found = []
            for row, total in zip(coefficients, sizes.tolist(), strict=True):
                places = np.flatnonzero(row)
                if 2 * len(places) < len(row):
                    along = times(cut[:, places], row[places, None])
                else:
                    along = times(cut, row[:, None])
                outer = int(along.min()), int(along.max())
                products = [end * size for end in outer for size in (low_size, high_size)]
                found.append((min(products) >> FRACTION) - slack * int(total))
            return narrow(np.array(found, object))

        return Reach(low, high, least)

    def at(self, space: Space, parameters: Sequence[Fraction]) -> Reach:
        """See `Part.at`."""
        row, size = parameters
        if row.denominator != 1:
            raise Refused("the counterexample's onset is no whole sample")
        found = self.reach(space, ((row, row), (size, size)))
        return Reach(found.low, found.high)

    def _onsets(self, space: Space) -> range:
        converter = _converter(space)
        last = int(converter.places(len(space.raw)).max())
        if self.kind == "pop":
            return range(last + 1)
        return range(2 - _blink_samples(converter.rate), last)

    def _rows(self, space: Space) -> Ints:
        converter = _converter(space)
        if self.shares and len(self.shares) != converter.channels:
            raise Refused("the blink has not a share for each channel")
        return _table(self, converter, len(space.raw), self._onsets(space))


@lru_cache(maxsize=2)
def _table(part: Artefact, converter: SegmentConverter, size: int, onsets: range) -> Ints:
    """Return every onset's artefact of size 1 [rows, size], times 2^FRACTION."""
    times_ = converter.places(size)
    channel = np.arange(size) // converter.factor % converter.channels
    shape = _blink(converter.rate) if part.kind == "blink" else _pop(converter.rate, len(onsets))
    since = times_[None] - np.array(onsets)[:, None]
    inside = (since >= 0) & (since < len(shape))
    alone = np.where(inside, shape[np.clip(since, 0, len(shape) - 1)], 0)
    if part.kind == "pop":
        return np.concatenate([alone * (channel == each) for each in range(converter.channels)])
    shares = part.shares or (Fraction(1),) * converter.channels
    scaled = np.array([round(share * 2**FRACTION) for share in shares])
    return np.asarray((alone * scaled[channel]) >> FRACTION)


def _converter(space: Space) -> SegmentConverter:
    if not isinstance(space.converter, SegmentConverter):
        raise Refused("an artefact of an EEG, and what is held are no segments")
    return space.converter


def _channels(space: Space) -> int:
    return _converter(space).channels


def _blink_samples(rate: Fraction) -> int:
    return max(3, round(_BLINK_SECONDS * rate) + 1)


def _blink(rate: Fraction) -> Ints:
    """Return sin^2(pi k / (n - 1)) times 2^FRACTION: (1 - cos(2 pi k / (n - 1))) / 2."""
    count = _blink_samples(rate)
    one = 1 << _BITS
    found = []
    for k in range(count):
        angle = (Fraction(2 * PI * k, 2**TURN_BITS * (count - 1)) * one).__floor__()
        term, order, cosine = one, 0, 0
        while term:
            cosine += term if order % 4 == 0 else -term
            term = (term * angle >> _BITS) * angle >> _BITS
            term //= (order + 1) * (order + 2)
            order += 2
        found.append((one - cosine) >> (_BITS + 1 - FRACTION))
    return np.array(found, np.int64)


def _pop(rate: Fraction, count: int) -> Ints:
    """Return exp(-k / (0.3 rate)) times 2^FRACTION, k = 0 .. count - 1."""
    one = 1 << _BITS
    step = (one / (_POP_SECONDS * rate)).__floor__()
    term, order, ratio = one, 0, 0
    while term:
        ratio += term if order % 2 == 0 else -term
        order += 1
        term = (term * step >> _BITS) // order
    value, found = one, []
    for _ in range(count):
        found.append(value >> (_BITS - FRACTION))
        value = value * ratio >> _BITS
    return np.array(found, np.int64)


def _up(value: Fraction) -> int:
    return -((-value * (1 << FRACTION)).__floor__())
