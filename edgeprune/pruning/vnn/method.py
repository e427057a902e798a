"""Method "vnn": few weights that keep what the neurons do on correctly classified windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeprune.classifiers import deciding
from edgeprune.config import PruningSettings
from edgeprune.errors import ConfigurationError
from edgeprune.pruning.counts import count
from edgeprune.pruning.dead_channels import with_dead_channels
from edgeprune.pruning.edits import Edit, apply
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.vnn.network import edits_of
from edgeprune.pruning.vnn.refit import Band
from edgeprune.pruning.vnn.variants import VARIANTS, LayerOutcome, Preserving
from edgeprune.pruning.zeroing import weight_candidates

_PARTS = 128


@dataclass(frozen=True, eq=False)
class VnnResult:
    """What VNN makes of a classifier.

    Attributes:
        edits: The new weights; `apply` them to the classifier.
        windows: Correctly classified windows that they were made to fit.
        outcomes: What became of the layers, in order.
    """

    edits: tuple[Edit, ...]
    windows: int
    outcomes: tuple[LayerOutcome, ...]


def vnn_edits(
    model: nn.Module, materials: Materials, settings: PruningSettings, target: int
) -> tuple[Edit, ...]:
    """Return the edits of method "vnn".

    How many weights are left follows from `vnn_epsilon` and the windows; where more than `target`
    are, the least important by `settings.importance` become zero as well, so that the result
    stands beside magnitude pruning at the same sparsity.

    Args:
        model: The classifier.
        materials: Its training windows. The published method takes a validation set; here that part
            chooses between classifiers, and must not have made one of them.
        settings: What is kept.
        target: Non-zero weights and biases at most, once channels that zeros have made useless are
            gone too.

    Raises:
        ConfigurationError: There are no windows that the classifier classifies correctly.
        UnknownNameError: There is no such variant.
    """
    solved = preserve(model, materials, settings).edits

    def left(edits: tuple[Edit, ...]) -> int:
        return count(apply(model, edits, materials.example), materials.example).remaining

    def whole(edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
        return with_dead_channels(model, edits, materials, settings.channel_multiple)

    if left(solved) <= target or left(whole(solved)) <= target:
        return solved
    changed = apply(model, solved, materials.example)
    candidates = weight_candidates(changed, materials, settings)

    def fewest(enough: Callable[[tuple[Edit, ...]], bool], steps: int) -> tuple[Edit, ...]:
        too_few, sufficient = 0, len(candidates)
        while sufficient - too_few > max(1, len(candidates) // steps):
            middle = (too_few + sufficient) // 2
            if enough((*solved, *candidates.first(middle))):
                sufficient = middle
            else:
                too_few = middle
        return (*solved, *candidates.first(sufficient))

    found = fewest(lambda edits: left(edits) <= target, len(candidates))
    if left(whole(found)) < target * (1 - 1 / _PARTS):
        # Channels that went for nothing: fewer weights have to go.
        return fewest(lambda edits: left(whole(edits)) <= target, _PARTS)
    return found


def preserve(model: nn.Module, materials: Materials, settings: PruningSettings) -> VnnResult:
    """Solve the programs of a classifier's layers.

    Args:
        model: The classifier; it is not changed.
        materials: Its training windows.
        settings: What is kept.

    Raises:
        ConfigurationError: There are no windows that the classifier classifies correctly.
        UnknownNameError: There is no such variant.
    """
    variant = VARIANTS.get(settings.vnn_variant, where="pruning.vnn_variant")
    inputs = _classified_correctly(model, materials)
    keep = Preserving(
        Band(settings.vnn_epsilon, settings.vnn_keeps_inactive),
        settings.vnn_margin,
        settings.vnn_rows,
        materials.seed,
    )
    outcomes = variant(model, inputs, keep)
    edits = tuple(
        edit
        for each in outcomes
        for edit in edits_of(model, each.layer, each.refit.weight, each.refit.bias)
    )
    return VnnResult(edits, len(inputs[0]), outcomes)


@torch.no_grad()
def _classified_correctly(model: nn.Module, materials: Materials) -> tuple[Tensor, ...]:
    right = torch.zeros(0, dtype=torch.bool)
    if len(materials.labels):
        with deciding(model):
            right = model(*materials.inputs).argmax(1) == materials.labels
    if not right.any():
        raise ConfigurationError(
            f"none of {len(right)} training windows is classified correctly",
            where="pruning.method",
            hint="VNN keeps what a classifier gets right: give it windows, or train it first",
        )
    return tuple(value[right] for value in materials.inputs)
