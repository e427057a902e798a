"""Networks as users write them, with and without residual blocks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 6


class Inline(nn.Module):
    """Two residual blocks in one forward: a plain sum, and one around a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, WIDTH, 3, padding=1)
        self.one = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.down = nn.Conv1d(WIDTH, 8, 1, stride=2)
        self.left = nn.Conv1d(WIDTH, 8, 3, stride=2, padding=1)
        self.right = nn.Conv1d(8, 8, 3, padding=1)
        self.act = nn.ReLU()
        self.dense = nn.Linear(8, 3)

    def forward(self, signal: Tensor) -> Tensor:
        value = self.stem(signal)
        value = self.act(value + self.norm(self.one(value)))
        branch = self.right(functional.relu(self.left(value)))
        value = torch.add(branch, self.down(value)).relu()
        logits: Tensor = self.dense(value.mean(2))
        return logits


class Unwilling(nn.Module):
    """Layers that must be left alone: called twice, or in a forward that decides for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, WIDTH, 3, padding=1)
        self.shared = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.moody = Moody()
        self.looking = Looking()
        self.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, signal: Tensor) -> Tensor:
        value = self.stem(signal).relu()
        value = self.shared(self.shared(value).relu()).relu()
        value = self.looking(self.moody(value))
        logits: Tensor = self.dense(value.mean(2))
        return logits


class Moody(nn.Module):
    """Leaves its block out in training."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv1d(WIDTH, WIDTH, 1)
        self.two = nn.Conv1d(WIDTH, WIDTH, 1)

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor = value if self.training else value + self.two(self.one(value))
        return result


class Looking(nn.Module):
    """Decides by what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.ModuleList([nn.Conv1d(WIDTH, WIDTH, 1) for _ in range(2)])

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor = value
        for layer in self.both:
            result = layer(result) if result.sum() > 0 else result
        return result


def inline() -> nn.Module:
    """Return `Inline` with weights of its own."""
    return _drawn(Inline)


def unwilling() -> nn.Module:
    """Return `Unwilling`."""
    return _drawn(Unwilling)


def dense() -> nn.Module:
    """Return a plain dense network: two layers that keep the shape, one of them normalized."""
    return _drawn(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(32, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(),
            nn.Linear(20, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 3),
        )
    )  # fmt: skip


def _drawn(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return make().eval()
