"""The running average of a classifier's weights, which decides better than the last weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_SLOWEST = 0.005


class WeightAverage:
    """Averages the states that it is shown: all alike at first, then the newer ones more.

    Args:
        model: The classifier that is averaged.
    """

    def __init__(self, model: nn.Module) -> None:
        self.state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.seen = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's present state into the average."""
        self.seen += 1
        share = max(_SLOWEST, 1 / self.seen)
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor, share)
            else:
                self.state[name].copy_(tensor)

    def restore(self, state: Mapping[str, Tensor], seen: int) -> None:
        """Continue from a checkpoint."""
        self.state = {name: tensor.clone() for name, tensor in state.items()}
        self.seen = seen
