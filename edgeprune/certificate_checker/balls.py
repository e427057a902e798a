"""Sets without parameters in which samples share a limit: L2 balls, and a few samples at will."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from edgeprune.certificate_checker.families import FRACTION, NEAR, Amount, Parameters, Reach, Space
from edgeprune.certificate_checker.stairs import Ints, narrow

# Fractional bits of a root.
_ROOT_BITS = 20


@dataclass(frozen=True)
class Ball:
    """Whole counts whose sum of squares is at most the radius squared."""

    radius: Amount
    rounds: bool = False

    @staticmethod
    def read(text: str) -> Ball:
        """Read "100uV" or "3lsb"."""
        return Ball(Amount.read(text, ("uV", "mV", "rms", "lsb")))

    def _radius(self, space: Space) -> int:
        radius: int = math.ceil(self.radius.counts(space) * (1 + NEAR) * 2**FRACTION)
        return radius

    def whole(self, space: Space) -> list[Parameters]:
        """See `Part.whole`."""
        return [()]

    def reach(self, space: Space, parameters: Parameters) -> Reach:
        """See `Part.reach`; the support is the radius times the coefficients' length."""
        radius = self._radius(space)
        limit = np.full(len(space.raw), radius >> FRACTION << FRACTION)

        def least(coefficients: Ints) -> Ints:
            squares = (coefficients.astype(object) ** 2).sum(axis=1)
            # Finer than whole roots: the rows of a segment's sums hold nothing but ones.
            roots = [math.isqrt(int(each) << 2 * _ROOT_BITS) + 1 for each in squares]
            return narrow(np.array([-(radius * root) >> _ROOT_BITS for root in roots]))

        return Reach(-limit, limit, least)

    def at(self, space: Space, parameters: Sequence[Fraction]) -> Reach:
        """See `Part.at`: nothing, what may be added is asked of `holds`."""
        return nothing(space)

    def holds(self, space: Space, low: Ints, high: Ints) -> bool:
        """Whether some change lies between low and high, times 2^FRACTION."""
        nearest = np.maximum(np.maximum(low, -high), 0).astype(object)
        return bool((low <= high).all() and (nearest**2).sum() <= (self._radius(space) + 1) ** 2)


@dataclass(frozen=True)
class Few:
    """Any so many samples take any value."""

    most: int
    rounds: bool = False

    @staticmethod
    def read(text: str) -> Few:
        """Read "3" or "3lsb"."""
        return Few(math.floor(Amount.read(text, ("", "lsb")).value))

    def whole(self, space: Space) -> list[Parameters]:
        """See `Part.whole`."""
        return [()]

    def reach(self, space: Space, parameters: Parameters) -> Reach:
        """See `Part.reach`; the support is the sum of the largest gains of single samples."""
        low, high = (each - space.raw for each in space.counts)

        def least(coefficients: Ints) -> Ints:
            plus, minus = np.maximum(coefficients, 0), np.minimum(coefficients, 0)
            wide = coefficients.dtype == object or np.abs(coefficients).max(initial=0) >= 2**24
            gains = plus.astype(object) * low + minus * high if wide else plus * low + minus * high
            best = np.sort(gains, axis=1)[:, : self.most].sum(axis=1)
            return np.asarray(best.astype(object) << FRACTION)

        return Reach(low << FRACTION, high << FRACTION, least)

    def at(self, space: Space, parameters: Sequence[Fraction]) -> Reach:
        """See `Part.at`: nothing, what may be added is asked of `holds`."""
        return nothing(space)

    def holds(self, space: Space, low: Ints, high: Ints) -> bool:
        """Whether some change lies between low and high, times 2^FRACTION."""
        return bool((low <= high).all() and ((low > 0) | (high < 0)).sum() <= self.most)


def nothing(space: Space) -> Reach:
    """Return no change."""
    none = np.zeros(len(space.raw), np.int64)
    return Reach(none, none)
