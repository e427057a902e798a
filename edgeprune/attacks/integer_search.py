"""What follows gradients: moves of blocks of samples, each judged by the exact network.

A network of integers is a staircase: gradients that pass straight through its roundings lead near
a step and not over it. The best member of each window is changed block by block (as the square
attack of Andriushchenko et al. 2020 does, and the search for counterexamples of `verification`):
towards the corner that the slope at that member names, towards a random member, or back towards
the window as recorded, which frees some of the norm for other samples. Where few samples may
move, some are exchanged for others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.losses import margin
from edgeprune.attacks.result import Int64Array
from edgeprune.attacks.search import Search, look
from edgeprune.attacks.victims import Victim
from edgeprune.verification.falsify import Windows
from edgeprune.verification.outcomes import BoolArray, Int16Array
from edgeprune.verification.perturbations.part import movable

Float64Array = npt.NDArray[np.float64]

# Windows are searched of which gradients took this share of the margin, and the nearest of all.
_TAKEN, _NEAREST = 0.25, 0.25
# Samples of a block that moves.
_BLOCKS = (1, 2, 3, 6, 12, 24, 48, 96)
# Samples that count as steep where few may move.
_STEEPEST = 32
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
    tried = np.repeat(np.arange(len(rows)), PROPOSALS)
    many, best = held.select(tried), raw[tried].astype(np.float64)
    propose = _exchanged if ball.norm == "l0" else _moved
    position = propose(ball, many, best, slope[tried], generator)
    candidate: Int16Array = ball.rounded(many, position)
    moved = (candidate != raw[tried]).any(axis=1)
    windows = rows[tried[moved]]
    candidate = candidate[moved]
    for start in range(0, len(windows), 512):
        part = slice(start, start + 512)
        found = victim.look(candidate[part], windows[part])
        search.note(windows[part], candidate[part], found.decisions, found.logits)


def _moved(
    ball: Ball,
    held: Windows,
    best: Float64Array,
    slope: Float64Array,
    generator: np.random.Generator,
) -> Float64Array:
    """Return positions with a block of samples moved towards a corner, a member or home."""
    count = len(best)
    samples, reach = movable(held), best.shape[1]
    goal = ball.steepest(held, slope)
    kind = generator.random(count)
    drawn, back = kind > 0.5, kind > 0.8
    goal[drawn] = ball.random(held.select(drawn), generator)
    goal[back] = held.raw[back]
    share = np.where(generator.random(count) < 0.5, 1.0, generator.random(count))
    block = _blocks(count, samples, reach, generator)
    position = best + np.where(block, share[:, np.newaxis] * (goal - best), 0.0)
    if ball.norm != "linf":
        # What one block gains another gives back: the size is all spent already.
        other = _blocks(count, samples, reach, generator) & ~block
        other[generator.random(count) < 0.5] = False
        position = np.where(other, held.raw, position)
    return np.asarray(position)


def _exchanged(
    ball: Ball,
    held: Windows,
    best: Float64Array,
    slope: Float64Array,
    generator: np.random.Generator,
) -> Float64Array:
    """Return positions with some changes undone and neighbouring samples moved far instead."""
    count, samples = len(best), movable(held)
    low, high = ball.limits(held)
    undone = generator.random(best.shape) < generator.random((count, 1))
    position = np.where(undone, held.raw, best)
    # Neighbours, because the front end adds them up; at one of the steepest samples or anywhere.
    most = max(1, min(int(ball.radius(held)), samples))
    length = generator.integers(1, most + 1, count)
    steep = np.argsort(-np.abs(slope[:, :samples]), axis=1)[:, :_STEEPEST]
    picked = steep[np.arange(count), generator.integers(0, steep.shape[1], count)]
    anywhere = generator.integers(0, samples, count)
    first = np.where(generator.random(count) < 0.5, picked, anywhere)
    first -= generator.integers(0, length)
    place = np.arange(best.shape[1])
    block = (place >= first[:, np.newaxis]) & (place < (first + length)[:, np.newaxis])
    # To an end of the range, mostly the one that the slope names, or part of the way there.
    upward = slope.sum(axis=1, where=block) > 0
    upward ^= generator.random(count) < 0.3
    end = np.where(upward[:, np.newaxis], high, low)
    share = np.where(generator.random(count) < 0.6, 1.0, generator.random(count))
    return np.where(block, held.raw + share[:, np.newaxis] * end, position)


def _blocks(count: int, samples: int, reach: int, generator: np.random.Generator) -> BoolArray:
    """Return one block of neighbouring samples for each of `count` candidates [count, reach]."""
    fitting = [each for each in _BLOCKS if each <= samples]
    length = generator.choice(fitting, count)
    first = generator.integers(-length + 1, samples)
    place = np.arange(reach)
    block = (place >= first[:, np.newaxis]) & (place < (first + length)[:, np.newaxis])
    return np.asarray(block & (place < samples))
