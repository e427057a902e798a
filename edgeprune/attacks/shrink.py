"""From a change that flips a decision, or nearly, to a smaller one in whole counts that does.

The victim decides every candidate. First along the way from the recorded window to the change
(further out where it does not flip yet, then bisection inwards); then a search over whole counts:
parts of the change are undone, or it is turned towards the slope of the margin, and what is smaller
and still decided otherwise is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.victims import Victim
from edgeprune.verification.outcomes import BoolArray, Int16Array

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_BEYOND = (1.0, 1.02, 1.1, 1.3, 1.7, 2.5, 4.0)
_HALVINGS = 9
_PROPOSALS = 12
# Proposals by which parts are undone; the others turn the whole change.
_UNDOING = 6
_BLOCKS = (1, 2, 3, 6, 12, 24, 48, 96)


def measured(norm: str, change: Int64Array | Float64Array) -> Float64Array:
    """Return the size of changes [..., reach] in counts (samples for l0)."""
    size = np.abs(change.astype(np.float64))
    if norm == "linf":
        return np.asarray(size.max(axis=-1))
    if norm == "l1":
        return np.asarray(size.sum(axis=-1))
    if norm == "l2":
        return np.asarray(np.sqrt((size * size).sum(axis=-1)))
    return np.asarray((size > 0).sum(axis=-1).astype(np.float64))


@dataclass(frozen=True, eq=False)
class Found:
    """The smallest changes found, for some windows.

    Attributes:
        raw: int16 [m, reach]; the recorded window where nothing was found.
        flipped: Whether the victim decides it otherwise [m].
        size: In counts, infinite where nothing was found [m].
        queries: Windows that the victim was shown [m].
    """

    raw: Int16Array
    flipped: BoolArray
    size: Float64Array
    queries: Int64Array

    def better_of(self, other: Found) -> Found:
        """Return the smaller change for each window; queries add up."""
        better = other.size < self.size
        return Found(
            np.where(better[:, np.newaxis], other.raw, self.raw),
            self.flipped | other.flipped,
            np.where(better, other.size, self.size),
            self.queries + other.queries,
        )


class Shrinker:
    """Shrinks changes of windows in one norm.

    Args:
        victim: Decides.
        rows: The windows [m].
        labels: What must no longer be decided [m].
        norm: What is made small.
    """

    def __init__(self, victim: Victim, rows: Int64Array, labels: Int64Array, norm: str) -> None:
        self._victim = victim
        self._rows = rows
        self._labels = labels
        self._norm = norm
        self._held = victim.held.select(rows)
        self._free = Ball(norm)
        self._recorded = self._held.raw.astype(np.float64)
        # What is beside the signal has no room.
        low, high = self._free.limits(self._held)
        self._movable = (low < high).any(axis=0)

    def nothing(self) -> Found:
        """Return that nothing was found yet."""
        count = len(self._rows)
        return Found(
            np.array(self._held.raw),
            np.zeros(count, np.bool_),
            np.full(count, np.inf),
            np.zeros(count, np.int64),
        )

    def along(self, position: Float64Array) -> Found:
        """Return the least change found on the way to positions [m, reach], or a little beyond."""
        found = self.nothing()
        share = np.zeros(len(self._rows))
        change = position - self._recorded
        for factor in _BEYOND:
            left = np.flatnonzero(~found.flipped)
            if not len(left):
                break
            raw = self._raw(left, self._recorded[left] + factor * change[left])
            found = self._take(found, left, raw)
            share[left[found.flipped[left]]] = factor
        ends = np.flatnonzero(found.flipped)
        change = share[:, np.newaxis] * change
        low, high = np.zeros(len(share)), np.ones(len(share))
        for _ in range(_HALVINGS if len(ends) else 0):
            middle = (low + high) / 2
            part = self._part(change[ends], middle[ends])
            raw = self._raw(ends, self._recorded[ends] + part)
            found, over = self._judged(found, ends, raw)
            high[ends] = np.where(over, middle[ends], high[ends])
            low[ends] = np.where(over, low[ends], middle[ends])
        return found

    def search(self, found: Found, rounds: int, generator: np.random.Generator) -> Found:
        """Return smaller changes found near those that flip already."""
        for _ in range(rounds):
            rows = np.flatnonzero(found.flipped & (found.size > 0))
            if not len(rows):
                break
            best = found.raw[rows].astype(np.float64) - self._recorded[rows]
            slope = self._slope(rows, found.raw[rows])
            proposals = [self._undone(best, slope, generator) for _ in range(_UNDOING)]
            proposals += [
                self._turned(best, slope, generator) for _ in range(_PROPOSALS - _UNDOING)
            ]
            tried = np.tile(rows, _PROPOSALS)
            raw = self._raw(tried, self._recorded[tried] + np.concatenate(proposals))
            found = self._take(found, tried, raw)
            found.queries[rows] += 1
        return found

    def _raw(self, rows: Int64Array, position: Float64Array) -> Int16Array:
        return self._free.rounded(self._held.select(rows), position)

    def _take(self, found: Found, rows: Int64Array, raw: Int16Array) -> Found:
        return self._judged(found, rows, raw)[0]

    def _judged(self, found: Found, rows: Int64Array, raw: Int16Array) -> tuple[Found, BoolArray]:
        """Return the smallest changes, given candidates of some rows, and which of these flip."""
        size = measured(self._norm, raw.astype(np.int64) - self._held.raw[rows])
        # What is no smaller than the best is not worth a query; it counts as the best does.
        worth = size < found.size[rows]
        over = ~worth
        asked = np.flatnonzero(worth)
        if len(asked):
            decided = self._victim.decide(raw[asked], self._rows[rows[asked]])
            over[asked] = decided != self._labels[rows[asked]]
        best, flipped = found.raw.copy(), found.flipped.copy()
        least, queries = found.size.copy(), found.queries.copy()
        np.add.at(queries, rows[asked], 1)
        taken = asked[over[asked]]
        # The smallest of each row, by descending size so that the last written is the least.
        order = taken[np.argsort(-size[taken], kind="stable")]
        best[rows[order]], least[rows[order]] = raw[order], size[order]
        flipped[rows[order]] = True
        return Found(best, flipped, least, queries), over

    def _part(self, change: Float64Array, share: Float64Array) -> Float64Array:
        """Return a share of changes, in the way that makes the norm smaller."""
        wanted = share[:, np.newaxis]
        if self._norm == "linf":
            most = wanted * np.abs(change).max(axis=1, keepdims=True)
            return np.asarray(np.clip(change, -most, most))
        if self._norm == "l0":
            order = np.argsort(np.argsort(-np.abs(change), axis=1), axis=1)
            count = (change != 0).sum(axis=1, keepdims=True)
            return np.where(order < np.ceil(wanted * count), change, 0.0)
        return np.asarray(wanted * change)

    def _slope(self, rows: Int64Array, raw: Int16Array) -> Float64Array:
        """Return how the largest other logit gains on the right one with each count [k, reach]."""
        seen = self._victim.look(raw, self._rows[rows])
        count = np.arange(len(rows))
        own = self._labels[rows]
        others = seen.logits.copy()
        others[count, own] = -np.inf
        weights = np.zeros_like(seen.logits)
        weights[count, others.argmax(axis=1)] = 1
        weights[count, own] = -1
        return seen.gradient(weights)

    def _undone(
        self, best: Float64Array, slope: Float64Array, generator: np.random.Generator
    ) -> Float64Array:
        """Return changes of which a part is undone: a segment, or what helps least for its size."""
        count = len(best)
        if self._norm == "linf":
            return self._narrowed(best, slope, generator)
        chosen = self._segment(best, generator)
        # Of the changed samples those whose help is least, with chance in it.
        help_ = slope * np.sign(best)
        price = np.abs(best) if self._norm == "l2" else np.ones_like(best)
        if self._norm == "l0":
            help_ = slope * best
        scale = np.abs(help_).mean(axis=1, keepdims=True)
        noisy = (help_ + scale * generator.normal(0, 0.3, best.shape)) / np.maximum(price, 1)
        ranked = np.argsort(np.argsort(np.where(best != 0, noisy, np.inf), axis=1), axis=1)
        changed = (best != 0).sum(axis=1, keepdims=True)
        some = np.maximum(1, changed * 2.0 ** -generator.integers(1, 9, (count, 1)))
        guided = generator.random((count, 1)) < 0.7
        chosen = np.where(guided, ranked < some, chosen)
        if self._norm == "l0":
            return np.where(chosen, 0.0, best)
        kept = generator.choice((0.0, 0.5, 0.75), (count, 1))
        return np.where(chosen, np.trunc(kept * best), best)

    def _narrowed(
        self, best: Float64Array, slope: Float64Array, generator: np.random.Generator
    ) -> Float64Array:
        """Return changes that go less far, and others at that end along the slope."""
        size = np.abs(best).max(axis=1, keepdims=True)
        less = np.maximum(1, np.floor(size * generator.choice((0.02, 0.05, 0.1, 0.2), size.shape)))
        most = np.maximum(size - less, 0)
        share = generator.choice((0.0, 0.1, 0.3, 0.6, 1.0), size.shape)
        pushed = generator.random(best.shape) < share
        # Slopes do not see what roundings do: segments of either sign as well.
        blind = generator.random(size.shape) < 0.5
        sign = np.where(blind, generator.choice((-1.0, 1.0), size.shape), np.sign(slope))
        pushed = np.where(blind, self._segment(best, generator), pushed) & self._movable
        return np.where(pushed, sign * most, np.clip(best, -most, most))

    def _segment(self, best: Float64Array, generator: np.random.Generator) -> BoolArray:
        """Return a segment of each window: bool [k, reach]."""
        count, reach = best.shape
        length = generator.choice(_BLOCKS, (count, 1))
        first = generator.integers(-length + 1, reach)
        place = np.arange(reach)
        return np.asarray((place >= first) & (place < first + length))

    def _turned(
        self, best: Float64Array, slope: Float64Array, generator: np.random.Generator
    ) -> Float64Array:
        """Return smaller changes turned towards the slope."""
        count = len(best)
        if self._norm == "linf":
            return self._narrowed(best, slope, generator)
        less = 1 - generator.choice((0.005, 0.01, 0.03, 0.06, 0.12), (count, 1))
        share = generator.choice((0.0, 0.03, 0.1, 0.3, 0.6), (count, 1))
        size = measured(self._norm, best)[:, np.newaxis]
        if self._norm == "l2":
            blind = generator.random((count, 1)) < 0.3
            sign = generator.choice((-1.0, 1.0), (count, 1))
            heading = np.where(blind, sign * self._segment(best, generator), slope)
            heading = heading * self._movable
            turned = (1 - share) * best + share * size * heading / np.maximum(
                _length(heading), 1e-300
            )
            return np.asarray(less * size * turned / np.maximum(_length(turned), 1e-300))
        # Samples with the steepest slopes take over, and as many that help least are undone.
        steep = np.argsort(np.argsort(-np.abs(slope) * self._movable, axis=1), axis=1)
        changed = (best != 0).sum(axis=1, keepdims=True)
        more = np.ceil(changed * share * 0.5)
        largest = np.abs(best).max(axis=1, keepdims=True)
        taker = (steep < more) & (np.abs(slope) > 0)
        moved = np.where(taker, np.sign(slope) * largest, best)
        if self._norm == "l0":
            moved = np.where(best != 0, np.sign(best) * 2.0**15, moved)
            moved = np.where(taker, np.sign(slope) * 2.0**15, moved)
            wanted = np.maximum(1, np.minimum(size - 1, np.floor(size * less)))
        else:
            wanted = size * less
        worth = np.where(
            moved != 0, slope * moved if self._norm == "l0" else slope * np.sign(moved), 0
        )
        order = np.argsort(-np.where(moved != 0, worth, -np.inf), axis=1, kind="stable")
        spent = np.take_along_axis(
            (moved != 0).astype(np.float64) if self._norm == "l0" else np.abs(moved), order, 1
        )
        fits = np.empty(moved.shape, np.bool_)
        np.put_along_axis(fits, order, np.cumsum(spent, axis=1) <= wanted, 1)
        return np.where(fits, moved, 0.0)


def _length(change: Float64Array) -> Float64Array:
    return np.asarray(np.sqrt((change * change).sum(axis=1, keepdims=True)))
