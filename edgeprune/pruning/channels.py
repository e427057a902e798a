"""Removing whole channels, and everything that hangs together with them.

torch-pruning's dependency graph knows which rows and columns go with a channel: normalizations, the
next layers (through a flatten, too), and all layers that a residual addition ties together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from edgeprune.classifiers.structure import Layer, layers_in_use
from edgeprune.config import PruningSettings
from edgeprune.errors import ModelError
from edgeprune.pruning.criteria import CRITERIA, channel_scores
from edgeprune.pruning.edits import Removal
from edgeprune.pruning.graph import ChannelGraph, dependencies
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.scopes import paces_of

_MAGNITUDES = {"l1": 1, "l2": 2}


def cut_channels(
    model: nn.Module, removals: Sequence[Removal], example: tuple[Tensor, ...]
) -> None:
    """Remove channels, in place.

    Args:
        model: The classifier.
        removals: What to remove; channel numbers are those of `model` as given.
        example: Inputs to call it with.

    Raises:
        ModelError: A layer does not exist or has no such channel.
    """
    graph = dependencies(model, example)
    layers = dict(model.named_modules())
    doomed: dict[tuple[nn.Module, Any], set[int]] = {}
    for removal in removals:
        layer = layers.get(removal.layer)
        if layer is None or max(removal.channels) >= graph.get_out_channels(layer):
            raise ModelError(
                f"'{removal.layer}' has no channels {list(removal.channels)} to remove",
                where=removal.layer,
                hint="replay a history on the network it was made from",
            )
        for dependency, channels in _group(graph, layer, removal.channels):
            target = dependency.target.module
            if target in graph.names:
                doomed.setdefault((target, dependency.handler), set()).update(channels)
    # Each layer is cut once, with all that goes of it, so that no number is stale.
    for (target, cut), channels in doomed.items():
        cut(target, sorted(channels))


def channel_candidates(
    model: nn.Module, materials: Materials, settings: PruningSettings
) -> tuple[Removal, ...]:
    """Return everything that can be removed, in the order in which it should be.

    Channels go in sets of `settings.channel_multiple`, so that what is left is a multiple of it;
    the last set of a layer stays. Grouped convolutions that are not depthwise, and the logits, are
    left alone.

    Args:
        model: The classifier.
        materials: What criteria look at.
        settings: Importance, scope and the size of a set.

    Raises:
        UnknownNameError: No importance or scope has that name.
    """
    multiple = settings.channel_multiple
    scored = _group_scores(model, materials, settings.importance)
    paces = paces_of(settings, model, tuple(scored), materials)
    ranked: list[tuple[float, Removal]] = []
    for layer, scores in scored.items():
        ascending = torch.argsort(scores, stable=True).tolist()
        first = len(ascending) % multiple or multiple
        starts = [0, *range(first, len(ascending), multiple)]
        sets = [ascending[a:b] for a, b in pairwise(starts)]
        for number, members in enumerate(sets):
            value = float(scores[members].mean())
            removal = Removal(layer, tuple(sorted(members)), value)
            share = (number + 1) / (len(sets) + 1)
            ranked.append((value if paces is None else share / paces[layer], removal))
    ranked.sort(key=lambda entry: (entry[0], entry[1].importance))
    return tuple(removal for _, removal in ranked)


def _group_scores(model: nn.Module, materials: Materials, importance: str) -> dict[str, Tensor]:
    """Return the scores [channels] of each layer whose channels may go (of tied ones, one).

    Those of a group are the mean over its layers, each divided by its mean. Magnitudes are
    torch-pruning's, which count all that hangs on a channel, the next layer's columns too.
    """
    criterion = CRITERIA.get(importance, where="pruning.importance")
    graph = dependencies(model, materials.example)
    groups = dict(channel_groups(model, materials.example, graph))
    if importance in _MAGNITUDES:
        magnitude = torch_pruning.importance.GroupMagnitudeImportance(
            p=_MAGNITUDES[importance], group_reduction="mean", normalizer="mean"
        )
        return {layer: magnitude(group) for layer, group in groups.items()}
    tied = {layer: _tied_outputs(graph, group) for layer, group in groups.items()}
    names = tuple(name for members in tied.values() for name, _ in members)
    scores = channel_scores(criterion, model, names, materials)
    found = {}
    for layer, members in tied.items():
        parts = [scores[name][channels] for name, channels in members]
        found[layer] = torch.stack([p / p.mean().clamp_min(1e-30) for p in parts]).mean(0)
    return found


def channel_groups(
    model: nn.Module, example: tuple[Tensor, ...], graph: ChannelGraph
) -> Iterator[tuple[str, Any]]:
    """Yield each layer whose channels may go (of tied ones, one) with its group."""
    layers, _ = layers_in_use(model, example)
    seen: set[nn.Module] = {layers[-1]}
    for layer in layers:
        if layer in seen:
            continue
        group = _group(graph, layer, range(graph.get_out_channels(layer)))
        members = [entry.target for entry, _ in group]
        cuts_outputs = {
            e.target.module for e, _ in group if graph.is_out_channel_pruning_fn(e.handler)
        }
        prunable = layers[-1] not in cuts_outputs and not any(map(_is_beyond_us, members))
        seen |= cuts_outputs
        if prunable and not graph.unknown & set(members):
            yield graph.names[layer], group


def _tied_outputs(graph: ChannelGraph, group: Any) -> list[tuple[str, list[int]]]:
    """Return the layers whose outputs a group cuts, each with its channels in the group's order."""
    return [
        # torch-pruning gives the channels of a layer in any order, and says which of the first
        # layer's each hangs on.
        (
            graph.names[item.dep.target.module],
            [channel for _, channel in sorted(zip(item.root_idxs, item.idxs, strict=True))],
        )
        for item in group
        if graph.is_out_channel_pruning_fn(item.dep.handler)
        and isinstance(item.dep.target.module, Layer)
    ]


def tied_layers(model: nn.Module, example: tuple[Tensor, ...]) -> dict[str, tuple[str, ...]]:
    """Return by each layer whose channels may go (of tied ones, one) all that lose them with it.

    Args:
        model: The classifier.
        example: Inputs to call it with.
    """
    graph = dependencies(model, example)
    return {
        layer: tuple(name for name, _ in _tied_outputs(graph, group))
        for layer, group in channel_groups(model, example, graph)
    }


def _group(graph: ChannelGraph, layer: nn.Module, channels: Sequence[int]) -> Any:
    pruner = graph.get_pruner_of_module(layer)
    return graph.get_pruning_group(layer, pruner.prune_out_channels, list(channels))


def _is_beyond_us(node: Any) -> bool:
    """Return whether a node is a grouped convolution or a parameter outside of any layer."""
    layer = node.module
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return 1 < layer.groups < layer.out_channels
    return isinstance(layer, nn.Parameter)
