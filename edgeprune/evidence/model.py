"""The network's history: classifier, training, pruning, quantization."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.guard import GuardEvidence
from edgeprune.evidence.quantity import Quantity


@dataclass(frozen=True)
class ClassifierEvidence:
    """The classifier as it was before pruning.

    Attributes:
        name: Its name in the registry, or the import path or file that the user gave.
        description: What kind of network it is.
        parameters: Learnt numbers.
        macs: Multiply-accumulates a window.
    """

    name: str
    description: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class EpochEvidence:
    """One pass over the training data.

    Attributes:
        epoch: Counted from 1.
        train_loss: Mean loss on the training windows.
        validation_macro_f1: Macro-F1 on the validation windows.
    """

    epoch: int
    train_loss: float
    validation_macro_f1: float


@dataclass(frozen=True)
class TrainingEvidence:
    """How the classifier was trained.

    Attributes:
        summary: The recipe in words: loss, class balance, augmentation, optimizer.
        best_epoch: The epoch whose weights were kept.
        selected_by: What chose it, on the validation part.
        validation: The value that chose it.
        epochs: The whole course.
    """

    summary: str
    best_epoch: int
    selected_by: str
    validation: Quantity
    epochs: tuple[EpochEvidence, ...]


@dataclass(frozen=True)
class PruningStepEvidence:
    """The network after one pruning step; the counts are real, not nominal.

    Attributes:
        name: "unpruned", or what the step did.
        parameters: Learnt numbers that remain.
        macs: Multiply-accumulates a window that remain.
        flash_bytes: Weights and code as they would be flashed, where it was determined.
        arena_bytes: Working memory as planned, where it was determined.
        validation_macro_f1: Macro-F1 on the validation part after the step.
        remaining: Weights that are not zero, and one bias an output channel.
        compression: How many times fewer remain than before pruning.
    """

    name: str
    parameters: int
    macs: int
    flash_bytes: int | None = None
    arena_bytes: int | None = None
    validation_macro_f1: Quantity | None = None
    remaining: int | None = None
    compression: float | None = None


@dataclass(frozen=True)
class PruningEvidence:
    """How the classifier was made smaller.

    Attributes:
        method: Name and short description.
        aim: The ratio or the budget asked for, in words.
        steps: The unpruned network first, then every step.
        guard: What it cost the patients, class by class; absent where nobody looked.
        importance: What made a piece important, with its source.
        scope: Whether all layers' pieces were ranked together.
        schedule: How much went in each step.
        fine_tune: What it was trained for after each step; empty: as it was trained.
        stopped: Why the guard ended it before its aim; empty where it did not.
    """

    method: str
    aim: str
    steps: tuple[PruningStepEvidence, ...]
    guard: GuardEvidence | None = None
    importance: str = ""
    scope: str = ""
    schedule: str = ""
    fine_tune: str = ""
    stopped: str = ""


@dataclass(frozen=True)
class QuantizationEvidence:
    """How the float network became an integer network.

    Attributes:
        quantizer: Name and version of the tool.
        scheme: The arithmetic in words.
        calibration_windows: Training windows that set the ranges.
        parameters: Numbers stored in the integer network.
        operators: Kinds of operator it is made of.
    """

    quantizer: str
    scheme: str
    calibration_windows: int
    parameters: int
    operators: tuple[str, ...]
