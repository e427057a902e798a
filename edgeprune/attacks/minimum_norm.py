"""Attacks that look for the least change of each window, whatever its size.

The attacks themselves are foolbox's (FMN, DDN, Carlini and Wagner) or follow the paper (Brendel and
Bethge); they see the victim's own forward pass and a gradient straight through its roundings. Their
result is brought to whole counts that the victim decides otherwise and made smaller there
(`shrink`); where it flips nothing, that begins at another window or along the slope. The size
reported so is that of whole counts, of a change that the exact network gives in to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.boundary_walk import starting_points, walk
from edgeprune.attacks.foolbox_bridge import run_foolbox
from edgeprune.attacks.foolbox_import import foolbox_attacks
from edgeprune.attacks.result import AttackResult, judged
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.shrink import Found, Shrinker
from edgeprune.attacks.victims import Victim
from edgeprune.data.held import HeldWindows
from edgeprune.progress import Progress

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]

# What 1 is in foolbox's eyes, whose step sizes are for inputs between 0 and 1: about the length of
# a change that matters; for a few samples at the ends of the converter's range, half of that.
_UNIT_MICROVOLT, _UNIT_LSB = 2500.0, 64.0
# DDN grows from 1 and shrinks quickly.
_UNIT_DDN = 2
# Searches over the weight of the logits (Carlini and Wagner 2017 take 9).
_WEIGHTS = 6
_SEED = (1 << 63) - 1


def fmn(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, progress: Progress
) -> AttackResult:
    """Fast minimum-norm attack (Pintor et al. 2021, arXiv:2102.12827) in any norm."""

    def make() -> Any:
        foolbox_attacks()
        from edgeprune.attacks.foolbox_mended import FMN

        return FMN[ball.norm](steps=settings.steps, max_stepsize=1.0)

    return _by_foolbox("fmn", make, 1, victim, labels, ball, settings, progress)


def ddn(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, progress: Progress
) -> AttackResult:
    """Decoupled direction and norm (Rony et al. 2019, arXiv:1811.09600), L2."""

    def make() -> Any:
        return foolbox_attacks().DDNAttack(steps=settings.steps)

    return _by_foolbox("ddn", make, _UNIT_DDN, victim, labels, ball, settings, progress)


def carlini_wagner(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, progress: Progress
) -> AttackResult:
    """Attack of Carlini and Wagner (2017, arXiv:1608.04644), L2: `steps` for each of 6 weights."""

    def make() -> Any:
        return foolbox_attacks().L2CarliniWagnerAttack(
            binary_search_steps=_WEIGHTS,
            steps=settings.steps,
            stepsize=0.02,
            initial_const=0.01,
            abort_early=False,
        )

    return _by_foolbox("carlini-wagner", make, 1, victim, labels, ball, settings, progress)


def brendel_bethge(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, progress: Progress
) -> AttackResult:
    """Attack of Brendel and Bethge (2019); see `boundary_walk`."""
    rows, generator = _right(victim, labels), np.random.default_rng(settings.seed)
    wanted = labels[rows]
    with progress.task("brendel-bethge", settings.steps, "steps") as advance:
        found = starting_points(victim, rows, wanted, ball.norm, generator)
        found = walk(victim, rows, wanted, ball.norm, found, settings.steps, advance)
    shrinker = Shrinker(victim, rows, wanted, ball.norm)
    found = shrinker.search(found, settings.rounds, generator)
    return _result("brendel-bethge", victim, labels, ball, rows, found)


def smallest(
    name: str,
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    position: Float64Array,
    settings: AttackSettings,
) -> AttackResult:
    """Return the least changes found on the way to positions and near there.

    This is how a change found on another network (the float one that an integer network was made
    from) becomes one of this victim.

    Args:
        name: Of the attack.
        victim: Decides.
        labels: The right decisions [n].
        ball: Whose norm is made small; a success lies within it.
        position: Counts, float64 [n, reach].
        settings: `rounds` of the search over whole counts, `seed`.
    """
    rows, generator = _right(victim, labels), np.random.default_rng(settings.seed)
    shrinker = Shrinker(victim, rows, labels[rows], ball.norm)
    found = shrinker.along(position[rows].astype(np.float64))
    found = shrinker.search(found, settings.rounds, generator)
    return _result(name, victim, labels, ball, rows, found)


def _by_foolbox(
    name: str,
    make: Callable[[], Any],
    units: int,
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    rows, generator = _right(victim, labels), np.random.default_rng(settings.seed)
    wanted = labels[rows]
    unit = units * _unit(victim, ball.norm)
    shrinker = Shrinker(victim, rows, wanted, ball.norm)
    found = shrinker.nothing()
    with progress.task(name, 2, "stages") as advance:
        if len(rows):
            seed = settings.seed & _SEED
            position, passes = run_foolbox(victim, rows, wanted, make, unit, seed)
            found = shrinker.along(position)
            found.queries[:] += passes
            found = _elsewhere(victim, rows, wanted, ball.norm, found, generator)
        advance(1)
        found = shrinker.search(found, settings.rounds, generator)
        advance(1)
    return _result(name, victim, labels, ball, rows, found)


def _elsewhere(
    victim: Victim,
    rows: Int64Array,
    wanted: Int64Array,
    norm: str,
    found: Found,
    generator: np.random.Generator,
) -> Found:
    """Return what was found; where nothing was, a change that flips at least."""
    missing = np.flatnonzero(~found.flipped)
    if not len(missing):
        return found
    other = starting_points(victim, rows[missing], wanted[missing], norm, generator)
    raw, size = found.raw.copy(), found.size.copy()
    queries, flipped = found.queries.copy(), found.flipped.copy()
    raw[missing], size[missing], flipped[missing] = other.raw, other.size, other.flipped
    queries[missing] += other.queries
    return Found(raw, flipped, size, queries)


def _unit(victim: Victim, norm: str) -> float:
    """Return the counts in 1 of what foolbox sees, a power of 2 so that counts stay exact."""
    held = victim.held
    least, greatest = held.count_range
    if norm == "l0":
        return float(greatest - least + 1) / 2
    counts = _UNIT_LSB
    if isinstance(held, HeldWindows):
        counts = _UNIT_MICROVOLT / held.adc.microvolt_per_count
    counts = min(counts, (greatest - least + 1) / 4)
    return float(2.0 ** np.rint(np.log2(max(counts, 1.0))))


def _right(victim: Victim, labels: Int64Array) -> Int64Array:
    """Return the windows that are decided right as recorded: the others need no attack."""
    decided = victim.decide(victim.held.raw, np.arange(len(labels)))
    return np.flatnonzero(decided == labels)


def _result(
    name: str, victim: Victim, labels: Int64Array, ball: Ball, rows: Int64Array, found: Found
) -> AttackResult:
    raw = np.array(victim.held.raw)
    queries = np.zeros(len(labels), np.int64)
    raw[rows], queries[rows] = found.raw, found.queries
    return judged(name, victim, labels, ball, raw, queries)
