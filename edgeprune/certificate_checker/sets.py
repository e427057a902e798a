"""Sets of changes of the raw counts: sums of families, through the converter.

With x the counts, h the voltages that parts add (in counts) and u the counts that others add, the
converter delivers `clip(round(x + h) + u)`, ties rounded either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np

from edgeprune.certificate_checker.artefacts import Artefact
from edgeprune.certificate_checker.balls import Ball, Few
from edgeprune.certificate_checker.families import (
    FAMILIES,
    FRACTION,
    NEAR,
    Parameters,
    Part,
    Space,
)
from edgeprune.certificate_checker.stairs import Ints, Refused, narrow, times

_FAMILIES: dict[str, Callable[[str], Part]] = {
    **FAMILIES,
    "l2": Ball.read,
    "l0": Few.read,
    "blink": Artefact.read_blink,
    "pop": Artefact.read_pop,
}


@dataclass(frozen=True, eq=False)
class Changes:
    """The changes of raw values over one box of parameters; see `bounds.ChangeSet`.

    Attributes:
        low, high: Whole counts, of every sample by itself.
        free: Parts that are more than boxes.
        rest: Box of what is added to them, times 2^FRACTION.
    """

    low: Ints
    high: Ints
    free: tuple[Callable[[Ints], Ints], ...] = ()
    rest: tuple[Ints, Ints] | None = None

    def least(self, coefficients: Ints) -> Ints:
        """See `ChangeSet.least`."""
        plus, minus = np.maximum(coefficients, 0), np.minimum(coefficients, 0)
        boxed = times(plus, self.low) + times(minus, self.high)
        if self.rest is None:
            return np.asarray(boxed)
        summed = times(plus, self.rest[0]) + times(minus, self.rest[1])
        for least in self.free:
            summed = summed + least(coefficients)
        # Coefficients and changed samples are whole, and so is what they come to.
        return narrow(np.maximum(boxed, -(-summed >> FRACTION)))


@dataclass(frozen=True)
class Perturbation:
    """The sum of some parts, through the converter."""

    parts: tuple[Part, ...]
    of_inputs: bool

    @staticmethod
    def read(text: str) -> Perturbation:
        """Read "gain:10%+linf:5uV"."""
        parts = []
        for each in text.split("+"):
            name, _, size = each.partition(":")
            if name not in _FAMILIES:
                raise Refused(f"the perturbation '{name}' is none that this program knows")
            parts.append(_FAMILIES[name](size))
        return Perturbation(tuple(parts), text.endswith("lsb"))

    @property
    def _rounding(self) -> int:
        """By how much rounding a voltage to a whole count moves it, times 2^FRACTION."""
        return 1 << (FRACTION - 1) if any(part.rounds for part in self.parts) else 0

    def whole(self, space: Space) -> list[Parameters]:
        """Return the alternatives of all parts' parameters."""
        chosen = product(*(part.whole(space) for part in self.parts))
        return [tuple(interval for part in each for interval in part) for each in chosen]

    def changes(self, space: Space, parameters: Parameters) -> Changes:
        """Return the changes for a box of parameters; refuse another number of them."""
        reaches, start = [], 0
        for part in self.parts:
            count = len(part.whole(space)[0])
            reaches.append(part.reach(space, parameters[start : start + count]))
            start += count
        if start != len(parameters):
            raise Refused(f"a piece has {len(parameters)} parameters, the set has {start}")
        low = np.sum([each.low for each in reaches], axis=0)
        high = np.sum([each.high for each in reaches], axis=0)
        rounding = self._rounding
        one = 1 << FRACTION
        least, most = space.counts
        inner_low = np.maximum(-((rounding - low) // one), least - space.raw)
        inner_high = np.minimum((high + rounding) // one, most - space.raw)
        free = tuple(each.least for each in reaches if each.least is not None)
        if not free:
            return Changes(inner_low, inner_high)
        boxes = [each for each in reaches if each.least is None]
        cut_low = np.maximum(((least - space.raw) << FRACTION) - low, 0)
        cut_high = np.maximum(high - ((most - space.raw) << FRACTION), 0)
        rest_low = np.sum([-cut_high - rounding, *(each.low for each in boxes)], axis=0)
        rest_high = np.sum([cut_low + rounding, *(each.high for each in boxes)], axis=0)
        return Changes(inner_low, inner_high, free, (rest_low, rest_high))

    def contains(self, space: Space, raw: Ints, parameters: Sequence[Fraction]) -> bool:
        """Whether the converter could deliver `raw` for these parameters, which lie in the set."""
        point = tuple((each, each) for each in parameters)
        if not any(len(each) == len(point) and covers(point, [each]) for each in self.whole(space)):
            return False
        least, most = space.counts
        if raw.shape != space.raw.shape or raw.min() < least or raw.max() > most:
            return False
        low = high = np.zeros(len(raw), np.int64)
        start = 0
        for part in self.parts:
            count = len(part.whole(space)[0])
            reach = part.at(space, parameters[start : start + count])
            low, high, start = low + reach.low, high + reach.high, start + count
        change = (raw - space.raw) << FRACTION
        # What the converter cut may have been more.
        far = 1 << (FRACTION + 40)
        left_low = np.where(raw == least, -far, change - high - self._rounding - 1)
        left_high = np.where(raw == most, far, change - low + self._rounding + 1)
        sharing = [part for part in self.parts if isinstance(part, Ball | Few)]
        if not sharing:
            return bool((left_low <= 0).all() and (left_high >= 0).all())
        return len(sharing) == 1 and sharing[0].holds(space, left_low, left_high)


def covers(box: Parameters, pieces: Sequence[Parameters]) -> bool:
    """Whether the union of boxes covers a box, up to NEAR at its faces."""

    def inside(each: Parameters) -> bool:
        pairs = zip(box, each, strict=True)
        return all(p[0] <= b[0] + NEAR and p[1] >= b[1] - NEAR for b, p in pairs)

    touching = [
        each
        for each in pieces
        if all(p[0] <= b[1] + NEAR and p[1] >= b[0] - NEAR for b, p in zip(box, each, strict=True))
    ]
    if any(inside(each) for each in touching):
        return True
    for each in touching:
        for axis, (whole, part) in enumerate(zip(box, each, strict=True)):
            for cut in part:
                if whole[0] + NEAR < cut < whole[1] - NEAR:
                    parts = (whole[0], cut), (cut, whole[1])
                    return all(
                        covers((*box[:axis], half, *box[axis + 1 :]), touching) for half in parts
                    )
    return False
