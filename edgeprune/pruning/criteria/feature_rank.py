"""HRank: the rank of what a channel puts out.

Lin et al., "HRank: filter pruning using high-rank feature map", CVPR 2020 (arXiv 2002.10179), as
Jordao and Pedrini (arXiv 2108.04890) take it: the rank of a channel's map behind the rectifier,
averaged over images. A map of a signal is a row and not a matrix, its rank 1 unless it is dead.
Our reading: the matrix of a channel is that of all windows by all positions, and its rank says how
many shapes the channel knows. What would be less than 5 % of its largest singular value counts as
none: at the precision of the arithmetic nearly every matrix has full rank, and nothing would tell
the channels apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeprune.pruning.criteria.activations import activations
from edgeprune.pruning.materials import Materials

_SMALL = 0.05


def feature_rank(
    model: nn.Module, layers: Sequence[str], materials: Materials
) -> dict[str, Tensor]:
    """Return the rank of each channel's windows by positions, [channels] by layer.

    Channels of equal rank are told apart by their mean absolute activation, which adds less than a
    rank. Behind a dense layer, where there is one position, it alone decides among the live ones.

    Args:
        model: The classifier.
        layers: Qualified names of convolutions and dense layers.
        materials: Windows.

    Raises:
        ModelError: A layer does not exist.
        ConfigurationError: There are no windows.
    """
    found = activations(model, layers, materials, lambda value: value)
    scores = {}
    for name, values in found.items():
        sizes = values.abs().mean((0, 2))
        share = sizes / (sizes.sum() + torch.finfo(sizes.dtype).tiny)
        scores[name] = numerical_ranks(values.transpose(0, 1)) + 0.5 * share
    return scores


def numerical_ranks(matrices: Tensor, small: float = _SMALL) -> Tensor:
    """Return how many singular values of each matrix are larger than a share of its largest.

    Args:
        matrices: Float [count, rows, columns].
        small: The share.

    Returns:
        Float [count]; 0 for a matrix of zeros.
    """
    # The smaller Gram matrix has the squares as its eigenvalues, at a fraction of the work.
    values = matrices.double()
    if values.shape[1] > values.shape[2]:
        values = values.transpose(1, 2)
    squares = torch.linalg.eigvalsh(values @ values.transpose(1, 2))
    largest = squares[:, -1:]
    large: Tensor = ((squares > small**2 * largest) & (largest > 0)).sum(1).float()
    return large
