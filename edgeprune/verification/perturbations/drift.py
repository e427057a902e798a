"""Clock drift: the converter samples a little too fast or too slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import FloatArray
from edgeprune.verification.perturbations.part import (
    Changes,
    Linear,
    Part,
    blocks_of,
    converter,
    movable,
)
from edgeprune.verification.perturbations.quantity import Amount, amount
from edgeprune.verification.perturbations.shapes import HullShape

# Parts of a range of drifts between which the samples are taken as chords, and what bends added.
_CHORDS = 8


@dataclass(frozen=True)
class Drift(Part):
    """The window is read at (1 + e) times its distance from the beat, |e| <= share.

    Between samples the voltage is taken as a straight line; before and after the window as its
    first and last sample. The beat itself stays, and so do the RR intervals.
    """

    share: Amount
    name: ClassVar[str] = "drift"
    dimensions: ClassVar[int] = 1

    @staticmethod
    def parse(text: str, where: str) -> Drift:
        """Read "1%" or "200ppm"."""
        return Drift(amount(text, ("%", "ppm"), where))

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.share}"

    def describe(self) -> str:
        """Return what may happen."""
        size = f"{self.share.value:g} {self.share.unit}"
        return f"the sampling clock is off by up to {size} within the beat's window, either way"

    def whole(self, held: Held) -> list[tuple[FloatArray, FloatArray]]:
        """Return the range of e."""
        high = np.full((len(held), 1), self.share.share)
        return [(-high, high)]

    def at(self, held: Held, parameters: FloatArray) -> FloatArray:
        """Return the change that e [n, 1] makes."""
        count = movable(held)
        change = np.zeros(held.raw.shape)
        change[:, :count] = _read(held, self._places(held, parameters)) - held.raw[:, :count]
        return change

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what e between `low` and `high` [n, 1] can change.

        A sample is piecewise linear in e and bends where it is read at a whole sample: between two
        chosen e it is off their chord at most at one of these.
        """
        count = movable(held)
        raw = held.raw[:, :count].astype(np.float64)
        grid = [low + (high - low) * (step / _CHORDS) for step in range(_CHORDS + 1)]
        places = [self._places(held, each) for each in grid]
        values = [_read(held, each) for each in places]
        least, greatest = np.minimum.reduce(values), np.maximum.reduce(values)
        deviation = np.zeros(raw.shape)
        for step in range(_CHORDS):
            start, end = places[step], places[step + 1]
            first, span = np.minimum(start, end), np.abs(end - start)
            most = int(np.ceil(span.max(initial=0))) + 1
            for knot in range(1, most + 1):
                place = np.floor(first) + knot
                inside = place < first + span
                value = _read(held, np.where(inside, place, start))
                share = np.abs(place - start) / np.maximum(span, 1e-300)
                chord = values[step] + (values[step + 1] - values[step]) * np.minimum(share, 1)
                deviation = np.maximum(deviation, np.where(inside, np.abs(value - chord), 0))
                least = np.minimum(least, value)
                greatest = np.maximum(greatest, value)
        vertices = np.stack([value - raw for value in values], axis=1)
        shape = HullShape(blocks_of(held, vertices), blocks_of(held, deviation))
        floor, ceiling = np.zeros(held.raw.shape), np.zeros(held.raw.shape)
        floor[:, :count], ceiling[:, :count] = least - raw, greatest - raw
        return Changes(shape, floor, ceiling)

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return one change for each window."""
        return self.at(held, generator.uniform(-1, 1, (len(held), 1)) * self.share.share)

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the best of 65 drifts."""
        chosen = np.zeros(held.raw.shape)
        worth = np.full(len(held), -np.inf)
        for share in np.linspace(-self.share.share, self.share.share, 65):
            change = self.at(held, np.full((len(held), 1), share))
            gained = (change * weights).sum(axis=1)
            chosen[gained > worth] = change[gained > worth]
            worth = np.maximum(worth, gained)
        return chosen

    def linear(self, held: Held, bend: FloatArray) -> Linear:
        """Return the change of e = `bend` [n, 1]: nothing else is free."""
        return Linear(self.at(held, bend), np.zeros((*held.raw.shape, 0)), (), ())

    def bends(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """Return the range of e."""
        return (((-self.share.share, self.share.share),),)

    def _places(self, held: Held, drift: FloatArray) -> FloatArray:
        """Return where each sample is read for drifts [n, 1]."""
        windows = converter(held)
        distance = windows.places()[: movable(held)] - float(windows.beat_at)
        return np.asarray(windows.beat_at + distance * (1 + drift))


def _read(held: Held, places: FloatArray) -> FloatArray:
    """Return the window's voltage at places [n, samples] between its samples, in counts."""
    windows, count = converter(held), movable(held)
    last = int(windows.places()[count - 1])
    raw = held.raw[:, :count].astype(np.float64)
    inner = np.clip(places, 0, last)
    before = np.minimum(np.floor(inner).astype(np.int64), max(0, last - 1))
    left = np.take_along_axis(raw, windows.at_place(before), axis=1)
    right = np.take_along_axis(raw, windows.at_place(np.minimum(before + 1, last)), axis=1)
    return np.asarray(left + (right - left) * (inner - before))
