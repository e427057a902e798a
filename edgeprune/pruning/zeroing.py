"""Single weights and whole kernels that become zero, convolutions and dense layers alike.

The tensors keep their shape; what the zeros are worth is for the firmware to show, which skips
them. A layer's last piece stays, or the network would be cut in two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeprune.classifiers.structure import layers_in_use
from edgeprune.config import PruningSettings
from edgeprune.pruning.criteria import CRITERIA, weight_scores
from edgeprune.pruning.edits import Int64Array, ZeroedWeights, layer_of
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.scopes import paces_of


@dataclass(frozen=True, eq=False)
class ZeroCandidates:
    """Pieces in the order in which they should become zero.

    Attributes:
        layers: Names of the layers.
        layer: Of each piece, index into `layers`, int64 [n].
        piece: Its number in its layer, int64 [n].
        score: Its score, float64 [n].
        size: Weights of a piece of each layer: they lie side by side.
    """

    layers: tuple[str, ...]
    layer: Int64Array
    piece: Int64Array
    score: NDArray[np.float64]
    size: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.piece)

    def first(self, number: int) -> tuple[ZeroedWeights, ...]:
        """Return the edits that make the first pieces zero: one a layer."""
        edits = []
        for index, (name, size) in enumerate(zip(self.layers, self.size, strict=True)):
            mine = self.layer[:number] == index
            if not mine.any():
                continue
            pieces = np.sort(self.piece[:number][mine])
            positions = (pieces[:, None] * size + np.arange(size)).reshape(-1)
            edits.append(ZeroedWeights(name, positions, float(self.score[:number][mine].mean())))
        return tuple(edits)


def weight_candidates(
    model: nn.Module, materials: Materials, settings: PruningSettings
) -> ZeroCandidates:
    """Return single weights, the least important first."""
    return _candidates(model, materials, settings, kernels=False)


def kernel_candidates(
    model: nn.Module, materials: Materials, settings: PruningSettings
) -> ZeroCandidates:
    """Return kernels, the least important first.

    A kernel is all taps between one input and one output channel; in a dense layer, one weight
    [our reading: the papers leave dense layers out]. Its score is the mean of its weights', so that
    long kernels and short ones are comparable.
    """
    return _candidates(model, materials, settings, kernels=True)


def _candidates(
    model: nn.Module, materials: Materials, settings: PruningSettings, *, kernels: bool
) -> ZeroCandidates:
    names = zeroable_layers(model, materials)
    criterion = CRITERIA.get(settings.importance, where="pruning.importance")
    scores = weight_scores(criterion, model, names, materials)
    paces = paces_of(settings, model, names, materials)
    keys, layers, pieces, values, sizes = [], [], [], [], []
    for index, name in enumerate(names):
        weight = layer_of(model, name).weight.detach()
        size = weight[0, 0].numel() if kernels else 1
        # What is zero already is no candidate, and what goes with it counts as it is.
        alive = _rows(weight, size).ne(0).any(1)
        score = _rows(scores[name].detach().double(), size).mean(1)
        order = torch.argsort(score, stable=True)
        order = order[alive[order]][:-1]
        value = score[order].numpy()
        gone = len(alive) - int(alive.sum())
        share = (gone + 1 + np.arange(len(order))) / (len(alive) + 1)
        keys.append(value if paces is None else share / paces[name])
        layers.append(np.full(len(order), index))
        pieces.append(order.numpy())
        values.append(value)
        sizes.append(size)
    value = np.concatenate(values)
    order = np.lexsort((value, np.concatenate(keys)))
    return ZeroCandidates(
        names,
        np.concatenate(layers)[order],
        np.concatenate(pieces)[order],
        value[order],
        tuple(sizes),
    )


def zeroable_layers(model: nn.Module, materials: Materials) -> tuple[str, ...]:
    """Return the names of all layers with weights, in the order of their first use."""
    used, _ = layers_in_use(model, materials.example)
    names = {layer: name for name, layer in model.named_modules()}
    return tuple(names[layer] for layer in used)


def _rows(values: Tensor, size: int) -> Tensor:
    return values.reshape(-1, size)
