"""Artefacts of an EEG of any size and time: a known shape times an amplitude, its onset anywhere.

h(t, c) = a s(t - p) g(c): p a whole sample, a in a range, s of `edgeprune.data.eeg_artefacts`, g
the share of it that a channel sees. For one p the set is a segment; over a range of onsets its
support is the largest of the segments', which is exact: onsets are whole samples. A pop's shape is
an exponential, so that a pop between two samples, or before the window, is a smaller one at a
sample.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from edgeprune.data.eeg_artefacts import blink_shape, pop_shape
from edgeprune.data.held_segments import HeldSegments
from edgeprune.errors import ConfigurationError
from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray, Int64Array, Selection
from edgeprune.verification.perturbations.band import positions
from edgeprune.verification.perturbations.part import (
    Changes,
    Part,
    blocks_of,
    converter,
    counts,
    movable,
)
from edgeprune.verification.perturbations.quantity import VOLTAGES, Amount, amount

Spans = tuple[tuple[int, int], ...]
_TOLERANCE = 1e-9
# Directions times onsets whose products are held at a time.
_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class ArtefactShape:
    """One row of a table times an amplitude; which rows and amplitudes, window by window.

    Attributes:
        table: What onset by onset an artefact of size 1 adds to each block [rows, blocks].
        first: First row of each window's range [n].
        last: Last row.
        low: Least amplitude [n].
        high: Greatest.
    """

    table: FloatArray
    first: Int64Array
    last: Int64Array
    low: FloatArray
    high: FloatArray

    def __len__(self) -> int:
        return len(self.first)

    def support(self, weights: FloatArray) -> FloatArray:
        """Return the greatest <weights, change> [n, m]."""
        result = np.zeros((len(self), weights.shape[-2]))
        if weights.ndim == 3:
            for row in range(len(self)):
                cut = self.table[self.first[row] : self.last[row] + 1]
                result[row] = _greatest(weights[row] @ cut.T, self.low[row], self.high[row])
            return result
        keys = np.stack([self.first, self.last, self.low, self.high], axis=1)
        _, each, back = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        found = np.zeros((len(each), weights.shape[0]))
        step = max(1, _CHUNK // len(self.table))
        for start in range(0, len(weights), step):
            along = weights[start : start + step] @ self.table.T
            for number, row in enumerate(each.tolist()):
                cut = along[:, self.first[row] : self.last[row] + 1]
                found[number, start : start + step] = _greatest(cut, self.low[row], self.high[row])
        return np.asarray(found[back.reshape(-1)])

    def magnitude(self) -> FloatArray:
        """Return what no change of a block exceeds [n, blocks]."""
        size = np.maximum(np.abs(self.low), np.abs(self.high))
        keys, back = np.unique(np.stack([self.first, self.last]), axis=1, return_inverse=True)
        most = [np.abs(self.table[a : b + 1]).max(axis=0) for a, b in keys.T.tolist()]
        return np.asarray(np.stack(most)[back.reshape(-1)] * size[:, None])

    def select(self, rows: Selection) -> ArtefactShape:
        """Return the sets of some windows."""
        low, high = self.low[rows], self.high[rows]
        return ArtefactShape(self.table, self.first[rows], self.last[rows], low, high)

    def extents(self) -> tuple[FloatArray, FloatArray]:
        """Return the least and greatest change of each block [n, blocks] each."""
        return _extents(self.table, self.first, self.last, self.low, self.high)


def _extents(
    table: FloatArray, first: Int64Array, last: Int64Array, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the least and greatest of amplitude times row, column by column [n, columns]."""
    least, most = np.zeros((len(first), table.shape[1])), np.zeros((len(first), table.shape[1]))
    keys, back = np.unique(np.stack([first, last]), axis=1, return_inverse=True)
    for number, (start, end) in enumerate(keys.T.tolist()):
        cut = table[start : end + 1]
        rows = np.flatnonzero(back.reshape(-1) == number)
        corners = [
            edge * amplitude[rows, None]
            for edge in (cut.min(axis=0), cut.max(axis=0))
            for amplitude in (low, high)
        ]
        least[rows], most[rows] = np.minimum.reduce(corners), np.maximum.reduce(corners)
    return least, most


def _greatest(along: FloatArray, low: float, high: float) -> FloatArray:
    """Return the greatest of amplitude times product over the rows [m]."""
    return np.asarray(np.maximum(along * low, along * high).max(axis=1))


@dataclass(frozen=True)
class Layout:
    """Where and when the raw values of a window lie.

    Attributes:
        rate_hz: Samples a second.
        samples: Raw values of the signal.
        size: Raw values in all.
        channels: Channels of the signal.
        factor: Neighbouring raw values of one channel, that follow each other in time.
    """

    rate_hz: float
    samples: int
    size: int
    channels: int
    factor: int

    @staticmethod
    def of(held: Held) -> Layout:
        """Return the layout of some windows."""
        place = converter(held)
        segments = isinstance(place, HeldSegments)
        channels = place.front_end.signal_shape[1] if segments else 1
        factor = place.front_end.factor
        return Layout(place.adc.rate_hz, movable(held), held.raw.shape[1], channels, factor)

    def grid(self) -> tuple[Int64Array, Int64Array]:
        """Return the time of each value of the signal in samples, and its channel [samples]."""
        step, within = np.divmod(np.arange(self.samples), self.factor)
        return step // self.channels * self.factor + within, step % self.channels

    def padded(self, rows: FloatArray) -> FloatArray:
        """Return rows of the signal's values as rows of all raw values."""
        return np.pad(rows, ((0, 0), (0, self.size - self.samples)))


@dataclass(frozen=True)
class Artefact(Part):
    """An artefact of any onset. Parameters: its row of the table, and its amplitude in counts."""

    size: Amount
    dimensions: ClassVar[int] = 2
    whole_moves: ClassVar[bool] = True

    @abstractmethod
    def rows(self, layout: Layout) -> tuple[FloatArray, Spans]:
        """Return all onsets of an artefact of size 1, and which of them are one alternative.

        Returns:
            float64 [rows, size] of raw values, and the first and last row of each alternative.
        """

    def table(self, held: Held) -> tuple[FloatArray, Spans]:
        """Return `rows` for some windows."""
        return _rows(self, Layout.of(held))

    @abstractmethod
    def amplitudes(self, held: Held) -> tuple[float, float]:
        """Return the least and the greatest amplitude in counts."""

    def whole(self, held: Held) -> list[tuple[FloatArray, FloatArray]]:
        """Return the ranges of rows and amplitudes; a channel of its own is an alternative."""
        ones, (least, most) = np.ones((len(held), 1)), self.amplitudes(held)
        _, spans = self.table(held)
        return [(ones * (first, least), ones * (last, most)) for first, last in spans]

    def at(self, held: Held, parameters: FloatArray) -> FloatArray:
        """Return the change that rows and amplitudes [n, 2] make."""
        table, _ = self.table(held)
        rows = np.clip(np.rint(parameters[:, 0]).astype(np.int64), 0, len(table) - 1)
        return np.asarray(table[rows] * parameters[:, 1:])

    def allows(self, held: Held, parameters: FloatArray) -> BoolArray:
        """Return which rows are whole."""
        return np.asarray(parameters[:, 0] == np.rint(parameters[:, 0]))

    def effects(self, held: Held, low: FloatArray, high: FloatArray) -> FloatArray:
        """Return how far each range reaches: one onset later changes a part of the amplitude."""
        first, last = positions(low[:, 0], high[:, 0])
        size = np.abs(np.stack([low[:, 1], high[:, 1]])).max(axis=0)
        share = np.minimum(1.0, (last - first) / (0.1 * self._rate(held)))
        return np.stack([size * share, high[:, 1] - low[:, 1]], axis=1)

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what rows and amplitudes between `low` and `high` [n, 2] can change."""
        table, _ = self.table(held)
        first, last = positions(low[:, 0], high[:, 0])
        first, last = (np.clip(each, 0, len(table) - 1) for each in (first, last))
        shape = ArtefactShape(blocks_of(held, table), first, last, low[:, 1], high[:, 1])
        return Changes(shape, *_extents(table, first, last, low[:, 1], high[:, 1]))

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return one change for each window; every other one of the greatest amplitude."""
        _, spans = self.table(held)
        least, most = self.amplitudes(held)
        which = np.array(spans)[generator.integers(len(spans), size=len(held))]
        rows = generator.integers(which[:, 0], which[:, 1] + 1)
        size = generator.uniform(least, most, len(held))
        size[::2] = most
        return self.at(held, np.stack([rows.astype(np.float64), size], axis=1))

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the row and the end of the amplitudes that gain most."""
        table, _ = self.table(held)
        along = weights @ table.T
        least, most = self.amplitudes(held)
        gained = np.maximum(along * least, along * most)
        rows = gained.argmax(axis=1)
        chosen = along[np.arange(len(held)), rows]
        size = np.where(chosen * least > chosen * most, least, most)
        return self.at(held, np.stack([rows.astype(np.float64), size], axis=1))

    def contains(self, held: Held, low: FloatArray, high: FloatArray) -> BoolArray:
        """Return for which windows some change lies between `low` and `high`."""
        found = [
            self.explain(held.select(np.array([row])), low[row], high[row]) is not None
            for row in range(len(held))
        ]
        return np.array(found, np.bool_)

    def explain(self, held: Held, low: FloatArray, high: FloatArray) -> FloatArray | None:
        """Return the parameters of a change between `low` and `high` [size] of one window."""
        table, _ = self.table(held)
        least, most = self.amplitudes(held)
        ones = np.ones(len(table))
        first, last = ones * least, ones * most
        for start in range(0, table.shape[1], max(1, _CHUNK // len(table))):
            cut = slice(start, start + max(1, _CHUNK // len(table)))
            values = table[:, cut]
            with np.errstate(divide="ignore", invalid="ignore"):
                ends = np.stack([low[cut] / values, high[cut] / values])
            free = values == 0
            fits = (low[cut] <= 0) & (high[cut] >= 0)
            below = np.where(free, np.where(fits, -np.inf, np.inf), ends.min(axis=0))
            above = np.where(free, np.where(fits, np.inf, -np.inf), ends.max(axis=0))
            first = np.maximum(first, below.max(axis=1))
            last = np.minimum(last, above.min(axis=1))
        row = int((last - first).argmax())
        if first[row] > last[row] + _TOLERANCE:
            return None
        return np.array([row, (first[row] + last[row]) / 2])

    def _rate(self, held: Held) -> float:
        return converter(held).adc.rate_hz


@dataclass(frozen=True)
class Blink(Artefact):
    """An eye blink: a raised cosine of 0.4 s, up to `size`, in each channel by its share."""

    shares: tuple[float, ...] = ()
    name: ClassVar[str] = "blink"

    @staticmethod
    def parse(text: str, where: str) -> Blink:
        """Read "100uV", or "100uV@1/0.35/-0.35" with a share for each channel."""
        size, separator, listed = text.partition("@")
        try:
            shares = tuple(float(each) for each in listed.split("/")) if separator else ()
        except ValueError as error:
            raise ConfigurationError(
                f"'{listed}' is no list of shares",
                where=where,
                hint="write a share for each channel: blink:100uV@1/0.35",
            ) from error
        if any(not abs(each) <= 1 for each in shares):
            raise ConfigurationError(
                f"a share in '{listed}' is beyond 1", where=where, hint="shares are from -1 to 1"
            )
        return Blink(amount(size, tuple(VOLTAGES), where), shares)

    @property
    def text(self) -> str:
        """As it is written."""
        shares = "@" + "/".join(f"{each:g}" for each in self.shares) if self.shares else ""
        return f"{self.name}:{self.size}{shares}"

    def describe(self) -> str:
        """Return what may happen."""
        shares = ", ".join(f"{each:g}" for each in self.shares)
        seen = f"in the channels times {shares}" if shares else "alike in all channels"
        return (
            f"an eye blink, a raised cosine of 0.4 s, of any height up to {self.size} {seen}, "
            "beginning at any sample"
        )

    def amplitudes(self, held: Held) -> tuple[float, float]:
        """Return 0 and the size."""
        return 0.0, counts(self.size, held)

    def rows(self, layout: Layout) -> tuple[FloatArray, Spans]:
        """Return the blinks that begin so that any of them is seen."""
        shape, channels = blink_shape(layout.rate_hz), layout.channels
        time, channel = layout.grid()
        if self.shares and len(self.shares) != channels:
            raise ConfigurationError(
                f"'{self.text}' has {len(self.shares)} shares, and {channels} channels are read",
                where="verification.perturbations",
                hint="give a share for each channel, or none",
            )
        shares = np.array(self.shares or (1.0,) * channels)
        onsets = np.arange(-len(shape) + 2, int(time.max()))
        rows = _shifted(shape, onsets, time) * shares[channel]
        return layout.padded(rows), ((0, len(onsets) - 1),)


@dataclass(frozen=True)
class Pop(Artefact):
    """An electrode's pop: a step of up to `size`, up or down, in one channel, decaying to 1/e."""

    name: ClassVar[str] = "pop"

    @staticmethod
    def parse(text: str, where: str) -> Pop:
        """Read "200uV"."""
        return Pop(amount(text, tuple(VOLTAGES), where))

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.size}"

    def describe(self) -> str:
        """Return what may happen."""
        return (
            f"one electrode pops: a step of any height up to {self.size}, up or down, in any one "
            "channel, from any sample on, that decays to 1/e within 0.3 s"
        )

    def amplitudes(self, held: Held) -> tuple[float, float]:
        """Return the size, down and up."""
        size = counts(self.size, held)
        return -size, size

    def rows(self, layout: Layout) -> tuple[FloatArray, Spans]:
        """Return the pops at every sample, channel by channel."""
        time, channel = layout.grid()
        onsets, channels = np.arange(int(time.max()) + 1), layout.channels
        shape = pop_shape(layout.rate_hz, len(onsets))
        alone = _shifted(shape, onsets, time)
        rows = np.concatenate([alone * (channel == number) for number in range(channels)])
        count = len(onsets)
        spans = tuple((number * count, (number + 1) * count - 1) for number in range(channels))
        return layout.padded(rows), spans


def _shifted(shape: FloatArray, onsets: Int64Array, time: Int64Array) -> FloatArray:
    """Return a shape that begins at each onset, at the given times [onsets, size]."""
    since = time[None] - onsets[:, None]
    inside = (since >= 0) & (since < len(shape))
    return np.where(inside, shape[np.clip(since, 0, len(shape) - 1)], 0.0)


@lru_cache(maxsize=4)
def _rows(part: Artefact, layout: Layout) -> tuple[FloatArray, Spans]:
    """Return a part's rows: a search asks for the same again and again."""
    table, spans = part.rows(layout)
    table.setflags(write=False)
    return table, spans
