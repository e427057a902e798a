"""The stage that attacks the networks' decisions on test windows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.attacks import ATTACKS, AttackSettings, Ball
from edgeprune.config import BuildConfig
from edgeprune.data import Windows
from edgeprune.data.held import HeldWindows
from edgeprune.data.held_segments import HeldSegments
from edgeprune.errors import ConfigurationError
from edgeprune.evaluation import right_share
from edgeprune.evaluation.attack_checks import masking_checks
from edgeprune.evaluation.attacks import ball_attacks, minimum_norm, success_share, unit_of
from edgeprune.evidence import (
    AttackEvidence,
    NetworkAttacks,
    Transfer,
    WorstWindow,
)
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.attack_findings import Findings
from edgeprune.pipeline.attacked import LENT, Attacked, Network, attack_all
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import classifier_of, network_of, windows_of
from edgeprune.pipeline.products import save_record, save_windows, stratified
from edgeprune.pipeline.recordings import held_of
from edgeprune.pipeline.requirements import FLOAT, INT8, PRUNED
from edgeprune.pipeline.store import Stage
from edgeprune.pipeline.turned import TURNED, save_turned

ATTACKS_FILE = "attacks.json"
HELD = "held.npz"
WINDOWS = "windows.npz"
_TASKS = "tasks"
_THREAT_MODEL = (
    "Somebody who knows the network changes the raw samples of a beat's own window, at the "
    "converter and within its range; they pass through the front end like any others. What the "
    "device remembers from earlier beats (template, gain, RR intervals) is held as it was, and so "
    "is the place of the beat. A success is a decision of the network itself about whole counts."
)
_THREAT_MODEL_OF_SEGMENTS = (
    "Somebody who knows the network changes the raw samples of a window, of any of its channels, "
    "at the converter and within its range; they pass through the front end like any others. The "
    "windows stay where they are. A success is a decision of the network itself about whole counts."
)
_ARITHMETIC = {
    INT8: "the int8 arithmetic that is flashed, behind the front end's integers",
    FLOAT: "float32 behind the front end's integers",
    PRUNED: "float32 behind the front end's integers",
}

Int16Array = npt.NDArray[np.int16]
Int64Array = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def check_attacks(config: BuildConfig) -> None:
    """Refuse attacks and balls that are none, and balls that no attack knows.

    Raises:
        UnknownNameError: There is no attack, norm or unit of that name.
        ConfigurationError: A ball has no size in uV or samples, or no attack knows its norm.
    """
    norms = {
        norm
        for name in config.attacks.names
        for norm in ATTACKS.get(name, where="attacks.names").norms
    }
    for text in config.balls:
        ball = Ball.parse(text)
        if ball.is_unbounded or ball.unit == "lsb":
            raise ConfigurationError(
                "raw samples are changed by a size in uV, or by a number of samples",
                where=f"ball '{text}'",
                hint=f"write {ball.norm}:{3 if ball.norm == 'l0' else '100uV'}",
            )
        if config.attacks.names and ball.norm not in norms:
            raise ConfigurationError(
                f"no attack of attacks.names knows the norm {ball.norm}",
                where=f"ball '{text}'",
                hint="these do: "
                + ", ".join(name for name in ATTACKS if ball.norm in ATTACKS.get(name).norms),
            )


def attack_stage(
    context: Context,
    data: Stage,
    quantized: Stage,
    trained: Stage | None,
    pruned: Stage | None,
) -> Stage:
    """Attacks on the int8 network and on what it was made from, on windows that are verified."""
    plan = context.config.attacks

    def produce(folder: Path) -> None:
        windows = _windows(context, data)
        network = network_of(quantized)
        held = replace(held_of(context, data, windows), signal_alone=len(network.inputs) == 1)
        networks: dict[str, Network] = {
            stage: classifier_of(context, source)[0]
            for stage, source in ((FLOAT, trained), (PRUNED, pruned))
            if source is not None
        }
        attacked = Attacked(networks | {INT8: network}, held, windows.label, _settings(context))
        balls = _balls(context)
        executor = replace(context.executor, store=folder / _TASKS)
        found = attack_all(attacked, plan.names, balls, executor, context.progress)
        moved = Findings(attacked, windows, found, context, balls)
        turned = moved.turned()
        save_turned(folder / TURNED, turned)
        held.save(folder / HELD)
        save_windows(folder / WINDOWS, windows)
        save_record(folder / ATTACKS_FILE, _evidence(context, moved, balls))
        shutil.rmtree(folder / _TASKS, ignore_errors=True)

    return context.store.run(
        "attack",
        produce,
        reads=[stage for stage in (data, quantized, trained, pruned) if stage is not None],
        settings={
            "attacks": asdict(plan),
            "balls": context.config.balls,
            "verified": context.config.verification.windows,
            "seed": context.seed,
        },
        rooms=("network", "attacks", "verification", "evaluation", "data", "classifiers"),
    )


def _balls(context: Context) -> list[Ball]:
    balls = map(Ball.parse, context.config.balls if context.config.attacks.names else ())
    return sorted(balls, key=lambda ball: (ball.norm, ball.size))


def _settings(context: Context) -> AttackSettings:
    plan = context.config.attacks
    return AttackSettings(plan.steps, plan.restarts, plan.queries, context.seed)


def _windows(context: Context, data: Stage) -> Windows:
    """Return the windows to attack: those that are verified first, so that attacks meet proofs."""
    test, count = windows_of(data, "test"), context.config.attacks.windows
    verified = stratified(test, context.config.verification.windows, context.seed)
    if count <= len(verified):
        return test.select(verified[stratified(test.select(verified), count, context.seed)])
    others = np.setdiff1d(np.arange(len(test)), verified)
    more = others[stratified(test.select(others), count - len(verified), context.seed)]
    return test.select(np.sort(np.concatenate([verified, more])))


def _evidence(context: Context, moved: Findings, balls: Sequence[Ball]) -> AttackEvidence:
    plan = context.config.attacks
    records = len(np.unique(moved.windows.record))
    return AttackEvidence(
        threat_model=_THREAT_MODEL if context.card.window is None else _THREAT_MODEL_OF_SEGMENTS,
        windows=f"{len(moved.windows)} test windows, drawn in proportion from every record that "
        f"has any ({records}), those that are verified first, seed {context.seed}",
        settings=f"{plan.steps} steps, {plan.restarts} "
        f"{'start' if plan.restarts == 1 else 'starts'}, {plan.queries} queries a window for "
        "attacks without gradients",
        networks=tuple(_network(moved, stage, balls) for stage in moved.attacked.networks),
        transfers=tuple(_transfers(moved)),
        worst=tuple(_worst(context, moved, balls)),
    )


def _network(moved: Findings, stage: str, balls: Sequence[Ball]) -> NetworkAttacks:
    network, decisions = moved.attacked.networks[stage], moved.decisions[stage]
    results = [result for result in moved.found[stage] if result.attack != LENT]
    return NetworkAttacks(
        stage=stage,
        network_sha256=network.sha256 if isinstance(network, IntegerNetwork) else None,
        arithmetic=_ARITHMETIC[stage],
        right_share=right_share(decisions, moved.bootstrap),
        balls=tuple(
            ball_attacks(
                ball,
                [
                    result
                    for result in results
                    if result.ball == ball.text or (not result.ball and result.norm == ball.norm)
                ],
                moved.within(ball, stage),
                decisions,
                moved.bootstrap,
            )
            for ball in balls
        ),
        minimum=tuple(
            minimum_norm(result, Ball.parse(result.norm), decisions, moved.bootstrap)
            for result in results
            if not result.ball
        ),
        checks=(*masking_checks(results), *moved.signs(stage)),
    )


def _transfers(moved: Findings) -> Iterator[Transfer]:
    for source, result in moved.transferred():
        if result.ball and result.attack != LENT:
            # Attacks stop where the source gives in, which transfers badly.
            continue
        (found,) = (
            each
            for each in moved.found[source]
            if (each.attack, each.ball, each.norm) == (result.attack, result.ball, result.norm)
        )
        yield Transfer(
            attack=result.attack,
            ball=result.ball or result.norm,
            source=source,
            target=INT8,
            source_success=success_share(moved.decisions[source], found.success, moved.bootstrap),
            success=success_share(moved.decisions[INT8], result.success, moved.bootstrap),
        )


def _worst(context: Context, moved: Findings, balls: Sequence[Ball]) -> Iterator[WorstWindow]:
    """Yield windows that were turned within the smallest balls, each window once."""
    held, windows = moved.attacked.held, moved.windows
    volts = held.adc.microvolt_per_count / (1000 if held.adc.unit == "rms" else 1)
    drawn: set[int] = set()
    for ball in balls:
        for result in moved.found[INT8]:
            if result.ball != ball.text:
                continue
            order = np.argsort(np.where(result.success, result.size, np.inf), kind="stable")
            for row in order[: int(result.success.sum())].tolist():
                if len(drawn) == context.config.attacks.worst:
                    return
                if row in drawn:
                    continue
                drawn.add(row)
                before, after = _drawn(held, row, result.raw[row])
                yield WorstWindow(
                    stage=INT8,
                    attack=result.attack,
                    ball=ball.text,
                    record=windows.record_names[windows.record[row]],
                    sample=int(windows.beat[row]),
                    reference=windows.class_names[windows.label[row]],
                    before=windows.class_names[result.decided_before[row]],
                    after=windows.class_names[result.decided_after[row]],
                    size=float(result.size[row]),
                    unit=unit_of(ball),
                    rate_hz=float(held.adc.rate_hz),
                    beat_at=held.beat_at,
                    raw_before=tuple((before * volts).tolist()),
                    raw_after=tuple((after * volts).tolist()),
                )


def _drawn(held: HeldWindows, row: int, raw: Int16Array) -> tuple[Int16Array, Int16Array]:
    """Return a window's counts before and after a change, as far as they are drawn.

    Of segments with several channels it is the one that changed most.
    """
    one = held.select(np.array([row]))
    if not isinstance(one, HeldSegments):
        return held.raw[row], raw
    (before,), (after,) = one.recorded(), replace(one, raw=raw[np.newaxis]).recorded()
    channel = int(np.abs(after.astype(np.int64) - before).sum(axis=0).argmax())
    return before[:, channel], after[:, channel]
