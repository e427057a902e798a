"""What all gradient attacks share: the best member of each window, and batches of starts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.result import AttackResult, judged
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.victims import BlackBox, Seen, Victim
from edgeprune.verification.falsify import least_margin
from edgeprune.verification.outcomes import BoolArray, Int16Array

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

# Rows of windows times starts that walk together: as many as keep intermediates in a cache.
_ROWS = 256


class Search:
    """The best member of each window so far.

    Args:
        victim: What is attacked.
        labels: The right decisions [n].
        ball: What candidates must be members of.

    Attributes:
        raw: The best member of each window, int16 [n, reach].
        margin: How far the right class lies above all others there [n]; infinite before any.
        recorded: The same of the windows as recorded [n].
        queries: Windows that the victim was shown, int64 [n].
        right: Which windows are decided right as recorded [n].
        broken: Which have a member that is decided wrongly [n].
    """

    def __init__(self, victim: BlackBox, labels: Int64Array, ball: Ball) -> None:
        count = len(labels)
        self.victim = victim
        self.labels = labels
        self.ball = ball
        self.raw: Int16Array = np.array(victim.held.raw)
        self.margin: Float64Array = np.full(count, np.inf)
        self.queries: Int64Array = np.zeros(count, np.int64)
        self.broken: BoolArray = np.zeros(count, np.bool_)
        # Windows that are decided wrongly as they are need no attack.
        rows = np.arange(count)
        self.right: BoolArray = np.zeros(count, np.bool_)
        self.recorded: Float64Array = np.zeros(count)
        if count:
            self.right = victim.decide(self.raw, rows) == labels
            self.recorded = least_margin(victim.logits(self.raw, rows), labels)
            self.queries += 1

    def open(self) -> Int64Array:
        """Return the windows that are still decided right."""
        return np.flatnonzero(self.right & ~self.broken)

    def note(
        self, rows: Int64Array, raw: Int16Array, decisions: Int64Array, logits: Float64Array
    ) -> Float64Array:
        """Keep the best of candidates that were judged; they must be members.

        Args:
            rows: Whose candidates they are [m].
            raw: int16 [m, reach].
            decisions: What the victim decided [m].
            logits: Its logits [m, classes].

        Returns:
            How far the right class lies above all others, [m].
        """
        own = self.labels[rows]
        least = least_margin(logits, own)
        flipped = decisions != own
        # A wrong decision comes before any margin.
        rank = np.where(flipped, -np.inf, least)
        order = np.lexsort((rank, rows))
        first = order[np.r_[True, np.diff(rows[order]) != 0]] if len(rows) else order
        window = rows[first]
        better = (rank[first] < self.margin[window]) & ~self.broken[window]
        first, window = first[better], window[better]
        self.raw[window] = raw[first]
        self.margin[window] = least[first]
        self.broken[window] = flipped[first]
        self.queries += np.bincount(rows, minlength=len(self.labels))
        return least

    def result(self, attack: str) -> AttackResult:
        """Return what was found, as the victim decides it once more."""
        return judged(attack, self.victim, self.labels, self.ball, self.raw, self.queries)


def look(search: Search, victim: Victim, rows: Int64Array, raw: Int16Array) -> Seen:
    """Return one pass of members, which are noted."""
    seen = victim.look(raw, rows)
    search.note(rows, raw, seen.decisions, seen.logits)
    return seen


def batches(rows: Int64Array) -> Iterator[Int64Array]:
    """Yield windows, as many at a time as walk together."""
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]


def starts(
    search: Search, rows: Int64Array, settings: AttackSettings, generator: np.random.Generator
) -> Iterator[tuple[Int64Array, Int16Array]]:
    """Yield for each start the windows that are still open, and where each begins.

    Args:
        search: Tells which windows are open by then.
        rows: Windows [m].
        settings: How many starts, and whether the first one is random, too.
        generator: Draws random members.
    """
    held = search.victim.held
    for number in range(settings.restarts):
        still = rows[~search.broken[rows]]
        if not len(still):
            return
        part = held.select(still)
        if number or settings.random_start:
            yield still, search.ball.random(part, generator)
        else:
            yield still, part.raw
