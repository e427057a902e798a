"""Residual blocks and layers that keep the shape: which a classifier has, and one without them.

They are found from the module tree and from what every module's forward does, a user's own network
too. A residual block becomes its shortcut; the ReLU behind the sum goes where it is proved that
nothing negative reaches it, and stays elsewhere. A layer goes with its normalization and its ReLU.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgeprune.classifiers.factored import Factored
from edgeprune.classifiers.forward_graph import ForwardGraphs, Traced, is_rectifier, trace
from edgeprune.classifiers.replacements import Replacement, put_module
from edgeprune.classifiers.structure import Layer, layers_in_use
from edgeprune.errors import ModelError

_SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")


@dataclass(frozen=True)
class Block:
    """Something that can become the identity.

    Attributes:
        name: A residual block's module, or, where a module holds several, the last layer of the
            branch; a layer's own name.
        key: Always the last layer of the branch: does not change when neighbours go.
        residual: Whether it is a residual block, and not a layer.
        layers: Qualified names of the convolutions and dense layers that go.
    """

    name: str
    key: str
    residual: bool
    layers: tuple[str, ...]


@dataclass(frozen=True)
class BlockSearch:
    """What was found in a classifier.

    Attributes:
        blocks: What can go, in the order of the module tree.
        refused: What cannot, and why: (qualified name, reason).
    """

    blocks: tuple[Block, ...]
    refused: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Without:
    """One block that a module leaves out.

    Attributes:
        key: `Block.key`, relative to the module.
        rectified: Whether the ReLU behind a residual block stays.
    """

    key: str
    rectified: bool


class WithoutBlocks(fx.GraphModule, Replacement):
    """A module whose forward leaves blocks out; its children keep their names."""

    kind = "without"

    @property
    def without(self) -> tuple[Without, ...]:
        """What is left out, in the order in which it was taken out."""
        found: tuple[Without, ...] = self.meta["without"]  # `meta` survives copies
        return found

    def facts(self) -> Mapping[str, Any]:
        """Return what is left out."""
        return {"without": [[entry.key, entry.rectified] for entry in self.without]}

    def __reduce__(self) -> Any:
        """Pickle as a graph module does, and come back as what this is."""
        make, arguments = super().__reduce__()
        return _unpickled, (make, arguments, self.without, self.training)

    @classmethod
    def build(cls, original: nn.Module, facts: Mapping[str, Any]) -> Replacement:
        """Return a module without the blocks that `facts` names."""
        return rewrite(original, tuple(Without(key, kept) for key, kept in facts["without"]))


@dataclass(frozen=True)
class _Place:
    """A block and where it stands in a forward graph."""

    block: Block
    owner: Traced
    last: fx.Node  # the sum, or the last of layer, normalization and ReLU
    kept: fx.Node  # what takes its place

    @property
    def local_key(self) -> str:
        return self.block.key.removeprefix(f"{self.owner.name}." if self.owner.name else "")

    def sizes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self.owner.shapes.get(node, ()) for node in (self.kept, self.last))


def _unpickled(
    make: Callable[..., fx.GraphModule],
    arguments: tuple[Any, ...],
    without: tuple[Without, ...],
    training: bool,
) -> WithoutBlocks:
    plain = make(*arguments)
    made = WithoutBlocks(plain, plain.graph)
    made.training = training
    made.meta["without"] = without
    return made


def find_blocks(model: nn.Module, example: tuple[Tensor, ...]) -> BlockSearch:
    """Return what can become the identity.

    Of residual blocks within each other the innermost count; a layer within a residual block goes
    with the block only. The last layer, whose outputs are the logits, stays.

    Args:
        model: The classifier; it is not changed.
        example: Inputs to call it with.
    """
    graphs = ForwardGraphs(model, example)
    places = [place for owner in graphs.traced.values() for place in _places(owner)]
    refused = [(name or "forward", reason) for name, reason in graphs.refused.items()]
    residual = [place for place in places if place.block.residual]
    found = [
        place
        for place in residual
        if not any(set(other.block.layers) < set(place.block.layers) for other in residual)
    ]
    names = {layer: name for name, layer in model.named_modules()}
    layers, _ = layers_in_use(model, example)
    taken = {layer for place in residual for layer in place.block.layers}
    taken.add(names[layers[-1]])
    for place in places:
        if place.block.residual or taken & set(place.block.layers):
            continue
        taken |= set(place.block.layers)
        found.append(place)
    order = {name: number for number, name in enumerate(names.values())}
    found.sort(key=lambda place: order[place.block.layers[0]])
    blocks = []
    for place in found:
        before, after = place.sizes()
        if any(graphs.calls[layer] != 1 for layer in place.block.layers):
            refused.append((place.block.name, "its layers are called several times, or never"))
        elif before != after:
            shown = [" x ".join(map(str, size[1:])) for size in (after, before)]
            refused.append((place.block.name, f"it makes {shown[0]} of {shown[1]}"))
        else:
            blocks.append(place.block)
    return BlockSearch(tuple(blocks), tuple(refused))


def remove_block(model: nn.Module, name: str, example: tuple[Tensor, ...]) -> None:
    """Make a block the identity, in place.

    Args:
        model: The classifier.
        name: `Block.name` or `Block.key`.
        example: Inputs to call it with.

    Raises:
        ModelError: There is no such block.
    """
    graphs = ForwardGraphs(model, example)
    for owner in graphs.traced.values():
        for place in _places(owner):
            if name in (place.block.name, place.block.key):
                idle = place.block.residual and graphs.nonnegative(owner, place.kept)
                without = Without(place.local_key, rectified=not idle)
                put_module(model, owner.name, rewrite(owner.module, (without,)))
                return
    raise ModelError(
        f"the classifier has no block '{name}' that can become the identity",
        where=name,
        hint="replay a history on the network it was made from",
    )


def rewrite(module: nn.Module, without: Sequence[Without]) -> WithoutBlocks:
    """Return a module whose forward leaves blocks out, one after the other.

    Args:
        module: The module; its children are shared with the result.
        without: What to leave out, with names relative to the module.

    Raises:
        ModelError: There is no such block in it.
    """
    done = module.without if isinstance(module, WithoutBlocks) else ()
    made: Any = module
    for entry in without:
        owner = trace("", made)
        place = next((p for p in _places(owner) if p.block.key == entry.key), None)
        if place is None:
            raise ModelError(
                f"there is no block '{entry.key}' to leave out",
                where=type(module).__name__,
                hint="build the classifier with the version that saved it",
            )
        if place.block.residual and not entry.rectified:
            for node in [node for node in place.last.users if is_rectifier(owner, node)]:
                node.replace_all_uses_with(place.kept)
        place.last.replace_all_uses_with(place.kept)
        owner.graph.owning_module = made  # tells what has effects
        owner.graph.eliminate_dead_code()
        owner.graph.lint()
        made = WithoutBlocks(made, owner.graph, class_name=type(module).__name__)
    made.training = module.training
    made.meta["without"] = (*done, *without)
    rewritten: WithoutBlocks = made
    return rewritten


def _places(owner: Traced) -> list[_Place]:
    nodes = list(owner.graph.nodes)
    residual = [place for node in nodes for place in _residual(owner, node)]
    if len(residual) == 1 and owner.name:
        only = residual[0]
        residual = [replace(only, block=replace(only.block, name=owner.name))]
    return [*residual, *(place for node in nodes for place in _plain(owner, node))]


def _residual(owner: Traced, node: fx.Node) -> Iterator[_Place]:
    """Yield the residual block whose sum a node is, if it is one."""
    operands = node.all_input_nodes
    if node.op not in ("call_function", "call_method") or node.target not in _SUMS:
        return
    if len(operands) != 2 or len(node.args) != 2 or node.kwargs:
        return
    above = [_above(operand) for operand in operands]
    own = [above[0] - above[1], above[1] - above[0]]
    layers = [_layers_of(owner, nodes) for nodes in own]
    if len(layers[0]) == len(layers[1]):
        return
    longer = 0 if len(layers[0]) > len(layers[1]) else 1
    kept, branch = operands[1 - longer], own[longer]
    entries = {source for n in branch for source in n.all_input_nodes} - branch
    users = {user for n in branch for user in n.users}
    closed = len(entries) == 1 and users <= branch | {node}
    if closed and all(n.op != "placeholder" for n in branch):
        calls = [n for n in owner.graph.nodes if n in branch and _layers_of(owner, {n})]
        key = owner.qualified(calls[-1].target)
        yield _Place(Block(key, key, True, layers[longer]), owner, node, kept)


def _plain(owner: Traced, node: fx.Node) -> Iterator[_Place]:
    """Yield the layer that a node calls, with its normalization and ReLU."""
    layers = _layers_of(owner, {node})
    one = len(layers) == 1 or isinstance(owner.child(node), Factored)
    if not one or len(node.args) != 1 or len(node.all_input_nodes) != 1:
        return
    kept, last = node.all_input_nodes[0], node
    follower = _only_user(last)
    if follower and isinstance(owner.child(follower), nn.BatchNorm1d | nn.BatchNorm2d):
        last, follower = follower, _only_user(follower)
    if follower and is_rectifier(owner, follower):
        last = follower
    key = owner.qualified(node.target)
    yield _Place(Block(key, key, False, layers), owner, last, kept)


def _layers_of(owner: Traced, nodes: set[fx.Node]) -> tuple[str, ...]:
    """Return the convolutions and dense layers that nodes call, in order."""
    return tuple(
        name
        for node in owner.graph.nodes
        if node in nodes and (child := owner.child(node)) is not None
        for name, module in child.named_modules(prefix=owner.qualified(node.target))
        if isinstance(module, Layer)
    )


def _above(node: fx.Node) -> set[fx.Node]:
    """Return a node and all that it is made of."""
    found, open_ = {node}, [node]
    while open_:
        fresh = set(open_.pop().all_input_nodes) - found
        found |= fresh
        open_ += fresh
    return found


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None
