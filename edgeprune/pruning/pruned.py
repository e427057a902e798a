"""Pruning a trained classifier with its fine-tuning: what a build and a sweep do alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from edgeprune.progress import Progress
from edgeprune.pruning.fine_tuning import FineTuning, attacker_of
from edgeprune.pruning.materials import Materials, WorstLoss, draw_materials
from edgeprune.pruning.pruner import Guard, Measure, PruningResult, prune
from edgeprune.pruning.sensitivity import attacked_loss
from edgeprune.training import CertifiedTraining


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

    result = prune(
        model, materials_of(model, tuning), tuning.settings, fine_tune, progress, measure, guard
    )
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
        _worst_loss(model, tuning),
    )


def _worst_loss(model: nn.Module, tuning: FineTuning) -> WorstLoss | None:
    robust = attacker_of(tuning.settings, tuning.robustness)
    if tuning.settings.scope != "sensitivity" or not robust.perturbation:
        return None
    attack = CertifiedTraining(robust, tuning.adc)
    return attacked_loss(
        model,
        tuning.training,
        tuning.front_end,
        attack,
        tuning.settings.windows,
        tuning.seed,
    )
