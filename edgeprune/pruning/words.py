"""Edits in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeprune.pruning.edits import Edit, NewWeights, Removal, ZeroedWeights

_WORDS = {
    "block": ("block or layer removed", "blocks or layers removed"),
    "factors": ("layer made of low rank", "layers made of low rank"),
    "graft": ("layer grafted", "layers grafted"),
    "top-k": ("layer kept to its largest outputs", "layers kept to their largest outputs"),
}


def edits_in_words(edits: Sequence[Edit]) -> str:
    """Return what edits do ("12 channels removed, 340 weights made zero")."""
    channels = sum(len(edit.channels) for edit in edits if isinstance(edit, Removal))
    zeroed = sum(len(edit.positions) for edit in edits if isinstance(edit, ZeroedWeights))
    # A normalization has a vector: it only takes the bias of the layer in front of it.
    solved = [edit for edit in edits if isinstance(edit, NewWeights) and edit.weight.ndim > 1]
    parts = []
    if channels:
        parts.append(f"{channels} channels removed")
    if zeroed:
        parts.append(f"{zeroed} weights made zero")
    if solved:
        left = sum(int(np.count_nonzero(edit.weight)) for edit in solved)
        parts.append(f"{left} weights left in {len(solved)} layers of new weights")
    kinds = [edit.kind for edit in edits]
    for kind in dict.fromkeys(kinds):
        if kind in ("channels", "zeros", "weights"):
            continue
        one, many = _WORDS.get(kind, (f"{kind} edit", f"{kind} edits"))
        number = kinds.count(kind)
        parts.append(f"{number} {one if number == 1 else many}")
    return ", ".join(parts)
