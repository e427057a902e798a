"""The expected absolute value of a channel.

Tan and Motani, "DropNet: reducing neural network complexity via iterative pruning", ICML 2020, as
Jordao and Pedrini (arXiv 2108.04890) take it: a channel counts as much as the mean of its absolute
activation behind the rectifier, over all windows and positions.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edgeprune.pruning.criteria.activations import activations
from edgeprune.pruning.materials import Materials


def expected_absolute_value(
    model: nn.Module, layers: Sequence[str], materials: Materials
) -> dict[str, Tensor]:
    """Return the mean absolute activation of each channel, [channels] by layer.

    Args:
        model: The classifier.
        layers: Qualified names of convolutions and dense layers.
        materials: Windows.

    Raises:
        ModelError: A layer does not exist.
        ConfigurationError: There are no windows.
    """
    found = activations(model, layers, materials, lambda value: value.abs().mean(2))
    return {name: means.mean(0) for name, means in found.items()}
