"""Pruning a trained classifier with its fine-tuning: what a build and a sweep do alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from edgeprune.progress import Progress
from edgeprune.pruning.fine_tuning import FineTuning, attacker_of
from edgeprune.pruning.materials import Attack, Materials, draw_materials
from edgeprune.pruning.pruner import Guard, Measure, PruningResult, prune
from edgeprune.pruning.sensitivity import attacked_loss
from edgeprune.training import CertifiedTraining
from edgeprune.training.determinism import deterministic


@dataclass(frozen=True)
class PrunedClassifier:
    """A pruned classifier.

    Attributes:
        result: The classifier with its history.
        scores: Macro-F1 on the validation windows after each step; None without windows.
    """

    result: PruningResult
    scores: tuple[float | None, ...]


def prune_classifier(
    model: nn.Module,
    tuning: FineTuning,
    progress: Progress,
    measure: Measure | None = None,
    guard: Guard | None = None,
    checkpoints: Path | None = None,
) -> PrunedClassifier:
    """Prune a trained classifier as `tuning.settings` say; the same arguments give the same bytes.

    Args:
        model: The classifier; it is not changed.
        tuning: Windows, settings and how it was trained.
        progress: Receives the steps.
        measure: Counts what a classifier takes as firmware; needed for a budget.
        guard: See `prune`.
        checkpoints: Folder to continue fine-tunings from.

    Raises:
        EdgepruneError: As `prune` and `train` do.
    """
    scores: list[float | None] = []

    def fine_tune(pruned: nn.Module, step: int) -> nn.Module:
        tuned, score = tuning(pruned, step, model, progress, checkpoints)
        scores.append(score)
        return tuned

    # Criteria run the classifier: the thread count decides the order of their sums, too.
    with deterministic(tuning.recipe.threads):
        materials = materials_of(model, tuning)
        result = prune(model, materials, tuning.settings, fine_tune, progress, measure, guard)
    return PrunedClassifier(result, tuple(scores[: len(result.steps)]))


def materials_of(model: nn.Module, tuning: FineTuning) -> Materials:
    """Return what methods and criteria may look at when a classifier is pruned."""
    settings = tuning.settings
    return draw_materials(
        model,
        tuning.training,
        tuning.front_end,
        settings.windows,
        tuning.seed,
        _attack(tuning),
    )


def _attack(tuning: FineTuning) -> Attack | None:
    robust = attacker_of(tuning.settings, tuning.robustness)
    if not robust.perturbation:
        return None
    return partial(
        attacked_loss,
        windows=tuning.training,
        front_end=tuning.front_end,
        robust=CertifiedTraining(robust, tuning.adc),
        number=tuning.settings.windows,
        seed=tuning.seed,
    )
