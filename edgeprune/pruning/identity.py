"""When two classifiers cost the same: the same layers, the same widths, the same zeros."""

from __future__ import annotations

import hashlib

from torch import nn

from edgeprune.classifiers.replacements import replacements
from edgeprune.classifiers.structure import layer_widths
from edgeprune.pruning.edits import held_zeros


def structure_digest(model: nn.Module) -> str:
    """Return a hash of all that decides a classifier's firmware but the values of its weights."""
    digest = hashlib.sha256()
    digest.update(repr(layer_widths(model)).encode())
    digest.update(repr(replacements(model)).encode())
    for name, zeros in held_zeros(model).items():
        digest.update(name.encode() + zeros.numpy().tobytes())
    return digest.hexdigest()
