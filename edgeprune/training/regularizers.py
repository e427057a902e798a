"""Proximal steps that make weights exactly zero: single ones (L1), whole channels (group lasso).

After each optimizer step of size `learning_rate` the weights w are replaced by the minimizer v of
`|w - v|^2 / 2 + learning_rate * penalty(v)`, which has a closed form for both penalties and, unlike
a penalty in the loss, reaches zero exactly.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgeprune.classifiers.structure import Layer, layers_in_use


class ChannelGroups:
    """The weights that belong to one output channel, for every layer whose channels can go.

    A group is a row of a convolution or dense layer together with its bias and with scale and shift
    of the normalization behind it. The last layer is left alone: its outputs are the classes.

    Args:
        model: The classifier, in any mode.
        example: Inputs to call it with, which find out what stands behind what.
    """

    def __init__(self, model: nn.Module, example: tuple[Tensor, ...]) -> None:
        layers, behind = layers_in_use(model, example)
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
