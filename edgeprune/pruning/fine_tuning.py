"""What a classifier is trained for after each pruning step.

A fine-tuning is a function `f(robustness) -> Aim` of `[robustness]`, whose perturbation is
`pruning.perturbation` where that is given. To add one: write it and name it in `FINE_TUNINGS`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from edgeprune.config import PruningSettings, RobustnessSettings, TrainingSettings
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Progress
from edgeprune.pruning.edits import held_zeros
from edgeprune.pruning.methods import METHODS
from edgeprune.registry import Registry
from edgeprune.training import CertifiedTraining, macro_f1, predict, train
from edgeprune.training.robust import proves

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows
    from edgeprune.targets import Adc

_STABILITY = 0.01  # weight of the penalty: Li et al., arXiv 2206.07311


@dataclass(frozen=True)
class Aim:
    """What a fine-tuning works towards.

    Attributes:
        trains: Whether anything is trained at all.
        robust: The worst case that is asked for; None for none.
        taught: Whether the classifier before pruning teaches.
    """

    trains: bool = True
    robust: RobustnessSettings | None = None
    taught: bool = False


def _as_trained(robust: RobustnessSettings) -> Aim:
    if not robust.perturbation:
        return Aim(taught=True)
    # What the wider classifier could prove holds the narrower one back.
    return Aim(robust=robust)


def _under(loss: str) -> Callable[[RobustnessSettings], Aim]:
    return lambda robust: Aim(robust=replace(robust, loss=loss))


def _certified(robust: RobustnessSettings) -> Aim:
    return Aim(robust=robust if proves(robust) else replace(robust, loss="interval"))


def _stable(robust: RobustnessSettings) -> Aim:
    weight = robust.neuron_stability or _STABILITY
    return Aim(robust=replace(robust, loss="natural", neuron_stability=weight))


FINE_TUNINGS: Registry[Callable[[RobustnessSettings], Aim]] = Registry(
    "fine-tuning",
    **{
        "": _as_trained,
        "none": lambda _: Aim(trains=False),
        "natural": lambda _: Aim(),
        "distilled": lambda _: Aim(taught=True),
        "pgd": _under("pgd"),
        "trades": _under("trades"),
        "free": _under("free"),
        "certified": _certified,
        "stability": _stable,
    },
)


def aim_of(settings: PruningSettings, robustness: RobustnessSettings) -> Aim:
    """Return what the fine-tuning works towards.

    Raises:
        UnknownNameError: No method or fine-tuning has that name.
        ConfigurationError: It needs a perturbation, and none is given.
    """
    settings = METHODS.get(settings.method, where="pruning.method").settled(settings)
    begin = FINE_TUNINGS.get(settings.fine_tune, where="pruning.fine_tune")
    # The share gates the exit code and decides nothing here.
    as_trained = replace(robustness, share=0.0)
    robust = attacker_of(settings, as_trained) if settings.fine_tune else as_trained
    aim = begin(robust)
    if aim.robust is not None and not robust.perturbation:
        raise ConfigurationError(
            f"the fine-tuning '{settings.fine_tune}' needs a perturbation to withstand",
            where="pruning.fine_tune",
            hint='give pruning.perturbation or robustness.perturbation ("linf:50uV")',
        )
    return aim


def attacker_of(settings: PruningSettings, robustness: RobustnessSettings) -> RobustnessSettings:
    """Return `[robustness]` with the perturbation that pruning is to withstand, "" for none."""
    return replace(robustness, perturbation=settings.perturbation or robustness.perturbation)


@dataclass(frozen=True, eq=False)
class FineTuning:
    """Everything that training a pruned classifier needs.

    Attributes:
        training: Training windows.
        validation: Windows of other patients; may be empty.
        front_end: What made them.
        adc: The converter at which perturbations act.
        recipe: How the classifier was trained.
        robustness: What it was made to withstand.
        settings: How it is pruned.
        seed: Seed of all draws.
    """

    training: Windows
    validation: Windows
    front_end: FrontEnd
    adc: Adc
    recipe: TrainingSettings
    robustness: RobustnessSettings
    settings: PruningSettings
    seed: int

    def __call__(
        self,
        pruned: nn.Module,
        step: int,
        parent: nn.Module,
        progress: Progress,
        checkpoints: Path | None = None,
    ) -> tuple[nn.Module, float | None]:
        """Train a pruned classifier; its zeros stay.

        Args:
            pruned: The classifier; it is not changed.
            step: Number of the pruning step, from 0.
            parent: The classifier before pruning.
            progress: Receives the steps.
            checkpoints: Folder to continue from and to leave checkpoints in.

        Returns:
            The classifier and its macro-F1 on the validation windows, None without them.
        """
        aim = aim_of(self.settings, self.robustness)
        if not aim.trains:
            return copy.deepcopy(pruned).eval(), self._score(pruned)
        robust = None
        if aim.robust is not None:
            # The classifier that comes in knows what it was trained for, and nothing more.
            warm = bool(self.robustness.perturbation)
            robust = CertifiedTraining(aim.robust, self.adc, warm)
        if checkpoints is not None:
            checkpoints = checkpoints / str(step)
            checkpoints.mkdir(parents=True, exist_ok=True)
        result = train(
            pruned,
            self.training,
            self.validation,
            self.front_end,
            replace(
                self.recipe,
                epochs=self.settings.fine_tune_epochs,
                learning_rate=self.recipe.learning_rate * self.settings.fine_tune_rate,
            ),
            self.seed + 1 + step,
            progress,
            checkpoints,
            teachers=(parent,) if aim.taught else (),
            certified=robust,
            zeros=held_zeros(pruned),
        )
        return result.model, result.history[result.best_epoch - 1].validation_macro_f1

    def _score(self, model: nn.Module) -> float | None:
        if not len(self.validation.label):
            return None
        decided = predict(model, self.validation, self.front_end).argmax(1)
        return float(macro_f1(self.validation.label, decided))
