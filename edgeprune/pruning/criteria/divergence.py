"""What the decision loses without a channel.

Luo and Wu, "Neural network pruning with residual-connections and limited-data", CVPR 2020 (arXiv
1911.08114), as Jordao and Pedrini (arXiv 2108.04890) take it: the mean over a few hundred inputs of
`KL(q || p)`, where p are the class probabilities of the network and q those with the channel at
zero behind its normalization.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeprune.classifiers import deciding
from edgeprune.classifiers.structure import layers_in_use
from edgeprune.pruning.criteria.activations import batches
from edgeprune.pruning.edits import layer_of
from edgeprune.pruning.materials import Materials

_MOST = 256  # windows; what Luo and Wu take, and every channel is a pass of them


@torch.no_grad()
def probability_divergence(
    model: nn.Module, layers: Sequence[str], materials: Materials
) -> dict[str, Tensor]:
    """Return the mean `KL(q || p)` of each channel, nats, [channels] by layer.

    Of layers that an addition ties together, one at a time loses its channel: what the channel of
    all of them is worth is for whoever joins their scores.

    Args:
        model: The classifier; its mode is restored.
        layers: Qualified names of convolutions and dense layers.
        materials: Windows, of which at most 256 are taken.

    Raises:
        ModelError: A layer does not exist.
        ConfigurationError: There are no windows.
    """
    _, behind = layers_in_use(model, materials.example)
    parts = list(batches(materials, _MOST))
    scores = {}
    with deciding(model):
        whole = [model(*inputs).double().log_softmax(1) for inputs in parts]
        for name in layers:
            layer = layer_of(model, name)
            ends = behind.get(layer, layer)
            channels = layer.weight.shape[0]
            losses = [_without(model, ends, channel, parts, whole) for channel in range(channels)]
            # Rounding can take a divergence of nothing below zero.
            scores[name] = torch.tensor(losses).clamp(min=0)
    return scores


def _without(
    model: nn.Module,
    ends: nn.Module,
    channel: int,
    parts: Sequence[tuple[Tensor, ...]],
    whole: Sequence[Tensor],
) -> float:
    """Return the mean divergence when one channel of what `ends` puts out is zero."""

    def silence(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        silent = output.clone()
        silent[:, channel] = 0
        return silent

    handle = ends.register_forward_hook(silence)
    try:
        total = 0.0
        for inputs, before in zip(parts, whole, strict=True):
            after = model(*inputs).double().log_softmax(1)
            total += float((after.exp() * (after - before)).sum())
    finally:
        handle.remove()
    return total / sum(len(before) for before in whole)
