"""What the learning stages leave for the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from torch import nn

from edgeprune.classifiers import example_inputs
from edgeprune.config import RobustnessSettings
from edgeprune.data import Dataset, RecordCount, Windows
from edgeprune.evaluation import spread
from edgeprune.evidence import (
    AdcEvidence,
    ClassCount,
    ClassDescription,
    ClassifierEvidence,
    DataEvidence,
    EpochEvidence,
    Exclusion,
    PruningEvidence,
    PruningStepEvidence,
    Quantity,
    QuantizationEvidence,
    Split,
    TrainingEvidence,
    Where,
    WindowEvidence,
    shared_patients,
)
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.given_model import QuantizedModel
from edgeprune.pipeline.recipe import model_name
from edgeprune.pruning import CRITERIA, Counts, PrunedClassifier, count
from edgeprune.pruning.methods import METHODS
from edgeprune.pruning.words import edits_in_words
from edgeprune.quantization import QuantizationResult
from edgeprune.training import EpochRecord, TrainingResult
from edgeprune.training.certified import certified_settings
from edgeprune.training.robust import NATURAL, proves

_TITLES = {
    "N": "normal, bundle branch block, or escape beat",
    "S": "supraventricular ectopic beat",
    "V": "ventricular ectopic beat",
    "F": "fusion of a ventricular and a normal beat",
    "Q": "paced or unclassifiable beat",
}
_PURPOSES = {
    "train": "to learn from",
    "validation": "to choose epoch, channels and settings",
    "test": "to evaluate only: this build chose nothing on it",
}
_TUNED = {"": "fine-tuned", "none": "not fine-tuned"}
# Of methods that do not ask for one, what makes a piece important, if anything does.
_FIXED_IMPORTANCE = {"graft": "", "low-rank": "", "none": "", "top-k": "activation-frequency"}
_INT8_SCHEME = (
    "int8 activations per tensor, int8 weights per output channel, int32 biases; "
    "requantized with TFLite's double rounding"
)


def data_evidence(context: Context, dataset: Dataset) -> DataEvidence:
    """Describe the data: origin, split, what was left out."""
    card, adc, front_end = context.card, context.adc, context.front_end
    length, channels = front_end.signal_shape
    splits = tuple(_split(name, getattr(dataset, name)) for name in ("train", "validation", "test"))
    samples = sum(count.samples for count in dataset.counts)
    clipped = sum(count.clipped for count in dataset.counts)
    return DataEvidence(
        origin=card.origin,
        licence=card.licence,
        citation=card.citation,
        lead=card.signal.lead_words,
        adc=AdcEvidence(
            adc.rate_hz,
            adc.microvolt_per_count,
            adc.bits,
            Quantity(clipped / samples, "1", Where.HOST, n=samples, n_of="samples"),
            adc.unit,
        ),
        window=WindowEvidence(
            length,
            channels,
            front_end.rhythm_features,
            length * front_end.factor / adc.rate_hz,
            spread(front_end.microvolt_per_lsb(dataset.test.gain, adc)),
        ),
        classes=tuple(ClassDescription(name, _TITLES.get(name, name)) for name in card.class_names),
        splits=splits,
        excluded=_exclusions(context, dataset.counts),
        shared_patients=shared_patients(splits),
        patients_known=card.patients_known,
        notes=(
            dataset.disjointness,
            " ".join(card.text.split()),
            _lookahead(context),
        ),
    )


def _lookahead(context: Context) -> str:
    """Say what a decision waits for."""
    front_end = context.front_end
    if context.card.window is None:
        return (
            f"The rhythm input looks {front_end.delay_beats} beat ahead: a beat is classified "
            "when the next one is known."
        )
    note = (
        "A window is classified with its last sample; nothing is remembered from one to the next."
    )
    if context.card.signal.unit == "rms":
        note += (
            " The publisher normalised the signal, its volts are not known: where microvolts are "
            "said, thousandths of its RMS are meant."
        )
    return note


def _split(name: str, windows: Windows) -> Split:
    counts = np.bincount(windows.label, minlength=len(windows.class_names))
    return Split(
        name,
        _PURPOSES[name],
        windows.record_names,
        tuple(sorted(set(windows.patients))),
        len(windows),
        tuple(
            ClassCount(label, int(number))
            for label, number in zip(windows.class_names, counts, strict=True)
        ),
    )


def _exclusions(context: Context, counts: Sequence[RecordCount]) -> tuple[Exclusion, ...]:
    short = tuple(count for count in counts if count.excluded)
    found = [Exclusion(reason, 0, (name,)) for name, reason in context.card.split.left_out.items()]
    if short:
        found.append(
            Exclusion(
                "too near the end of the recording for a window"
                + (" or the next beat" if context.card.window is None else ""),
                sum(count.excluded for count in short),
                tuple(count.record for count in short),
            )
        )
    return tuple(found)


def classifier_evidence(context: Context, model: nn.Module) -> ClassifierEvidence:
    """Describe the classifier before pruning."""
    front_end = context.front_end
    example = example_inputs(model, front_end.signal_shape, front_end.rhythm_features)
    counts = count(model, example)
    words = (type(model).__doc__ or type(model).__name__).strip().splitlines()[0]
    return ClassifierEvidence(
        model_name(context.config.model), words, counts.parameters, counts.multiply_accumulates
    )


def training_evidence(context: Context, result: TrainingResult) -> TrainingEvidence:
    """Describe a training."""
    settings, robust = context.config.training, context.config.robustness
    if robust.perturbation:
        settings = certified_settings(settings, robust)
    best = result.history[result.best_epoch - 1]
    rhythms = ""
    if context.card.window is None:
        rhythms = f"{settings.simulated_rhythms:.0%} of the heartbeats with a simulated rhythm; "
    summary = (
        f"AdamW, one cycle to a learning rate of {settings.learning_rate:g}, "
        f"{len(result.history)} epochs of {settings.epoch_steps} batches of "
        f"{settings.batch_size}; cross-entropy with label smoothing "
        f"{settings.label_smoothing:g}; rare classes drawn more often than they occur; "
        f"augmented as a sensor would (strength {settings.augmentation:g}); "
        f"{rhythms}weight decay {settings.weight_decay:g}, L1 {settings.l1:g}, group lasso "
        f"{settings.group_lasso:g}; "
        f"distilled from {settings.teachers} classifiers trained first on the same windows"
    )
    if robust.perturbation:
        summary += _robust_summary(robust, best)
    return TrainingEvidence(
        summary,
        result.best_epoch,
        "macro-F1 on the validation windows" if settings.keep_best else "the last epoch",
        Quantity(best.validation_macro_f1, "1", Where.HOST),
        tuple(
            EpochEvidence(record.epoch, record.loss, record.validation_macro_f1 or 0.0)
            for record in result.history
        ),
    )


def _robust_summary(robust: RobustnessSettings, best: EpochRecord) -> str:
    """Return what a training was for besides the decisions, and how far it came."""
    if proves(robust):
        aim = (
            f"; made provable under {robust.perturbation}: the worst case of {robust.loss} bounds "
            f"under {robust.overshoot:g} times that has a weight of {robust.weight:g} in the loss"
        )
        found = f"these bounds prove {best.validation_certified or 0:.1%} of the validation windows"
    else:
        aim = f"; made hard to attack under {robust.perturbation}, which proves nothing"
        if robust.loss != NATURAL:
            weight = robust.beta if robust.loss == "trades" else robust.weight
            aim += (
                f": the loss of windows attacked ({robust.loss}) within {robust.overshoot:g} times "
                f"that has a weight of {weight:g}"
            )
        found = f"an attack leaves {best.validation_robust or 0:.1%} of the validation windows"
    if robust.noise_to_signal:
        aim += f"; noise against margin is penalized with a weight of {robust.noise_to_signal:g}"
    if robust.neuron_stability:
        aim += f"; units that can switch are penalized with {robust.neuron_stability:g}"
    return (
        f"{aim}, all of it risen between {robust.natural:.0%} and "
        f"{min(robust.natural + robust.warm_up, 1):.0%} of the steps; {found} right; after pruning "
        f"{robust.quantized_epochs} more epochs through the roundings of the integer network"
    )


def given_weights(context: Context) -> TrainingEvidence:
    """Describe a classifier that came with its weights."""
    return TrainingEvidence(
        "weights given by the user; nothing is known here of how they were trained",
        0,
        "the user",
        Quantity(None, "1", Where.HOST, note="not trained here"),
        (),
    )


def pruning_evidence(
    context: Context, pruned: PrunedClassifier, validation: Windows
) -> PruningEvidence:
    """Describe a pruning: real counts before and after every step."""
    settings, result = context.config.pruning, pruned.result
    limits = {
        "flash": (settings.max_flash, "bytes"),
        "RAM": (settings.max_ram, "bytes"),
        "instructions": (settings.max_instructions, "a window"),
    }
    budget = [f"{name} <= {limit} {unit}" for name, (limit, unit) in limits.items() if limit]
    aim = "; ".join(budget) or f"remove {settings.ratio:.0%} of the parameters"
    aim = {
        "none": "none",
        "graft": f"a line in the place of {settings.ratio:.0%} of the ReLUs",
    }.get(settings.method, aim)
    importance = _FIXED_IMPORTANCE.get(settings.method, settings.importance)
    steps = [_pruning_step("unpruned", result.before, result.before)]
    training = METHODS.get(settings.method).settled(settings).fine_tune
    tuned = _TUNED.get(training, f"fine-tuned: {training}")
    for number, (step, score) in enumerate(zip(result.steps, pruned.scores, strict=True), start=1):
        facts = _pruning_step(
            f"step {number}: {edits_in_words(step.edits)}, {tuned}", step.after, result.before
        )
        quantity = None
        if score is not None:
            quantity = Quantity(score, "1", Where.HOST, n=len(validation), n_of="windows")
        flash = step.cost.flash if step.cost else None
        steps.append(replace(facts, flash_bytes=flash, validation_macro_f1=quantity))
    return PruningEvidence(
        f"{settings.method}, {importance} importance, {settings.scope}"
        if importance
        else settings.method,
        aim,
        tuple(steps),
        importance=CRITERIA.get(importance).title if importance else "",
        scope=settings.scope,
        schedule=settings.schedule,
        fine_tune=settings.fine_tune,
        stopped=result.stopped,
    )


def _pruning_step(name: str, counts: Counts, dense: Counts) -> PruningStepEvidence:
    return PruningStepEvidence(
        name,
        counts.parameters,
        counts.multiply_accumulates,
        remaining=counts.remaining,
        compression=counts.compression(dense),
    )


def quantization_evidence(
    context: Context, result: QuantizationResult, network: IntegerNetwork
) -> QuantizationEvidence:
    """Describe a quantization."""
    name = context.config.quantization.quantizer
    return QuantizationEvidence(
        f"{name} {version(name)}, {result.chosen.calibration}",
        _INT8_SCHEME,
        result.windows,
        network.parameters(),
        _operators(network),
    )


def given_quantization(
    context: Context, network: IntegerNetwork, given: QuantizedModel
) -> QuantizationEvidence:
    """Describe a network that came quantized."""
    return QuantizationEvidence(
        "; ".join((f"quantized by the user ({given.format})", *given.notes)),
        _INT8_SCHEME,
        0,
        network.parameters(),
        _operators(network),
    )


def _operators(network: IntegerNetwork) -> tuple[str, ...]:
    return tuple(sorted({operation.kind for operation in network.operations}))
