"""make study-robustness: what attacks and disturbances do to the networks that are flashed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from edgeprune.attacks import (
    ATTACKS,
    AttackResult,
    AttackSettings,
    Ball,
    FloatVictim,
    IntegerVictim,
)
from edgeprune.attacks.masking import masking_report
from edgeprune.attacks.transfer import lent, transferred
from edgeprune.attacks.universal import fit_universal, try_universal
from edgeprune.data import Windows
from edgeprune.devices import run_image
from edgeprune.disturbances import DISTURBANCES, Surroundings, decide_disturbed, parse_family
from edgeprune.evaluation import Bootstrap
from edgeprune.evaluation.disturbances import severity_point
from edgeprune.evidence import Quantity
from edgeprune.executor import Executor
from edgeprune.pipeline.deploy import IMAGE
from edgeprune.pipeline.learn import classifier_of, windows_of
from edgeprune.pipeline.products import stratified
from edgeprune.pipeline.recordings import held_of, recordings_of
from edgeprune.progress import Silent
from edgeprune.verification.outcomes import Outcome, VerificationRun
from edgeprune.verification.verify import VerifySettings, verify_windows
from tests.studies import robustness_noise, robustness_scores
from tests.studies.robustness_comparison import comparison
from tests.studies.robustness_device import device_figures
from tests.studies.study import CHECKOUT, KEPT, Figure, code_hash, run_study
from tests.studies.subjects import NAIVE, ROBUST, Subject, Workshop

SEED = 1
WINDOWS = 200
COMPARED = 200
# The victims are the three networks of one history; the flashed one gets every attack.
SIZES = ("linf:20uV", "linf:50uV", "linf:100uV")
OTHER_SIZES = ("l2:200uV", "l2:500uV", "l1:2mV", "l1:5mV", "l0:3", "l0:10")
TRIED = ("fgsm", "pgd", "apgd-ce", "apgd-dlr", "apgd-t", "square", "smooth", "ensemble")
SETTINGS = AttackSettings(steps=30, restarts=2, queries=500, seed=SEED)
MINIMUM = (
    *(("fmn", norm) for norm in ("l0", "l1", "l2", "linf")),
    ("ddn", "l2"),
    *(("brendel-bethge", norm) for norm in ("l0", "l1", "l2", "linf")),
    ("carlini-wagner", "l2"),
)
MINIMUM_WINDOWS = 30
COMPARED_L2 = ("l2:200uV", "l2:500uV")
UNIVERSAL_WINDOWS = 200
DISTURBED = 2000
VERIFY_SECONDS = 3.0


class RobustnessStudy:
    """The sections of the study.

    Args:
        data: Folder that holds the real recordings (`mitdb` and `nstdb` in it).
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        recordings = (data / "mitdb").resolve()
        if not recordings.is_dir():
            raise SystemExit(f"the recordings are not in {recordings}: pass --data")
        self._workshop = Workshop(KEPT / "verification" / "work", recordings, SEED)
        self._tasks = KEPT / "robustness" / code_hash() / "tasks"

    @cached_property
    def naive(self) -> Subject:
        return self._workshop.subject("mit-bih", "naive", NAIVE, WINDOWS, "bench")

    @cached_property
    def robust(self) -> Subject:
        return self._workshop.subject("mit-bih", "robust", ROBUST["mit-bih"], WINDOWS, "bench")

    def subject(self, name: str) -> Subject:
        return self.robust if name == "robust" else self.naive

    def attacks(self, name: str) -> Iterator[Figure]:
        """Every attack on the network as it is flashed, and three on what it was made from."""
        subject = self.subject(name)
        section = f"attacks, {name}"
        labels = subject.windows.label
        victim = IntegerVictim(subject.network, subject.held)
        found: list[AttackResult] = []
        for attack in TRIED:
            for text in SIZES if attack == "ensemble" else (*SIZES, *OTHER_SIZES):
                if Ball.parse(text).norm in ATTACKS.get(attack).norms:
                    result = ATTACKS.get(attack)(victim, labels, Ball.parse(text), SETTINGS)
                    found.append(result)
                    yield _row(section, result)
        for text in SIZES:
            ball = Ball.parse(text)
            for source in self._floats(subject):
                yield _row(section, ATTACKS.get("apgd-t")(source, labels, ball, SETTINGS))
                moved = transferred(
                    victim, labels, ball, lent(source, labels, ball, SETTINGS, Silent())
                )
                found.append(moved)
                yield _row(section, moved)
            change = fit_universal(
                self._validation(subject),
                self._drawn_validation(subject).label,
                ball,
                SETTINGS,
                Silent(),
            )
            found.append(try_universal(victim, labels, ball, change))
            yield _row(section, found[-1])
        yield from self._against_proofs(section, subject, found)
        yield from _replay(section, subject, found)
        yield from _masking(section, victim, labels)

    def minimum(self, name: str) -> Iterator[Figure]:
        """The smallest changes that turn the flashed network's decision."""
        subject = self.subject(name).drawn(MINIMUM_WINDOWS)
        section = f"least change, {name}"
        labels = subject.windows.label
        victim = IntegerVictim(subject.network, subject.held)
        found = []
        for attack, norm in MINIMUM:
            result = ATTACKS.get(attack)(victim, labels, Ball.parse(norm), SETTINGS)
            found.append(result)
            sizes = result.size[result.attacked]
            yield Figure(
                section,
                f"{attack}, {norm}: median size",
                float(np.median(sizes)) if np.isfinite(np.median(sizes)) else None,
                unit=result.unit or "samples",
                note=f"{len(sizes)} windows, turned {100 * result.success_rate:.1f} %",
            )
        yield from self._against_proofs(section, subject, found)
        yield from _replay(section, subject, found)

    def compared(self, name: str) -> Iterator[Figure]:
        """Our gradient attacks beside foolbox's and ART's, on the same float network and budget."""
        subject = self.subject(name).drawn(COMPARED)
        original = next(iter(self._floats(subject)))
        labels = subject.windows.label
        balls = (*SIZES, *COMPARED_L2)
        for row in comparison(original, labels, balls, steps=30, restarts=3, seed=SEED):
            for other, turned in (("foolbox", row.foolbox), ("ART", row.art)):
                if turned is not None:
                    yield Figure(
                        f"comparison, {name}",
                        f"{row.attack}, {row.ball}: windows turned beyond {other}'s",
                        row.ours - turned,
                        0,
                        note=f"ours {row.ours}, {other}'s {turned} of {row.n}",
                    )

    def noise(self) -> Iterator[Figure]:
        """Record 118 with electrode motion, the publisher's mixture and ours."""
        for name in ("naive", "robust"):
            yield from robustness_noise.figures(self.subject(name).network, self._data, name)

    def disturbed(self) -> Iterator[Figure]:
        """Everything that happens to a lead, weak to strong, on beats of every DS2 record."""
        subject = self.robust.drawn(DISTURBED)
        context, windows = subject.result.context, subject.windows
        surroundings = Surroundings(self._data / "nstdb")
        tried = [each for name in DISTURBANCES for each in parse_family(name, surroundings)]
        undisturbed, *found = decide_disturbed(
            subject.network,
            recordings_of(context, subject.result.stages["data"], windows),
            windows,
            context.front_end,
            (None, *tried),
            SEED,
            Executor(store=self._tasks / "disturbed", workers=2),
        )
        for disturbance, decisions in zip(tried, found, strict=True):
            point = severity_point(disturbance, windows, decisions, undisturbed, Bootstrap(SEED))
            rows = ", ".join(
                f"{row.name} Se {_percent(row.sensitivity)} +P {_percent(row.precision)}"
                for row in point.scores.classes
                if row.n
            )
            title = f"{disturbance.text}: macro-F1"
            note = f"{rows}; decided as without {100 * point.agreement:.1f} %"
            yield Figure("disturbances", title, point.scores.macro_f1.value, note=note)

    def device(self) -> Iterator[Figure]:
        """The check over bad lines, against QEMU's board, and bulk runs."""
        yield from device_figures(self.robust)

    def scores(self) -> Iterator[Figure]:
        """Beat-by-beat tables of all records without pacing."""
        for name in ("naive", "robust"):
            subject = self.subject(name)
            context, data = subject.result.context, subject.result.stages["data"]
            windows = {part: windows_of(data, part) for part in ("train", "validation", "test")}
            tables = robustness_scores.standard_tables(
                subject.network, windows, context.card, self._data / "mitdb", seed=SEED
            )
            yield from robustness_scores.figures("scores", name, tables)

    def _floats(self, subject: Subject) -> Iterator[FloatVictim]:
        context, stages = subject.result.context, subject.result.stages
        for name, stage in (("float", "train"), ("pruned float", "prune")):
            model, _ = classifier_of(context, stages[stage])
            yield FloatVictim(model, context.front_end, subject.held, name)

    def _validation(self, subject: Subject) -> IntegerVictim:
        """Return the flashed network on windows of patients that the test part has none of."""
        context, data = subject.result.context, subject.result.stages["data"]
        held = held_of(context, data, self._drawn_validation(subject))
        return IntegerVictim(subject.network, held)

    def _drawn_validation(self, subject: Subject) -> Windows:
        windows = windows_of(subject.result.stages["data"], "validation")
        return windows.select(stratified(windows, UNIVERSAL_WINDOWS, SEED))

    def _verified(self, subject: Subject, text: str) -> VerificationRun:
        return verify_windows(
            subject.network,
            subject.held,
            subject.windows,
            text,
            VerifySettings(seconds=VERIFY_SECONDS if subject.name == "robust" else 0.2, seed=SEED),
            executor=Executor(store=self._tasks, workers=2),
        )

    def _against_proofs(
        self, section: str, subject: Subject, found: list[AttackResult]
    ) -> Iterator[Figure]:
        """No change that turned a decision may lie in a set that was proved."""
        victim = IntegerVictim(subject.network, subject.held)
        decided = victim.decide(subject.held.raw, np.arange(len(subject.held)))
        for text in SIZES:
            run, ball = self._verified(subject, text), Ball.parse(text)
            proved = run.mask(Outcome.PROVED)
            broken = tried = 0
            for result in found:
                inside = proved & ball.contains(subject.held, result.raw)
                tried += int(inside.sum())
                broken += int((inside & (result.decided_after != decided)).sum())
            yield Figure(
                section,
                f"decisions turned inside proved sets, {text}",
                broken,
                0,
                None,
                True,
                note=f"{int(proved.sum())} windows proved, {tried:,} members tried",
            )


def _percent(share: Quantity) -> str:
    if share.value is None:
        return "undefined"
    spread = share.interval
    found = f"{100 * share.value:.1f}"
    return found if spread is None else f"{found} [{100 * spread.low:.0f}-{100 * spread.high:.0f}]"


def _row(section: str, result: AttackResult, means: str = "") -> Figure:
    name = ", ".join(filter(None, (result.victim, means or result.attack, result.ball)))
    return Figure(
        section,
        f"{name}: success",
        result.success_rate,
        note=f"of {int(result.attacked.sum())} windows decided right; right under attack "
        f"{result.robust_accuracy:.3f}; {int(result.queries.sum()):,} queries",
    )


def _replay(section: str, subject: Subject, found: list[AttackResult]) -> Iterator[Figure]:
    """Every counterexample of the flashed network on the emulated device."""
    inputs, expected = [], []
    for result in found:
        rows = np.flatnonzero(result.success)
        if result.victim == "int8" and len(rows):
            made = subject.held.select(rows).inputs(result.raw[rows])[: subject.inputs]
            inputs.append(made)
            expected.append(result.decided_after[rows])
    joined = [np.concatenate(each) for each in zip(*inputs, strict=True)]
    signal, rhythm = joined if len(joined) == 2 else (*joined, None)
    context = subject.result.context
    run = run_image(
        subject.result.stages["firmware"].file(IMAGE),
        context.target,
        signal,
        rhythm,
        subject.network.output_tensor.size,
    )
    failures = int((run.logits.argmax(1) != np.concatenate(expected)).sum())
    wrong = int((run.logits != subject.network.run(*joined)).any(axis=1).sum())
    yield Figure(
        section,
        "counterexamples that do not replay on the emulator",
        max(failures, wrong),
        0,
        None,
        True,
        note=f"{len(run.logits):,} counterexamples, {len(run.logits) / run.seconds:,.0f} windows/s",
    )


def _masking(section: str, victim: IntegerVictim, labels: np.ndarray) -> Iterator[Figure]:
    for check in masking_report(victim, labels, Ball.parse(SIZES[-1]), SETTINGS).checks:
        pairs = zip(check.of, check.values, strict=True)
        values = ", ".join(f"{of} {value:.3f}" for of, value in pairs)
        title = f"no sign of masked gradients: {check.name}"
        yield Figure(section, title, int(check.passed), note=f"{check.note}; {values}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared" / "data")
    parser.add_argument("--only", action="append", help="measure and keep this section alone")
    arguments = parser.parse_args()
    study = RobustnessStudy(arguments.data)
    networks = ("robust", "naive")
    sections: dict[str, Callable[[], Iterator[Figure]]] = {
        **{f"attacks-{name}": partial(study.attacks, name) for name in networks},
        **{f"minimum-{name}": partial(study.minimum, name) for name in networks},
        **{f"comparison-{name}": partial(study.compared, name) for name in networks},
        "noise": study.noise,
        "disturbances": study.disturbed,
        "device": study.device,
        "scores": study.scores,
    }
    raise SystemExit(run_study("robustness", SEED, sections, arguments.only))


if __name__ == "__main__":
    main()
