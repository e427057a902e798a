"""Removing whole channels, and everything that hangs together with them.

torch-pruning's dependency graph knows which rows and columns go with a channel: normalizations, the
next layers (through a flatten, too), and all layers that a residual addition ties together.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from edgeprune.classifiers.structure import layers_in_use
from edgeprune.config import PruningSettings
from edgeprune.errors import ModelError
from edgeprune.pruning.graph import ChannelGraph, dependencies
from edgeprune.registry import Registry


@dataclass(frozen=True)
class Removal:
    """Channels that are removed together.

    Attributes:
        layer: Qualified name of the layer whose outputs they are (of several tied ones, the first).
        channels: Their numbers in the network they are removed from, ascending.
        importance: Mean importance of the channels; 1 is the mean of their layer.
    """

    layer: str
    channels: tuple[int, ...]
    importance: float


Importance = Callable[[Any], Tensor]


def _magnitude(norm: int) -> Importance:
    importance: Importance = torch_pruning.importance.GroupMagnitudeImportance(
        p=norm, group_reduction="mean", normalizer="mean"
    )
    return importance


IMPORTANCES: Registry[Importance] = Registry("importance", l1=_magnitude(1), l2=_magnitude(2))


def remove(model: nn.Module, removals: Sequence[Removal], example: tuple[Tensor, ...]) -> nn.Module:
    """Return a narrower copy of a classifier.

    Args:
        model: The classifier; it is not changed.
        removals: What to remove; channel numbers are those of `model`.
        example: Inputs to call it with.

    Raises:
        ModelError: A layer does not exist or has no such channel.
    """
    narrower = copy.deepcopy(model)
    graph = dependencies(narrower, example)
    layers = dict(narrower.named_modules())
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
    for parameter in narrower.parameters():
        parameter.grad = None
    return narrower


def channel_candidates(
    model: nn.Module, example: tuple[Tensor, ...], settings: PruningSettings
) -> tuple[Removal, ...]:
    """Return everything that can be removed, in the order in which it should be.

    Channels go in sets of `settings.channel_multiple`, so that what is left is a multiple of it;
    the last set of a layer stays. Grouped convolutions that are not depthwise, and the logits, are
    left alone.

    Args:
        model: The classifier.
        example: Inputs to call it with.
        settings: Importance, scope and the size of a set.

    Raises:
        UnknownNameError: No importance or scope has that name.
    """
    score = IMPORTANCES.get(settings.importance, where="pruning.importance")
    order = _SCOPES.get(settings.scope, where="pruning.scope")
    multiple = settings.channel_multiple
    ranked: list[tuple[float, Removal]] = []
    for layer, scores in _groups(model, example, score):
        ascending = torch.argsort(scores, stable=True).tolist()
        first = len(ascending) % multiple or multiple
        starts = [0, *range(first, len(ascending), multiple)]
        sets = [ascending[a:b] for a, b in pairwise(starts)]
        for number, members in enumerate(sets):
            value = float(scores[members].mean())
            removal = Removal(layer, tuple(sorted(members)), value)
            ranked.append((order(value, (number + 1) / (len(sets) + 1)), removal))
    ranked.sort(key=lambda entry: (entry[0], entry[1].importance))
    return tuple(removal for _, removal in ranked)


_SCOPES: Registry[Callable[[float, float], float]] = Registry(
    "pruning scope",
    **{"global": lambda value, share: value, "local": lambda value, share: share},
)


def _groups(
    model: nn.Module, example: tuple[Tensor, ...], importance: Importance
) -> Iterator[tuple[str, Tensor]]:
    """Yield each layer whose channels may go (of tied ones, one) with their importance."""
    layers, _ = layers_in_use(model, example)
    graph = dependencies(model, example)
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
            yield graph.names[layer], importance(group)


def _group(graph: ChannelGraph, layer: nn.Module, channels: Sequence[int]) -> Any:
    pruner = graph.get_pruner_of_module(layer)
    return graph.get_pruning_group(layer, pruner.prune_out_channels, list(channels))


def _is_beyond_us(node: Any) -> bool:
    """Return whether a node is a grouped convolution or a parameter outside of any layer."""
    layer = node.module
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return 1 < layer.groups < layer.out_channels
    return isinstance(layer, nn.Parameter)
