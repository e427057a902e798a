"""Criteria that look at the weights alone, and the one that looks at nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeprune.pruning.edits import layer_of
from edgeprune.pruning.materials import Materials


@torch.no_grad()
def absolute(model: nn.Module, layers: Sequence[str], materials: Materials) -> dict[str, Tensor]:
    """Return |w|; sums over a channel are its L1 norm."""
    return {name: layer_of(model, name).weight.abs() for name in layers}


@torch.no_grad()
def squared(model: nn.Module, layers: Sequence[str], materials: Materials) -> dict[str, Tensor]:
    """Return w^2; sums over a channel are its L2 norm, squared."""
    return {name: layer_of(model, name).weight.square() for name in layers}


def random(model: nn.Module, layers: Sequence[str], materials: Materials) -> dict[str, Tensor]:
    """Return uniform draws: what chance does, to compare others with."""
    generator = torch.Generator().manual_seed(materials.seed)
    return {
        name: torch.rand(layer_of(model, name).weight.shape, generator=generator) for name in layers
    }
