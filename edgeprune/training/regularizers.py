"""Proximal steps that make weights exactly zero: single ones (L1), whole channels (group lasso).

After each optimizer step of size `learning_rate` the weights w are replaced by the minimizer v of
`|w - v|^2 / 2 + learning_rate * penalty(v)`, which has a closed form for both penalties and, unlike
a penalty in the loss, reaches zero exactly.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

Layer = nn.Conv1d | nn.Conv2d | nn.Linear


class ChannelGroups:
    """The weights that belong to one output channel, for every layer whose channels can go.

    A group is a row of a convolution or dense layer together with its bias and with scale and shift
    of the normalization behind it. The last layer is left alone: its outputs are the classes.

    Args:
        model: The classifier, in any mode.
        example: Inputs to call it with, which find out what stands behind what.
    """

    def __init__(self, model: nn.Module, example: tuple[Tensor, ...]) -> None:
        layers, behind = _chains(model, example)
        self._groups: list[tuple[Tensor, ...]] = []
        for layer in layers[:-1]:
            norm = behind.get(layer)
            parts: list[Tensor | None] = [layer.weight, layer.bias]
            if norm is not None:
                parts += [norm.weight, norm.bias]
            self._groups.append(tuple(part for part in parts if part is not None))

    def norms(self) -> Iterator[Tensor]:
        """Yield the Euclidean norms of each layer's groups, [channels]."""
        for parts in self._groups:
            yield _norm(parts)

    @torch.no_grad()
    def shrink(self, amount: float) -> None:
        """Take the proximal step of `amount * sum over groups of sqrt(size) * norm`."""
        for parts in self._groups:
            norm = _norm(parts)
            size = sum(part[0].numel() for part in parts)
            factor = (1 - amount * size**0.5 / norm.clamp_min(1e-30)).clamp_min(0)
            for part in parts:
                part.mul_(factor.reshape(-1, *([1] * (part.ndim - 1))))


@torch.no_grad()
def soft_threshold(model: nn.Module, amount: float) -> None:
    """Take the proximal step of `amount * sum |w|` on the weights of all layers, not the biases."""
    for layer in model.modules():
        if isinstance(layer, Layer):
            weight = layer.weight
            weight.copy_(weight.sign() * (weight.abs() - amount).clamp_min(0))


def _norm(parts: tuple[Tensor, ...]) -> Tensor:
    squares = [part.detach().reshape(len(part), -1).square().sum(1) for part in parts]
    return torch.stack(squares).sum(0).sqrt()


@torch.no_grad()
def _chains(
    model: nn.Module, example: tuple[Tensor, ...]
) -> tuple[list[Layer], dict[Layer, nn.BatchNorm1d]]:
    """Call the model once; return its layers in order of use and what normalizes them."""
    made: dict[int, tuple[Layer, Tensor]] = {}
    layers: list[Layer] = []
    behind: dict[Layer, nn.BatchNorm1d] = {}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, Layer):
            layers.append(module)
            made[id(output)] = module, output
        elif isinstance(module, nn.BatchNorm1d) and id(inputs[0]) in made:
            behind[made[id(inputs[0])][0]] = module

    handles = [module.register_forward_hook(watch) for module in model.modules()]
    training = model.training
    try:
        model.eval()(*example)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return layers, behind
