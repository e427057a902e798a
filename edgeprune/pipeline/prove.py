"""The stage that verifies the networks' decisions on test windows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from edgeprune.certificate_checker import check
from edgeprune.data import Windows
from edgeprune.data.held import HeldWindows
from edgeprune.evaluation import (
    Bootstrap,
    Found,
    decisions_of,
    perturbation_certificates,
    radius_of,
    right_share,
)
from edgeprune.evidence import CertificateEvidence, CertificateFile, NetworkCertificates
from edgeprune.executor import Executor
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.float_bounds import FloatNetwork, float_found
from edgeprune.pipeline.learn import NETWORK, classifier_of, network_of, windows_of
from edgeprune.pipeline.products import (
    save_inputs,
    save_record,
    save_windows,
    stratified,
)
from edgeprune.pipeline.recordings import held_of
from edgeprune.pipeline.requirements import FLOAT, INT8, PRUNED
from edgeprune.pipeline.store import Stage
from edgeprune.verification.certificates import write_certificates
from edgeprune.verification.falsify import AttackSettings
from edgeprune.verification.outcomes import Outcome, Runtime, VerificationRun
from edgeprune.verification.perturbations import Perturbation, parse_perturbation
from edgeprune.verification.verify import VerifySettings, verify_windows

CERTIFICATES = "certificates.json"
FILES = "certificates"
COUNTEREXAMPLES = "counterexamples.npz"
_TASKS = "tasks"
# Certificates of each file that the independent checker, which is slow, recomputes at once.
_CHECKED = 4
# What is tried where no time is given: seconds for a hundred windows.
_LIGHT = AttackSettings(restarts=1, steps=20, rounds=4)
_THREAT_MODEL = (
    "The raw samples that a beat's own window reads may change within the set, at the converter "
    "and within its range; they pass through the front end like any others. What the device "
    "remembers from earlier beats (template, gain, RR intervals) is held as it was, and so is the "
    "place of the beat."
)
_THREAT_MODEL_OF_SEGMENTS = (
    "The raw samples of a window, of all its channels, may change within the set, at the converter "
    "and within its range; they pass through the front end like any others. The windows stay where "
    "they are."
)
# What a curve over radii is drawn of.
_CURVES = (("linf", "uV"), ("linf", "rms"))
_ARITHMETIC = {
    Runtime.FIRMWARE: "the int8 arithmetic that is flashed: int32 accumulators, TFLite's double "
    "rounding, saturation",
    Runtime.ANY: "every int8 arithmetic whose layers round within one step of the specification",
}


@dataclass(frozen=True)
class Subject:
    """What is verified, and on what.

    Attributes:
        windows: Test windows, drawn from every record in proportion [n].
        held: The same as raw samples.
        perturbations: What they must withstand.
    """

    windows: Windows
    held: HeldWindows
    perturbations: tuple[Perturbation, ...]


def verify_stage(
    context: Context,
    data: Stage,
    quantized: Stage,
    trained: Stage | None,
    pruned: Stage | None,
) -> Stage:
    """Proofs and counterexamples for the int8 network, bounds for what it was made from."""
    settings = context.config.verification

    def produce(folder: Path) -> None:
        executor = replace(context.executor, store=folder / _TASKS)
        subject = _subject(context, data)
        floats = {
            stage: FloatNetwork.of(classifier_of(context, source)[0], context.front_end)
            for stage, source in ((FLOAT, trained), (PRUNED, pruned))
            if source is not None
        }
        networks = [
            _float_certificates(context, subject, stage, network, executor.below(stage))
            for stage, network in floats.items()
        ]
        network = network_of(quantized)
        runs = tuple(_runs(context, subject, network, executor))
        networks.append(_int8_certificates(context, subject, network, runs))
        source = quantized.file(NETWORK)
        files = tuple(_write_files(context, folder / FILES, runs, network, source))
        # What the certificates are about, for the checker and to try another network on.
        subject.held.save(folder / FILES / "held.npz")
        save_windows(folder / FILES / "windows.npz", subject.windows)
        found = [each.counterexample for run in runs for each in run.results if each.counterexample]
        single = [tuple(values[np.newaxis] for values in each.inputs) for each in found]
        save_inputs(folder / COUNTEREXAMPLES, network, single)
        save_record(folder / CERTIFICATES, _evidence(context, subject, tuple(networks), files))
        shutil.rmtree(folder / _TASKS, ignore_errors=True)

    return context.store.run(
        "verify",
        produce,
        reads=[stage for stage in (data, quantized, trained, pruned) if stage is not None],
        settings={
            "verification": asdict(settings) | {"workers": 0},
            "perturbations": context.config.perturbations,
            "seed": context.seed,
        },
        rooms=("network", "verification", "evaluation", "data", "certificate_checker"),
    )


def _subject(context: Context, data: Stage) -> Subject:
    test = windows_of(data, "test")
    windows = test.select(stratified(test, context.config.verification.windows, context.seed))
    return Subject(
        windows,
        held_of(context, data, windows),
        tuple(map(parse_perturbation, context.config.perturbations)),
    )


def _runs(
    context: Context, subject: Subject, network: IntegerNetwork, executor: Executor
) -> Iterator[VerificationRun]:
    for perturbation in subject.perturbations:
        yield verify_windows(
            network,
            replace(subject.held, signal_alone=len(network.inputs) == 1),
            subject.windows,
            perturbation,
            verify_settings(
                context.config.verification.runtime,
                context.config.verification.seconds,
                context.seed,
            ),
            progress=context.progress,
            executor=executor.below(_slug(perturbation.text)),
        )


def verify_settings(runtime: str, seconds: float, seed: int) -> VerifySettings:
    """Return how windows are verified: without a time, by bounds and a short attack alone.

    Args:
        runtime: Whose arithmetic the proofs are about: "firmware" or "any".
        seconds: Processor time that a window may take.
        seed: Decides random starts.
    """
    settings = VerifySettings(runtime=Runtime(runtime), seconds=seconds, seed=seed)
    return settings if seconds else replace(settings, attack=_LIGHT, iterations=0)


def _int8_certificates(
    context: Context,
    subject: Subject,
    network: IntegerNetwork,
    runs: tuple[VerificationRun, ...],
) -> NetworkCertificates:
    bootstrap = Bootstrap(context.seed)
    limited = context.config.verification.seconds > 0
    inputs = subject.held.inputs()[: len(network.inputs)]
    decisions = decisions_of(subject.windows, network.predict(*inputs))
    return NetworkCertificates(
        stage=INT8,
        network_sha256=network.sha256,
        arithmetic=_ARITHMETIC[Runtime(context.config.verification.runtime)],
        method="exact integer intervals, attacks, backward linear bounds"
        + (" with optimised slopes, branch and bound" if limited else ""),
        right_share=right_share(decisions, bootstrap),
        perturbations=tuple(
            perturbation_certificates(
                Found(
                    run.perturbation,
                    perturbation.describe(),
                    [result.outcome.value for result in run.results],
                    [result.method.value for result in run.results],
                    decisions,
                    run.seconds if limited else None,
                ),
                bootstrap,
            )
            for run, perturbation in zip(runs, subject.perturbations, strict=True)
        ),
    )


def _float_certificates(
    context: Context, subject: Subject, stage: str, network: FloatNetwork, executor: Executor
) -> NetworkCertificates:
    """Bound a float network under the sets that the curve is drawn of."""
    bootstrap = Bootstrap(context.seed)
    sets = [each for each in subject.perturbations if radius_of(each.text)[::2] in _CURVES]
    sets.sort(key=lambda each: radius_of(each.text)[1] or 0.0)
    held = replace(subject.held, signal_alone=len(network.graph.sources) == 1)
    decisions = decisions_of(subject.windows, network.decide(held.inputs()))
    found = float_found(network, held, sets, decisions, stage, executor, context.progress)
    return NetworkCertificates(
        stage=stage,
        network_sha256=None,
        arithmetic="real numbers, with the weights as float32 holds them and the front end's "
        "integers as input",
        method="backward linear bounds",
        right_share=right_share(decisions, bootstrap),
        perturbations=tuple(perturbation_certificates(each, bootstrap) for each in found),
    )


def _write_files(
    context: Context,
    folder: Path,
    runs: tuple[VerificationRun, ...],
    network: IntegerNetwork,
    network_file: Path,
) -> Iterator[CertificateFile]:
    """Write the certificates, and have some of each file checked by the independent program."""
    with context.progress.task("checking certificates", len(runs), "files") as advance:
        for run in runs:
            path = folder / f"{_slug(run.perturbation)}.npz"
            write_certificates(run, network, path)
            claims = [Outcome.PROVED, Outcome.FALSIFIED]
            settled = np.flatnonzero(np.logical_or(*(run.mask(claim) for claim in claims)))
            chosen = settled[:: max(1, len(settled) // _CHECKED)][:_CHECKED]
            report = check(path, network_file, chosen=chosen.tolist())
            yield CertificateFile(
                f"{FILES}/{path.name}",
                run.perturbation,
                len(settled),
                len(chosen),
                0 if report.problem else sum(verdict.accepted for verdict in report.verdicts),
            )
            advance(1)


def _slug(text: str) -> str:
    """Return a perturbation's text as a file name."""
    return re.sub(r"[^\w.]+", "-", text.replace("%", "pct"))


def _evidence(
    context: Context,
    subject: Subject,
    networks: tuple[NetworkCertificates, ...],
    files: tuple[CertificateFile, ...],
) -> CertificateEvidence:
    settings = context.config.verification
    records = len(np.unique(subject.windows.record))
    return CertificateEvidence(
        runtime=settings.runtime,
        threat_model=_THREAT_MODEL if context.card.window is None else _THREAT_MODEL_OF_SEGMENTS,
        seconds=settings.seconds or None,
        windows=f"{len(subject.windows)} test windows, drawn in proportion from every record that "
        f"has any ({records}), seed {context.seed}",
        networks=networks,
        files=files,
    )
