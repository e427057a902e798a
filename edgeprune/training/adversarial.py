"""Adversarial training: the windows of a step are attacked before they are learned from.

The attack changes the raw samples at the converter; its change reaches both channels of a window
through the same linear conditioning, and the form's energies with them. Roundings are left out: the
windows of a training are no integers either. Nothing of this proves anything.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from edgeprune.classifiers import deciding, logits_of
from edgeprune.errors import ConfigurationError
from edgeprune.quantization import float_inputs
from edgeprune.training.adversarial_losses import ADVERSARIAL_LOSSES, decision_loss, wrong_by
from edgeprune.training.batches import Batch
from edgeprune.training.changes import LargestChange, TotalChange, training_spec
from edgeprune.training.determinism import generator_of
from edgeprune.training.objective import Objective, WorstCase
from edgeprune.training.segment_changes import perturbed

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows
    from edgeprune.targets import Adc
    from edgeprune.training.certified import CertifiedTraining

_BATCH = 512
_PACE = 2.5  # steps of this share of radius / steps reach the boundary from anywhere (Madry et al.)
_LEAST_STEPS = 10  # of the attack that is watched
_MOST_WATCHED = 2048
_TINY = 1e-12


@dataclass(frozen=True)
class ChangeBall:
    """The changes of the raw samples that an attack may make.

    Attributes:
        size: Of each sample, or of all of them together.
    """

    size: LargestChange | TotalChange

    @staticmethod
    def parse(text: str, adc: Adc) -> ChangeBall:
        """Read "linf:50uV" or "l2:200uV".

        Raises:
            ConfigurationError: Anything but one of these two balls at the converter.
        """
        spec = training_spec(text, adc)
        (part,) = spec.parts if len(spec.parts) == 1 else (None,)
        alone = not (spec.gain or spec.signal_lsb or spec.rhythm_lsb)
        if not alone or not isinstance(part, LargestChange | TotalChange):
            raise ConfigurationError(
                f"training cannot attack within {text}",
                where="robustness.perturbation",
                hint='give one "linf" or "l2" in uV, or train with bounds: '
                'robustness.loss = "interval"',
            )
        return ChangeBall(part)

    def project(self, change: Tensor, factor: float) -> Tensor:
        """Return the nearest changes of the ball.

        Args:
            change: Microvolts, float [n, raw samples].
            factor: Share of the size.
        """
        most = self.size.microvolt * factor
        if isinstance(self.size, LargestChange):
            return change.clamp(-most, most)
        length: Tensor = torch.linalg.vector_norm(change, dim=1, keepdim=True)
        return change * (most / length.clamp(min=_TINY)).clamp(max=1.0)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the changes of size 1 uV that rise most along a gradient [n, raw samples]."""
        if isinstance(self.size, LargestChange):
            return gradient.sign()
        length: Tensor = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        return gradient / length.clamp(min=_TINY)

    def random(self, count: int, samples: int, factor: float, generator: torch.Generator) -> Tensor:
        """Draw uniform changes of the ball, float [count, samples]."""
        most = self.size.microvolt * factor
        if isinstance(self.size, LargestChange):
            return (2 * torch.rand(count, samples, generator=generator) - 1) * most
        direction = self.steepest(torch.randn(count, samples, generator=generator))
        return direction * most * torch.rand(count, 1, generator=generator) ** (1 / samples)


class Adversary:
    """Changes raw samples to a classifier's harm.

    Args:
        model: The classifier; it is attacked as it decides, in evaluation mode.
        front_end: What conditions the raw samples.
        robust: The perturbation and the converter.

    Raises:
        ConfigurationError: The perturbation is not one that can be attacked within.
    """

    def __init__(self, model: nn.Module, front_end: FrontEnd, robust: CertifiedTraining) -> None:
        self._model = model
        self.ball = ChangeBall.parse(robust.settings.perturbation, robust.adc)
        spec = training_spec(robust.settings.perturbation, robust.adc)
        self._perturbed = perturbed(spec, front_end, robust.adc)

    @property
    def samples(self) -> int:
        """Raw samples that a window reads."""
        return self._perturbed.samples

    def logits(self, batch: Batch, change: Tensor) -> Tensor:
        """Return the logits [n, classes] of windows whose raw samples change.

        Args:
            batch: The unchanged windows.
            change: Microvolts, float [n, raw samples].
        """
        return logits_of(self._model, *self.inputs(batch, change))

    def inputs(self, batch: Batch, change: Tensor) -> tuple[Tensor, Tensor]:
        """Return signal and rhythm of windows whose raw samples change.

        Args:
            batch: The unchanged windows.
            change: Microvolts, float [n, raw samples].
        """
        return self._perturbed.changed(batch.signal, batch.rhythm, batch.gain, change)

    def walk(
        self,
        batch: Batch,
        loss: Callable[[Tensor], Tensor],
        start: Tensor,
        steps: int,
        factor: float,
    ) -> Iterator[Tensor]:
        """Yield the changes after each step of projected gradient ascent, [n, raw samples].

        Args:
            batch: The windows.
            loss: A scalar of their logits, to be raised.
            start: Changes to begin with.
            steps: How many steps.
            factor: Share of the perturbation's size.
        """
        pace = _PACE * self.ball.size.microvolt * factor / steps
        change = start
        for _ in range(steps):
            with deciding(self._model):
                change = change.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(loss(self.logits(batch, change)), change)
            change = self.ball.project(
                change.detach() + pace * self.ball.steepest(gradient), factor
            )
            yield change


class AdversarialObjective(Objective):
    """The loss of attacked windows.

    Args:
        model: The classifier that is trained.
        front_end: What made the windows.
        robust: Perturbation, loss and weights.
        offsets: What is taken off the logits before the loss.
        seed: Seed of the training.
    """

    def __init__(
        self,
        model: nn.Module,
        front_end: FrontEnd,
        robust: CertifiedTraining,
        offsets: Tensor,
        seed: int,
    ) -> None:
        self._robust = robust
        self._model = model
        self._offsets = offsets
        self._seed = seed
        self._adversary = Adversary(model, front_end, robust)
        self._kind = ADVERSARIAL_LOSSES.get(robust.settings.loss, where="robustness.loss")
        self._held: Batch | None = None
        self._change = torch.zeros(0, self._adversary.samples)
        self.begin(0)

    def progress(self, done: float) -> float:
        """Return how far radius and weight have risen."""
        return self._robust.progress(done)

    def begin(self, epoch: int) -> None:
        """Begin an epoch with draws of its own and no batch held."""
        self._generator = generator_of(self._seed, "attack", epoch)
        self._held = None

    def batch(self, batch: Batch, number: int) -> Batch:
        """Return the windows of a step: where batches are replayed, one in several is taken."""
        if not self._kind.replays:
            return batch
        if self._held is None or number % self._robust.settings.replays == 0:
            self._held = batch
        return self._held

    def __call__(self, batch: Batch, risen: float) -> WorstCase:
        """Attack a batch and return its loss."""
        settings = self._robust.settings
        factor = settings.overshoot * risen
        natural, weight = self._kind.weights(settings, risen)
        clean = logits_of(self._model, batch.signal, batch.rhythm)
        change = self._persistent(batch, factor) if self._kind.replays else None
        if change is None:
            change = self._attacked(batch, clean.detach() - self._offsets, factor)
        attacked = self._adversary.logits(batch, change) - self._offsets
        loss = self._kind.loss(attacked, clean - self._offsets, batch.label)
        return WorstCase(clean, natural, weight * loss)

    def _attacked(self, batch: Batch, clean: Tensor, factor: float) -> Tensor:
        adversary = self._adversary
        start = adversary.ball.random(len(batch.label), adversary.samples, factor, self._generator)

        def loss(logits: Tensor) -> Tensor:
            return self._kind.loss(logits - self._offsets, clean, batch.label)

        *_, last = adversary.walk(batch, loss, start, self._robust.settings.steps, factor)
        return last

    def _persistent(self, batch: Batch, factor: float) -> Tensor:
        """Return the change that outlives its batch; the backward pass of the loss moves it on."""
        if len(self._change) != len(batch.label):
            self._change = torch.zeros(len(batch.label), self._adversary.samples)
        ball = self._adversary.ball
        change = ball.project(self._change, factor).requires_grad_()

        def ascend(gradient: Tensor) -> None:
            pace = ball.size.microvolt * factor
            self._change = ball.project(change.detach() + pace * ball.steepest(gradient), factor)

        change.register_hook(ascend)  # type: ignore[no-untyped-call]
        return change

    def state(self) -> Mapping[str, Tensor]:
        """Return the change that outlives batches and epochs."""
        return {"change": self._change} if self._kind.replays else {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue with it."""
        self._change = state.get("change", self._change)


def robust_accuracy(
    model: nn.Module, windows: Windows, front_end: FrontEnd, robust: CertifiedTraining
) -> float:
    """Return the share of windows that are decided rightly after every step of an attack.

    Of the float classifier, without the roundings of the front end, by projected gradient ascent
    from one random start, on at most 2048 windows spread over all: a figure to watch.

    Args:
        model: The classifier; it is not changed.
        windows: Windows of the front end.
        front_end: What made them.
        robust: The perturbation and the steps of the attack, of which there are 10 or more.
    """
    model = copy.deepcopy(model).eval()
    adversary = Adversary(model, front_end, robust)
    signal, rhythm = map(torch.from_numpy, float_inputs(windows, front_end))
    gain = torch.from_numpy(windows.gain.astype(np.float32))
    label = torch.from_numpy(windows.label)
    total = len(label)
    chosen = np.unique(np.linspace(0, total - 1, min(total, _MOST_WATCHED)).round().astype(int))
    generator = generator_of(0, "robust accuracy")
    steps = max(_LEAST_STEPS, robust.settings.steps)
    held = 0
    for place in range(0, len(chosen), _BATCH):
        part = torch.from_numpy(chosen[place : place + _BATCH])
        batch = Batch(signal[part], rhythm[part], label[part], gain[part])
        held += int(_withstands(adversary, batch, steps, generator).sum())
    return held / max(len(chosen), 1)


def _withstands(
    adversary: Adversary, batch: Batch, steps: int, generator: torch.Generator
) -> Tensor:
    """Return which windows are decided rightly before an attack and after each step, bool [n]."""

    def right(change: Tensor) -> Tensor:
        with torch.no_grad():
            return wrong_by(adversary.logits(batch, change), batch.label) < 0

    def loss(logits: Tensor) -> Tensor:
        return decision_loss(logits, logits, batch.label)

    count = len(batch.label)
    held = right(torch.zeros(count, adversary.samples))
    start = adversary.ball.random(count, adversary.samples, 1.0, generator)
    for change in adversary.walk(batch, loss, start, steps, 1.0):
        held &= right(change)
    return held
