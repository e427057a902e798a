"""`edgeprune.toml` and the command line's flags, resolved once into a frozen BuildConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.typed_toml import parse_table, read_toml

RUNTIMES = ("firmware", "any")


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
    """Training that makes decisions provable.

    Attributes:
        perturbation: What a decision must withstand at the converter ("linf:50uV",
            "gain:10%+linf:5uV"); empty trains for the unchanged signal alone.
        share: Least share of the test windows proved and right under it; gates the exit code.
        loss: Bounds that the worst-case loss is of: "interval" or "crown-interval".
        overshoot: Factor on the perturbation in training, so that decisions are proved with room.
        weight: Share of the worst-case loss once it has risen.
        natural: Share of the steps before it begins to rise, together with the perturbation.
        warm_up: Share of the steps over which they rise.
        teachers: Classifiers that are trained naturally first and that it learns from besides the
            labels, in place of `training.teachers`.
        logit_offsets: In place of `training.logit_offsets`.
        neuron_stability: Weight of a penalty on units whose ReLU can switch, in units of their
            normalization's scale.
        relu_stability: Weight of the same in plain units.
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
    quantized_epochs: int = 3
    quantized_rate: float = 0.03


@dataclass(frozen=True)
class PruningSettings:
    """How a classifier is pruned.

    Attributes:
        method: Name of the pruning method, or "none".
        ratio: Share of the parameters to remove (0 to 0.95).
        steps: Rounds of pruning and fine-tuning.
        fine_tune_epochs: Epochs of training after each round; 0 takes a third of the training's.
        fine_tune_rate: Peak learning rate of the fine-tuning, as a share of the training's.
        channel_multiple: Channel counts are kept multiples of this.
        importance: What makes a channel important: "l1" or "l2", the norm of all its weights.
        scope: "global" ranks the channels of all layers together; "local" thins layers alike.
        max_flash: Budget of the firmware image in bytes; 0 for none.
        max_ram: Budget in bytes, stack included; 0 for none.
        max_instructions: Budget of instructions a window; 0 for none.
    """

    method: str = "channel"
    ratio: float = 0.3
    steps: int = 2
    fine_tune_epochs: int = 0
    fine_tune_rate: float = 0.5
    channel_multiple: int = 4
    importance: str = "l2"
    scope: str = "global"
    max_flash: int = 0
    max_ram: int = 0
    max_instructions: int = 0


@dataclass(frozen=True)
class QuantizationSettings:
    """How the float network becomes an integer network.

    Attributes:
        quantizer: "onnxruntime" or "neural-compressor".
        calibration_windows: Training windows that set the ranges.
        percentile: Percentile of the activations that a range covers; 100 is the full range.
        search: Try other ranges too and keep those whose decisions stay nearest to the float ones.
        correct_biases: Try to take each channel's mean rounding error out of its bias.
    """

    quantizer: str = "onnxruntime"
    calibration_windows: int = 2048
    percentile: float = 100.0
    search: bool = True
    correct_biases: bool = True


@dataclass(frozen=True)
class FirmwareSettings:
    """How the firmware is made.

    Attributes:
        toolchain: "zig" or "gnu".
        emulator: "unicorn" or "qemu".
        optimize: What the code of the network makes small: "balanced" (instructions, flash and
            RAM), "speed", "size" or "ram".
        layout: Kind of package that the C library is written as, besides the plain folder: "cmake",
            "zephyr", "arduino", "platformio", "cmsis-pack", or none.
        hop: New samples of each window, for firmware that also classifies a stream of windows that
            overlap (one signal, no second input); 0 for windows that stand alone.
        small_steps: Let no step of edgeprune_step() be large, for watchdogs that allow little; some
            instructions more.
        guards: Put a guard behind every tensor in memory, not only around all of them; for
            debugging.
        parity_windows: Test windows on which the emulated device must equal the host.
    """

    toolchain: str = "zig"
    emulator: str = "unicorn"
    optimize: str = "balanced"
    layout: str = ""
    hop: int = 0
    small_steps: bool = False
    guards: bool = False
    parity_windows: int = 1000


@dataclass(frozen=True)
class VerificationSettings:
    """What is certified.

    Attributes:
        perturbations: What each decision must withstand at the converter, one set a text:
            "linf:20uV", "gain:10%", "wander:500uV@0.5Hz", "gain:10%+linf:5uV".
        windows: Test windows, drawn stratified by record.
        seconds: Processor time that a window may take until it is given up as a timeout; 0 stops
            after plain bounds and a short attack, which always end the same, and leaves the rest
            unknown.
        runtime: "firmware" proves the exact arithmetic that is flashed, "any" every arithmetic
            whose layers round within one step of it.
        workers: Processes; 0 takes one for each processor. It changes no result.
    """

    perturbations: tuple[str, ...] = (
        "linf:5uV",
        "linf:10uV",
        "linf:20uV",
        "linf:50uV",
        "gain:10%",
        "wander:500uV@0.5Hz",
        "hum:100uV@50Hz",
    )
    windows: int = 50
    seconds: float = 0.0
    runtime: str = "firmware"
    workers: int = 0


@dataclass(frozen=True)
class CertifiedShare:
    """A required share of windows proved and right under a perturbation."""

    perturbation: str
    share: float


@dataclass(frozen=True)
class Requirements:
    """Limits that gate the exit code; an absent limit is not checked.

    Attributes:
        accuracy: Least share of test windows decided rightly, int8 as flashed.
        macro_f1: Least mean F1 over the classes present.
        macro_f1_loss: Most that macro-F1 may fall from float to int8, as a share.
        sensitivity: Least sensitivity by class name.
        precision: Least positive predictive value by class name.
        f1: Least F1 by class name.
        flash_bytes: Most flash of the firmware image.
        ram_bytes: Most RAM, stack included.
        instructions: Most instructions a window (emulator).
        certified_share: Least share of windows proved and right under a perturbation.
    """

    accuracy: float | None = None
    macro_f1: float | None = None
    macro_f1_loss: float | None = None
    sensitivity: Mapping[str, float] = field(default_factory=dict)
    precision: Mapping[str, float] = field(default_factory=dict)
    f1: Mapping[str, float] = field(default_factory=dict)
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    instructions: int | None = None
    certified_share: CertifiedShare | None = None


@dataclass(frozen=True)
class BuildConfig:
    """Everything that decides a build.

    Attributes:
        target: Name of a target or path of its TOML file.
        dataset: Name of a data card or path of its TOML file.
        data_dir: Folder of the recordings; empty for a synthetic set.
        model: Name of a classifier, `package.module:factory`, or path of an ONNX file; empty takes
            residual-ecg, or certifiable-ecg where `[robustness]` is on.
        weights: File of trained weights to start from; empty to train.
        seed: Seed of everything that is drawn.
        training: How the classifier is trained.
        robustness: Perturbation for which it is trained to be provable.
        pruning: How it is pruned.
        quantization: How it becomes an integer network.
        firmware: How the firmware is made.
        verification: What is certified.
        requirements: What gates the exit code.
    """

    target: str = "cortex-m7"
    dataset: str = "synthetic-ecg"
    data_dir: str = ""
    model: str = ""
    weights: str = ""
    seed: int = 1
    training: TrainingSettings = field(default_factory=TrainingSettings)
    robustness: RobustnessSettings = field(default_factory=RobustnessSettings)
    pruning: PruningSettings = PruningSettings()
    quantization: QuantizationSettings = QuantizationSettings()
    firmware: FirmwareSettings = FirmwareSettings()
    verification: VerificationSettings = VerificationSettings()
    requirements: Requirements = Requirements()

    @property
    def perturbations(self) -> tuple[str, ...]:
        """All perturbations that are verified: asked for, trained for, or required."""
        required = self.requirements.certified_share
        texts = [
            *self.verification.perturbations,
            self.robustness.perturbation,
            required.perturbation if required else "",
        ]
        return tuple(dict.fromkeys(filter(None, texts)))


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> BuildConfig:
    """Return the configuration of a file with the flags of the command line laid over it.

    Args:
        path: An `edgeprune.toml`, or None for the defaults alone.
        overrides: Dotted key to value ("pruning.ratio": 0.5); None values are ignored.

    Raises:
        ConfigurationError: Unknown key, wrong type or value out of range.
    """
    table: dict[str, Any] = {} if path is None else read_toml(path)
    parse_table(BuildConfig, table, path=path)
    flags: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is not None:
            _lay_over(table, key.split("."), value)
            _lay_over(flags, key.split("."), value)
    if flags:
        parse_table(BuildConfig, flags)
    config = parse_table(BuildConfig, table, path=path)
    check_config(config)
    return config


def _lay_over(table: dict[str, Any], key: list[str], value: Any) -> None:
    *sections, name = key
    for section in sections:
        table = table.setdefault(section, {})
    table[name] = value


def check_config(config: BuildConfig) -> None:
    """Raise a ConfigurationError for the first value that lies outside its range."""
    bounds: tuple[tuple[str, float, float, float], ...] = (
        ("training.epochs", config.training.epochs, 0, 10_000),
        ("training.batch_size", config.training.batch_size, 1, 1 << 20),
        ("training.learning_rate", config.training.learning_rate, 1e-9, 10.0),
        ("robustness.share", config.robustness.share, 0.0, 1.0),
        ("robustness.overshoot", config.robustness.overshoot, 1e-3, 100.0),
        ("robustness.weight", config.robustness.weight, 0.0, 1.0),
        ("robustness.natural", config.robustness.natural, 0.0, 1.0),
        ("robustness.warm_up", config.robustness.warm_up, 0.0, 1.0),
        ("robustness.teachers", config.robustness.teachers, 0, 100),
        ("robustness.neuron_stability", config.robustness.neuron_stability, 0.0, 100.0),
        ("robustness.relu_stability", config.robustness.relu_stability, 0.0, 100.0),
        ("robustness.quantized_epochs", config.robustness.quantized_epochs, 0, 10_000),
        ("robustness.quantized_rate", config.robustness.quantized_rate, 1e-6, 10.0),
        ("pruning.ratio", config.pruning.ratio, 0.0, 0.95),
        ("pruning.steps", config.pruning.steps, 1, 100),
        ("pruning.channel_multiple", config.pruning.channel_multiple, 1, 64),
        ("quantization.percentile", config.quantization.percentile, 50.0, 100.0),
        ("quantization.calibration_windows", config.quantization.calibration_windows, 1, 1 << 30),
        ("firmware.parity_windows", config.firmware.parity_windows, 1, 1 << 30),
        ("verification.windows", config.verification.windows, 1, 1 << 30),
        ("verification.seconds", config.verification.seconds, 0.0, 1e6),
        ("verification.workers", config.verification.workers, 0, 1 << 16),
        ("seed", config.seed, 0, 2**31 - 1),
    )
    for key, value, low, high in bounds:
        if not low <= value <= high:
            raise ConfigurationError(
                f"'{key}' is {value}, outside {low} to {high}", where=key, hint="change the value"
            )
    if config.verification.runtime not in RUNTIMES:
        raise UnknownNameError(
            "runtime", config.verification.runtime, RUNTIMES, where="verification.runtime"
        )
    shares = {"accuracy": config.requirements.accuracy, "macro_f1": config.requirements.macro_f1}
    for table in ("sensitivity", "precision", "f1"):
        limits = getattr(config.requirements, table)
        shares |= {f"{table}.{name}": limit for name, limit in limits.items()}
    if config.requirements.certified_share is not None:
        shares["certified_share.share"] = config.requirements.certified_share.share
    for name, share in shares.items():
        if share is not None and not 0 <= share <= 1:
            raise ConfigurationError(
                f"'requirements.{name}' is {share}, which is not a share from 0 to 1",
                where=f"requirements.{name}",
                hint="write 92 % as 0.92",
            )
