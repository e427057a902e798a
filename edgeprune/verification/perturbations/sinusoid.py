"""Sinusoids of any phase: baseline wander and mains hum.

h(t) = c cos(w t) + s sin(w t) with c^2 + s^2 <= a^2, t in seconds from the beat and w anywhere in
a range. For one w the set is a disc and its support is a |Q(w)|. Over a range of w, e^(jwt) lies
within d^2 t^2 / 8 of the chord between neighbours of a grid of step d (its second derivative is at
most t^2), so that the hull of the grid's discs and that bend cover the set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgeprune.errors import ConfigurationError
from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray, Int64Array, Selection
from edgeprune.verification.perturbations.part import (
    Changes,
    Linear,
    Part,
    blocks_of,
    converter,
    counts,
)
from edgeprune.verification.perturbations.quantity import Amount, amount

# The grid of frequencies is so fine that the bend stays below this, in counts.
_BEND = 0.02
_MOST_STEPS = 512
# Windows times directions times frequencies at a time.
_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class SinusoidShape:
    """Sums of a cosine and a sine, within a box and a disc, of any frequency of a grid.

    Attributes:
        tables: Cosine and sine of each frequency, summed over blocks: one [grid, 2, blocks] for
            each range of frequencies.
        bends: How far a block lies beyond the hull of its table, for amplitude 1 [blocks] each.
        which: The range of frequencies of each window [n].
        low: Least amplitudes of cosine and sine, float64 [n, 2].
        high: Greatest.
        amplitude: Radius of the disc.
    """

    tables: tuple[FloatArray, ...]
    bends: tuple[FloatArray, ...]
    which: Int64Array
    low: FloatArray
    high: FloatArray
    amplitude: float

    def __len__(self) -> int:
        return len(self.which)

    def support(self, weights: FloatArray) -> FloatArray:
        """Return the greatest <weights, change> [n, m]."""
        if weights.ndim == 2:
            keys = np.concatenate([self.which[:, None], self.low, self.high], axis=1)
            _, first, back = np.unique(keys, axis=0, return_index=True, return_inverse=True)
            return np.asarray(self.select(first)._each(weights)[back.reshape(-1)])
        return self._each(weights)

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds [n, blocks]."""
        limits = [np.hypot(table[:, 0], table[:, 1]).max(axis=0) for table in self.tables]
        sizes = [limit + bend for limit, bend in zip(limits, self.bends, strict=True)]
        return np.asarray(self.amplitude * np.stack(sizes)[self.which])

    def select(self, rows: Selection) -> SinusoidShape:
        """Return the sets of some windows."""
        which, low, high = self.which[rows], self.low[rows], self.high[rows]
        return SinusoidShape(self.tables, self.bends, which, low, high, self.amplitude)

    def _each(self, weights: FloatArray) -> FloatArray:
        """Return the support set by set; shared weights meet each table once."""
        result = np.zeros((len(self), weights.shape[-2]))
        middle, radius = (self.low + self.high) / 2, (self.high - self.low) / 2
        for number in np.unique(self.which).tolist():
            rows = np.flatnonzero(self.which == number)
            cosine, sine = self.tables[number].transpose(1, 0, 2)
            step = max(1, _CHUNK // max(1, weights.shape[-2] * len(cosine)))
            shared = (weights @ cosine.T)[None], (weights @ sine.T)[None], np.abs(weights)[None]
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                along, across, sizes = shared
                if weights.ndim == 3:
                    along, across, sizes = (each[0][part] for each in shared)
                m, r = middle[part][:, None, None], radius[part][:, None, None]
                boxed = m[..., 0] * along + r[..., 0] * np.abs(along)
                boxed += m[..., 1] * across + r[..., 1] * np.abs(across)
                inside = np.minimum(boxed, self.amplitude * np.hypot(along, across))
                bend = self.amplitude * (sizes @ self.bends[number])
                result[part] = inside.max(axis=2) + bend
        return result


@dataclass(frozen=True)
class Sinusoid(Part):
    """One sinusoid of any phase and any amplitude up to `size`.

    Parameters: w in radians a second, the cosine's and the sine's amplitude in counts.
    """

    size: Amount
    dimensions: ClassVar[int] = 3

    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Return the ranges of frequencies in Hz, as alternatives."""
        raise NotImplementedError

    def whole(self, held: Held) -> list[tuple[FloatArray, FloatArray]]:
        """Return the ranges of w and of both amplitudes."""
        size = counts(self.size, held)
        ones = np.ones((len(held), 1))
        turn = 2 * np.pi
        return [
            (ones * (turn * low, -size, -size), ones * (turn * high, size, size))
            for low, high in self.ranges()
        ]

    def allows(self, held: Held, parameters: FloatArray) -> BoolArray:
        """Return which amplitudes lie in the disc."""
        length = np.hypot(parameters[:, 1], parameters[:, 2])
        return np.asarray(length <= counts(self.size, held) * (1 + 1e-12))

    def at(self, held: Held, parameters: FloatArray) -> FloatArray:
        """Return the change that w and the amplitudes [n, 3] make."""
        angles = parameters[:, :1] * self._seconds(held)
        cosine, sine = parameters[:, 1:2], parameters[:, 2:]
        return np.asarray(cosine * np.cos(angles) + sine * np.sin(angles))

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what parameters between `low` and `high` [n, 3] can change."""
        size, seconds = counts(self.size, held), self._seconds(held)
        spans, which = np.unique(
            np.stack([low[:, 0], high[:, 0]], axis=1), axis=0, return_inverse=True
        )
        which = which.reshape(-1)
        tables, bends = [], []
        for first, last in spans:
            grid = self._grid(held, float(first), float(last))
            angles = grid[:, None] * seconds
            tables.append(blocks_of(held, np.stack([np.cos(angles), np.sin(angles)], axis=1)))
            step = (last - first) / max(1, len(grid) - 1)
            bends.append(blocks_of(held, seconds**2) * step**2 / 8)
        shape = SinusoidShape(tuple(tables), tuple(bends), which, low[:, 1:], high[:, 1:], size)
        # Single samples: the chord from the first to the last frequency is enough.
        middle, radius = (low[:, 1:] + high[:, 1:]) / 2, (high[:, 1:] - low[:, 1:]) / 2
        bend = size * (spans[:, 1] - spans[:, 0])[which][:, None] ** 2 * seconds**2 / 8
        least, most = np.full(held.raw.shape, np.inf), np.full(held.raw.shape, -np.inf)
        for end in (0, 1):
            angles = spans[:, end][:, None] * seconds
            cosine, sine = np.cos(angles)[which], np.sin(angles)[which]
            centre = middle[:, :1] * cosine + middle[:, 1:] * sine
            extent = radius[:, :1] * np.abs(cosine) + radius[:, 1:] * np.abs(sine)
            least = np.minimum(least, centre - extent - bend)
            most = np.maximum(most, centre + extent + bend)
        return Changes(shape, np.maximum(least, -size), np.minimum(most, size))

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return one change for each window; those of every other have the full amplitude."""
        ranges = np.array(self.ranges())[generator.integers(len(self.ranges()), size=len(held))]
        hertz = generator.uniform(ranges[:, 0], ranges[:, 1])
        size = counts(self.size, held) * np.sqrt(generator.uniform(0, 1, len(held)))
        size[::2] = counts(self.size, held)
        phase = generator.uniform(0, 2 * np.pi, len(held))
        columns = (2 * np.pi * hertz, size * np.cos(phase), size * np.sin(phase))
        return self.at(held, np.stack(columns, axis=1))

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the sinusoid of the best frequency of the grid and of the best phase."""
        grids = [self._grid(held, 2 * np.pi * low, 2 * np.pi * high) for low, high in self.ranges()]
        grid = np.concatenate(grids)
        angles = grid[:, None] * self._seconds(held)
        along, across = weights @ np.cos(angles).T, weights @ np.sin(angles).T
        length = np.hypot(along, across)
        rows, chosen = np.arange(len(held)), length.argmax(axis=1)
        factor = counts(self.size, held) / np.maximum(length[rows, chosen], 1e-300)
        columns = (grid[chosen], factor * along[rows, chosen], factor * across[rows, chosen])
        return self.at(held, np.stack(columns, axis=1))

    def linear(self, held: Held, bend: FloatArray) -> Linear:
        """Return the changes as linear in both amplitudes, for w = `bend` [n, 1]."""
        angles = bend * self._seconds(held)
        size = counts(self.size, held)
        columns = np.stack([np.cos(angles), np.sin(angles)], axis=2)
        limits = (size, size)
        return Linear(np.zeros(held.raw.shape), columns, (-size, -size), limits, radius=size)

    def bends(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """Return the ranges of w, as alternatives."""
        return tuple(((2 * np.pi * low, 2 * np.pi * high),) for low, high in self.ranges())

    def _seconds(self, held: Held) -> FloatArray:
        """Return the time of each sample from the beat, or the segment's first sample [size]."""
        beats = converter(held)
        return np.asarray((beats.places() - beats.beat_at) / beats.adc.rate_hz)

    def _grid(self, held: Held, first: float, last: float) -> FloatArray:
        """Return frequencies from `first` to `last`, in radians a second."""
        farthest = np.abs(self._seconds(held)).max()
        step = np.sqrt(8 * _BEND / max(counts(self.size, held), 1e-9)) / farthest
        steps = min(int(np.ceil((last - first) / step)), _MOST_STEPS)
        return np.linspace(first, last, steps + 1)


@dataclass(frozen=True)
class Wander(Sinusoid):
    """Baseline wander: a slow sinusoid, as breathing makes it."""

    most: Amount
    name: ClassVar[str] = "wander"

    @staticmethod
    def parse(text: str, where: str) -> Wander:
        """Read "500uV@0.5Hz"."""
        size, frequency = _two(text, where, "wander:500uV@0.5Hz")
        return Wander(amount(size, ("uV", "mV", "rms"), where), amount(frequency, ("Hz",), where))

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.size}@{self.most}"

    def describe(self) -> str:
        """Return what may happen."""
        return (
            f"the baseline wanders as a sinusoid of any amplitude up to {self.size}, any frequency "
            f"up to {self.most} and any phase"
        )

    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Return the range of frequencies."""
        return ((0.0, self.most.value),)


@dataclass(frozen=True)
class Hum(Sinusoid):
    """Mains hum of 50 Hz, of 60 Hz, or of one of the two."""

    mains: tuple[float, ...]
    name: ClassVar[str] = "hum"

    @staticmethod
    def parse(text: str, where: str) -> Hum:
        """Read "100uV@50Hz" or "100uV@50/60Hz"."""
        size, frequency = _two(text, where, "hum:100uV@50Hz")
        parts = frequency.split("/")
        last = amount(parts[-1], ("Hz",), where)
        mains = (*(amount(part, ("",), where).value for part in parts[:-1]), last.value)
        return Hum(amount(size, ("uV", "mV", "rms"), where), tuple(sorted(set(mains))))

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.size}@{'/'.join(f'{each:g}' for each in self.mains)}Hz"

    def describe(self) -> str:
        """Return what may happen."""
        mains = " or ".join(f"{each:g}" for each in self.mains)
        return f"mains hum of {mains} Hz, any amplitude up to {self.size}, any phase"

    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Return the frequencies, one alternative each."""
        return tuple((each, each) for each in self.mains)


def _two(text: str, where: str, example: str) -> tuple[str, str]:
    size, separator, frequency = text.partition("@")
    if not separator:
        raise ConfigurationError(f"'{text}' has no frequency", where=where, hint=f"write {example}")
    return size, frequency
