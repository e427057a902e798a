"""How a classifier is trained, made robust, pruned and quantized: sections of `edgeprune.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeprune.config.guarding import GuardSettings


@dataclass(frozen=True)
class TrainingSettings:
    """How a classifier is trained.

    Attributes:
        epochs: Rounds of `epoch_steps` steps, a checkpoint is left after each; 0 takes what the
            data card recommends.
        epoch_steps: Steps of an epoch; batches are drawn in balance, so that no pass is counted.
        batch_size: Windows a step.
        learning_rate: Peak learning rate.
        weight_decay: Decoupled weight decay.
        l1: Strength of the penalty on absolute weights; makes single weights zero.
        group_lasso: Strength of the penalty on channel norms; makes whole channels zero.
        augmentation: Strength of the sensor-like augmentation; 0 switches it off.
        label_smoothing: Share of the target probability spread over all classes.
        class_mix: Share of each class among the drawn windows, by class name; if it names none of
            the classes, the square roots of their own shares.
        record_balance: Within a class, 1 draws all windows alike, 0 all records alike.
        logit_offsets: Added to the logits by class name, for decisions at the classes' true shares.
        simulated_rhythms: Share of the heartbeats that get a simulated rhythm.
        remix: Share of the N and S beats that get the shape of another patient's normal beat.
        early_normals: Share of the premature V beats that become S by a normal beat's shape.
        wide_normals: Share of the N and S beats that become those of a patient whose usual beat is
            wide, with a ventricular shape.
        other_templates: Share of the V beats that are held against another patient's usual beat.
        average_from: Share of the steps after which the weights are averaged; 1 for no average.
        teachers: Classifiers that are trained first, for two thirds of the epochs each, and whose
            mean decision the classifier learns besides the labels.
        distillation: Weight of the teachers' decision in the loss, if there are any.
        keep_best: Keep the epoch with the best validation macro-F1 instead of the last.
        threads: Threads of the tensor library; part of the recipe, since it changes rounding. These
            networks are too small to gain by a second one.
    """

    epochs: int = 0
    epoch_steps: int = 100
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 2e-2
    l1: float = 0.0
    group_lasso: float = 0.0
    augmentation: float = 1.0
    label_smoothing: float = 0.03
    class_mix: Mapping[str, float] = field(
        default_factory=lambda: {"N": 0.5, "S": 0.15, "V": 0.28, "F": 0.07}
    )
    record_balance: float = 0.5
    logit_offsets: Mapping[str, float] = field(
        default_factory=lambda: {"S": -2.0, "V": -1.0, "F": -2.75}
    )
    simulated_rhythms: float = 0.3
    remix: float = 0.5
    early_normals: float = 0.3
    wide_normals: float = 0.2
    other_templates: float = 0.3
    average_from: float = 0.5
    teachers: int = 3
    distillation: float = 0.8
    keep_best: bool = False
    threads: int = 1


@dataclass(frozen=True)
class RobustnessSettings:
    """Training that makes decisions provable, or hard to attack.

    Attributes:
        perturbation: What a decision must withstand at the converter ("linf:50uV",
            "gain:10%+linf:5uV"); empty trains for the unchanged signal alone.
        share: Least share of the test windows proved and right under it; gates the exit code.
        loss: What the worst case is of: bounds ("interval", "crown-interval"), which make decisions
            provable; attacks ("pgd", "trades", "free"), which make them hard to change and prove
            nothing; or "natural", none but penalties (`noise_to_signal`, `neuron_stability`).
        overshoot: Factor on the perturbation in training, so that decisions are proved with room.
        weight: Share of the worst-case loss once it has risen; "pgd" and "free" are their papers'
            at 1, and "trades" takes `beta` instead.
        natural: Share of the steps before it begins to rise, together with the perturbation.
        warm_up: Share of the steps over which they rise.
        teachers: Classifiers that are trained naturally first and that it learns from besides the
            labels, in place of `training.teachers`.
        logit_offsets: In place of `training.logit_offsets`.
        neuron_stability: Weight of a penalty on units whose ReLU can switch, in units of their
            normalization's scale; with bounds, a part of the worst-case loss.
        relu_stability: Weight of the same in plain units.
        steps: Steps of the attack on each batch: "pgd" and "trades".
        beta: Weight of the divergence between attacked and unchanged windows: "trades".
        replays: Steps that each batch is taken for, the attack going on from one to the next:
            "free".
        noise_to_signal: Weight of a penalty on how much of the perturbation arrives at the
            decision, against its margin; "linf" and "l2" in uV.
        quantized_epochs: Epochs of the last training, through the very roundings of the integer
            network; 0 goes without.
        quantized_rate: Peak learning rate of that training, as a share of the training's.
    """

    perturbation: str = ""
    share: float = 0.0
    loss: str = "interval"
    overshoot: float = 1.2
    weight: float = 0.5
    natural: float = 0.05
    warm_up: float = 0.5
    teachers: int = 0
    logit_offsets: Mapping[str, float] = field(
        default_factory=lambda: {"S": -2.0, "V": -0.25, "F": -2.75}
    )
    neuron_stability: float = 0.0
    relu_stability: float = 0.0
    steps: int = 7
    beta: float = 6.0
    replays: int = 4
    noise_to_signal: float = 0.0
    quantized_epochs: int = 3
    quantized_rate: float = 0.03


@dataclass(frozen=True)
class PruningSettings:
    """How a classifier is pruned.

    Attributes:
        method: What goes: "channel" (whole channels), "kernel" or "weight" (they become zero), or
            another name of the registry; "none" for nothing.
        ratio: Share of the non-zero weights and biases to remove (0 to 0.99); the real compression
            is 1 / (1 - ratio).
        schedule: "one-shot"; "iterative", `steps` equal steps; or "progressive", which halves what
            is left until the ratio is reached.
        steps: Rounds of pruning and fine-tuning: "iterative".
        fine_tune: Training after each round: "none", "natural", "distilled" (from the classifier
            before pruning), against attacks ("pgd", "trades", "free"), "certified" (by bounds), or
            "stability" (few ReLUs that can switch); empty trains as the classifier was trained.
        perturbation: What that training withstands, and what sensitivity is measured under; empty
            takes `robustness.perturbation`.
        fine_tune_epochs: Epochs of training after each round; 0 takes a third of the training's.
        fine_tune_rate: Peak learning rate of the fine-tuning, as a share of the training's.
        channel_multiple: Channel counts are kept multiples of this.
        importance: What makes a piece important: "l1", "l2", "random", "undecayed"; of channels
            "expected-absolute-value", "hrank", "kl", "pls" too; or another of the registry.
        scope: "global" ranks the pieces of all layers together; "local" thins layers alike;
            "sensitivity" thins those less that attacks depend on.
        windows: Training windows, drawn by class and record, that methods and importances look at.
        condition_limit: Largest ratio of a layer's singular values (1.5; 0 for no limit), held in
            fine-tuning too: "low-rank".
        vnn_variant: "faithful" solves layer after layer on what the new ones before it make, and
            keeps the margin of decisions; "released" solves each on the original: "vnn".
        vnn_epsilon: Share of itself by which a neuron's value may change (0 to 1).
        vnn_keeps_inactive: Whether neurons that are not active keep their values too, and not their
            state alone.
        vnn_margin: Least distance of a decision's logit to the others: "faithful".
        vnn_rows: Places a layer is held to at most (a convolution has one for each position of each
            window); fewer leave fewer weights. 0 for all.
        max_flash: Budget of the firmware image in bytes; 0 for none.
        max_ram: Budget in bytes, stack included; 0 for none.
        max_instructions: Budget of instructions a window; 0 for none.
        guard: What it must not cost the patient.
    """

    method: str = "channel"
    ratio: float = 0.3
    schedule: str = "iterative"
    steps: int = 2
    fine_tune: str = ""
    perturbation: str = ""
    fine_tune_epochs: int = 0
    fine_tune_rate: float = 0.5
    channel_multiple: int = 4
    importance: str = "l2"
    scope: str = "global"
    windows: int = 256
    condition_limit: float = 0.0
    vnn_variant: str = "faithful"
    vnn_epsilon: float = 0.1
    vnn_keeps_inactive: bool = True
    vnn_margin: float = 0.1
    vnn_rows: int = 256
    max_flash: int = 0
    max_ram: int = 0
    max_instructions: int = 0
    guard: GuardSettings = field(default_factory=GuardSettings)


@dataclass(frozen=True)
class QuantizationSettings:
    """How the float network becomes an integer network.

    Attributes:
        quantizer: "onnxruntime" or "neural-compressor".
        calibration_windows: Training windows that set the ranges.
        percentile: Percentile of the activations that a range covers; 100 is the full range.
        search: Try other ranges too and keep those whose decisions stay nearest to the float ones.
        correct_biases: Try to take each channel's mean rounding error out of its bias.
        accuracy_loss: Share of the float network's accuracy on the calibration windows that int8
            may lose, e.g. 0.01; losing more ends the build. neural-compressor tunes until it is
            kept. 0 states no limit: the nearest decisions are taken.
    """

    quantizer: str = "onnxruntime"
    calibration_windows: int = 2048
    percentile: float = 100.0
    search: bool = True
    correct_biases: bool = True
    accuracy_loss: float = 0.0
