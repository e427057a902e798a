"""Channels that zeros have made useless: removing them changes nothing but what it costs.

A channel is dead if nobody reads it (all weights on it are zero), or if nothing makes it (all
weights that make it are zero) and what is left of it behind its ReLU is zero.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgeprune.classifiers.structure import Layer
from edgeprune.pruning.channels import channel_groups
from edgeprune.pruning.edits import (
    Edit,
    NewWeights,
    Removal,
    ZeroedWeights,
    apply,
    held_zeros,
)
from edgeprune.pruning.graph import ChannelGraph, dependencies
from edgeprune.pruning.materials import Materials

_TOLERANCE = 1e-4


def with_dead_channels(
    model: nn.Module, edits: Sequence[Edit], materials: Materials, multiple: int
) -> tuple[Edit, ...]:
    """Return edits with all that follows from them at no price: dead channels go as well.

    Args:
        model: The classifier before the edits.
        edits: What makes weights zero; other edits are returned as they are.
        materials: Inputs to call it with.
        multiple: Channel counts are kept multiples of this, and at least this; of dead channels
            that stay for it all weights become zero.

    Returns:
        The edits, then zeros, then removals, in numbers of `model`.
    """
    found = tuple(edits)
    if not edits or not all(isinstance(edit, ZeroedWeights | NewWeights) for edit in edits):
        return found
    zeroed = apply(model, edits, materials.example)
    silenced = copy.deepcopy(zeroed)
    more: list[Edit] = []
    removals = []
    for layer, dead in _dead(silenced, materials.example).items():
        keep = max(int((~dead).sum()), 1)
        spare = len(dead) - -(-keep // multiple) * multiple
        if spare > 0:
            numbers = torch.nonzero(dead).flatten()[:spare].tolist()
            removals.append(Removal(layer, tuple(numbers), 0.0))
    before = held_zeros(zeroed)
    for name, zeros in held_zeros(silenced).items():
        new = zeros & ~before.get(name, torch.zeros_like(zeros))
        positions = torch.nonzero(new.flatten()).flatten().numpy()
        if len(positions):
            more.append(ZeroedWeights(name.removesuffix(".weight"), positions, 0.0))
    whole = (*found, *more, *removals)
    if len(whole) == len(found) or not _same(
        zeroed, apply(model, whole, materials.example), materials
    ):
        return found
    return whole


@dataclass(frozen=True)
class _Side:
    """The channels of a group as one layer has them.

    Attributes:
        layer: The layer.
        places: Its rows (of a maker) or columns (of a reader), int64 [k].
        channels: Channel of the group that each belongs to, int64 [k].
    """

    layer: Layer
    places: Tensor
    channels: Tensor


@torch.no_grad()
def _dead(model: nn.Module, example: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Return which channels [n] of each group are dead; weights of them are made zero."""
    graph = dependencies(model, example)
    groups = {
        name: (_sides(graph, group, makers=True), _sides(graph, group, makers=False))
        for name, group in channel_groups(model, example, graph)
    }
    dead = {
        name: torch.zeros(graph.get_out_channels(model.get_submodule(name)), dtype=torch.bool)
        for name in groups
    }
    changed = True
    while changed:
        changed = False
        inputs = _inputs(model, example)
        for name, (makers, readers) in groups.items():
            gone = ~_read(readers, len(dead[name])) | _silent(
                makers, readers, inputs, len(dead[name])
            )
            if bool((gone & ~dead[name]).any()):
                changed = True
                dead[name] |= gone
                for side in makers:
                    side.layer.weight[side.places[dead[name][side.channels]]] = 0
                for side in readers:
                    side.layer.weight[:, side.places[dead[name][side.channels]]] = 0
    return dead


def _sides(graph: ChannelGraph, group: Any, *, makers: bool) -> list[_Side]:
    return [
        _Side(item.dep.target.module, torch.tensor(item.idxs), torch.tensor(item.root_idxs))
        for item in group
        if isinstance(item.dep.target.module, Layer)
        and graph.is_out_channel_pruning_fn(item.dep.handler) == makers
    ]


def _read(readers: Sequence[_Side], channels: int) -> Tensor:
    """Return which channels anyone reads, bool [n]."""
    read = torch.zeros(channels, dtype=torch.bool)
    for side in readers:
        used = (side.layer.weight.transpose(0, 1).flatten(1) != 0).any(1)
        read[side.channels[used[side.places]]] = True
    return read


def _silent(
    makers: Sequence[_Side],
    readers: Sequence[_Side],
    inputs: dict[nn.Module, Tensor],
    channels: int,
) -> Tensor:
    """Return which channels nothing makes and that are zero where they are read, bool [n]."""
    silent = torch.ones(channels, dtype=torch.bool)
    for side in makers:
        made = (side.layer.weight.flatten(1) != 0).any(1)
        silent[side.channels[made[side.places]]] = False
    for side in readers:
        heard = (inputs[side.layer].transpose(0, 1).flatten(1) != 0).any(1)
        silent[side.channels[heard[side.places]]] = False
    return silent


def _inputs(model: nn.Module, example: tuple[Tensor, ...]) -> dict[nn.Module, Tensor]:
    """Return what each layer reads when the model is called."""
    found: dict[nn.Module, Tensor] = {}

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[layer] = inputs[0]

    handles = [
        layer.register_forward_pre_hook(watch)
        for layer in model.modules()
        if isinstance(layer, Layer)
    ]
    try:
        model.eval()(*example)
    finally:
        for handle in handles:
            handle.remove()
    return found


@torch.no_grad()
def _same(first: nn.Module, second: nn.Module, materials: Materials) -> bool:
    generator = torch.Generator().manual_seed(materials.seed)
    inputs = materials.inputs
    if not len(materials.labels):
        inputs = tuple(torch.randn(t.shape, generator=generator) for t in materials.example)
    one, other = (copy.deepcopy(model).eval()(*inputs) for model in (first, second))
    size = max(1.0, float(one.abs().max()))
    return bool((one - other).abs().max() <= _TOLERANCE * size)
