"""Toom-Cook's integer matrices in the form that few registers compute well.

With the points 0, infinity and +-1 .. +-P, m outputs of a filter of r taps take n = m + r - 1 =
2 P + 2 products:

    scale * y_i = sum_j p_j^i (factor_j sum_k p_j^k g_k) (sum_l c_jl d_l)

where c_j are the coefficients of M(x) / (x - p_j), M(x) = x (x^2 - 1) ... (x^2 - P^2), those of
infinity are M's own, and factor_j = scale / M'(p_j). All of it is exact modulo 2^32, and so is the
division by the scale: a product with the inverse of its odd part, and a shift by its power of two,
as long as the shifted result fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeprune.network.tensor import Int64Array


@dataclass(frozen=True)
class Points:
    """0, infinity and the pairs +-1 .. +-`pairs`.

    The order of products is 0, infinity, 1, -1, 2, -2 and so on.
    """

    pairs: int

    @property
    def products(self) -> int:
        """Products of a tile."""
        return 2 * self.pairs + 2

    @property
    def finite(self) -> list[int]:
        """The points but infinity, in order."""
        return [0, *(sign * p for p in range(1, self.pairs + 1) for sign in (1, -1))]

    def squares_without(self, point: int) -> list[int]:
        """Return the coefficients of the product of (x - p^2) over p != point, lowest first."""
        coefficients = [1]
        for p in range(1, self.pairs + 1):
            if p != point:
                lower = [0, *coefficients]
                coefficients = [
                    below - p * p * same
                    for below, same in zip(lower, [*coefficients, 0], strict=True)
                ]
        return coefficients

    @cached_property
    def slopes(self) -> list[int]:
        """Return M'(p) of every finite point."""
        return [math.prod(p - q for q in self.finite if q != p) for p in self.finite]

    @cached_property
    def scale(self) -> int:
        """What the results are too large by."""
        return math.lcm(*self.slopes)

    @property
    def twos(self) -> int:
        """How often 2 divides the scale."""
        return (self.scale & -self.scale).bit_length() - 1

    @property
    def inverse(self) -> int:
        """The inverse of the scale's odd part modulo 2^32."""
        return pow(self.scale >> self.twos, -1, 1 << 32)

    def weights(self, filters: Int64Array) -> Int64Array:
        """Return the transformed filters [..., taps] -> [..., products]; infinity's unscaled."""
        taps = np.arange(filters.shape[-1])
        rows = [
            self.scale // slope * np.array([p ** int(k) for k in taps], np.int64)
            for p, slope in zip(self.finite, self.slopes, strict=True)
        ]
        last = (taps == taps[-1]).astype(np.int64)
        matrix = np.array([rows[0], last, *rows[1:]])
        return np.asarray(filters @ matrix.T, np.int64)
