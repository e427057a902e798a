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
    graph = _dependencies(narrower, example)
    layers = dict(narrower.named_modules())
    channels: dict[str, list[int]] = {}
    for removal in removals:
        channels.setdefault(removal.layer, []).extend(removal.channels)
    for name, numbers in channels.items():
        layer = layers.get(name)
        if layer not in graph.module2node or max(numbers) >= graph.get_out_channels(layer):
            raise ModelError(
                f"'{name}' has no channels {sorted(numbers)} to remove",
                where=name,
                hint="replay a history on the network it was made from",
            )
        pruner = graph.get_pruner_of_module(layer)
        graph.get_pruning_group(layer, pruner.prune_out_channels, sorted(numbers)).prune()
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


def _dependencies(model: nn.Module, example: tuple[Tensor, ...]) -> Any:
    training = model.training
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            model.eval(), example_inputs=example, verbose=False
        )
    model.train(training)
    return graph


def _groups(
    model: nn.Module, example: tuple[Tensor, ...], importance: Importance
) -> Iterator[tuple[str, Tensor]]:
    layers, _ = layers_in_use(model, example)
    graph = _dependencies(model, example)
    names = {layer: name for name, layer in model.named_modules()}
    for group in graph.get_all_groups(
        ignored_layers=[layers[-1]], root_module_types=(nn.Conv1d, nn.Conv2d, nn.Linear)
    ):
        members = [dependency.target.module for dependency, _ in group]
        if any(
            isinstance(layer, nn.Conv1d | nn.Conv2d) and 1 < layer.groups < layer.out_channels
            for layer in members
        ):
            continue
        yield names[members[0]], importance(group)
