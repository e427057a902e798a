"""Tables and products: exact ranges over boxes, and lines in whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeprune.certificate_checker.stairs import LEAST, Ints, times

# Fractional bits of a table's slopes, and of a product's plane.
TABLE_BITS, PLANE_BITS = 14, 1
# Slopes of tables are sought for this many rounds; any slope will do.
_ROUNDS = 12
# Coefficients beyond this have no room for a slope in an int64.
_ROOM = 2**36

Box = Mapping[str, Ints]
Passed = tuple[tuple[tuple[str, Ints], ...], Ints]


@dataclass(frozen=True, eq=False)
class Table:
    """Each element looked up: what -128, -127, ... 127 become.

    Attributes:
        output: The tensor that it writes.
        source: The tensor that it reads.
        exact: The device's entries [256].
        low, high: Least and greatest entries of any runtime.
    """

    output: str
    source: str
    exact: Ints
    low: Ints
    high: Ints

    def run(self, values: Box) -> Ints:
        """Return the output."""
        return np.asarray(self.exact[values[self.source] - LEAST])

    def ends(self, low: Box, high: Box) -> tuple[Ints, Ints]:
        """Return the least and greatest entries between the ends."""
        least, greatest = self._inside(low[self.source], high[self.source])
        return least.min(axis=1), greatest.max(axis=1)

    def back(self, rows: Ints, low: Box, high: Box) -> Passed:
        """Return the source's coefficients times 2^TABLE_BITS, and what is added to the bound."""
        first, last = low[self.source], high[self.source]
        places = np.minimum(first[:, None] + np.arange(256), last[:, None])
        least, greatest = self._inside(first, last)
        slopes = _slope(places, least), -_slope(places, -greatest)
        below = ((least << TABLE_BITS) - slopes[0][:, None] * places).min(axis=1)
        above = ((greatest << TABLE_BITS) - slopes[1][:, None] * places).max(axis=1)
        rows = _roomy(rows)
        plus, minus = np.maximum(rows, 0), np.minimum(rows, 0)
        constant = times(plus, below) + times(minus, above)
        return ((self.source, plus * slopes[0] + minus * slopes[1]),), constant

    def _inside(self, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        places = np.minimum(low[:, None] + np.arange(256), high[:, None]) - LEAST
        return self.low[places], self.high[places]


@dataclass(frozen=True, eq=False)
class Product:
    """`(first - centres[0]) * (second - centres[1])`; a shorter second repeats.

    Attributes:
        output: The products, which the requantization reads.
        sources: The tensors that it reads.
        cells: Which cell of each source every product takes [2, outputs].
        centres: Zero points.
    """

    output: str
    sources: tuple[str, str]
    cells: tuple[Ints, Ints]
    centres: tuple[int, int]

    def run(self, values: Box) -> Ints:
        """Return the products."""
        first, second = self._factors(values)
        return first * second

    def ends(self, low: Box, high: Box) -> tuple[Ints, Ints]:
        """Return the least and greatest products, which lie at corners."""
        boxes = list(zip(self._factors(low), self._factors(high), strict=True))
        corners = np.stack([one * other for one in boxes[0] for other in boxes[1]])
        return corners.min(axis=0), corners.max(axis=0)

    def back(self, rows: Ints, low: Box, high: Box) -> Passed:
        """Return both sources' coefficients times 2^PLANE_BITS, and what is added to the bound.

        With the doubled middles M and the widths W of both factors, four times a product is
        `2 M1 x + 2 M0 y - M0 M1`, to within `W0 W1`: the mean of McCormick's planes. The constant
        is doubled as the coefficients are, rounded down.
        """
        least, most = self._factors(low), self._factors(high)
        middles = [a + b for a, b in zip(least, most, strict=True)]
        spread = (most[0] - least[0]) * (most[1] - least[1])
        offset = middles[0] * middles[1]
        offset += 2 * (middles[1] * self.centres[0] + middles[0] * self.centres[1])
        rows = _roomy(rows)
        constant = (times(-rows, offset) - times(np.abs(rows), spread)) >> 1
        found = []
        for which, source in enumerate(self.sources):
            passed = np.zeros((len(low[source]), len(rows)), rows.dtype)
            np.add.at(passed, self.cells[which], (rows * middles[1 - which]).T)
            found.append((source, passed.T))
        return tuple(found), constant

    def _factors(self, values: Box) -> tuple[Ints, Ints]:
        first, second = (
            values[source][cells] - centre
            for source, cells, centre in zip(self.sources, self.cells, self.centres, strict=True)
        )
        return first, second


def _roomy(rows: Ints) -> Ints:
    return rows.astype(object) if np.abs(rows).max(initial=0) >= _ROOM else rows


def _slope(places: Ints, values: Ints) -> Ints:
    """Return the slope of the hull's edge below the middle, times 2^TABLE_BITS, about.

    Args:
        places: Ascending, the last one repeated [n, k].
        values: At the places.
    """
    left, right = places[:, :1], places[:, -1:]
    below, above = values[:, :1], values[:, -1:]
    slope = np.zeros(left.shape)
    for _ in range(_ROUNDS):
        slope = (above - below) / np.maximum(right - left, 1)
        rest = values - slope * places
        chosen = rest.argmin(axis=1)[:, None]
        place, value = (np.take_along_axis(each, chosen, axis=1) for each in (places, values))
        lower = np.take_along_axis(rest, chosen, axis=1) < below - slope * left - 1e-9
        to_left = lower & (2 * place <= places[:, :1] + places[:, -1:])
        to_right = lower & ~to_left
        left, below = np.where(to_left, place, left), np.where(to_left, value, below)
        right, above = np.where(to_right, place, right), np.where(to_right, value, above)
        if not lower.any():
            break
    return np.asarray(np.rint(slope[:, 0] * 2**TABLE_BITS), np.int64)
