"""What a classifier really holds and computes once its normalizations are folded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeprune.classifiers import deciding
from edgeprune.classifiers.structure import Layer


@dataclass(frozen=True)
class Counts:
    """Counts of the network as it is deployed.

    Attributes:
        parameters: Weights, and one bias an output channel (a normalization folds into it).
        nonzero: Weights that are not zero.
        multiply_accumulates: Products of one window.
        remaining: Weights that are not zero, and one bias an output channel: what pruning leaves.
    """

    parameters: int
    nonzero: int
    multiply_accumulates: int
    remaining: int

    def compression(self, before: Counts) -> float:
        """Return the real compression against another network: 2 where half remains."""
        return before.remaining / max(self.remaining, 1)


@torch.no_grad()
def count(model: nn.Module, example: tuple[Tensor, ...]) -> Counts:
    """Count a classifier's parameters and products by calling it once.

    Args:
        model: The classifier; its mode is restored.
        example: Inputs to call it with.
    """
    seen: set[nn.Module] = set()
    parameters = nonzero = biases = products = 0

    def watch(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal parameters, nonzero, biases, products
        assert isinstance(layer, Layer)
        weight = layer.weight
        products += output[0].numel() * weight[0].numel()
        if layer not in seen:
            seen.add(layer)
            parameters += weight.numel() + weight.shape[0]
            nonzero += int((weight != 0).sum())
            biases += weight.shape[0]

    layers = [layer for layer in model.modules() if isinstance(layer, Layer)]
    handles = [layer.register_forward_hook(watch) for layer in layers]
    try:
        with deciding(model):
            model(*example)
    finally:
        for handle in handles:
            handle.remove()
    return Counts(parameters, nonzero, products, nonzero + biases)
