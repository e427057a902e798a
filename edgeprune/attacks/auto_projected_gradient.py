"""APGD: projected gradient steps that choose their own length (Croce and Hein 2020, 2021).

A step of momentum; at checkpoints that grow denser, a window whose loss rose too rarely, or whose
best loss stood still, halves its step and starts again from its best position (Croce and Hein 2020,
Reliable evaluation of adversarial robustness, algorithm 1). In l1 the step moves the steepest
samples only, as many as the best change so far has by two thirds (Croce and Hein 2021, Mind the
box, algorithm 1). Positions are real numbers; the loss is that of the whole counts next to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.ascent import ascend
from edgeprune.attacks.balls import Ball
from edgeprune.attacks.losses import Loss, cross_entropy, logits_ratio, targeted_ratio
from edgeprune.attacks.result import AttackResult, Int64Array
from edgeprune.attacks.search import Search, look
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.steps import changed, led, sign, sparse, unit
from edgeprune.attacks.victims import Victim
from edgeprune.progress import Progress
from edgeprune.verification.outcomes import BoolArray, Int16Array
from edgeprune.verification.perturbations.part import movable

Float64Array = npt.NDArray[np.float64]

_MOMENTUM = 0.75
_RISES = 0.75  # share of the steps of a period that must raise the loss
_FIRST, _SHORTER, _LEAST = 0.22, 0.03, 0.06  # periods between checkpoints, shares of all steps
_L1_PERIOD, _L1_SLOWER, _L1_LEAST = 0.04, 1.5, 10.0
_L1_SAMPLES = 0.2  # share of the samples that the first steps in l1 move
_TARGETS = 9

# Makes the loss of some rows, given their windows and starts.
LossOf = Callable[[Int64Array], Loss]


def apgd_ce(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, progress: Progress
) -> AttackResult:
    """Raise the cross-entropy; see `registry.Attack`."""
    return _apgd("apgd-ce", [lambda _: cross_entropy], victim, labels, ball, settings, progress)


def apgd_dlr(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, progress: Progress
) -> AttackResult:
    """Raise the difference of logits ratio; see `registry.Attack`."""
    return _apgd("apgd-dlr", [lambda _: logits_ratio], victim, labels, ball, settings, progress)


def apgd_targeted(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, progress: Progress
) -> AttackResult:
    """Raise the targeted ratio, once for each wrong class, the likeliest first; see `Attack`."""
    order = _likeliest(victim, labels)

    def towards(place: int) -> LossOf:
        return lambda rows: targeted_ratio(order[rows, place])

    losses = [towards(place) for place in range(order.shape[1])]
    return _apgd("apgd-t", losses, victim, labels, ball, settings, progress)


def _likeliest(victim: Victim, labels: Int64Array) -> Int64Array:
    """Return each window's wrong classes, the one with the largest logit first [n, targets]."""
    rows = np.arange(len(labels))
    logits = victim.logits(victim.held.raw, rows)
    logits[rows, labels] = -np.inf
    order = np.argsort(-logits, axis=1, kind="stable")
    return np.asarray(order[:, : min(_TARGETS, victim.classes - 1)])


def _apgd(
    name: str,
    losses: list[LossOf],
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    walks = [partial(_walk, victim, loss_of, settings.steps) for loss_of in losses]
    return ascend(name, walks, victim, labels, ball, settings, progress)


def _walk(
    victim: Victim,
    loss_of: LossOf,
    steps: int,
    search: Search,
    generator: np.random.Generator,
    rows: Int64Array,
    raw: Int16Array,
) -> None:
    _Walk(search, victim, loss_of, steps, generator).go(rows, raw)


@dataclass(eq=False)
class _Walkers:
    """What each walking window keeps; all arrays have its rows first.

    Attributes:
        rows: Its number.
        position: Where it is, counts.
        before: Where it was a step ago.
        loss: Its loss there, and the slope of that.
        best: Where its loss was the largest, and loss and slope there.
        length: Of its steps, in units of the norm.
        rises: Steps of this period that raised the loss.
        reference: The best loss at the last checkpoint.
        halved: Whether that checkpoint cut the step.
        samples: Samples that a step in l1 moves.
        spread: Samples that the best change of the last checkpoint had.
    """

    rows: Int64Array
    position: Float64Array
    before: Float64Array
    loss: Float64Array
    slope: Float64Array
    best: Float64Array
    best_loss: Float64Array
    best_slope: Float64Array
    length: Float64Array
    rises: Int64Array
    reference: Float64Array
    halved: BoolArray
    samples: Int64Array
    spread: Float64Array

    @staticmethod
    def at(
        rows: Int64Array,
        position: Float64Array,
        loss: Float64Array,
        slope: Float64Array,
        length: float,
        samples: tuple[Int64Array, Float64Array],
    ) -> _Walkers:
        """Return windows before their first step."""
        count = len(rows)
        return _Walkers(
            rows,
            position,
            position.copy(),
            loss,
            slope,
            position.copy(),
            loss.copy(),
            slope.copy(),
            np.full(count, length),
            np.zeros(count, np.int64),
            loss.copy(),
            np.ones(count, np.bool_),
            *samples,
        )

    def keep(self, going: BoolArray) -> None:
        """Drop the windows that need walk no further."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name)[going])

    def restart(self, chosen: BoolArray) -> None:
        """Put windows back where their loss was the largest."""
        self.position[chosen] = self.best[chosen]
        self.slope[chosen] = self.best_slope[chosen]
        self.loss[chosen] = self.best_loss[chosen]


class _Walk:
    """One start of a batch of windows.

    Args:
        search: Keeps what is found.
        victim: What is attacked.
        loss_of: Makes the loss of some windows.
        steps: Steps.
        generator: Leads where there is no slope.
    """

    def __init__(
        self,
        search: Search,
        victim: Victim,
        loss_of: LossOf,
        steps: int,
        generator: np.random.Generator,
    ) -> None:
        self._search = search
        self._victim = victim
        self._ball = search.ball
        self._loss_of = loss_of
        self._steps = steps
        self._generator = generator
        self._radius = search.ball.radius(victim.held)
        self._sparse = search.ball.norm == "l1"

    def go(self, rows: Int64Array, raw: Int16Array) -> None:
        """Walk from members [m, reach]."""
        position = raw.astype(np.float64)
        loss, slope = self._looked(rows, position)
        first = self._radius * (1.0 if self._sparse else 2.0)
        samples = self._first_samples(rows, position)
        walkers = _Walkers.at(rows, position, loss, slope, first, samples)
        period = max(1, int((_L1_PERIOD if self._sparse else _FIRST) * self._steps))
        since = 0
        for number in range(self._steps):
            walkers.keep(~self._search.broken[walkers.rows])
            if not len(walkers.rows):
                return
            self._step(walkers, is_first=number == 0)
            since += 1
            if since < period:
                continue
            if self._sparse:
                self._check_samples(walkers)
            else:
                self._check_rises(walkers, period)
                shorter = period - max(1, int(_SHORTER * self._steps))
                period = max(shorter, int(_LEAST * self._steps), 1)
            since = 0

    def _looked(
        self, rows: Int64Array, position: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Return loss and slope of the members next to positions; those are noted."""
        raw = self._ball.rounded(self._victim.held.select(rows), position)
        seen = look(self._search, self._victim, rows, raw)
        loss, weights = self._loss_of(rows)(seen.logits, self._search.labels[rows])
        return loss, led(seen.gradient(weights), self._generator)

    def _step(self, walkers: _Walkers, *, is_first: bool) -> None:
        held = self._victim.held.select(walkers.rows)
        move = walkers.length[:, np.newaxis] * self._direction(walkers)
        moved = self._ball.project(held, walkers.position + move)
        if not is_first and not self._sparse:
            drift = (1 - _MOMENTUM) * (walkers.position - walkers.before)
            ahead = walkers.position + _MOMENTUM * (moved - walkers.position) + drift
            moved = self._ball.project(held, ahead)
        walkers.before, walkers.position = walkers.position, moved
        loss, slope = self._looked(walkers.rows, moved)
        walkers.rises += loss > walkers.loss
        better = loss > walkers.best_loss
        walkers.best[better] = moved[better]
        walkers.best_loss[better] = loss[better]
        walkers.best_slope[better] = slope[better]
        walkers.loss, walkers.slope = loss, slope

    def _direction(self, walkers: _Walkers) -> Float64Array:
        if self._ball.norm == "linf":
            return sign(walkers.slope)
        if self._ball.norm == "l2":
            return unit(walkers.slope)
        return sparse(walkers.slope, walkers.samples)

    def _check_rises(self, walkers: _Walkers, period: int) -> None:
        """Halve the steps of windows that rose too rarely or whose best stands still."""
        rarely = walkers.rises <= _RISES * period
        still = ~walkers.halved & (walkers.reference >= walkers.best_loss)
        cut = rarely | still
        walkers.length[cut] /= 2
        walkers.restart(cut)
        walkers.halved, walkers.reference = cut, walkers.best_loss.copy()
        walkers.rises[:] = 0

    def _first_samples(
        self, rows: Int64Array, position: Float64Array
    ) -> tuple[Int64Array, Float64Array]:
        held = self._victim.held.select(rows)
        count = movable(held)
        spread = changed(position - held.raw)
        moved = spread > 0
        samples = np.where(moved, spread / _L1_SLOWER, _L1_SAMPLES * count)
        return np.maximum(samples.astype(np.int64), 1), np.where(moved, spread, count).astype(float)

    def _check_samples(self, walkers: _Walkers) -> None:
        """Let l1 steps move fewer samples as the best change grows sparser; else shorten them."""
        held = self._victim.held.select(walkers.rows)
        spread = changed(walkers.best - held.raw).astype(np.float64)
        sparser = spread < 0.95 * walkers.spread
        walkers.samples = np.maximum((spread / _L1_SLOWER).astype(np.int64), 1)
        shortened = np.maximum(walkers.length / _L1_SLOWER, self._radius / _L1_LEAST)
        walkers.length = np.where(sparser, self._radius, shortened)
        walkers.restart(sparser)
        walkers.spread = spread
