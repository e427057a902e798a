"""One change for all windows: found on some, tried on others.

Moosavi-Dezfooli et al. 2017 (arXiv:1610.08401) ask for it; found here by projected gradient steps
on the mean of the windows' clipped losses (Shafahi et al. 2020, arXiv:1811.11304), so that windows
that are turned already pull no longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.losses import margin
from edgeprune.attacks.result import AttackResult, judged
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.steps import led, step
from edgeprune.attacks.victims import BlackBox, Victim
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Progress
from edgeprune.verification.falsify import Windows
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.outcomes import Int16Array
from edgeprune.verification.perturbations.part import movable

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

NORMS = ("linf", "l2", "l1")
_REACH = 2.5
_BATCH = 256


@dataclass(frozen=True, eq=False)
class UniversalChange:
    """One change of whole counts.

    Attributes:
        change: int16 counts [reach].
        ball: What it is within, as it is written.
        turned: Share of the windows decided right, that it was fitted on, which it turned.
        windows: How many these were.
    """

    change: Int16Array
    ball: str
    turned: float
    windows: int

    def applied(self, held: Windows) -> Int16Array:
        """Return windows with the change, cut to the converter's range: int16 [n, reach].

        Raises:
            ConfigurationError: The windows are of another length.
        """
        if held.raw.shape[1] != len(self.change):
            raise ConfigurationError(
                f"a change of {len(self.change)} samples, windows of {held.raw.shape[1]}",
                where="universal change",
                hint="fit it on windows of the same front end",
            )
        least, greatest = held.count_range
        count = movable(held)
        raw = held.raw.astype(np.int64)
        raw[:, :count] = np.clip(raw[:, :count] + self.change[:count], least, greatest)
        return raw.astype(np.int16)


def fit_universal(
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> UniversalChange:
    """Find the change that turns as many of the victim's windows as possible.

    Args:
        victim: The network and the windows to fit on (validation windows).
        labels: Their right decisions [n].
        ball: What one change may be; "linf", "l2" or "l1".
        settings: `steps` passes over all windows, `restarts`, `seed`.
        progress: Receives the course.

    Raises:
        ConfigurationError: There are no windows.
    """
    held = victim.held
    right = np.flatnonzero(victim.decide(held.raw, np.arange(len(labels))) == labels)
    if not len(held):
        raise ConfigurationError("no windows to fit one change on", where="universal change")
    generator = np.random.default_rng(settings.seed)
    size, count = held.raw.shape[1], movable(held)
    # The change is a window of its own, about a level in the middle of the range.
    frame = _frame(held)
    length = _REACH * ball.radius(held) / settings.steps
    best, most = np.zeros(size, np.int16), -1
    with progress.task("universal change", settings.restarts * settings.steps, "steps") as advance:
        for start in range(settings.restarts):
            centre = frame.raw.astype(np.float64)
            position = ball.random(frame, generator).astype(np.float64) if start else centre.copy()
            for number in range(settings.steps + 1):
                change = (ball.rounded(frame, position) - frame.raw)[0]
                turned, slope = _pass(victim, labels, right, change)
                if turned > most:
                    best, most = change.astype(np.int16), turned
                if number == settings.steps:
                    break
                slope[count:] = 0
                heading = step(ball, frame, position, led(slope[np.newaxis], generator))
                position = ball.project(frame, position + length * heading)
                advance(1)
    return UniversalChange(best, ball.text, max(most, 0) / max(1, len(right)), len(right))


def try_universal(
    victim: BlackBox, labels: Int64Array, ball: Ball, found: UniversalChange
) -> AttackResult:
    """Return what one change does to a victim's windows, one query each."""
    raw = found.applied(victim.held)
    return judged("universal", victim, labels, ball, raw, np.ones(len(labels), np.int64))


def universal(
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    """Fit one change on these very windows and apply it to them: the most it could do.

    For one that was fitted elsewhere, see `fit_universal` and `try_universal`.
    """
    found = fit_universal(victim, labels, ball, settings, progress)
    return try_universal(victim, labels, ball, found)


def _frame(held: Windows) -> Windows:
    """Return one window whose changes are only bounded by the ball."""
    one = held.select(np.zeros(1, np.int64))
    if isinstance(one, HeldInputs):
        return replace(one, values=tuple(np.zeros_like(values) for values in one.values))
    return replace(one, raw=np.zeros_like(one.raw))


def _pass(
    victim: Victim, labels: Int64Array, right: Int64Array, change: Int64Array
) -> tuple[int, Float64Array]:
    """Return how many windows a change turns, and where the others lean to [reach]."""
    least, greatest = victim.held.count_range
    turned, total = 0, np.zeros(len(change))
    for first in range(0, len(right), _BATCH):
        rows = right[first : first + _BATCH]
        moved = np.clip(victim.held.raw[rows].astype(np.int64) + change, least, greatest)
        seen = victim.look(moved.astype(np.int16), rows)
        over = seen.decisions != labels[rows]
        turned += int(over.sum())
        _, weights = margin(seen.logits, labels[rows])
        weights[over] = 0
        total += seen.gradient(weights).sum(axis=0)
    return turned, total
