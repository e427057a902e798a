"""Layers of which some channels are not rectified: a ReLU less, where a line does as well.

`a z + b` in place of `relu(z)` for some channels of a layer takes no operation that a network does
not have already: the layer is split into two narrower ones that read the same input, the first of
which keeps the ReLU. Slopes and heights become part of the second one's weights (of its
normalization, where it has one), where training moves them, and both are concatenated. What comes
out has the rectified channels first: who reads them is to be told (`edgeprune.pruning.grafting`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgeprune.classifiers.forward_graph import Traced, is_rectifier, trace
from edgeprune.classifiers.replacements import Replacement, put_module, replacement_class
from edgeprune.classifiers.structure import Layer
from edgeprune.errors import ModelError

Normalization = nn.BatchNorm1d | nn.BatchNorm2d


@dataclass(frozen=True)
class Graft:
    """One layer of a module whose channels are rectified in part.

    Attributes:
        layer: Name of the layer, which goes on as the rectified part.
        linear: Name of the part without a ReLU; empty where that is the whole layer.
    """

    layer: str
    linear: str


@dataclass(frozen=True)
class Rectified:
    """A layer, and the ReLU that nothing but it goes into.

    Attributes:
        owner: The module that calls both, with its forward.
        layer: The node that calls the layer.
        norm: The node that calls the normalization between, if there is one.
        relu: The ReLU.
    """

    owner: Traced
    layer: fx.Node
    norm: fx.Node | None
    relu: fx.Node

    @property
    def name(self) -> str:
        """Qualified name of the layer."""
        return self.owner.qualified(self.layer.target)

    @property
    def source(self) -> fx.Node:
        """What the ReLU reads."""
        return self.norm or self.layer


class Grafted(fx.GraphModule, Replacement):
    """A module whose forward rectifies some layers in part."""

    kind = "grafted"

    @property
    def grafts(self) -> tuple[Graft, ...]:
        """What was done, in its order."""
        found: tuple[Graft, ...] = self.meta["grafts"]  # `meta` survives copies
        return found

    def facts(self) -> Mapping[str, Any]:
        """Return what was done, and to which replacement, if it was one."""
        done = [[entry.layer, entry.linear] for entry in self.grafts]
        return {"grafts": done, "replaced": self.meta["replaced"]}

    def __reduce__(self) -> Any:
        """Pickle as a graph module does, and come back as what this is."""
        make, arguments = super().__reduce__()
        return _unpickled, (make, arguments, dict(self.meta), self.training)

    @classmethod
    def build(cls, original: nn.Module, facts: Mapping[str, Any]) -> Replacement:
        """Return a module with those layers split; of how many channels is settled later."""
        made = original
        if facts["replaced"]:
            kind, own_facts = facts["replaced"]
            made = replacement_class(kind, where="grafted").build(original, own_facts)
        for layer, linear in facts["grafts"]:
            for node in _nodes(_place(made, layer)):  # two channels are enough to be told apart
                put_module(made, str(node.target), _rows(_child(made, node), [0, 0]))
            number = 1 if linear else 2
            line = torch.ones(number), torch.zeros(number)
            made = graft(made, layer, range(number), *line, linear)
        assert isinstance(made, Grafted)
        return made


def _unpickled(
    make: Callable[..., fx.GraphModule],
    arguments: tuple[Any, ...],
    meta: dict[str, Any],
    training: bool,
) -> Grafted:
    plain = make(*arguments)
    made = Grafted(plain, plain.graph)
    made.training = training
    made.meta.update(meta)
    return made


def find_rectified(owner: Traced) -> Iterator[Rectified]:
    """Yield the layers of a module that can be rectified in part.

    Convolutions with groups are left out: a part of their outputs reads a part of their inputs.
    """
    for node in owner.graph.nodes:
        layer = owner.child(node)
        if not isinstance(layer, Layer) or getattr(layer, "groups", 1) != 1 or node.kwargs:
            continue
        norm, follower = None, only_user(node)
        if follower is not None and isinstance(owner.child(follower), Normalization):
            norm, follower = follower, only_user(follower)
        if follower is not None and is_rectifier(owner, follower):
            yield Rectified(owner, node, norm, follower)


def only_user(node: fx.Node) -> fx.Node | None:
    """Return what reads a value, if one operation does and no other."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def graft(
    module: nn.Module,
    layer: str,
    channels: Sequence[int],
    slopes: Tensor,
    heights: Tensor,
    linear: str = "",
) -> Grafted:
    """Return a module one of whose layers is not rectified in some channels.

    Behind the ReLU the rectified channels come first, then `channels`, each in ascending order.

    Args:
        module: The module that calls the layer; its children are shared with the result, those of
            the layer are changed.
        layer: Name of the layer within it.
        channels: Which of its channels, ascending; all of them take the ReLU away.
        slopes: Slope of the line in the place of each one's ReLU, [channels].
        heights: Its height at 0, [channels].
        linear: Name of the linear part; empty makes one up.

    Raises:
        ModelError: The layer is not there, or something else reads it than its ReLU.
    """
    place = _place(module, layer)
    outputs = _child(module, place.layer).weight.shape[0]
    rest = [channel for channel in range(outputs) if channel not in set(channels)]
    if rest:
        entry = Graft(layer, linear or _free_name(module, layer))
        _split(place, entry, rest, list(channels))
        _fold(module, entry.linear, f"{entry.linear}_norm", slopes, heights)
    else:
        entry = Graft(layer, "")
        norm = "" if place.norm is None else str(place.norm.target)
        _fold(module, layer, norm, slopes, heights)
        place.relu.replace_all_uses_with(place.source)
        place.owner.graph.erase_node(place.relu)
    place.owner.graph.lint()
    made = Grafted(module, place.owner.graph, class_name=type(module).__name__)
    made.training = module.training
    if isinstance(module, Grafted):
        made.meta.update(grafts=(*module.grafts, entry), replaced=module.meta["replaced"])
    else:
        earlier = (module.kind, module.facts()) if isinstance(module, Replacement) else ()
        made.meta.update(grafts=(entry,), replaced=earlier)
    return made


def _split(place: Rectified, entry: Graft, rest: list[int], chosen: list[int]) -> None:
    """Give `chosen` channels of a layer a layer of their own, whose output is not rectified."""
    module, graph = place.owner.module, place.owner.graph
    value = place.layer.args[0]
    for node, twin in zip(_nodes(place), (entry.linear, f"{entry.linear}_norm"), strict=False):
        whole = _child(module, node)
        setattr(module, twin, _rows(whole, chosen))
        put_module(module, str(node.target), _rows(whole, rest))
        with graph.inserting_before(place.relu):
            value = graph.call_module(twin, (value,))
    joined = only_user(place.relu)
    if joined is not None and _is_join(joined, place):
        # What was split off before stays behind what is split off now.
        parts: Any = joined.args[0]
        joined.args = ([parts[0], value, *parts[1:]], 1)
        return
    with graph.inserting_after(place.relu):
        joined = graph.call_function(torch.cat, ([place.relu, value], 1))
    place.relu.replace_all_uses_with(joined, delete_user_cb=lambda user: user is not joined)


def _is_join(node: fx.Node, place: Rectified) -> bool:
    if node.target is not torch.cat or node.args[1:] != (1,):
        return False
    first, *others = node.all_input_nodes
    prefix = _linear_name(str(place.layer.target))
    return first is place.relu and all(str(other.target).startswith(prefix) for other in others)


def _place(module: nn.Module, layer: str) -> Rectified:
    for place in find_rectified(trace("", module)):
        if str(place.layer.target) == layer:
            return place
    raise ModelError(
        f"the layer '{layer}' has no ReLU of its own that could be taken away",
        where=layer,
        hint="replay a history on the network it was made from",
    )


def _nodes(place: Rectified) -> list[fx.Node]:
    return [node for node in (place.layer, place.norm) if node is not None]


def _child(module: nn.Module, node: fx.Node) -> Any:
    return module.get_submodule(str(node.target))


def _linear_name(layer: str) -> str:
    return f"{layer.replace('.', '_')}_linear"


def _free_name(module: nn.Module, layer: str) -> str:
    number, name = 1, _linear_name(layer)
    while hasattr(module, name):
        number += 1
        name = f"{_linear_name(layer)}{number}"
    return name


@torch.no_grad()
def _rows(layer: Any, rows: list[int]) -> nn.Module:
    """Return a copy of a layer or normalization with some of its outputs."""
    part = copy.deepcopy(layer)
    if isinstance(part, Normalization):
        part.num_features = len(rows)
        for name in ("running_mean", "running_var"):
            if getattr(part, name) is not None:
                setattr(part, name, getattr(part, name)[rows].clone())
    elif isinstance(part, nn.Linear):
        part.out_features = len(rows)
    else:
        part.out_channels = len(rows)
    for name in ("weight", "bias"):
        if getattr(part, name) is not None:
            setattr(part, name, nn.Parameter(getattr(part, name).detach()[rows].clone()))
    result: nn.Module = part
    return result


@torch.no_grad()
def _fold(module: nn.Module, layer: str, norm: str, slopes: Tensor, heights: Tensor) -> None:
    """Let a layer, or the normalization behind it, give `slopes * value + heights`."""
    names = {name for name, _ in module.named_modules()}
    last: Any = module.get_submodule(norm if norm in names and norm else layer)
    outputs = last.num_features if isinstance(last, Normalization) else last.weight.shape[0]
    if last.weight is None:
        last.weight = nn.Parameter(torch.ones(outputs))
        last.affine = True
    if last.bias is None:
        last.bias = nn.Parameter(torch.zeros(outputs))
    last.weight.mul_(slopes.reshape(-1, *([1] * (last.weight.ndim - 1))))
    last.bias.mul_(slopes).add_(heights)
