"""The search for counterexamples in sets of few parameters: members are drawn, the best refined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeprune.data.held import HeldWindows
from edgeprune.network.tensor import Int64Array
from edgeprune.verification.falsify import Attacked, AttackSettings, Judge, State, Target, attack
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.perturbations import Perturbation, Pieces

# Members drawn for each window at first, and in each round around the best.
_FIRST = 96
_AGAIN = 24
_ROUNDS = 6


def search_parameters(
    target: Target, settings: AttackSettings, random: np.random.Generator, judge: Judge
) -> Attacked:
    """Search the parameters of low-dimensional sets, then what each sample may add to them.

    Args:
        target: What is attacked; its perturbation has parameters.
        settings: How hard the samples are searched, for sums with an L-infinity part.
        random: Decides what is drawn.
        judge: Of the same network.
    """
    state = State(target, judge)
    whole = target.members.whole(target.held)
    count = len(target.decisions)
    # One line of a table for each alternative range of each window.
    order = np.argsort(whole.row, kind="stable").reshape(count, -1)
    low, high = whole.low[order], whole.high[order]
    rows = np.repeat(np.arange(count), _FIRST)
    which = random.integers(0, order.shape[1], len(rows))
    ends = low[rows, which], high[rows, which]
    share = random.random(ends[0].shape)
    # A third of all parameters lie at an end.
    share = np.where(random.random(share.shape) < 1 / 3, np.rint(share), share)
    best, kept = _try(state, rows, which, ends[0] + share * (ends[1] - ends[0]), whole, order)
    for number in range(_ROUNDS):
        rows = np.repeat(state.open(), _AGAIN)
        if not len(rows):
            break
        which = kept[rows]
        least, most = low[rows, which], high[rows, which]
        step = random.normal(size=least.shape) * (most - least) * 0.25 * 0.5**number
        tried = np.clip(best[rows] + step, least, most)
        found, alternative = _try(state, rows, which, tried, whole, order)
        for window in np.unique(rows).tolist():
            if np.isfinite(found[window, 0]):
                best[window], kept[window] = found[window], alternative[window]
    _add_samples(state, settings, random)
    return Attacked(state.raw, state.margin, state.falsified)


def _try(
    state: State,
    rows: Int64Array,
    which: Int64Array,
    parameters: FloatArray,
    whole: Pieces,
    order: Int64Array,
) -> tuple[FloatArray, Int64Array]:
    """Judge members; return the parameters of those that became a window's best, else NaN."""
    target = state.target
    pieces = whole.select(order[rows, which])
    allowed = target.members.contains_parameters(target.held, pieces, parameters)
    rows, which, parameters = rows[allowed], which[allowed], parameters[allowed]
    found = np.full((len(target.decisions), parameters.shape[1]), np.nan)
    alternative = np.zeros(len(target.decisions), np.int64)
    if len(rows):
        before = state.margin.copy()
        raw = target.members.realise(target.held.select(rows), parameters)
        _, margin = state.take(rows, raw)
        for place in np.argsort(-margin).tolist():
            window = rows[place]
            if margin[place] < before[window]:
                found[window], alternative[window] = parameters[place], which[place]
    return found, alternative


def _add_samples(state: State, settings: AttackSettings, random: np.random.Generator) -> None:
    """Search what each sample may move by itself, around each window's best member so far."""
    target = state.target
    rest = tuple(part for part in target.members.parts if part.in_counts and not part.dimensions)
    rows = state.open()
    part = target.select(rows)
    if not rest or not len(rows) or not isinstance(part.held, HeldWindows):
        return
    moved = replace(part.held, raw=state.raw[rows])
    around = replace(part, held=moved, members=Perturbation(rest))
    found = attack(around, settings, random, state.judge)
    # What the converter had cut off already is not given back by a sample's own change.
    inside = target.members.contains(part.held, found.raw)
    if inside.any():
        state.take(rows[inside], found.raw[inside])
