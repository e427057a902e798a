"""A wrong gain of the amplifier, and a constant offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgeprune.verification.held_inputs import Held
from edgeprune.verification.input_sets import BoolArray, FloatArray
from edgeprune.verification.perturbations.part import Changes, Linear, Part, blocks_of, counts
from edgeprune.verification.perturbations.quantity import Amount, amount
from edgeprune.verification.perturbations.shapes import HullShape

# Shifts that are tried for the worst.
_SHIFTS = 101


@dataclass(frozen=True)
class Gain(Part):
    """All samples times 1 + t about the converter's zero, |t| <= share."""

    share: Amount
    name: ClassVar[str] = "gain"
    dimensions: ClassVar[int] = 1

    @staticmethod
    def parse(text: str, where: str) -> Gain:
        """Read "10%"."""
        return Gain(amount(text, ("%",), where))

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.share}"

    def describe(self) -> str:
        """Return what may happen."""
        return f"the amplifier's gain is wrong by up to {self.share.value:g} % either way"

    def whole(self, held: Held) -> list[tuple[FloatArray, FloatArray]]:
        """Return the range of t."""
        high = np.full((len(held), 1), self.share.share)
        return [(-high, high)]

    def at(self, held: Held, parameters: FloatArray) -> FloatArray:
        """Return the change that t [n, 1] makes."""
        return np.asarray(held.raw * parameters)

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what t between `low` and `high` [n, 1] can change: a segment."""
        ends = np.stack([self.at(held, low), self.at(held, high)], axis=1)
        return Changes(HullShape(blocks_of(held, ends)), ends.min(axis=1), ends.max(axis=1))

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return one change for each window."""
        share = generator.uniform(-1, 1, (len(held), 1)) * self.share.share
        return self.at(held, share)

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the better end of the range."""
        along = (held.raw * weights).sum(axis=1, keepdims=True)
        return self.at(held, np.where(along < 0, -1, 1) * self.share.share)

    def linear(self, held: Held, bend: FloatArray) -> Linear:
        """Return the changes as linear in t."""
        raw, share = held.raw.astype(np.float64), self.share.share
        return Linear(np.zeros(raw.shape), raw[:, :, None], (-share,), (share,))


@dataclass(frozen=True)
class Offset(Part):
    """All samples of the window plus the same voltage, at most `size` either way.

    The converter rounds all of them alike, so that the change is a whole number of counts.
    """

    size: Amount
    name: ClassVar[str] = "offset"
    rounds: ClassVar[bool] = False
    dimensions: ClassVar[int] = 1

    @staticmethod
    def parse(text: str, where: str) -> Offset:
        """Read "200uV"."""
        return Offset(amount(text, ("uV", "mV", "rms"), where))

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.size}"

    def describe(self) -> str:
        """Return what may happen."""
        return f"all samples of the window are shifted by the same voltage, up to {self.size}"

    def whole(self, held: Held) -> list[tuple[FloatArray, FloatArray]]:
        """Return the range of the shift in counts."""
        high = np.full((len(held), 1), np.floor(counts(self.size, held) + 0.5))
        return [(-high, high)]

    def allows(self, held: Held, parameters: FloatArray) -> BoolArray:
        """Return which shifts are whole counts."""
        return np.asarray(parameters[:, 0] == np.rint(parameters[:, 0]))

    def at(self, held: Held, parameters: FloatArray) -> FloatArray:
        """Return the change that the shift [n, 1] makes."""
        return np.broadcast_to(parameters, held.raw.shape)

    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what a shift between `low` and `high` [n, 1] can change: a segment."""
        first, last = self.at(held, low), self.at(held, high)
        shape = HullShape(blocks_of(held, np.stack([first, last], axis=1)))
        return Changes(shape, first, last)

    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return one change for each window."""
        limit = counts(self.size, held)
        return self.at(held, np.rint(generator.uniform(-limit, limit, (len(held), 1))))

    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return the best of the shifts: only what the converter's range cuts off is left of it."""
        (_, high), *_ = self.whole(held)
        most = int(high.max(initial=0))
        least, greatest = held.count_range
        shift, worth = np.zeros((len(held), 1)), np.zeros((len(held), 1))
        for counted in np.unique(np.linspace(-most, most, _SHIFTS).astype(np.int64)).tolist():
            change = np.clip(held.raw.astype(np.int64) + counted, least, greatest) - held.raw
            gained = (change * weights).sum(axis=1, keepdims=True)
            shift = np.where(gained > worth, counted, shift)
            worth = np.maximum(gained, worth)
        return self.at(held, shift)

    def contains(self, held: Held, low: FloatArray, high: FloatArray) -> BoolArray:
        """Return for which windows a whole shift lies between `low` and `high`."""
        (least, greatest), *_ = self.whole(held)
        first = np.ceil(np.maximum(low.max(axis=1), least[:, 0]))
        return np.asarray(first <= np.minimum(high.min(axis=1), greatest[:, 0]))

    def linear(self, held: Held, bend: FloatArray) -> Linear:
        """Return the changes as linear in the shift."""
        (_, high), *_ = self.whole(held)
        limit = float(high[0, 0])
        ones = np.ones((*held.raw.shape, 1))
        return Linear(np.zeros(held.raw.shape), ones, (-limit,), (limit,))
