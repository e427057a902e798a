"""The chain: which stage follows which, and what each is handed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeprune import __version__
from edgeprune.config import LEFT_OPEN, BuildConfig
from edgeprune.data import DatasetCard, front_end_for, load_card
from edgeprune.data.protocols import with_protocol
from edgeprune.errors import ConfigurationError, EdgepruneError, UnknownNameError
from edgeprune.evidence import Evidence, Outcome
from edgeprune.evidence.policy import read_policy
from edgeprune.executor import Executor
from edgeprune.pipeline.attack import attack_stage, check_attacks
from edgeprune.pipeline.bench import bench_stage
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.cost import Meter
from edgeprune.pipeline.deploy import export_stage, firmware_stage
from edgeprune.pipeline.disturb import disturb_stage, disturbances_of
from edgeprune.pipeline.emulation import QEMU_USER, emulator_of
from edgeprune.pipeline.given_model import is_file, trainability
from edgeprune.pipeline.kinds import converter_of, fitted_to_kind
from edgeprune.pipeline.learn import data_stage, prune_stage, quantize_stage, train_stage
from edgeprune.pipeline.monitor import monitor_stage
from edgeprune.pipeline.preflight import check_files, check_out, check_tools, work_folder
from edgeprune.pipeline.prove import verify_stage
from edgeprune.pipeline.record import assemble
from edgeprune.pipeline.replays import replay_stage
from edgeprune.pipeline.requirements import check_classes
from edgeprune.pipeline.store import Stage, StageStore
from edgeprune.pipeline.sweep import borrow_stages, check_chosen
from edgeprune.progress import Progress, Silent
from edgeprune.targets import load_target

LAST = "build"
# Bounds are learnt later than scores: rare classes are lost where training ends early.
_LEAST_ROBUST_EPOCHS = 18
# How classifiers of segments are trained, where that is left open.
_OF_SEGMENTS: Mapping[str, Any] = {"teachers": 0, "batch_size": 64, "epoch_steps": 50}
# The classifier where none is named: natural training's, and the one whose decisions are provable.
_MODELS = {False: "residual-ecg", True: "certifiable-ecg"}
GOALS = {
    "train": ("data", "train"),
    "prune": ("data", "train", "prune"),
    "quantize": ("data", "train", "prune", "quantize"),
    "export": ("data", "train", "prune", "quantize", "export", "monitor", "firmware"),
    "bench": ("data", "train", "prune", "quantize", "monitor", "firmware", "bench"),
    "verify": ("data", "train", "prune", "quantize", "verify"),
    "attack": ("data", "train", "prune", "quantize", "attack"),
    "disturb": ("data", "train", "prune", "quantize", "disturb"),
    LAST: (
        *("data", "train", "prune", "quantize", "export", "monitor", "firmware", "bench"),
        *("verify", "attack", "disturb", "replay"),
    ),
}


@dataclass(frozen=True)
class BuildResult:
    """What a build made.

    Attributes:
        context: What it was about.
        stages: The finished stages by name.
        out: The result directory; it is there only after a whole build.
        evidence: Everything that was found out; None before the whole build is done.
    """

    context: Context
    stages: dict[str, Stage]
    out: Path
    evidence: Evidence | None = None

    @property
    def passed(self) -> bool:
        """Whether every requirement is met; a part of the chain has none to fail."""
        return self.evidence is None or self.evidence.verdict is Outcome.PASS


def build(
    config: BuildConfig,
    out: Path | str = "result",
    *,
    until: str = LAST,
    progress: Progress | None = None,
    scheduler: str | None = None,
) -> BuildResult:
    """Run the chain from recordings to certified firmware; a killed run resumes.

    Finished stages are kept in `OUT.work` beside the result directory.

    Args:
        config: What to build.
        out: The result directory.
        until: The verb whose stages are run: a key of `GOALS`.
        progress: Receives the course of the work.
        scheduler: Address of a Dask scheduler that verifies, e.g. "tcp://host:8786"; None for
            processes of this machine. It changes no result.

    Raises:
        EdgepruneError: Something cannot be used, is missing, or does not agree.
    """
    if until not in GOALS:
        raise UnknownNameError("goal", until, GOALS)
    out = Path(out)
    check_out(out)
    context = open_context(config, out, progress or Silent(), scheduler)
    if config.chosen.sweep:
        check_chosen(config.chosen)
        borrow_stages(config.chosen, work_folder(out))
    check_files(context)
    check_tools(context, GOALS[until])
    _announce(context, out)
    stages: dict[str, Stage] = {}
    makers = _makers(context, stages)
    for name in GOALS[until]:
        if name in makers:
            started = time.monotonic()
            stages[name] = makers[name]()
            seconds = time.monotonic() - started
            state = "   kept from an earlier run" if stages[name].reused else f"{seconds:7,.1f} s"
            context.progress.note(f"{name:9} {state}")
    evidence = None
    if until == LAST:
        evidence = assemble(context, stages, out)
    return BuildResult(context, stages, out, evidence)


def _announce(context: Context, out: Path) -> None:
    config = context.config
    data = f"{context.card.name} (SYNTHETIC)" if context.card.synthetic else context.card.name
    context.progress.note(
        f"edgeprune {__version__}: {config.model} on {data} for {context.target.name}, "
        f"seed {config.seed}, into {out}"
    )


def open_context(
    config: BuildConfig, out: Path, progress: Progress, scheduler: str | None = None
) -> Context:
    """Look up everything that the configuration names.

    Raises:
        UnknownNameError: A name is not known.
        ConfigurationError: Values contradict each other.
    """
    from edgeprune.classifiers import CLASSIFIERS
    from edgeprune.devices.backends import BACKENDS
    from edgeprune.firmware import LAYOUTS, OBJECTIVES, TOOLCHAINS
    from edgeprune.pruning import check_pruning
    from edgeprune.quantization import QUANTIZERS

    card = with_protocol(load_card(config.dataset), config.protocol, config.fold)
    config = _with_model(config, card.model)
    check_pruning(config.pruning, config.robustness)
    QUANTIZERS.get(config.quantization.quantizer, where="quantization.quantizer")
    TOOLCHAINS.get(config.firmware.toolchain, where="firmware.toolchain")
    OBJECTIVES.get(config.firmware.optimize, where="firmware.optimize")
    if config.firmware.layout:
        LAYOUTS.get(config.firmware.layout, where="firmware.layout")
    BACKENDS.get(config.firmware.emulator, where="firmware.emulator")
    if not is_file(config.model) and ":" not in config.model:
        CLASSIFIERS.get(config.model, where="model")
    check_classes(config.requirements, card.class_names)
    if config.pccp.policy:
        read_policy(Path(config.pccp.policy))
    target = load_target(config.target)
    config = replace(
        config, firmware=replace(config.firmware, emulator=emulator_of(config, target))
    )
    if config.firmware.emulator == "unicorn" and target.emulator is None and target.qemu:
        raise ConfigurationError(
            f"unicorn has no {target.core}",
            where="firmware.emulator",
            hint="use --emulator qemu (make system-test installs it)",
        )
    if config.firmware.emulator == "qemu" and target.qemu is None and target.emulator:
        raise ConfigurationError(
            f"QEMU has no board with the memories of {target.name}",
            where="firmware.emulator",
            hint="use --emulator unicorn"
            + (f", or --target {target.board_of}" if target.board_of else ""),
        )
    if config.firmware.emulator == QEMU_USER and not target.is_linux:
        raise ConfigurationError(
            f"QEMU's user mode runs programs of Linux, {target.name} has none",
            where="firmware.emulator",
            hint="use --emulator unicorn or qemu",
        )
    _check_perturbations(config)
    check_attacks(config)
    disturbances_of(config)
    config = _with_training(_with_epochs(config, card.epochs), card)
    config = replace(fitted_to_kind(config, card), stated=LEFT_OPEN)
    adc = converter_of(target, card)
    return Context(
        config=config,
        card=card,
        target=target,
        adc=adc,
        front_end=front_end_for(card, adc),
        store=StageStore(work_folder(out)),
        progress=progress,
        executor=Executor(config.verification.workers, scheduler),
    )


def _check_perturbations(config: BuildConfig) -> None:
    from edgeprune.verification.perturbations import parse_perturbation

    for text in config.perturbations:
        try:
            parse_perturbation(text)
        except EdgepruneError as error:
            error.where = f"perturbation '{text}'"
            raise


def _with_model(config: BuildConfig, own: str) -> BuildConfig:
    """Choose the classifier that suits what is asked for, where none is named.

    Args:
        config: The configuration.
        own: The data card's classifier.
    """
    from edgeprune.training.robust import proves

    provable = bool(config.robustness.perturbation) and proves(config.robustness)
    return replace(config, model=config.model or own or _MODELS[provable])


def _with_epochs(config: BuildConfig, recommended: int) -> BuildConfig:
    if config.robustness.perturbation:
        recommended = max(recommended, _LEAST_ROBUST_EPOCHS)
    epochs = config.training.epochs or recommended
    fine_tune = config.pruning.fine_tune_epochs or max(1, epochs // 3)
    return replace(
        config,
        training=replace(config.training, epochs=epochs),
        pruning=replace(config.pruning, fine_tune_epochs=fine_tune),
    )


def _with_training(config: BuildConfig, card: DatasetCard) -> BuildConfig:
    """Leave out of the recipe for segments what was found for beats, where nothing is stated.

    A window of segments is as long as many beats, so that far fewer are drawn a step, and teachers
    would cost more than the classifier itself.
    """
    if card.window is None:
        return config
    open_ones = {
        name: value
        for name, value in _OF_SEGMENTS.items()
        if config.leaves_open(f"training.{name}")
    }
    return replace(config, training=replace(config.training, **open_ones))


def _trains_file(context: Context) -> bool:
    """Return whether the user's file becomes a torch module; say so where it does not."""
    found = trainability(context)
    if found.note:
        context.progress.note(found.note)
    return found.trains


def _makers(context: Context, stages: dict[str, Stage]) -> dict[str, Callable[[], Stage]]:
    """Return what makes each stage of the chain that this configuration has."""
    meter = Meter(context)

    makers: dict[str, Callable[[], Stage]] = {"data": lambda: data_stage(context)}
    if not is_file(context.config.model) or _trains_file(context):
        makers["train"] = lambda: train_stage(context, stages["data"])
        makers["prune"] = lambda: prune_stage(
            context,
            stages["data"],
            stages["train"],
            lambda model: meter.measure(model, stages["data"]),
        )
    if context.config.monitor.enabled:
        makers["monitor"] = lambda: monitor_stage(context, stages["data"], stages["quantize"])
    makers |= {
        "quantize": lambda: quantize_stage(context, stages["data"], stages.get("prune")),
        "export": lambda: export_stage(context, stages["data"], stages["quantize"]),
        "firmware": lambda: firmware_stage(
            context, stages["data"], stages["quantize"], stages.get("monitor")
        ),
        "bench": lambda: bench_stage(
            context,
            stages["data"],
            stages["quantize"],
            stages["firmware"],
            stages.get("monitor"),
        ),
        "verify": lambda: verify_stage(
            context,
            stages["data"],
            stages["quantize"],
            stages.get("train"),
            stages.get("prune"),
        ),
        "attack": lambda: attack_stage(
            context,
            stages["data"],
            stages["quantize"],
            stages.get("train"),
            stages.get("prune"),
        ),
        "disturb": lambda: disturb_stage(context, stages["data"], stages["quantize"]),
        "replay": lambda: replay_stage(
            context,
            stages["quantize"],
            stages["firmware"],
            stages["verify"],
            stages["attack"],
            stages["disturb"],
        ),
    }
    return makers
