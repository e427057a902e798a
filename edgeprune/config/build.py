"""`edgeprune.toml` and the command line's flags, resolved once into a frozen BuildConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeprune.config.learning import (
    PruningSettings,
    QuantizationSettings,
    RobustnessSettings,
    TrainingSettings,
)
from edgeprune.config.measuring import (
    RUNTIMES,
    AttackPlan,
    DisturbancePlan,
    EvaluationSettings,
    FirmwareSettings,
    VerificationSettings,
)
from edgeprune.config.regulatory import (
    PccpSettings,
    ProductSettings,
    RiskSettings,
    check_regulatory,
)
from edgeprune.config.requirements import Requirements
from edgeprune.config.sweep import ChosenSettings, SweepSettings
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.monitor.settings import MonitorSettings
from edgeprune.typed_toml import UNWRITTEN, parse_table, read_toml

# What is left to the data where nobody states it: what suits beats does not suit segments.
LEFT_OPEN = (
    *("training.teachers", "training.batch_size", "training.epoch_steps"),
    *("verification.perturbations", "attacks.balls", "disturbances.cases"),
)


@dataclass(frozen=True)
class BuildConfig:
    """Everything that decides a build.

    Attributes:
        target: Name of a target or path of its TOML file.
        dataset: Name of a data card or path of its TOML file.
        data_dir: Folder of the recordings; empty for a synthetic set.
        protocol: Which records train and test: "personalised", "leave-one-patient-out", or empty
            for the data card's own parts.
        fold: The patient that is left out, or that the network is fitted to.
        model: Name of a classifier, `package.module:factory`, or path of an ONNX file; empty takes
            the data card's, else residual-ecg, or certifiable-ecg where `[robustness]` makes
            decisions provable.
        weights: File of trained weights to start from; empty to train.
        seed: Seed of everything that is drawn.
        profile: Whom the report is for: "fda", "eu" or "research".
        training: How the classifier is trained.
        robustness: Perturbation for which it is trained to be provable, or hard to attack.
        pruning: How it is pruned.
        quantization: How it becomes an integer network.
        firmware: How the firmware is made.
        verification: What is certified.
        attacks: How it is attacked.
        disturbances: What happens to the lead.
        monitor: When the device refuses to decide.
        evaluation: What is told of it.
        sweep: What a sweep tries.
        chosen: The sweep that the settings come from.
        requirements: What gates the exit code.
        product: What the product is, for the report.
        pccp: Changes that are planned in advance, for the report.
        risks: Rows of the team's own in the table of risks.
        stated: Keys of `LEFT_OPEN` that a file or flag states, or that are decided.
    """

    target: str = "cortex-m7"
    dataset: str = "synthetic-ecg"
    data_dir: str = ""
    protocol: str = ""
    fold: str = ""
    model: str = ""
    weights: str = ""
    seed: int = 1
    profile: str = "research"
    training: TrainingSettings = field(default_factory=TrainingSettings)
    robustness: RobustnessSettings = field(default_factory=RobustnessSettings)
    pruning: PruningSettings = field(default_factory=PruningSettings)
    quantization: QuantizationSettings = field(default_factory=QuantizationSettings)
    firmware: FirmwareSettings = field(default_factory=FirmwareSettings)
    verification: VerificationSettings = field(default_factory=VerificationSettings)
    attacks: AttackPlan = field(default_factory=AttackPlan)
    disturbances: DisturbancePlan = field(default_factory=DisturbancePlan)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    sweep: SweepSettings = field(default_factory=SweepSettings)
    chosen: ChosenSettings = field(default_factory=ChosenSettings)
    requirements: Requirements = field(default_factory=Requirements)
    product: ProductSettings = field(default_factory=ProductSettings)
    pccp: PccpSettings = field(default_factory=PccpSettings)
    risks: tuple[RiskSettings, ...] = ()
    stated: tuple[str, ...] = field(default=(), compare=False, metadata=UNWRITTEN)

    def leaves_open(self, key: str) -> bool:
        """Whether a key of `LEFT_OPEN` is left to the data; a value that is no default is not."""
        if key not in LEFT_OPEN or key in self.stated:
            return False
        section, _, name = key.partition(".")
        settings = getattr(self, section)
        return bool(getattr(settings, name) == getattr(type(settings)(), name))

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

    @property
    def balls(self) -> tuple[str, ...]:
        """All balls that are attacked: asked for or required."""
        return tuple(dict.fromkeys((*self.attacks.balls, *self.requirements.attack_success)))

    @property
    def disturbance_texts(self) -> tuple[str, ...]:
        """All disturbances that are tried: asked for or required."""
        required = self.requirements.sensitivity_under
        return tuple(dict.fromkeys((*self.disturbances.cases, *required)))


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> BuildConfig:
    """Return the configuration of a file with the flags of the command line laid over it.

    Args:
        path: An `edgeprune.toml`, or None for the defaults alone.
        overrides: Dotted key to value ("pruning.ratio": 0.5); None values are ignored.

    Raises:
        ConfigurationError: Unknown key, wrong type or value out of range.
    """
    table: dict[str, Any] = {} if path is None else read_toml(path)
    return config_of(table, overrides, path=path)


def config_of(
    table: dict[str, Any], overrides: Mapping[str, Any], *, path: Path | None = None
) -> BuildConfig:
    """Return the configuration of TOML tables, which are filled, with flags laid over them.

    Args:
        table: What a configuration file says.
        overrides: As for `load_config`.
        path: The file, for messages.

    Raises:
        ConfigurationError: Unknown key, wrong type or value out of range.
    """
    parse_table(BuildConfig, table, path=path)
    flags: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is not None:
            _lay_over(table, key.split("."), value)
            _lay_over(flags, key.split("."), value)
    if flags:
        parse_table(BuildConfig, flags)
    config = parse_table(BuildConfig, table, path=path)
    stated = [key.split(".") for key in LEFT_OPEN]
    config = replace(
        config, stated=tuple(f"{at}.{key}" for at, key in stated if key in table.get(at, {}))
    )
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
        ("robustness.steps", config.robustness.steps, 1, 1000),
        ("robustness.beta", config.robustness.beta, 0.0, 1000.0),
        ("robustness.replays", config.robustness.replays, 1, 1000),
        ("robustness.noise_to_signal", config.robustness.noise_to_signal, 0.0, 100.0),
        ("robustness.quantized_epochs", config.robustness.quantized_epochs, 0, 10_000),
        ("robustness.quantized_rate", config.robustness.quantized_rate, 1e-6, 10.0),
        ("pruning.ratio", config.pruning.ratio, 0.0, 0.99),
        ("pruning.steps", config.pruning.steps, 1, 100),
        ("pruning.windows", config.pruning.windows, 1, 1 << 30),
        ("pruning.channel_multiple", config.pruning.channel_multiple, 1, 64),
        ("pruning.vnn_epsilon", config.pruning.vnn_epsilon, 0.0, 1.0),
        ("pruning.vnn_margin", config.pruning.vnn_margin, 0.0, 1e6),
        ("pruning.vnn_rows", config.pruning.vnn_rows, 0, 1 << 30),
        ("quantization.percentile", config.quantization.percentile, 50.0, 100.0),
        ("quantization.calibration_windows", config.quantization.calibration_windows, 1, 1 << 30),
        ("firmware.parity_windows", config.firmware.parity_windows, 1, 1 << 30),
        ("verification.windows", config.verification.windows, 1, 1 << 30),
        ("verification.seconds", config.verification.seconds, 0.0, 1e6),
        ("verification.workers", config.verification.workers, 0, 1 << 16),
        ("attacks.windows", config.attacks.windows, 1, 1 << 30),
        ("attacks.steps", config.attacks.steps, 1, 1 << 20),
        ("attacks.restarts", config.attacks.restarts, 1, 1 << 16),
        ("attacks.queries", config.attacks.queries, 1, 1 << 30),
        ("attacks.worst", config.attacks.worst, 0, 1000),
        ("disturbances.windows", config.disturbances.windows, 1, 1 << 30),
        ("sweep.windows", config.sweep.windows, 1, 1 << 30),
        ("sweep.steps", config.sweep.steps, 1, 1 << 20),
        ("sweep.seconds", config.sweep.seconds, 0.0, 1e6),
        *(("sweep.seeds", seed, 0, 2**31 - 1) for seed in config.sweep.seeds),
        ("monitor.coverage", config.monitor.coverage, 0.0, 1.0),
        ("monitor.rail_share", config.monitor.rail_share, 0.0, 1.0),
        ("monitor.flat_microvolt", config.monitor.flat_microvolt, 0.0, 1e9),
        ("monitor.flat_milliseconds", config.monitor.flat_milliseconds, 1.0, 1e6),
        ("seed", config.seed, 0, 2**31 - 1),
    )
    for key, value, low, high in bounds:
        if not low <= value <= high:
            raise ConfigurationError(
                f"'{key}' is {value}, outside {low} to {high}", where=key, hint="change the value"
            )
    check_regulatory(config.profile, config.product, config.risks, config.pccp)
    if config.verification.runtime not in RUNTIMES:
        raise UnknownNameError(
            "runtime", config.verification.runtime, RUNTIMES, where="verification.runtime"
        )
    shares = {"accuracy": config.requirements.accuracy, "macro_f1": config.requirements.macro_f1}
    for table in ("sensitivity", "precision", "f1"):
        limits = getattr(config.requirements, table)
        shares |= {f"{table}.{name}": limit for name, limit in limits.items()}
    for ball, limit in config.requirements.attack_success.items():
        shares[f"attack_success.{ball}"] = limit
    for disturbance, limits in config.requirements.sensitivity_under.items():
        shares |= {
            f"sensitivity_under.{disturbance}.{name}": limit for name, limit in limits.items()
        }
    if config.requirements.certified_share is not None:
        shares["certified_share.share"] = config.requirements.certified_share.share
    for name, share in shares.items():
        if share is not None and not 0 <= share <= 1:
            raise ConfigurationError(
                f"'requirements.{name}' is {share}, which is not a share from 0 to 1",
                where=f"requirements.{name}",
                hint="write 92 % as 0.92",
            )
