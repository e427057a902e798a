"""Channels that zeros made useless go, and nothing changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgeprune.config import PruningSettings
from edgeprune.progress import Silent
from edgeprune.pruning import Removal, ZeroedWeights, apply, prune, replay
from edgeprune.pruning.dead_channels import with_dead_channels
from tests.pruning.networks import classifier


def zeroed(model: nn.Module, layer: str, *places: tuple[object, ...]) -> ZeroedWeights:
    mask = np.zeros(tuple(model.get_submodule(layer).weight.shape), bool)
    for place in places:
        mask[place] = True
    return ZeroedWeights(layer, np.flatnonzero(mask), 0.0)


def test_unread_and_unmade_channels_are_found_and_those_behind_them() -> None:
    model, materials = classifier("eeg")
    with torch.no_grad():
        model[7].bias[[5, 6]] = torch.tensor([-1.0, 1.0])
    edits = (
        zeroed(model, "9", (slice(None), 3)),  # nobody reads unit 3
        zeroed(model, "7", 5, 6, (slice(None), slice(150, 300))),  # 5 is silent, 6 a constant
    )
    plain = apply(model, edits, materials.example)(*materials.inputs)
    found = with_dead_channels(model, edits, materials, 1)
    removed = {each.layer: each.channels for each in found if isinstance(each, Removal)}
    # Features 150 to 299 are those of the second convolution's channel 1.
    assert removed == {"3": (1,), "7": (3, 5)}
    after = apply(model, found, materials.example)
    assert torch.allclose(after(*materials.inputs), plain, atol=1e-5)
    kept = apply(model, with_dead_channels(model, edits, materials, 64), materials.example)
    assert kept[7].out_features == 40
    assert not kept[3].weight[1].any()
    assert not kept[7].weight[3].any()
    assert torch.allclose(kept(*materials.inputs), plain, atol=1e-5)
    removal = (Removal("7", (0,), 0.0),)
    assert with_dead_channels(model, removal, materials, 1) == removal


@pytest.mark.parametrize("name", ["residual-ecg", "eeg"])
def test_pruning_by_much_leaves_no_channel_that_does_nothing(name: str) -> None:
    model, materials = classifier(name)
    settings = PruningSettings(
        method="weight", ratio=0.96, schedule="one-shot", channel_multiple=1, importance="random"
    )
    result = prune(model, materials, settings, lambda pruned, _: pruned, Silent())
    again = replay(model, result.steps, materials.example)
    assert torch.equal(result.model(*materials.inputs), again(*materials.inputs))
    alone = [edit for edit in result.steps[0].edits if isinstance(edit, ZeroedWeights)]
    plain = apply(model, alone, materials.example)
    assert torch.allclose(result.model(*materials.inputs), plain(*materials.inputs), atol=1e-5)
    nothing = (ZeroedWeights(_last(result.model), np.zeros(0, np.int64), 0.0),)
    assert with_dead_channels(result.model, nothing, materials, 1) == nothing
    assert result.after.parameters < result.before.parameters


def _last(model: nn.Module) -> str:
    return [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)][-1]
