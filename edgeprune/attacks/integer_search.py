"""What follows gradients: moves of blocks of samples, each judged by the exact network.

A network of integers is a staircase: gradients that pass straight through its roundings lead near
a step and not over it. The best member of each window is changed block by block (as the square
attack of Andriushchenko et al. 2020 does, and the search for counterexamples of `verification`):
towards the corner that the slope at that member names, towards a random member, or back towards
the window as recorded, which frees some of the norm for other samples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.losses import margin
from edgeprune.attacks.result import Int64Array
from edgeprune.attacks.search import Search, look
from edgeprune.attacks.victims import Victim
from edgeprune.verification.outcomes import BoolArray, Int16Array
from edgeprune.verification.perturbations.part import movable

Float64Array = npt.NDArray[np.float64]

# Windows are searched of which gradients took this share of the margin, and the nearest of all.
_TAKEN, _NEAREST = 0.25, 0.25
# Samples of a block that moves.
_BLOCKS = (1, 2, 3, 6, 12, 24, 48, 96)
# Members tried for each window, a round.
PROPOSALS = 12


def refine(
    search: Search,
    victim: Victim,
    rows: Int64Array,
    rounds: int,
    generator: np.random.Generator,
) -> None:
    """Search from the best members of some windows, until these are broken or rounds are over.

    Args:
        search: Keeps what is found; the best members of `rows` have been judged.
        victim: What is attacked.
        rows: Windows [m].
        rounds: Rounds.
        generator: Draws blocks and members.
    """
    if search.ball.norm != "l0":
        # In l0 gradients name samples badly, so that what they took says nothing.
        rows = _near(search, rows)
    for _ in range(rounds):
        rows = rows[search.right[rows] & ~search.broken[rows]]
        if not len(rows):
            return
        _round(search, victim, rows, generator)


def _near(search: Search, rows: Int64Array) -> Int64Array:
    """Return the windows that blocks may still break."""
    rows = rows[search.right[rows] & ~search.broken[rows]]
    if not len(rows):
        return rows
    margins = search.margin[rows]
    taken = margins <= (1 - _TAKEN) * search.recorded[rows]
    return np.asarray(rows[taken | (margins <= np.quantile(margins, _NEAREST))])


def _round(
    search: Search, victim: Victim, rows: Int64Array, generator: np.random.Generator
) -> None:
    ball, raw = search.ball, search.raw[rows]
    held = victim.held.select(rows)
    seen = look(search, victim, rows, raw)
    slope = seen.gradient(margin(seen.logits, search.labels[rows])[1])
    corner = ball.steepest(held, slope)
    tried = np.repeat(np.arange(len(rows)), PROPOSALS)
    many = held.select(tried)
    best = raw[tried].astype(np.float64)
    goal = corner[tried]
    kind = generator.random(len(tried))
    drawn, back = kind > 0.5, kind > 0.8
    goal[drawn] = ball.random(many.select(drawn), generator)
    goal[back] = many.raw[back]
    share = np.where(generator.random(len(tried)) < 0.5, 1.0, generator.random(len(tried)))
    block = _blocks(len(tried), movable(held), raw.shape[1], generator)
    position = best + np.where(block, share[:, np.newaxis] * (goal - best), 0.0)
    if ball.norm != "linf":
        # What one block gains another gives back: the size is all spent already.
        other = _blocks(len(tried), movable(held), raw.shape[1], generator) & ~block
        other[generator.random(len(tried)) < 0.5] = False
        position = np.where(other, many.raw, position)
    candidate: Int16Array = ball.rounded(many, position)
    moved = (candidate != raw[tried]).any(axis=1)
    windows = rows[tried[moved]]
    candidate = candidate[moved]
    for start in range(0, len(windows), 512):
        part = slice(start, start + 512)
        found = victim.look(candidate[part], windows[part])
        search.note(windows[part], candidate[part], found.decisions, found.logits)


def _blocks(count: int, samples: int, reach: int, generator: np.random.Generator) -> BoolArray:
    """Return one block of neighbouring samples for each of `count` candidates [count, reach]."""
    fitting = [each for each in _BLOCKS if each <= samples]
    length = generator.choice(fitting, count)
    first = generator.integers(-length + 1, samples)
    place = np.arange(reach)
    block = (place >= first[:, np.newaxis]) & (place < (first + length)[:, np.newaxis])
    return np.asarray(block & (place < samples))
