"""Square attack for signals: a black-box search that moves segments of samples.

Andriushchenko, Croce, Flammarion and Hein 2020 (arXiv:1912.00049). Their squares of pixels are
segments of samples here: for L-infinity a segment goes to the end of what it may change by, for L2
a segment takes over what another one had of the change (algorithms 2 and 3). A change that makes
the margin no larger is kept; logits of int8 have plateaus, so that equal margins are kept too.

`SquareSearch` asks for windows and is told what came of them, so that a device can answer at its
own pace; what it asks next depends on the seed, the number of the step and the state alone, and the
state can be saved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.result import AttackResult, judged
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.victims import BlackBox, Victim
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.files import write_bytes
from edgeprune.progress import Progress
from edgeprune.verification.falsify import Windows
from edgeprune.verification.outcomes import BoolArray, Int16Array

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

NORMS = ("linf", "l2")
# Share of the samples that a segment has at first, halved at these shares of the budget. The paper
# starts at 0.05 to 0.1 and halves early: good against networks that look at pixels. A front end
# that averages and removes the baseline answers to wide segments only.
_SHARE = 0.7
_HALVINGS = (0.05, 0.2, 0.5, 0.8)
_FIELDS = ("raw", "margin", "flipped", "queries")


@dataclass(frozen=True, eq=False)
class SquareState:
    """How far a search has come, for n windows.

    Attributes:
        raw: The best member of each window, int16 [n, reach].
        margin: Its margin, infinite before the first answer [n].
        flipped: Whether it is decided otherwise [n].
        queries: Windows shown to the victim [n].
        step: Batches asked for and answered.
    """

    raw: Int16Array
    margin: Float64Array
    flipped: BoolArray
    queries: Int64Array
    step: int

    def save(self, path: Path) -> None:
        """Write to one `.npz` without pickled objects."""
        buffer = BytesIO()
        arrays = {name: getattr(self, name) for name in _FIELDS}
        np.savez(buffer, step=np.array(self.step), **arrays)
        write_bytes(path, buffer.getvalue())

    @staticmethod
    def load(path: Path) -> SquareState:
        """Read what `save` wrote.

        Raises:
            DataError: The file is no state of a search.
        """
        try:
            with np.load(path, allow_pickle=False) as content:
                arrays = {name: content[name] for name in _FIELDS}
                return SquareState(**arrays, step=int(content["step"]))
        except (OSError, KeyError, ValueError, EOFError) as error:
            raise DataError(
                f"this is no state of a square attack: {error}",
                where=path.name,
                hint="delete it; the search then starts anew",
            ) from error


@dataclass(frozen=True, eq=False)
class Asked:
    """What the victim should be shown next.

    Attributes:
        rows: Whose window each is, int64 [m].
        raw: int16 [m, reach].
    """

    rows: Int64Array
    raw: Int16Array


class SquareSearch:
    """The search, which asks for windows and is told their margins.

    Args:
        held: The recorded windows [n].
        ball: What may change; "linf" or "l2", of a size.
        settings: `queries` a window and `seed`.
        state: Where an earlier search of the same windows, ball and settings stopped.
        skipped: Windows that are not searched (decided wrongly as recorded) [n].

    Raises:
        ConfigurationError: Another norm, no size, or a state of other windows.
    """

    def __init__(
        self,
        held: Windows,
        ball: Ball,
        settings: AttackSettings,
        state: SquareState | None = None,
        skipped: BoolArray | None = None,
    ) -> None:
        if ball.norm not in NORMS or ball.is_unbounded:
            raise ConfigurationError(
                "the square attack moves segments in balls of linf or l2 with a size",
                where=ball.text,
                hint="write linf:100uV or l2:1mV",
            )
        count = len(held)
        if state is not None and state.raw.shape != held.raw.shape:
            raise ConfigurationError(
                f"the state is of {len(state.raw)} windows, not of these {count}",
                where="square attack",
                hint="resume with the windows that the search began with",
            )
        self._held = held
        self._ball = ball
        self._settings = settings
        self._skipped = np.zeros(count, np.bool_) if skipped is None else skipped
        self._state = state or SquareState(
            np.array(held.raw),
            np.full(count, np.inf),
            np.zeros(count, np.bool_),
            np.zeros(count, np.int64),
            0,
        )
        self._asked: Asked | None = None

    @property
    def state(self) -> SquareState:
        """The state after the last answer."""
        return self._state

    def ask(self) -> Asked | None:
        """Return what the victim should be shown next; None when all is flipped or spent.

        Asked again before `tell`, it returns the same.
        """
        if self._asked is None:
            state = self._state
            rows = np.flatnonzero(~state.flipped & ~self._skipped)
            if not len(rows) or state.step >= self._settings.queries:
                return None
            # Drawn for all windows: what one is asked does not depend on which others are open.
            generator = np.random.default_rng((self._settings.seed, state.step))
            if state.step == 0:
                position = self._first(generator)
            elif self._ball.norm == "linf":
                position = self._moved_segment(generator)
            else:
                position = self._moved_energy(generator)
            raw = self._ball.rounded(self._held.select(rows), position[rows])
            self._asked = Asked(rows, raw)
        return self._asked

    def tell(self, margins: Float64Array, flipped: BoolArray) -> None:
        """Take what the victim answered to what `ask` returned.

        Args:
            margins: Logit of the right class less the largest other one [m]; any constant where
                only decisions are known.
            flipped: Whether each is decided otherwise [m].

        Raises:
            ConfigurationError: Nothing was asked, or the answers are of another number.
        """
        asked = self._asked
        if asked is None or len(margins) != len(asked.rows):
            raise ConfigurationError(
                "answers without a question", where="square attack", hint="call ask() before tell()"
            )
        before = self._state
        taken = flipped | (margins <= before.margin[asked.rows])
        rows = asked.rows[taken]
        raw, margin = before.raw.copy(), before.margin.copy()
        over, queries = before.flipped.copy(), before.queries.copy()
        raw[rows], margin[rows], over[rows] = asked.raw[taken], margins[taken], flipped[taken]
        queries[asked.rows] += 1
        self._state = SquareState(raw, margin, over, queries, before.step + 1)
        self._asked = None

    def _segment_length(self) -> int:
        done = self._state.step / self._settings.queries
        share = _SHARE * 0.5 ** sum(done > limit for limit in _HALVINGS)
        return max(1, int(np.rint(share * self._state.raw.shape[1])))

    def _segments(self, generator: np.random.Generator, length: int) -> BoolArray:
        """Return one segment for each window: bool [n, reach]."""
        count, reach = self._state.raw.shape
        first = generator.integers(0, reach - length + 1, (count, 1))
        place = np.arange(reach)
        return np.asarray((place >= first) & (place < first + length))

    def _first(self, generator: np.random.Generator) -> Float64Array:
        """Return stripes of random signs, each as far as the ball lets it go."""
        count, reach = self._state.raw.shape
        length = self._segment_length()
        stripes = -(-reach // length) + 1
        signs = generator.choice((-1.0, 1.0), (count, stripes))
        shift = generator.integers(0, length, (count, 1))
        stripe = (np.arange(reach) + shift) // length
        sign = np.take_along_axis(signs, stripe, axis=1)
        if self._ball.norm == "l2":
            sign = sign * _bump(length)[(np.arange(reach) + shift) % length]
        return self._ball.steepest(self._held, sign)

    def _moved_segment(self, generator: np.random.Generator) -> Float64Array:
        """Return the best windows with one segment at either end of what it may change by."""
        segment = self._segments(generator, self._segment_length())
        up = generator.random((len(segment), 1)) < 0.5
        low, high = self._ball.limits(self._held)
        ends = self._held.raw + np.where(up, high, low)
        return np.where(segment, ends, self._state.raw.astype(np.float64))

    def _moved_energy(self, generator: np.random.Generator) -> Float64Array:
        """Return the best windows whose change in one segment went over to another."""
        length = self._segment_length()
        change = self._state.raw.astype(np.float64) - self._held.raw
        taker, giver = (self._segments(generator, length) for _ in range(2))
        square = self._ball.radius(self._held) ** 2
        used = (change * change).sum(axis=1)
        moved = (change * change * (taker | giver)).sum(axis=1)
        available = np.sqrt(np.maximum(square - used, 0) + moved)[:, np.newaxis]
        sign = generator.choice((-1.0, 1.0), (len(change), 1))
        shape = np.zeros_like(change)
        shape[taker] = np.tile(_bump(length), len(change))
        # One bump, or two of opposite signs: a front end may remove a level.
        halved = generator.random((len(change), 1)) < 0.5
        later = np.cumsum(taker, axis=1) > length // 2
        shape = sign * np.where(halved & later, -shape, shape)
        had = _unit(change * taker)
        direction = _unit(_unit(shape) + had)
        kept = np.where(taker | giver, 0.0, change)
        return np.asarray(self._held.raw + kept + available * direction)


def _unit(change: Float64Array) -> Float64Array:
    length = np.sqrt((change * change).sum(axis=1, keepdims=True))
    return np.asarray(change / np.where(length > 0, length, 1.0))


def _bump(length: int) -> Float64Array:
    """Return the paper's profile, highest in the middle (equation 2, in one dimension)."""
    half = length // 2
    rise = np.cumsum(1.0 / (half + 1 - np.arange(half + 1)) ** 2)
    edge = np.minimum(np.arange(length), np.arange(length)[::-1])
    return np.asarray(rise[np.minimum(edge, half)])


def square(
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    """Search with the victim's logits; see the module."""

    def answer(asked: Asked) -> tuple[Float64Array, BoolArray]:
        seen = victim.look(asked.raw, asked.rows)
        own = labels[asked.rows]
        return margins(seen.logits, own), seen.decisions != own

    return _searched("square", "square attack", answer, victim, labels, ball, settings, progress)


def square_decisions(
    victim: BlackBox,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    """Search with the victim's decisions alone: a walk from member to member until one flips."""

    def answer(asked: Asked) -> tuple[Float64Array, BoolArray]:
        flipped = victim.decide(asked.raw, asked.rows) != labels[asked.rows]
        return np.zeros(len(flipped)), flipped

    title = "square attack, decisions alone"
    return _searched("square-decisions", title, answer, victim, labels, ball, settings, progress)


def _searched(
    name: str,
    title: str,
    answer: Callable[[Asked], tuple[Float64Array, BoolArray]],
    victim: BlackBox,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    """Ask until nothing is left to ask; `answer` gives margins and whether decisions flipped."""
    held = victim.held
    skipped = victim.decide(held.raw, np.arange(len(labels))) != labels
    search = SquareSearch(held, ball, settings, skipped=skipped)
    with progress.task(title, settings.queries, "queries") as advance:
        while (asked := search.ask()) is not None:
            search.tell(*answer(asked))
            advance(1)
    state = search.state
    return judged(name, victim, labels, ball, state.raw, state.queries)


def margins(logits: Float64Array, labels: Int64Array) -> Float64Array:
    """Return the logit of the right class less the largest other one [m]."""
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    return np.asarray(logits[rows, labels] - others.max(axis=1))
