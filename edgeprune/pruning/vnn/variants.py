"""Which layers are solved in which order, and on what: as released, and as the paper describes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeprune.pruning.edits import Edit, apply
from edgeprune.pruning.vnn.network import (
    FoldedLayer,
    Observation,
    edits_of,
    folded_layers,
    in_double,
    observe,
    rectified_layers,
)
from edgeprune.pruning.vnn.refit import Band, Refit, refit, refit_output
from edgeprune.registry import Registry


@dataclass(frozen=True)
class Preserving:
    """What VNN keeps.

    Attributes:
        band: What the neurons keep.
        margin: Least distance of a decision's logit to the others ("faithful").
        rows: Rows of a layer at most; a convolution has one for each position of each window. 0
            for all.
        seed: Seed of the draw of rows.
    """

    band: Band
    margin: float
    rows: int
    seed: int


@dataclass(frozen=True, eq=False)
class LayerOutcome:
    """What became of a layer.

    Attributes:
        layer: The layer as it was.
        refit: Its new values.
    """

    layer: FoldedLayer
    refit: Refit


@dataclass(frozen=True, eq=False)
class _Network:
    """A classifier in float64 with the windows it is to keep its behaviour on."""

    model: nn.Module
    inputs: tuple[Tensor, ...]
    layers: tuple[FoldedLayer, ...]
    rectified: frozenset[str]

    @staticmethod
    def of(model: nn.Module, inputs: tuple[Tensor, ...]) -> _Network:
        double = in_double(model)
        inputs = tuple(value.double() for value in inputs)
        example = tuple(value[:2] for value in inputs)
        layers = folded_layers(double, example)
        return _Network(double, inputs, layers, rectified_layers(double, layers, example))

    def see(self, layer: FoldedLayer, keep: Preserving) -> Observation:
        return observe(self.model, layer, self.inputs, keep.rows, keep.seed)


Variant = Callable[[nn.Module, tuple[Tensor, ...], Preserving], tuple[LayerOutcome, ...]]


def released(
    model: nn.Module, inputs: tuple[Tensor, ...], keep: Preserving
) -> tuple[LayerOutcome, ...]:
    """Solve every layer but the last on what it receives in the original.

    So does the code released with arXiv 2312.09748 (dense layers only there; convolutions by im2col
    are ours): no layer sees what the others have become, and no margin is kept.

    Args:
        model: The classifier; it is not changed.
        inputs: Windows that it classifies correctly.
        keep: What is kept.
    """
    network = _Network.of(model, inputs)
    outcomes = []
    for layer in network.layers[:-1]:
        seen = network.see(layer, keep)
        rectified = layer.name in network.rectified
        new = refit(layer, seen, seen.preactivations, keep.band, rectified=rectified)
        outcomes.append(LayerOutcome(layer, new))
    return tuple(outcomes)


def faithful(
    model: nn.Module, inputs: tuple[Tensor, ...], keep: Preserving
) -> tuple[LayerOutcome, ...]:
    """Solve the layers one after the other, each on what it receives from those before it.

    Every neuron keeps the state and the band of the *original*, so that later neurons keep their
    states as their turn comes, and the last layer keeps the margin of the decisions (arXiv
    2312.09748, section 3; the order, and that the band holds for logits too, are our reading).

    Args:
        model: The classifier; it is not changed.
        inputs: Windows that it classifies correctly.
        keep: What is kept.
    """
    network = _Network.of(model, inputs)
    example = tuple(value[:2] for value in inputs)
    outcomes: list[LayerOutcome] = []
    edits: list[Edit] = []
    for layer in network.layers:
        original = network.see(layer, keep).preactivations
        current = in_double(apply(model, edits, example))
        seen = observe(current, layer, network.inputs, keep.rows, keep.seed)
        if layer is network.layers[-1] and _makes_logits(network, layer):
            # All windows, whatever the limit on rows: it is one row each.
            original = network.model(*network.inputs).detach().numpy()
            seen = observe(current, layer, network.inputs)
            new = refit_output(layer, seen, original, keep.band, keep.margin)
        else:
            rectified = layer.name in network.rectified
            new = refit(layer, seen, original, keep.band, rectified=rectified)
        outcomes.append(LayerOutcome(layer, new))
        edits.extend(edits_of(model, layer, new.weight, new.bias))
    return tuple(outcomes)


def _makes_logits(network: _Network, layer: FoldedLayer) -> bool:
    """Return whether a layer's output is what the classifier returns."""
    made: list[Tensor] = []
    module = dict(network.model.named_modules())[layer.name]
    handle = module.register_forward_hook(lambda *called: made.append(called[-1]))
    with torch.no_grad():
        logits = network.model(*(value[:2] for value in network.inputs))
    handle.remove()
    return any(output is logits for output in made)


VARIANTS: Registry[Variant] = Registry("VNN variant", released=released, faithful=faithful)
