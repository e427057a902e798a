"""make study-verification: what is proved of the networks that are flashed, and at what price."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from edgeprune.config import load_config
from edgeprune.data import Windows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.evaluation import Bootstrap, score
from edgeprune.executor import Executor
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.build import build
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.products import decisions_of, stratified
from edgeprune.pipeline.recordings import held_of
from edgeprune.verification.outcomes import Outcome, Runtime, VerificationRun
from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.runtime_flips import (
    OTHER_RUNTIMES,
    attacked_members,
    flips,
    layer_spread,
)
from edgeprune.verification.verify import VerifySettings, verify_windows
from tests.studies.study import CHECKOUT, KEPT, Figure, code_hash, run_study
from tests.studies.verification_checks import checker, mutations, replays, soundness
from tests.studies.verification_speed import rate

SEED = 1
WORKERS = 2
# Fusion beats of the synthetic patients lie nearer to ventricular ones than 50 uV.
ROBUST: dict[str, dict[str, object]] = {
    "mit-bih": {"model": "certifiable-ecg", "robustness.perturbation": "linf:50uV"},
    "synthetic-ecg": {
        "model": "certifiable-ecg",
        "robustness.perturbation": "linf:20uV",
        "training.epochs": 30,
    },
}
NAIVE = {"model": "residual-ecg", "robustness.perturbation": ""}
RADIUS = "linf:20uV"
# Floor and mark of the share proved and right, network trained for it.
LIMITS: dict[str, tuple[float | None, float | None]] = {
    RADIUS: (0.75, 0.88),
    "linf:50uV": (0.60, 0.80),
    "linf:100uV": (None, 0.65),
    "gain:10%": (0.80, 0.90),
    "wander:500uV@0.5Hz": (0.70, 0.85),
    "hum:100uV@50Hz": (0.80, 0.90),
    "hum:100uV@60Hz": (0.80, 0.90),
}
V_LIMITS = (0.40, 0.70)  # of the V windows at that radius
LOSS_FLOOR, LOSS_MARK = 0.03, 0.015
ATTACKED = 10_000
REFERENCES = CHECKOUT / "tests" / "studies" / "references.json"
# Seconds of the processor that a window may take, of the network trained for it.
SECONDS = dict.fromkeys(LIMITS, 3.0) | {RADIUS: 20.0, "linf:50uV": 20.0}
# The naive networks leave nearly every window open, and each costs all its time: fewer windows.
NAIVE_WINDOWS, NAIVE_SECONDS = 96, 0.2
# What the sections beside the checker's do not read.
CHECKER = ("edgeprune/certificate_checker/", "tests/certificate_checker/", "tests/tampering.py")
ANY_SECONDS = 1.0  # an LSB a layer is lost to no split


@dataclass(frozen=True)
class Subject:
    """A network and the windows that it is tried on."""

    name: str
    network: IntegerNetwork
    test: Windows
    windows: Windows
    held: HeldBeats

    @property
    def parameters(self) -> int:
        return sum(operation.parameters() for operation in self.network.operations)

    def scores(self, windows: Windows) -> Any:
        decisions = self.network.predict(*(windows.signal, windows.rhythm)[: self.inputs])
        return score(decisions_of(windows, decisions), Bootstrap(SEED))

    @property
    def inputs(self) -> int:
        return len(self.network.inputs)


class VerificationStudy:
    """The sections of the study.

    Args:
        data: Folder that holds the real recordings (`mitdb` in it).
    """

    def __init__(self, data: Path) -> None:
        self._recordings = (data / "mitdb").resolve()
        self._work = KEPT / "verification" / "work"
        self._tasks = KEPT / "verification" / code_hash(CHECKER) / "tasks"
        self._runs: dict[tuple[str, str, str], VerificationRun] = {}

    def _subject(self, dataset: str, name: str, flags: Mapping[str, object], count: int) -> Subject:
        """Build a network; one that was built before on this code is kept."""
        folder = {} if dataset == "synthetic-ecg" else {"data_dir": str(self._recordings)}
        config = load_config(None, {"dataset": dataset, "seed": SEED, **folder, **flags})
        out = self._work / f"{dataset}-{name}"
        trained = self._work / f"{dataset}-naive.work"
        kept = out.with_name(f"{out.name}.work")
        if trained.is_dir() and not kept.exists() and config.model == NAIVE["model"]:
            # All networks of one natural training.
            for stage in ("data", "train"):
                shutil.copytree(trained / stage, kept / stage)
        result = build(config, out, until="quantize")
        data, network = result.stages["data"], network_of(result.stages["quantize"])
        test = windows_of(data, "test")
        windows = test.select(stratified(test, count, SEED))
        return Subject(name, network, test, windows, held_of(result.context, data, windows))

    def subjects(self, dataset: str, count: int) -> Iterator[Subject]:
        """Yield the naive network, the one trained for proofs, and a naive one of its size."""
        few = min(count // 4, NAIVE_WINDOWS)
        naive = self._subject(dataset, "naive", NAIVE, few)
        yield naive
        robust = self._subject(dataset, "robust", ROBUST[dataset], count)
        yield robust
        whole = self._subject(dataset, "whole", {**NAIVE, "pruning.method": "none"}, count)
        ratio = round(max(0.0, 1 - robust.parameters / whole.parameters), 2)
        flags = {**NAIVE, "pruning.ratio": ratio, "pruning.importance": "l1"}
        yield self._subject(dataset, "magnitude", flags, few)

    @cached_property
    def robust(self) -> Subject:
        return self._subject("mit-bih", "robust", ROBUST["mit-bih"], 1000)

    def mit_bih(self) -> Iterator[Figure]:
        """Real recordings: DS2, drawn from every record in proportion."""
        if not self._recordings.is_dir():
            raise SystemExit(f"the recordings are not in {self._recordings}: pass --data")
        yield from self._networks("mit-bih", 1000)

    def synthetic(self) -> Iterator[Figure]:
        """The synthetic default: it says that the tools work, and nothing about patients."""
        yield from self._networks("synthetic-ecg", 200)

    def _networks(self, dataset: str, count: int) -> Iterator[Figure]:
        natural: float | None = None
        for subject in self.subjects(dataset, count):
            section, trained = f"{dataset}, {subject.name}", subject.name == "robust"
            found = subject.scores(subject.test)
            macro = found.macro_f1.value
            natural = macro if natural is None else natural
            names = {row.name: row for row in found.classes}
            rows = ", ".join(
                f"{name} {row.f1.value:.3f}" for name, row in names.items() if row.f1.value
            )
            size = f"{subject.parameters:,} parameters"
            yield Figure(section, "accuracy, all test windows", found.accuracy.value, note=size)
            yield Figure(section, "macro-F1, all test windows", macro, note=f"F1 {rows}")
            if trained:
                loss = natural - macro
                note = "of the naive network's"
                yield Figure(section, "macro-F1 lost", loss, LOSS_FLOOR, LOSS_MARK, True, note=note)
            for text in LIMITS:
                run = self.run(subject, text, SECONDS[text] if trained else NAIVE_SECONDS)
                yield from self._shares(section, run, trained=trained)

    def run(
        self, subject: Subject, text: str, seconds: float, runtime: Runtime = Runtime.FIRMWARE
    ) -> VerificationRun:
        """Verify, once on this code."""
        key = (subject.network.sha256, text, runtime.value)
        if key not in self._runs:
            self._runs[key] = verify_windows(
                subject.network,
                subject.held,
                subject.windows,
                text,
                VerifySettings(
                    runtime=runtime,
                    seconds=seconds,
                    iterations=0 if seconds < 1 else VerifySettings.iterations,
                    seed=SEED,
                ),
                executor=Executor(store=self._tasks, workers=WORKERS),
            )
        return self._runs[key]

    def _shares(self, section: str, run: VerificationRun, *, trained: bool) -> Iterator[Figure]:
        total = run.total
        limits = LIMITS[run.perturbation] if trained else (None, None)
        title = f"proved and right, {run.perturbation}"
        note = (
            f"limit of the attacks {total.limit:.3f}; of {total.n} proved {total.proved}, "
            f"falsified {total.falsified}, unknown {total.unknown}, timeout {total.timeout}; "
            f"{1000 * float(run.seconds.mean()):.0f} ms a window"
        )
        yield Figure(section, title, total.share, *limits, note=note)
        for row in run.by_class():
            if not row.n or row.name in ("F", "Q"):
                continue
            asked = trained and row.name == "V" and run.perturbation == RADIUS
            limits = V_LIMITS if asked else (None, None)
            note = f"limit of the attacks {row.limit:.3f}; of {row.n} windows"
            yield Figure(section, f"{title}, {row.name}", row.share, *limits, note=note)
        if trained and run.perturbation == RADIUS:
            for row in run.by_record():
                yield Figure(section, f"{title}, record {row.name}", row.share, note=f"{row.n}")

    def speed(self) -> Iterator[Figure]:
        """Windows a second on all cores, and the complete verification from nothing."""
        naive = self._subject("mit-bih", "naive", NAIVE, 1000)
        for name, subject in (("naive", naive), ("robust", self.robust)):
            for kind, linear, floor in (("interval", False, 2000), ("linear", True, 25)):
                count = 96 if linear and name == "naive" else 960
                held = subject.held.select(np.arange(count))
                found = rate(subject.network, held, RADIUS, linear=linear, workers=WORKERS)
                title = f"{name}: {kind} bounds, windows a second"
                note = f"{WORKERS} processes, {count} windows, {RADIUS}"
                yield Figure("speed", title, round(found, 1), floor, note=note)
        yield from _beside_crown()
        begin = time.monotonic()
        run = verify_windows(
            self.robust.network,
            self.robust.held,
            self.robust.windows,
            RADIUS,
            VerifySettings(seconds=SECONDS[RADIUS], seed=SEED),
            executor=Executor(workers=WORKERS),
        )
        total, seconds = run.total, time.monotonic() - begin
        note = f"{total.n} windows at {RADIUS}, {WORKERS} processes"
        yield Figure("speed", "complete verification", round(seconds), 600, None, True, "s", note)
        yield Figure("speed", "share of timeouts", total.timeout / total.n, 0.02, None, True)
        yield Figure("speed", "share of unknown", total.unknown / total.n)

    def any_runtime(self) -> Iterator[Figure]:
        """What is proved for any runtime, and what installed runtimes make of it."""
        section, subject = "any runtime", self.robust
        run = self.run(subject, RADIUS, ANY_SECONDS, Runtime.ANY)
        yield from self._shares(section, run, trained=False)
        proved = np.flatnonzero(run.mask(Outcome.PROVED))
        members = attacked_members(
            subject.network,
            subject.held.select(proved),
            parse_perturbation(RADIUS),
            ATTACKED,
            np.random.default_rng(SEED),
        )
        decisions = run.decisions[proved]
        for found in flips(subject.network, members, decisions):
            note = (
                f"{found.members:,} members of {found.windows:,} proved sets; other logits than "
                f"the specification's: {found.differing:,}"
            )
            title = f"flips, {found.implementation}"
            yield Figure(section, title, found.flips, 0, None, True, note=note)
        some = subject.windows.select(np.arange(0, len(subject.windows), 4))
        spreads = layer_spread(subject.network, (some.signal, some.rhythm)[: subject.inputs])
        for name in OTHER_RUNTIMES:
            rows = [each for each in spreads if each.implementation == name]
            note = ", ".join(f"{each.kind} {each.largest_difference}" for each in rows)
            title = f"largest difference of a layer, {name}"
            largest = max(each.largest_difference for each in rows)
            yield Figure(section, title, largest, 1, None, True, "LSB", note)

    def checks(self, dataset: str, count: int) -> Iterator[Figure]:
        """The independent checker, on every certificate of the network trained for proofs."""
        subject = self._subject(dataset, "robust", ROBUST[dataset], count)
        runs = [self.run(subject, text, SECONDS[text]) for text in LIMITS]
        if dataset == "synthetic-ecg":
            runs.append(self.run(subject, RADIUS, ANY_SECONDS, Runtime.ANY))
        windows = self._work / f"{dataset}-robust.work" / "data" / "test.npz"
        section, store = f"checker, {dataset}", KEPT / "verification" / code_hash() / "verdicts"
        yield from checker(subject.network, runs, windows, section, store)
        yield from replays(subject.network, runs, section)


def _beside_crown() -> Iterator[Figure]:
    """What was measured beside auto_LiRPA, outside the repository."""
    reference = json.loads(REFERENCES.read_text(encoding="utf-8"))["auto_lirpa"]
    for name, row in reference["networks"].items():
        ours, crown = row["edgeprune"], row["auto_lirpa"]
        times = ours["windows_per_second"] / crown["windows_per_second"]
        note = (
            f"{ours['windows_per_second']} and {crown['windows_per_second']} windows a second of a "
            f"core; mean margin {ours['mean_margin']} and {crown['mean_margin']}"
        )
        title = f"{name}: times as quick as auto_LiRPA's CROWN"
        yield Figure("speed", title, times, None, 5.0, note=note)
        title = f"{name}: share of margins looser by more than 1 %"
        yield Figure("speed", title, ours["looser_share"], None, 0.0, True)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared" / "data")
    parser.add_argument("--only", action="append", help="measure this section alone; repeatable")
    arguments = parser.parse_args()
    study = VerificationStudy(arguments.data)
    sections = {
        "mit-bih": study.mit_bih,
        "synthetic": study.synthetic,
        "speed": study.speed,
        "any-runtime": study.any_runtime,
        "checker-mit-bih": partial(study.checks, "mit-bih", 1000),
        "checker-synthetic": partial(study.checks, "synthetic-ecg", 200),
        "soundness": soundness,
        "mutations": mutations,
    }
    unread = {name: CHECKER for name in sections if not name.startswith("checker")}
    raise SystemExit(run_study("verification", SEED, sections, arguments.only, unread))


if __name__ == "__main__":
    main()
