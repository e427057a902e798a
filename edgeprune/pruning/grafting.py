"""Linearity grafting: lines in the place of ReLUs that are unstable and do not matter.

Chen et al., "Linearity grafting" (ICML 2022, arXiv 2206.07839): what makes a network hard to
certify are the ReLUs that a perturbation can switch; many of them matter little for the decision,
and `a z + b` with learnable a and b in their place takes nothing to bound. They choose single
units; here it is channels, all positions of a convolution alike, since the parameters are shared
[our reading] and since that needs no operation that the int8 network does not have.

Nothing gets smaller: the ratio is the share of the units that are grafted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edgeprune.classifiers.forward_graph import ForwardGraphs
from edgeprune.classifiers.grafted import Grafted, Rectified, find_rectified, graft
from edgeprune.classifiers.replacements import put_module
from edgeprune.classifiers.structure import Layer
from edgeprune.config import PruningSettings
from edgeprune.errors import ConfigurationError, ModelError
from edgeprune.pruning.counts import count
from edgeprune.pruning.edits import Edit, Example, Float32Array
from edgeprune.pruning.graft_lines import Graftable, Lines, fit_lines
from edgeprune.pruning.graph import ChannelGraph, dependencies
from edgeprune.pruning.materials import Materials

_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True, eq=False)
class GraftedChannels(Edit):
    """Channels of a layer whose ReLUs become lines.

    Attributes:
        layer: Qualified name of the layer.
        channels: Their numbers in the network as it was, ascending.
        slopes: Slope of each line, float32 [channels].
        heights: Its height at 0, float32 [channels].
        importance: Mean effect of a channel on the loss of a window.
    """

    kind: ClassVar[str] = "graft"
    layer: str
    channels: tuple[int, ...]
    slopes: Float32Array
    heights: Float32Array
    importance: float


def graft_edits(
    model: nn.Module, materials: Materials, settings: PruningSettings, target: int
) -> tuple[GraftedChannels, ...]:
    """Return the grafts of the channels that cost least for each unstable unit that they take.

    Args:
        model: The classifier.
        materials: Windows.
        settings: Not used.
        target: Says how many: the share of the weights and biases that it leaves out is the share
            of the ReLUs that are lines afterwards, earlier ones counted.

    Raises:
        ConfigurationError: There are no windows, or no ReLU can be grafted.
        ModelError: Bounds do not go through the classifier.
    """
    if not len(materials.labels):
        raise ConfigurationError(
            "grafting looks at training windows, and there are none",
            where="pruning.method",
            hint="prune as part of a build",
        )
    share = 1 - target / count(model, materials.example).remaining
    places = graftable(model, materials.example)
    rectified = sum(place.positions * place.channels for place in places)
    if not rectified:
        raise ConfigurationError(
            "no ReLU of the classifier can become a line",
            where="pruning.method",
            hint="grafting takes ReLUs right behind a layer, or behind its normalization",
        )
    done = _grafted_units(model, materials.example)
    wanted = share * (rectified + done) - done
    lines = fit_lines(model, places, materials)
    ranked = sorted(
        (float(score), place.layer, channel, place.positions)
        for place in places
        for channel, score in enumerate(_scores(lines[place.layer]))
    )
    chosen: dict[str, list[int]] = {}
    for _, layer, channel, positions in ranked:
        if wanted <= 0:
            break
        wanted -= positions
        chosen.setdefault(layer, []).append(channel)
    return tuple(_edit(layer, sorted(members), lines[layer]) for layer, members in chosen.items())


def _edit(layer: str, channels: list[int], lines: Lines) -> GraftedChannels:
    return GraftedChannels(
        layer,
        tuple(channels),
        lines.slopes[channels].numpy(),
        lines.heights[channels].numpy(),
        float(lines.effect[channels].mean()),
    )


def _scores(lines: Lines) -> Tensor:
    # What no perturbation switches costs no certificate: it goes last.
    never = torch.full_like(lines.effect, torch.inf)
    return torch.where(lines.unstable > 0, lines.effect / lines.unstable, never)


def graft_channels(model: nn.Module, edits: Sequence[GraftedChannels], example: Example) -> None:
    """Graft channels, in place.

    Raises:
        ModelError: The classifier has no such layer, or no such channels in it.
    """
    for edit in edits:
        place = _places(model, example).get(edit.layer)
        layer: Any = None if place is None else place.owner.child(place.layer)
        if place is None or max(edit.channels) >= layer.weight.shape[0]:
            raise ModelError(
                f"'{edit.layer}' has no channels {list(edit.channels)} that can be grafted",
                where=edit.layer,
                hint="replay a history on the network it was made from",
            )
        outputs = layer.weight.shape[0]
        rest = [channel for channel in range(outputs) if channel not in set(edit.channels)]
        rearrange(model, edit.layer, (*rest, *edit.channels), example)
        made = graft(
            place.owner.module,
            str(place.layer.target),
            range(len(rest), outputs),
            torch.from_numpy(np.ascontiguousarray(edit.slopes)),
            torch.from_numpy(np.ascontiguousarray(edit.heights)),
        )
        put_module(model, place.owner.name, made)


def graftable(model: nn.Module, example: Example) -> tuple[Graftable, ...]:
    """Return the layers of which channels can be grafted.

    Those whose output nothing but a ReLU reads (a normalization may stand between). Of layers that
    an addition ties together the first: their channels have one order. Grouped convolutions are
    left out, and the ReLU behind a residual addition, which is no layer's own.
    """
    graph = dependencies(model, example)
    names = dict(model.named_modules())
    found, tied = [], set()
    for name, place in _places(model, example).items():
        layer: Any = names[name]
        channels = int(layer.weight.shape[0])
        if layer in tied or not _can_be_rearranged(graph, layer, channels):
            continue
        tied |= {module for module, rows in _cuts(graph, layer, 0) if rows}
        shape = place.owner.shapes[place.relu]
        source = place.owner.qualified(place.source.target)
        found.append(Graftable(name, source, int(np.prod(shape[2:])), channels))
    return tuple(found)


def _places(model: nn.Module, example: Example) -> dict[str, Rectified]:
    graphs = ForwardGraphs(model, example)
    return {
        place.name: place
        for owner in graphs.traced.values()
        for place in find_rectified(owner)
        if graphs.calls[place.name] == 1
    }


def _grafted_units(model: nn.Module, example: Example) -> int:
    """Return how many ReLUs are lines already."""
    total = 0
    for owner in ForwardGraphs(model, example).traced.values():
        if isinstance(owner.module, Grafted):
            linear = {entry.linear or entry.layer for entry in owner.module.grafts}
            nodes = [node for node in owner.graph.nodes if str(node.target) in linear]
            total += sum(int(np.prod(owner.shapes[node][1:])) for node in nodes)
    return total


@torch.no_grad()
def rearrange(model: nn.Module, layer: str, order: Sequence[int], example: Example) -> None:
    """Bring the channels of a layer into another order, in place; the classifier stays the same.

    All that hangs on them follows: normalizations, tied layers, and the inputs of who reads them.

    Args:
        model: The classifier.
        layer: Qualified name of the layer.
        order: The channel that comes first, second, ...
        example: Inputs to call it with.
    """
    graph = dependencies(model, example)
    start = model.get_submodule(layer)
    cuts = [_cuts(graph, start, channel) for channel in range(len(order))]
    for module, rows in cuts[0]:
        places = [place for cut in cuts for place in cut[module, rows]]
        sources = [place for channel in order for place in cuts[channel][module, rows]]
        along = 0 if rows or getattr(module, "groups", 1) > 1 else 1
        for tensor in _tensors(module, along):
            tensor.index_copy_(
                along, torch.tensor(places), tensor.index_select(along, torch.tensor(sources))
            )


def _tensors(module: nn.Module, along: int) -> list[Tensor]:
    names = ("weight", "bias", "running_mean", "running_var") if along == 0 else ("weight",)
    return [tensor for name in names if (tensor := getattr(module, name, None)) is not None]


def _cuts(
    graph: ChannelGraph, layer: nn.Module, channel: int
) -> dict[tuple[nn.Module, bool], list[int]]:
    """Return where a channel of a layer is: by module, and whether among its outputs."""
    pruner = graph.get_pruner_of_module(layer)
    found: dict[tuple[nn.Module, bool], set[int]] = {}
    for dependency, places in graph.get_pruning_group(layer, pruner.prune_out_channels, [channel]):
        module = dependency.target.module
        if module in graph.names:
            rows = bool(graph.is_out_channel_pruning_fn(dependency.handler))
            rows = rows or isinstance(module, _NORMALIZATIONS)
            found.setdefault((module, rows), set()).update(places)
    return {key: sorted(places) for key, places in found.items()}


def _can_be_rearranged(graph: ChannelGraph, layer: nn.Module, channels: int) -> bool:
    pruner = graph.get_pruner_of_module(layer)
    group = graph.get_pruning_group(layer, pruner.prune_out_channels, list(range(channels)))
    nodes = [dependency.target for dependency, _ in group]
    modules = [node.module for node in nodes if node.module in graph.names]
    if graph.unknown & set(nodes) or any(isinstance(n.module, nn.Parameter) for n in nodes):
        return False
    if not all(isinstance(module, Layer | nn.BatchNorm1d | nn.BatchNorm2d) for module in modules):
        return False
    if any(1 < getattr(m, "groups", 1) < getattr(m, "out_channels", 0) for m in modules):
        return False
    first = _cuts(graph, layer, 0)
    return all(
        {key: len(places) for key, places in _cuts(graph, layer, channel).items()}
        == {key: len(places) for key, places in first.items()}
        for channel in range(1, channels)
    )
