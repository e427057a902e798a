"""A pruning that the guard for the patient stops, and one that it lets go on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edgeprune.config import GuardSettings, PruningSettings
from edgeprune.data import Windows
from edgeprune.pipeline.guarding import PatientGuard
from edgeprune.progress import Silent
from edgeprune.pruning import prune
from edgeprune.pruning.materials import without_windows
from tests.small_windows import FRONT_END, small_windows

CLASSES = ("N", "S", "V")


class Net(nn.Module):
    """Layers that can be pruned, and logits that are the labels'."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 16, 5, padding=2)
        self.mean = nn.AdaptiveAvgPool1d(1)
        self.dense = nn.Linear(16, 3)
        self.forgotten = nn.Parameter(torch.zeros(3))

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        """Return the rhythm's class, less what was forgotten, whatever the layers say."""
        logits: Tensor = self.dense(self.mean(self.conv(signal).relu()).flatten(1))
        return 1e-6 * logits + rhythm.repeat(1, 2)[:, :3] - self.forgotten


def validation() -> Windows:
    drawn = small_windows(300, 4)
    label = np.arange(300) % 3
    rhythm = np.zeros((300, 3), np.int8)
    rhythm[np.arange(300), label] = 64
    return Windows(
        signal=drawn.signal,
        rhythm=rhythm,
        gain=drawn.gain,
        label=label,
        record=drawn.record,
        beat=np.arange(300),
        record_names=("a", "b", "c", "d"),
        patients=("p", "q", "r", "s"),
        class_names=CLASSES,
        synthetic=True,
    )


def test_a_branch_ends_where_a_class_is_lost_and_the_last_that_kept_it_stays() -> None:
    torch.manual_seed(0)
    parent, windows = Net(), validation()
    settings = PruningSettings(
        ratio=0.6, schedule="iterative", steps=3, channel_multiple=1, importance="l1"
    )
    kept: list[nn.Module] = []

    def forgetful(pruned: nn.Module, step: int) -> nn.Module:
        if step == 1:
            with torch.no_grad():
                pruned.get_parameter("forgotten")[2] = 2.0  # no V is decided any more
        kept.append(pruned)
        return pruned

    materials = without_windows(parent, FRONT_END.signal_shape, 3)
    for limits, steps in (({"V": 0.01}, 1), ({"N": 0.01}, 3), ({}, 3)):
        kept.clear()
        guard = PatientGuard(parent, windows, FRONT_END, GuardSettings(limits))
        result = prune(parent, materials, settings, forgetful, Silent(), guard=guard)
        found = guard.evidence()
        assert len(result.steps) == steps
        assert result.model is kept[steps - 1]
        assert found.stopped_at == (2 if steps == 1 else None)
        assert bool(result.stopped) is (steps == 1)
        lost = next(change for change in found.steps[1].recalls if change.name == "V")
        assert (lost.n, lost.lost, lost.gained) == (100, 100, 0)
    assert "V" not in {name.name for name in found.limits}
