"""Every member of a small set, one after the other: the attack that misses nothing."""

from __future__ import annotations

import numpy as np

from edgeprune.verification.falsify import Attacked, Judge, Target

# Sets of at most so many members (as a power of two) are tried whole.
_FEW_BITS = 12.0


def enumerate_members(target: Target, found: Attacked, judge: Judge) -> Attacked:
    """Try every member of the small sets, where only the network's inputs move.

    Args:
        target: What is attacked; its windows are `HeldInputs`.
        found: What the search found.
        judge: Of the same network.
    """
    raw, falsified = found.raw.copy(), found.falsified.copy()
    sets = target.members.input_sets(target.held)
    low = np.concatenate([ends.reshape(len(ends), -1) for ends in sets.low], axis=1)
    high = np.concatenate([ends.reshape(len(ends), -1) for ends in sets.high], axis=1)
    widths = high.astype(np.float64) - low + 1
    few = np.log2(widths).sum(axis=1) <= _FEW_BITS
    for window in np.flatnonzero(few & ~falsified).tolist():
        ranges = [
            np.arange(a, b + 1) for a, b in zip(low[window], high[window], strict=True) if a < b
        ]
        moved = np.flatnonzero(low[window] < high[window])
        every = np.repeat(low[window : window + 1], int(widths[window].prod()), axis=0)
        every[:, moved] = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(len(every), -1)
        held = target.held.select(np.full(len(every), window))
        tried = every.astype(np.int16)
        _, decided = judge.logits(held.inputs(tried))
        flips = target.members.contains(held, tried) & (decided != target.decisions[window])
        if flips.any():
            raw[window], falsified[window] = tried[flips.argmax()], True
    return Attacked(raw, found.margin, falsified)
