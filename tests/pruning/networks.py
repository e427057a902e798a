"""The classifiers that pruning is tested on, with inputs; small ones and those of the issue."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeprune.classifiers import create
from edgeprune.pruning import Materials


def eeg_cnn() -> nn.Module:
    """Return the CNN for 2048 samples that VNN was shown on: 33,430 parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        return nn.Sequential(
            nn.Conv1d(1, 3, 100), nn.ReLU(), nn.MaxPool1d(3),
            nn.Conv1d(3, 5, 200), nn.ReLU(), nn.MaxPool1d(3), nn.Flatten(),
            nn.Linear(750, 40), nn.ReLU(), nn.Linear(40, 2),
        ).eval()  # fmt: skip


def classifier(name: str) -> tuple[nn.Module, Materials]:
    """Return a classifier of that name and what its pruning may look at."""
    generator = torch.Generator().manual_seed(8)
    if name == "eeg":
        model, shape = eeg_cnn(), (2048, 1)
    else:
        shape = (96, 2)
        model = create(name, shape, 18, 5, seed=3).eval()
    inputs: list[Tensor] = [torch.randn(12, shape[1], shape[0], generator=generator)]
    if name.endswith("-ecg"):
        inputs.append(torch.randn(12, 18, generator=generator))
    labels = torch.randint(0, 2, (12,), generator=generator)
    example = tuple(tensor[:2] for tensor in inputs)
    return model, Materials(example, tuple(inputs), labels, seed=4)
