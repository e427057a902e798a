"""The training loop."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeprune.classifiers import check_finite, create, example_inputs, logits_of
from edgeprune.classifiers.replacements import hold, is_held
from edgeprune.config import TrainingSettings
from edgeprune.data.front_ends import BEATS, SEGMENTS
from edgeprune.errors import ConfigurationError, DataError, ModelError
from edgeprune.progress import Advance, Progress
from edgeprune.training.average import WeightAverage
from edgeprune.training.batches import Batch, BatchSource, by_class
from edgeprune.training.certified import (
    LARGEST_GRADIENT,
    CertifiedTraining,
    certified_settings,
)
from edgeprune.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from edgeprune.training.determinism import derive_seed, deterministic
from edgeprune.training.held_zeros import HeldZeros
from edgeprune.training.metrics import macro_f1, predict
from edgeprune.training.objective import WorstCase
from edgeprune.training.regularizers import ChannelGroups, soft_threshold
from edgeprune.training.robust import check_robust, objective_of, watched_shares
from edgeprune.training.schedule import one_cycle

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows

_FILE = "checkpoint.safetensors"
_TEACHERS = {BEATS: "residual-ecg", SEGMENTS: "eeg-tcn"}


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: From 1.
        loss: Mean loss over its steps.
        learning_rate: Of its last step.
        validation_macro_f1: Of the weights that would be kept; None without validation windows.
        validation_certified: Share of the validation windows that the training's own bounds prove
            and that are decided rightly; None where nothing is certified.
        validation_robust: Share of them that an attack within the perturbation leaves decided
            rightly; None where the training is not adversarial.
    """

    epoch: int
    loss: float
    learning_rate: float
    validation_macro_f1: float | None
    validation_certified: float | None = None
    validation_robust: float | None = None


@dataclass(frozen=True)
class TrainingResult:
    """A trained classifier and how it came about.

    Attributes:
        model: The classifier with the kept weights, in evaluation mode.
        history: One record an epoch.
        best_epoch: The epoch that the kept weights are of.
    """

    model: nn.Module
    history: tuple[EpochRecord, ...]
    best_epoch: int


def train(
    model: nn.Module,
    windows: Windows,
    validation: Windows,
    front_end: FrontEnd,
    settings: TrainingSettings,
    seed: int,
    progress: Progress,
    checkpoints: Path | None = None,
    teachers: Sequence[nn.Module] | None = None,
    certified: CertifiedTraining | None = None,
    zeros: Mapping[str, Tensor] | None = None,
) -> TrainingResult:
    """Train a classifier; the same arguments give the same bytes, interrupted or not.

    Args:
        model: Where to start from; it is not changed.
        windows: Training windows.
        validation: Windows of other patients, watched after each epoch; may be empty.
        front_end: What made the windows.
        settings: How to train.
        seed: Seed of all draws.
        progress: Receives the steps.
        checkpoints: Folder to continue from and to leave a checkpoint in after each epoch.
        teachers: Classifiers to learn from besides the labels; None trains `settings.teachers`
            of them first, an empty sequence goes without.
        certified: How decisions are made provable or hard to attack; teachers are not trained that
            way.
        zeros: Which entries of parameters stay exactly zero, bool in the shape of the parameter, by
            its name: what pruning has taken out.

    Raises:
        DataError: There are no training windows.
        ConfigurationError: The settings name no number of epochs.
        ModelError: The loss or a weight stopped being a number, or bounds do not go through the
            classifier.
        UnknownNameError: Training knows no such perturbation or loss.
    """
    if len(windows.label) == 0:
        raise DataError(
            "there are no windows to train with", where="training", hint="check the split"
        )
    if not settings.epochs:
        raise ConfigurationError(
            "nobody said how long to train", where="training.epochs", hint="give 1 or more"
        )
    if certified is not None:
        check_robust(certified)
        settings = certified_settings(settings, certified.settings)
    if teachers is None:
        teachers = _train_teachers(
            windows, validation, front_end, settings, seed, progress, checkpoints
        )
    with deterministic(settings.threads):
        run = _Run(
            model, windows, validation, front_end, settings, seed, teachers, certified, zeros or {}
        )
        path = None if checkpoints is None else checkpoints / _FILE
        if path is not None:
            run.resume(path)
        total = run.epochs * run.source.steps
        with progress.task("training", total, "step") as advance:
            advance(run.done * run.source.steps)
            while run.done < run.epochs:
                run.epoch(advance)
                if path is not None:
                    run.save(path)
        return run.result()


def _train_teachers(
    windows: Windows,
    validation: Windows,
    front_end: FrontEnd,
    settings: TrainingSettings,
    seed: int,
    progress: Progress,
    checkpoints: Path | None,
) -> tuple[nn.Module, ...]:
    epochs = max(1, settings.epochs * 2 // 3)
    shorter = replace(settings, epochs=epochs, l1=0.0, group_lasso=0.0)
    teachers = []
    for number in range(settings.teachers):
        own_seed = derive_seed(seed, "teacher", number)
        progress.note(f"training teacher {number + 1} of {settings.teachers}")
        start = create(
            _TEACHERS[front_end.kind],
            front_end.signal_shape,
            front_end.rhythm_features,
            len(windows.class_names),
            own_seed,
        )
        folder = None if checkpoints is None else checkpoints / f"teacher-{number + 1}"
        result = train(
            start, windows, validation, front_end, shorter, own_seed, progress, folder, ()
        )
        teachers.append(result.model)
    return tuple(teachers)


class _Run:
    """One training between its first epoch and its last."""

    def __init__(
        self,
        model: nn.Module,
        windows: Windows,
        validation: Windows,
        front_end: FrontEnd,
        settings: TrainingSettings,
        seed: int,
        teachers: Sequence[nn.Module],
        certified: CertifiedTraining | None,
        zeros: Mapping[str, Tensor],
    ) -> None:
        self.model = copy.deepcopy(model).train()
        self.held = HeldZeros(self.model, zeros)
        self.teachers = [copy.deepcopy(teacher).eval() for teacher in teachers]
        self.validation = validation
        self.front_end = front_end
        self.settings = settings
        self.seed = seed
        self.source = BatchSource(windows, front_end, settings, seed)
        self.epochs = settings.epochs
        offsets = by_class(settings.logit_offsets, windows.class_names)
        self.offsets = torch.tensor(offsets) if offsets else torch.zeros(())
        self.certified = certified
        self.objective = None
        if certified is not None:
            self.objective = objective_of(self.model, front_end, certified, self.offsets, seed)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.average = WeightAverage(self.model)
        self.best: Mapping[str, Tensor] = {}
        self.best_epoch = 0
        self.history: list[EpochRecord] = []
        example = example_inputs(model, front_end.signal_shape, front_end.rhythm_features)
        self.groups = ChannelGroups(self.model, example)
        asked = [asdict(settings), certified.facts() if certified else None, seed]
        facts = [*asked, *self.held.facts()]
        self.fingerprint = _fingerprint((model, *teachers), windows, validation, facts)

    @property
    def done(self) -> int:
        """Epochs done."""
        return len(self.history)

    def epoch(self, advance: Advance) -> None:
        """Train one epoch and take it into the history."""
        torch.manual_seed(derive_seed(self.seed, "dropout", self.done))
        steps = self.epochs * self.source.steps
        self.model.train()
        if self.objective is not None:
            self.objective.begin(self.done)
        losses = []
        pace = one_cycle(0, steps, self.settings.learning_rate)
        for number, batch in enumerate(self.source.epoch(self.done)):
            step = self.done * self.source.steps + number
            pace = one_cycle(step, steps, self.settings.learning_rate)
            for group in self.optimizer.param_groups:
                group["lr"] = pace.learning_rate
                group["betas"] = (pace.momentum, 0.999)
            losses.append(self._step(batch, number, pace.learning_rate, step / steps))
            if step >= steps * self.settings.average_from:
                self.average.update(self.model)
            advance(1)
        self._close(sum(losses) / len(losses), pace.learning_rate)

    def _step(self, batch: Batch, number: int, learning_rate: float, done: float) -> float:
        self.optimizer.zero_grad()
        risen = self.objective.progress(done) if self.objective else 0.0
        worst: WorstCase | None = None
        if self.objective is not None and risen > 0:
            batch = self.objective.batch(batch, number)
            worst = self.objective(batch, risen)
            logits = worst.logits
        else:
            logits = logits_of(self.model, batch.signal, batch.rhythm)
        # The offsets are taken off here, so that the network's own logits carry them ever after.
        logits = logits - self.offsets
        loss = functional.cross_entropy(
            logits, batch.label, label_smoothing=self.settings.label_smoothing
        )
        if self.teachers:
            share = self.settings.distillation
            taught = functional.cross_entropy(logits, self._opinion(batch))
            loss = (1 - share) * loss + share * taught
        if worst is not None:
            loss = worst.natural * loss + worst.added
        loss.backward()  # type: ignore[no-untyped-call]
        self.held.silence()
        if self.objective is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        if self.settings.l1:
            soft_threshold(self.model, learning_rate * self.settings.l1)
        if self.settings.group_lasso:
            self.groups.shrink(learning_rate * self.settings.group_lasso)
        hold(self.model)
        value = loss.item()
        if not math.isfinite(value):
            raise ModelError(
                f"the loss is not a number in epoch {self.done + 1}",
                where="training",
                hint="lower training.learning_rate",
            )
        return value

    @torch.no_grad()
    def _opinion(self, batch: Batch) -> Tensor:
        """Return the teachers' mean class probabilities, at the shares of the drawn windows."""
        opinions = [
            (logits_of(teacher, batch.signal, batch.rhythm) - self.offsets).softmax(1)
            for teacher in self.teachers
        ]
        return torch.stack(opinions).mean(0)

    def _close(self, loss: float, learning_rate: float) -> None:
        state = self.average.state if self.average.seen else self.model.state_dict()
        kept = {name: tensor.clone() for name, tensor in state.items()}
        if self.settings.l1 or self.settings.group_lasso:
            self._take_zeros(kept)
        if is_held(self.model):
            kept = self._held_again(kept)
        score = proved = withstood = None
        if len(self.validation.label):
            judge = copy.deepcopy(self.model)
            judge.load_state_dict(kept)
            decision = predict(judge, self.validation, self.front_end).argmax(1)
            score = macro_f1(self.validation.label, decision)
            if self.certified is not None:
                proved, withstood = watched_shares(
                    judge, self.validation, self.front_end, self.certified
                )
        record = EpochRecord(self.done + 1, loss, learning_rate, score, proved, withstood)
        self.history.append(record)
        earlier = [record.validation_macro_f1 or 0.0 for record in self.history[:-1]]
        if not self.settings.keep_best or score is None or score > max(earlier, default=-1.0):
            self.best, self.best_epoch = kept, self.done

    def _take_zeros(self, average: dict[str, Tensor]) -> None:
        """Make the average exactly zero where a penalty has brought the weights to zero."""
        for name, parameter in self.model.named_parameters():
            average[name][parameter.detach() == 0] = 0

    def _held_again(self, average: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return an average that satisfies what the weights it is of do."""
        holder = copy.deepcopy(self.model)
        holder.load_state_dict(average)
        hold(holder)
        return {name: tensor.clone() for name, tensor in holder.state_dict().items()}

    def save(self, path: Path) -> None:
        """Leave a checkpoint."""
        tensors = {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state.items()}
        tensors |= {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
        if self.objective is not None:
            state = self.objective.state()
            tensors |= {f"objective.{name}": tensor for name, tensor in state.items()}
        facts = {
            "average_seen": self.average.seen,
            "best_epoch": self.best_epoch,
            "history": [asdict(record) for record in self.history],
        }
        copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        write_checkpoint(Checkpoint(self.fingerprint, copies, facts), path)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of the same training, if there is one."""
        found = read_checkpoint(path, self.fingerprint)
        if found is None:
            return
        self.model.load_state_dict(_part(found.tensors, "model"))
        self.average.restore(_part(found.tensors, "average"), found.facts["average_seen"])
        self.best = _part(found.tensors, "best")
        self.best_epoch = found.facts["best_epoch"]
        self.history = [EpochRecord(**record) for record in found.facts["history"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(found.tensors, "optimizer").items():
            number, _, kind = name.partition(".")
            moments.setdefault(int(number), {})[kind] = tensor
        state = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**state, "state": moments})
        if self.objective is not None:
            self.objective.restore(_part(found.tensors, "objective"))

    def result(self) -> TrainingResult:
        """Return the classifier with the kept weights."""
        self.model.load_state_dict(self.best)
        check_finite(self.model.state_dict(), where="training")
        return TrainingResult(self.model.eval(), tuple(self.history), self.best_epoch)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def _fingerprint(
    models: tuple[nn.Module, ...],
    windows: Windows,
    validation: Windows,
    facts: Sequence[object],
) -> str:
    digest = hashlib.sha256()
    digest.update(json.dumps([*facts, torch.__version__]).encode())
    for model in models:
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    for part in (windows, validation):
        for array in (part.signal, part.rhythm, part.label, part.record):
            digest.update(array.tobytes())
    return digest.hexdigest()
