"""Layer pruning with consensus: several measures of what a block changes, their ranks added."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from edgeprune.classifiers import deciding
from edgeprune.classifiers.structure import layers_in_use
from edgeprune.pruning.edits import BlockRemoval, apply
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.similarity import DISTANCES, Representation

_BATCH = 256


def consensus(model: nn.Module, blocks: Sequence[str], materials: Materials) -> dict[str, float]:
    """Return the sum of a block's ranks: 1 for the block that a measure misses least.

    Each measure of `similarity.DISTANCES` compares what the last layer reads with and without the
    block (Mugnaini et al., arXiv 2411.14345). Equal distances share their mean rank: with no more
    windows than features, any two representations fit each other linearly. Their released
    code has, besides, three stochastic shape metrics, which need class covariances from more
    windows than features; we leave them out.

    Args:
        model: The classifier.
        blocks: Names of what can become the identity.
        materials: Windows.
    """
    whole = representation(model, materials)
    others = [
        representation(apply(model, (BlockRemoval(block, 0.0),), materials.example), materials)
        for block in blocks
    ]
    total = np.zeros(len(blocks))
    for name in DISTANCES:
        distance = DISTANCES.get(name)
        total += rankdata([distance(whole, other) for other in others])
    return {block: float(ranks) for block, ranks in zip(blocks, total, strict=True)}


@torch.no_grad()
def representation(model: nn.Module, materials: Materials) -> Representation:
    """Return what a classifier's last layer reads, float64 [n, features].

    Args:
        model: The classifier; its mode is restored.
        materials: Windows.
    """
    layers, _ = layers_in_use(model, materials.example)
    read: list[Tensor] = []
    handle = layers[-1].register_forward_pre_hook(lambda _, given: read.append(given[0]))
    try:
        with deciding(model):
            for start in range(0, len(materials.labels), _BATCH):
                model(*(tensor[start : start + _BATCH] for tensor in materials.inputs))
    finally:
        handle.remove()
    found: Representation = torch.cat(read).flatten(1).double().numpy()
    return found
