"""Members that a bound points at: each is judged, for it may be the counterexample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeprune.data.held_front_end import HeldBeats
from edgeprune.network.tensor import Int64Array
from edgeprune.verification.falsify import Judge, Target
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.outcomes import Int16Array
from edgeprune.verification.perturbations import Pieces


def probe_worst(
    target: Target, judge: Judge, windows: Int64Array, worst: FloatArray
) -> dict[int, Int16Array]:
    """Judge the members that lie towards the inputs where bounds are attained.

    Args:
        target: What is attacked.
        judge: Of the same network.
        windows: int64 [n].
        worst: The first input where a bound is attained, float64 [n, size].

    Returns:
        A member that is decided otherwise, by window.
    """
    if not len(windows):
        return {}
    held = target.held.select(windows)
    signal = held.inputs()[0]
    change = worst - signal.reshape(len(windows), -1)
    if isinstance(held, HeldBeats):
        change = change.reshape(signal.shape).sum(axis=2)
    return _judged(target, judge, windows, target.members.vertex(held, change))


def probe_pieces(
    target: Target, judge: Judge, pieces: Sequence[tuple[int, FloatArray]]
) -> dict[int, Int16Array]:
    """Judge the member in the middle of each piece of a low-dimensional set.

    Args:
        target: What is attacked.
        judge: Of the same network.
        pieces: Windows, and least and greatest parameters [2, dimensions].

    Returns:
        A member that is decided otherwise, by window.
    """
    if not pieces or not target.members.dimensions:
        return {}
    windows = np.array([window for window, _ in pieces])
    ends = np.stack([piece for _, piece in pieces])
    middle = ends.mean(axis=1)
    whole = Pieces(windows, ends[:, 0], ends[:, 1])
    allowed = target.members.contains_parameters(target.held, whole, middle)
    if not allowed.any():
        return {}
    windows = windows[allowed]
    raw = target.members.realise(target.held.select(windows), middle[allowed])
    return _judged(target, judge, windows, raw)


def _judged(
    target: Target, judge: Judge, windows: Int64Array, raw: Int16Array
) -> dict[int, Int16Array]:
    _, decided = judge.logits(target.held.select(windows).inputs(raw))
    found = {}
    for row in np.flatnonzero(decided != target.decisions[windows]).tolist():
        one = target.held.select(windows[row : row + 1])
        if bool(target.members.contains(one, raw[row : row + 1])[0]):
            found[int(windows[row])] = raw[row]
    return found
