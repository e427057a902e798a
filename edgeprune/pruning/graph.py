"""torch-pruning's dependency graph, with what it misses where a flatten meets a concatenation.

torch-pruning 1.6.1 takes the number of features behind a flatten from the next layer's inputs, and
the sizes of a concatenation from the channels before the flatten. Where a flattened feature map is
concatenated with something else (the rhythm), both are wrong, and it removes the wrong columns of
the dense layer behind. Here both come from the shapes that the trace has seen.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch_pruning.dependency import index_mapping
from torch_pruning.ops import OPTYPE

from edgeprune.classifiers import deciding


class ChannelGraph(torch_pruning.DependencyGraph):  # type: ignore[misc]
    """A dependency graph for cutting a network once.

    Attributes:
        names: Qualified name of each layer.
        unknown: Nodes whose channels could not be followed; what hangs on them must stay.
    """

    names: dict[nn.Module, str]
    unknown: set[Any]


def dependencies(model: nn.Module, example: tuple[Tensor, ...]) -> ChannelGraph:
    """Trace which channels hang together.

    Args:
        model: The classifier; its mode is restored.
        example: Inputs to call it with.
    """
    graph = ChannelGraph()
    with torch.enable_grad(), deciding(model):
        graph.build_dependency(model, example_inputs=example, verbose=False)
    graph.names = {layer: name for name, layer in model.named_modules()}
    graph.unknown = set()
    nodes = list(graph.module2node.values())
    flattens = [node for node in nodes if node.type == OPTYPE.RESHAPE]
    concatenations = [node for node in nodes if node.type == OPTYPE.CONCAT]
    sizes = {node: _concat_sizes(graph, node) for node in concatenations}
    for node in flattens:
        _map_flatten(graph, node)
    for node in concatenations:
        _map_concat(graph, node, sizes[node])
    for node in (*flattens, *concatenations):
        node.type = OPTYPE.ELEMENTWISE  # or every question would map them anew, and wrongly
    return graph


def _flattened(node: Any) -> list[int] | None:
    """Return the shape [n, channels, ...] that a flatten has seen, if it was recorded."""
    shape = getattr(node.grad_fn, "_saved_self_sym_sizes", None)
    return None if shape is None else [int(size) for size in shape]


def _channels(graph: ChannelGraph, node: Any) -> int | None:
    if node.type == OPTYPE.RESHAPE:
        shape = _flattened(node)
        return None if shape is None else math.prod(shape[1:])
    known = graph.get_out_channels(node)
    if known is not None:
        return int(known)
    if node.type == OPTYPE.CONCAT:
        sizes = _concat_sizes(graph, node)
        return None if sizes is None else sum(sizes)
    return _channels(graph, node.inputs[0]) if node.inputs else None


def _concat_sizes(graph: ChannelGraph, node: Any) -> list[int] | None:
    sizes = [_channels(graph, source) for source in node.inputs]
    return None if None in sizes else [size for size in sizes if size is not None]


def _map_flatten(graph: ChannelGraph, node: Any) -> None:
    shape = _flattened(node)
    if shape is None or len(shape) < 2:
        graph.unknown.add(node)
        return
    positions = math.prod(shape[2:])
    for source in node.inputs:
        for start, end, backwards in ((source, node, False), (node, source, True)):
            for dependency in start.dependencies:
                if dependency.target is end:
                    dependency.index_mapping[0] = index_mapping._FlattenIndexMapping(
                        stride=positions, reverse=backwards
                    )
    for sink in node.outputs:
        for start, end in ((sink, node), (node, sink)):
            for dependency in start.dependencies:
                if dependency.target is end:
                    dependency.index_mapping[0] = None


def _map_concat(graph: ChannelGraph, node: Any, sizes: list[int] | None) -> None:
    for source in node.inputs:
        for start, end in ((source, node), (node, source)):
            for dependency in start.dependencies:
                if dependency.target is end:
                    dependency.index_mapping[1] = None
    node.module.concat_sizes = sizes
    if sizes is not None:
        index_mapping.update_concat_index_mapping(graph, node)
    mapped = [dependency.index_mapping[1] for dependency in node.dependencies]
    if not any(mapping is not None for mapping in mapped):
        graph.unknown.add(node)
