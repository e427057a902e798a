"""Measures one point of a sweep: prunes, fine-tunes, quantizes, and asks what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.attacks import AttackResult, AttackSettings, Ball
from edgeprune.classifiers import example_inputs
from edgeprune.data import Windows
from edgeprune.data.held import HeldWindows
from edgeprune.evaluation import Decisions, decisions_of, metrics
from edgeprune.evaluation.attacks import unit_of
from edgeprune.evaluation.probabilities import calibration_error
from edgeprune.evidence import PointState, PruningEvidence, SweepFigure, SweepResult
from edgeprune.executor import Executor
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.attacked import Attacked, attack_all
from edgeprune.pipeline.build import open_context
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.cost import Meter
from edgeprune.pipeline.learn import (
    classifier_of,
    data_stage,
    network_of,
    prune_stage,
    quantize_stage,
    train_stage,
    windows_of,
)
from edgeprune.pipeline.products import inputs_of, load_record, stratified
from edgeprune.pipeline.prove import verify_settings
from edgeprune.pipeline.recordings import held_of
from edgeprune.pipeline.store import Stage
from edgeprune.pipeline.sweep_points import (
    balls_of,
    perturbations_of,
    point_config,
)
from edgeprune.pipeline.sweep_run import ParentWork, PointWork, alone
from edgeprune.progress import Silent
from edgeprune.pruning import count
from edgeprune.training.metrics import predict
from edgeprune.verification.outcomes import Outcome
from edgeprune.verification.verify import verify_windows

FLOAT, INT8 = "float", "int8"
PARTS = ("validation", "test")

Floats = npt.NDArray[np.floating[Any]]


def train_parent(work: ParentWork) -> tuple[Stage, ...]:
    """Make the data and the parent of one seed, or find them made; for an executor's tasks."""
    config = replace(work.config, seed=work.seed)
    context = open_context(config, work.own_folder, Silent())
    with alone(work.own_folder.with_suffix(".lock")):
        data = data_stage(context)
        return data, train_stage(context, data)


def measure_point(work: PointWork) -> SweepResult:
    """Make the integer network of one point and measure it.

    What the guard stopped has no figures: its network is not the one that was asked for.

    Raises:
        EdgepruneError: The method cannot do it, or a tool is missing.
    """
    config = point_config(work.config, work.point)
    context = replace(
        open_context(config, work.own_folder / "point", Silent()), executor=Executor(workers=1)
    )
    data, parent, meter = work.parts["data"], work.parts["train"], Meter(context)
    pruned = prune_stage(context, data, parent, lambda model: meter.measure(model, data))
    guard = load_record(pruned.file("pruning.json"), PruningEvidence).guard
    if guard is not None and guard.stopped_at is not None:
        return SweepResult(work.point, PointState.STOPPED, guard.verdict)
    network = network_of(quantize_stage(context, data, pruned))
    point = _Point(context, work, data, parent, pruned, network)
    figures = (*point.size(), *point.on_device(meter))
    for part in PARTS:
        figures += (*point.scores(part), *point.withstood(part))
    return SweepResult(work.point, PointState.DONE, network_sha256=network.sha256, figures=figures)


@dataclass(frozen=True, eq=False)
class _Point:
    """One point with its network.

    Attributes:
        context: The point's.
        work: What was asked for.
        data: Its windows.
        parent: The classifier that was pruned.
        pruned: The classifier that was quantized.
        network: What would be flashed.
    """

    context: Context
    work: PointWork
    data: Stage
    parent: Stage
    pruned: Stage
    network: IntegerNetwork

    def size(self) -> Iterator[SweepFigure]:
        """Yield what is left of the parent."""
        before, after = (
            count(model, example_inputs(model, spec.signal_shape, spec.rhythm_features))
            for model, spec in (
                classifier_of(self.context, stage) for stage in (self.parent, self.pruned)
            )
        )
        yield SweepFigure("parameters", "", "", "", before.remaining)
        yield SweepFigure("remaining", "", "", "", after.remaining)
        yield SweepFigure("compression", "", "", "", after.compression(before))

    def on_device(self, meter: Meter) -> Iterator[SweepFigure]:
        """Yield what its firmware takes; nothing on the host."""
        if self.context.target.is_host:
            return
        cost = meter.measure_network(self.network, self.data)
        yield SweepFigure("flash", "", "", INT8, cost.flash, "byte")
        yield SweepFigure("ram", "", "", INT8, cost.ram, "byte")
        if self.context.target.emulator is not None:
            yield SweepFigure("instructions", "", "", INT8, cost.instructions, "instruction")

    def scores(self, part: str) -> Iterator[SweepFigure]:
        """Yield how well both networks decide all windows of a part."""
        windows = windows_of(self.data, part)
        model, _ = classifier_of(self.context, self.pruned)
        logits = self.network.run(*inputs_of(self.network, windows))
        natural = self.network.output_tensor.dequantize(logits)
        float_logits = predict(model, windows, self.context.front_end)
        yield from _scores(part, FLOAT, windows, float_logits.argmax(axis=1), float_logits)
        yield from _scores(part, INT8, windows, logits.argmax(axis=1), natural)

    def withstood(self, part: str) -> Iterator[SweepFigure]:
        """Yield what attacks and proofs say of some windows of a part."""
        settings, seed = self.work.config.sweep, self.work.config.seed
        windows = windows_of(self.data, part)
        # The same windows for every point, so that points differ by their networks alone.
        some = windows.select(stratified(windows, settings.windows, seed))
        held = held_of(self.context, self.data, some)
        held = replace(held, signal_alone=len(self.network.inputs) == 1)
        decisions = decisions_of(some, self.network.predict(*inputs_of(self.network, some)))
        right = decisions.labels == decisions.predictions
        yield SweepFigure("attacked_windows", "", part, INT8, int(right.sum()))
        yield from self._attacked(part, held, decisions, right)
        for text in perturbations_of(self.work.config):
            run = verify_windows(
                self.network,
                held,
                some,
                text,
                replace(
                    verify_settings(
                        self.context.config.verification.runtime, settings.seconds, seed
                    ),
                    keeps_proofs=False,
                ),
            )
            proved = run.mask(Outcome.PROVED) & right
            yield SweepFigure("certified_share", text, part, INT8, float(proved.mean()))

    def _attacked(
        self, part: str, held: HeldWindows, decisions: Decisions, right: npt.NDArray[np.bool_]
    ) -> Iterator[SweepFigure]:
        settings = self.work.config.sweep
        tries = AttackSettings(settings.steps, seed=self.work.config.seed)
        attacked = Attacked({INT8: self.network}, held, decisions.labels, tries)
        balls = [Ball.parse(text) for text in balls_of(self.work.config)]
        found: list[AttackResult] = []
        if balls:
            found += _attack(attacked, settings.attacks, balls)
        for norm in settings.least:
            name = "ddn" if norm == "l2" else "fmn"
            found += _attack(attacked, (name,), [Ball.parse(norm)])
        for ball in balls:
            sizes = _least_sizes([each for each in found if each.norm == ball.norm], len(right))
            turned = sizes[right] <= ball.size
            share = float(turned.mean()) if right.any() else None
            yield SweepFigure("attack_success", ball.text, part, INT8, share)
        for norm in settings.least:
            sizes = np.sort(
                _least_sizes([each for each in found if each.norm == norm], len(right))[right]
            )
            median = sizes[(len(sizes) - 1) // 2] if len(sizes) else np.inf
            value = float(median) if np.isfinite(median) else None
            yield SweepFigure("least_change", norm, part, INT8, value, unit_of(Ball.parse(norm)))


def _attack(
    attacked: Attacked, names: tuple[str, ...], balls: list[Ball]
) -> tuple[AttackResult, ...]:
    return attack_all(attacked, names, balls, Executor(workers=1), Silent())[INT8]


def _least_sizes(found: list[AttackResult], windows: int) -> npt.NDArray[np.float64]:
    """Return the least change that any attack turned each window by; infinite where none did."""
    sizes = [np.where(each.success, each.size, np.inf) for each in found]
    return np.asarray(np.min([np.full(windows, np.inf), *sizes], axis=0))


def _scores(
    part: str, network: str, windows: Windows, decided: npt.NDArray[np.int64], logits: Floats
) -> Iterator[SweepFigure]:
    decisions = decisions_of(windows, decided)
    confusion = decisions.confusion_by_record().sum(axis=0)
    recalls, precisions = metrics.sensitivity(confusion), metrics.precision(confusion)
    f1s = metrics.f1(confusion)
    for index, name in enumerate(windows.class_names):
        yield SweepFigure("windows", name, part, network, int(confusion[index].sum()))
        yield SweepFigure("recall", name, part, network, _defined(recalls[index]))
        yield SweepFigure("precision", name, part, network, _defined(precisions[index]))
        yield SweepFigure("f1", name, part, network, _defined(f1s[index]))
    for figure, value in (
        ("accuracy", metrics.accuracy(confusion)),
        ("macro_f1", metrics.macro_f1(confusion)),
        ("calibration_error", calibration_error(decisions, logits)),
    ):
        yield SweepFigure(figure, "", part, network, _defined(value))


def _defined(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
