"""What a user's own package might hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OwnNetwork(nn.Module):
    """A user's network."""

    def __init__(self, channels: int, rhythm_features: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, 8, 7, stride=4, padding=3)
        self.second = nn.Conv1d(8, 8, 5, stride=2, padding=2)
        self.mean = nn.AdaptiveAvgPool1d(1)
        self.dense = nn.Linear(8 + rhythm_features, classes)

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        value = self.second(self.first(signal).relu()).relu()
        logits: Tensor = self.dense(torch.cat((self.mean(value).flatten(1), rhythm), 1))
        return logits


def make(signal_shape: tuple[int, int], rhythm_features: int, classes: int) -> nn.Module:
    return OwnNetwork(signal_shape[1], rhythm_features, classes)


def fails() -> nn.Module:
    raise ZeroDivisionError("the user's own mistake")


def makes_text() -> str:
    return "no module"
