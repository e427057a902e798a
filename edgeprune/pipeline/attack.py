"""The stage that attacks the networks' decisions on test windows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.attacks import ATTACKS, AttackResult, AttackSettings, Ball
from edgeprune.attacks.masking import masking_report
from edgeprune.config import BuildConfig
from edgeprune.data import Windows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.errors import ConfigurationError
from edgeprune.evaluation import Bootstrap, Decisions, right_share
from edgeprune.evaluation.attack_checks import masking_checks
from edgeprune.evaluation.attacks import ball_attacks, minimum_norm, success_share, unit_of
from edgeprune.evidence import (
    AttackEvidence,
    MaskingCheck,
    NetworkAttacks,
    Transfer,
    WorstWindow,
)
from edgeprune.files import write_bytes
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.attacked import LENT, Attacked, Network, attack_all
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import classifier_of, network_of, windows_of
from edgeprune.pipeline.products import decisions_of, save_record, save_windows, stratified
from edgeprune.pipeline.recordings import held_of
from edgeprune.pipeline.requirements import FLOAT, INT8, PRUNED
from edgeprune.pipeline.store import Stage
from edgeprune.training.determinism import deterministic

ATTACKS_FILE = "attacks.json"
TURNED = "turned.npz"
HELD = "held.npz"
WINDOWS = "windows.npz"
_TASKS = "tasks"
_THREAT_MODEL = (
    "Somebody who knows the network changes the raw samples of a beat's own window, at the "
    "converter and within its range; they pass through the front end like any others. What the "
    "device remembers from earlier beats (template, gain, RR intervals) is held as it was, and so "
    "is the place of the beat. A success is a decision of the network itself about whole counts."
)
_ARITHMETIC = {
    INT8: "the int8 arithmetic that is flashed, behind the front end's integers",
    FLOAT: "float32 behind the front end's integers",
    PRUNED: "float32 behind the front end's integers",
}

Int16Array = npt.NDArray[np.int16]
Int64Array = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Turned:
    """Changed windows that the int8 network decides otherwise than the recorded ones.

    Attributes:
        window: Which window each is of, index into the attacked ones [k].
        raw: int16 counts [k, reach].
        decision: What the network decides of it [k].
        attack: What found it [k].
    """

    window: Int64Array
    raw: Int16Array
    decision: Int64Array
    attack: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.window)


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
        moved = _Moved(attacked, windows, found, context, balls)
        turned = moved.turned()
        _save_turned(folder / TURNED, turned)
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


class _Moved:
    """What all attacks together found of every network.

    Args:
        attacked: The networks and their windows.
        windows: The windows as the networks see them.
        found: Results by stage.
        context: The build.
        balls: The balls that were attacked.
    """

    def __init__(
        self,
        attacked: Attacked,
        windows: Windows,
        found: Mapping[str, tuple[AttackResult, ...]],
        context: Context,
        balls: Sequence[Ball],
    ) -> None:
        self.attacked, self.windows, self.found = attacked, windows, found
        self.balls, self.masking = balls, context.config.attacks.masking
        self.bootstrap = Bootstrap(context.seed)
        rows = np.arange(len(windows))
        victims = {stage: attacked.victim(stage) for stage in attacked.networks}
        self.decisions: dict[str, Decisions] = {
            stage: decisions_of(windows, victim.decide(attacked.held.raw, rows))
            for stage, victim in victims.items()
        }
        self._int8 = victims[INT8]

    def transferred(self) -> Iterator[tuple[str, AttackResult]]:
        """Yield what the int8 network makes of the changes found on the others, by source."""
        rows = np.arange(len(self.windows))
        before = self.decisions[INT8].predictions
        for stage, results in self.found.items():
            for result in results if stage != INT8 else ():
                after = self._int8.decide(result.raw, rows)
                success = (before == self.windows.label) & (after != self.windows.label)
                yield (
                    stage,
                    replace(
                        result,
                        victim=INT8,
                        decided_before=before,
                        decided_after=after,
                        success=success,
                        size=np.where(success, _size(result, self.attacked.held), np.inf),
                    ),
                )

    def of_int8(self) -> tuple[AttackResult, ...]:
        """Return all results on the int8 network, those found on the other networks last."""
        return (*self.found[INT8], *(result for _, result in self.transferred()))

    def within(self, ball: Ball, stage: str) -> Bools:
        """Return which windows of a network any change within a ball turned [n]."""
        results = self.of_int8() if stage == INT8 else self.found[stage]
        turned = np.zeros(len(self.windows), np.bool_)
        for result in results:
            turned |= result.success & ball.contains(self.attacked.held, result.raw)
        return turned

    def signs(self, stage: str) -> Iterator[MaskingCheck]:
        """Yield what the signs of masked gradients say of a network, where they are asked for."""
        if not self.balls or not self.masking:
            return
        with deterministic(self.attacked.threads):
            report = masking_report(
                self.attacked.victim(stage),
                self.windows.label,
                self.balls[0],
                self.attacked.settings,
            )
        for check in report.checks:
            pairs = zip(check.values, check.of, strict=True)
            values = ", ".join(f"{value:.3f} {of}" for value, of in pairs)
            yield MaskingCheck(
                f"{check.name}: {report.attack}, {report.ball}",
                check.question,
                check.passed,
                f"{values}; {check.note}",
            )

    def turned(self) -> Turned:
        """Return every changed window that the int8 network decides wrongly, each once."""
        seen: dict[tuple[int, bytes], tuple[int, str]] = {}
        for result in self.of_int8():
            for row in np.flatnonzero(result.success).tolist():
                key = (row, result.raw[row].tobytes())
                seen.setdefault(key, (int(result.decided_after[row]), result.attack))
        raw = np.array([np.frombuffer(content, np.int16) for _, content in seen], np.int16)
        return Turned(
            np.array([row for row, _ in seen], np.int64),
            raw.reshape(-1, self.attacked.held.raw.shape[1]),
            np.array([decision for decision, _ in seen.values()], np.int64),
            tuple(attack for _, attack in seen.values()),
        )


def _size(result: AttackResult, held: HeldBeats) -> npt.NDArray[np.float64]:
    ball = Ball.parse(result.ball or result.norm)
    return ball.norm_of(held, result.raw)


def _evidence(context: Context, moved: _Moved, balls: Sequence[Ball]) -> AttackEvidence:
    plan = context.config.attacks
    records = len(np.unique(moved.windows.record))
    return AttackEvidence(
        threat_model=_THREAT_MODEL,
        windows=f"{len(moved.windows)} test windows, drawn in proportion from every record that "
        f"has any ({records}), those that are verified first, seed {context.seed}",
        settings=f"{plan.steps} steps, {plan.restarts} "
        f"{'start' if plan.restarts == 1 else 'starts'}, {plan.queries} queries a window for "
        "attacks without gradients",
        networks=tuple(_network(moved, stage, balls) for stage in moved.attacked.networks),
        transfers=tuple(_transfers(moved)),
        worst=tuple(_worst(context, moved, balls)),
    )


def _network(moved: _Moved, stage: str, balls: Sequence[Ball]) -> NetworkAttacks:
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


def _transfers(moved: _Moved) -> Iterator[Transfer]:
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


def _worst(context: Context, moved: _Moved, balls: Sequence[Ball]) -> Iterator[WorstWindow]:
    """Yield windows that were turned within the smallest balls, each window once."""
    held, windows = moved.attacked.held, moved.windows
    volts = held.adc.microvolt_per_count
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
                    raw_before=tuple((held.raw[row] * volts).tolist()),
                    raw_after=tuple((result.raw[row] * volts).tolist()),
                )


def _save_turned(path: Path, turned: Turned) -> None:
    buffer = BytesIO()
    np.savez(
        buffer,
        window=turned.window,
        raw=turned.raw,
        decision=turned.decision,
        attack=np.array(turned.attack, np.str_),
    )
    write_bytes(path, buffer.getvalue())


def load_turned(path: Path) -> Turned:
    """Read the changed windows that the attack stage kept."""
    with np.load(path, allow_pickle=False) as content:
        return Turned(
            content["window"],
            content["raw"],
            content["decision"],
            tuple(content["attack"].tolist()),
        )
