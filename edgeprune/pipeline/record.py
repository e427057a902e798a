"""The last stage: everything that was found out, judged, written and sealed by a manifest."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TypeVar

import numpy as np

from edgeprune import __version__
from edgeprune.config_text import render_config
from edgeprune.data import Windows
from edgeprune.evaluation import (
    Bootstrap,
    Decisions,
    LeftOut,
    compare,
    decisions_of,
    evaluate,
    withhold,
)
from edgeprune.evidence import (
    AttackEvidence,
    CertificateEvidence,
    ClassifierEvidence,
    Component,
    DataEvidence,
    DeviceEvidence,
    DisturbanceEvidence,
    Evidence,
    Identity,
    ModelPerformance,
    MonitorEvidence,
    PruningEvidence,
    QuantizationEvidence,
    Reproduction,
    StageComparison,
    TrainingEvidence,
    Versions,
    config_entries,
    source_date,
    write_evidence,
)
from edgeprune.evidence.sbom import write_sboms
from edgeprune.files import disk_errors, sha256_file, write_text
from edgeprune.pipeline.attack import ATTACKS_FILE
from edgeprune.pipeline.bundle_files import (
    COMMAND,
    EVIDENCE,
    PAPER,
    REPORT,
    copy_files,
    keep_signature,
    seal,
)
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.deploy import DEVICE, IMAGE, Parity
from edgeprune.pipeline.disturb import DISTURBANCES_FILE
from edgeprune.pipeline.learn import classifier_of, network_of, windows_of
from edgeprune.pipeline.monitor import MONITOR_EVIDENCE
from edgeprune.pipeline.preflight import check_out
from edgeprune.pipeline.products import load_array, load_record
from edgeprune.pipeline.prove import CERTIFICATES
from edgeprune.pipeline.recipe import CONFIG, copy_inputs, portable
from edgeprune.pipeline.recordings import recordings_of
from edgeprune.pipeline.regulatory import with_regulatory
from edgeprune.pipeline.replays import OF_ATTACKS, REPLAYS, Replays
from edgeprune.pipeline.requirements import FLOAT, INT8, PRUNED, judge_all
from edgeprune.pipeline.seizures import event_scores, what_they_are_not
from edgeprune.pipeline.standard_scores import standard_scores
from edgeprune.pipeline.store import Stage
from edgeprune.pipeline.sweep import sweep_evidence
from edgeprune.report import write_pdf, write_report
from edgeprune.training import predict

Stages = Mapping[str, Stage]
Record = TypeVar("Record")

_LIMITS = (
    "Instructions are exact and come from an emulator; they are no latency. No board was measured.",
    "Cycles, time and energy of a window come from a model; they are no measurement.",
    "Beat positions are those of the annotations: the error of a beat detector is not in these "
    "figures.",
    "Certificates and attacks are about the raw samples of a beat's own window, through the front "
    "end; what the device remembers from earlier beats, and the place of the beat, are held as "
    "they were. Disturbances change the whole recording and what is remembered with it.",
    "An attack that fails proves nothing: a stronger one may succeed. Certificates alone do.",
)
_LIMITS_OF_SEGMENTS = (
    *_LIMITS[:2],
    "Certificates and attacks are about the raw samples of a window, through the front end; the "
    "windows stay where they are. Disturbances change the whole recording.",
    _LIMITS[-1],
)
_UNTIMED = (
    "Nothing here was timed: no instructions, cycles, time or energy of a window are known of a "
    "processor that runs Linux. No board was measured.",
)
_NOT_TESTED = (
    "latency and energy on silicon",
    "other data sets than the one named",
)


def assemble(context: Context, stages: Stages, out: Path) -> Evidence:
    """Write the result directory: files, evidence, report, and the manifest as the last.

    Everything is written beside `out` and renamed, so that `out` is whole or absent.

    Raises:
        ConfigurationError: `out` exists and is no earlier result.
        DiskError: No space or no permission.
    """
    check_out(out)
    partial = out.with_name(f"{out.name}.partial")
    with disk_errors(out):
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        copy_files(stages, partial)
        copy_inputs(context.config, partial)
        write_text(partial / CONFIG, render_config(portable(context.config)))
        evidence = collect(context, stages)
        write_evidence(partial / EVIDENCE, evidence)
        write_sboms(partial, evidence)
        write_report(partial / EVIDENCE, partial / REPORT)
        write_pdf(partial / REPORT, partial / PAPER)
        seal(partial, context, stages, evidence)
        if out.exists():
            if not keep_signature(out, partial):
                context.progress.note("the signature was of the result before this: sign it again")
            shutil.rmtree(out)
        partial.rename(out)
    return evidence


def collect(context: Context, stages: Stages) -> Evidence:
    """Return everything that the stages found out, with the requirements judged."""
    network = network_of(stages["quantize"])
    exported = load_record(stages["export"].file("parity.json"), Parity)
    benched = load_record(stages["bench"].file("parity.json"), Parity)
    replayed = load_record(stages["replay"].file(REPLAYS), Replays)
    attacks = load_record(stages["attack"].file(ATTACKS_FILE), AttackEvidence)
    of_attacks = tuple(row for row in replayed.parity.rows if row.compared == OF_ATTACKS)
    disturbances = load_record(stages["disturb"].file(DISTURBANCES_FILE), DisturbanceEvidence)
    test = windows_of(stages["data"], "test")
    standard = standard_scores(
        context,
        stages["data"],
        test,
        INT8,
        network,
        load_array(stages["bench"].file("logits.npy")).astype(np.int8),
    )
    device = stages["firmware" if context.target.is_host else "bench"]
    image = stages["firmware"].folder / IMAGE
    decided = dict(_decisions(context, stages, test))
    performance, comparisons = _performance(context, decided)
    events = event_scores(
        context.card,
        recordings_of(context, stages["data"], test),
        test,
        [(stage, decisions.predictions) for stage, decisions in decided.items()],
        Bootstrap(context.seed),
    )
    evidence = Evidence(
        identity=Identity(
            edgeprune=__version__,
            seed=context.seed,
            target=context.target.name,
            target_title=context.target.title,
            dataset=context.card.name,
            dataset_title=context.card.title,
            synthetic=context.card.synthetic,
            network_sha256=network.sha256,
            firmware_sha256=sha256_file(image) if image.exists() else None,
            date=source_date(os.environ),
        ),
        versions=_versions(),
        reproduction=_reproduction(context),
        foreword=what_they_are_not(context.card),
        config=config_entries(portable(context.config)),
        data=load_record(stages["data"].file("data.json"), DataEvidence),
        classifier=_optional(stages, "train", "classifier.json", ClassifierEvidence),
        training=_optional(stages, "train", "training.json", TrainingEvidence),
        pruning=_optional(stages, "prune", "pruning.json", PruningEvidence),
        sweep=sweep_evidence(context.config.chosen) if context.config.chosen.sweep else None,
        quantization=load_record(
            stages["quantize"].file("quantization.json"), QuantizationEvidence
        ),
        performance=performance,
        comparisons=comparisons,
        beats=standard.beats,
        seizures=events.scores,
        probabilities=standard.probabilities,
        parity=(*exported.rows, *benched.rows, *replayed.parity.rows),
        device=load_record(device.file(DEVICE), DeviceEvidence),
        certificates=load_record(stages["verify"].file(CERTIFICATES), CertificateEvidence),
        attacks=replace(attacks, proofs=replayed.proofs, replays=of_attacks)
        if context.config.attacks.names
        else None,
        disturbances=disturbances if disturbances.curves else None,
        monitor=_optional(stages, "monitor", MONITOR_EVIDENCE, MonitorEvidence),
        limits=_limits(context, disturbances),
        not_tested=(
            *_NOT_TESTED,
            *_left_out(context),
            *exported.absent,
            *benched.absent,
            *standard.not_tested,
            *events.not_tested,
        ),
    )
    evidence = replace(
        evidence,
        requirements=judge_all(context.config.requirements, evidence, context.config.robustness),
    )
    if context.config.evaluation.privacy:
        evidence = withhold(evidence)
    return with_regulatory(
        evidence,
        context.config,
        segments=context.card.window is not None,
        linux=context.target.is_linux,
        linked_runtime=context.config.firmware.toolchain == "gnu"
        or context.target.isa == "armv6-m",
    )


def _limits(context: Context, disturbances: DisturbanceEvidence) -> tuple[str, ...]:
    limits = _LIMITS if context.card.window is None else _LIMITS_OF_SEGMENTS
    if context.target.is_linux:
        limits = (*_UNTIMED, *limits[2:])
    made = ", ".join(curve.title for curve in disturbances.curves if curve.synthetic)
    if not made:
        return limits
    return (*limits, f"No recorded noise was at hand: made by rule (SYNTHETIC) were {made}.")


def _left_out(context: Context) -> Iterator[str]:
    config = context.config
    if context.target.is_linux:
        yield (
            "onnxruntime, tflite-runtime and ai-edge-litert on the board: what differs is told of "
            "the machine of the build; edgeprune bench --out RESULT --device ssh://user@board "
            "compares them there"
        )
    if not config.attacks.names:
        yield "attacks: attacks.names is empty"
    if not config.monitor.enabled:
        yield "an input monitor: monitor.enabled is false"
    if not config.disturbance_texts:
        yield "disturbances: disturbances.cases is empty"


def _optional(stages: Stages, stage: str, file: str, kind: type[Record]) -> Record | None:
    return load_record(stages[stage].file(file), kind) if stage in stages else None


def _performance(
    context: Context, decided: Mapping[str, Decisions]
) -> tuple[tuple[ModelPerformance, ...], tuple[StageComparison, ...]]:
    bootstrap = Bootstrap(context.seed)
    apart = tuple(
        LeftOut((record,), reason) for record, reason in context.card.split.shown_apart.items()
    )
    performance = tuple(
        evaluate(stage, "test", decisions, bootstrap, apart) for stage, decisions in decided.items()
    )
    names = list(decided)
    pairs = [(names[0], name) for name in names[1:]]
    if len(names) == 3:
        pairs.append((PRUNED, INT8))
    comparisons = tuple(
        compare(before, decided[before], after, decided[after], bootstrap)
        for before, after in pairs
    )
    return performance, comparisons


def _decisions(context: Context, stages: Stages, test: Windows) -> Iterator[tuple[str, Decisions]]:
    for name, title in (("train", FLOAT), ("prune", PRUNED)):
        if name in stages:
            model, _ = classifier_of(context, stages[name])
            logits = predict(model, test, context.front_end)
            yield title, decisions_of(test, logits.argmax(axis=1))
    flashed = load_array(stages["bench"].file("logits.npy"))
    yield INT8, decisions_of(test, flashed.argmax(axis=1))


def _versions() -> Versions:
    from packaging.requirements import Requirement

    names = sorted({Requirement(line).name for line in requires("edgeprune") or ()})
    packages = []
    for name in names:
        try:
            packages.append(Component(name, version(name)))
        except PackageNotFoundError:
            continue
    python = ".".join(map(str, sys.version_info[:3]))
    return Versions(python, tuple(packages))


def _reproduction(context: Context) -> Reproduction:
    notes = [
        "the same versions, seed and kind of processor give the same bytes",
        f"the configuration is beside the report: {CONFIG}; run it in that folder",
        "all in one, and every byte compared: edgeprune reproduce BUNDLE"
        + (" --data-dir DIR" if context.config.data_dir else ""),
    ]
    if not context.card.synthetic:
        notes.append(f"the recordings: edgeprune datasets fetch {context.card.name} DIR")
    return Reproduction((COMMAND,), tuple(notes))
