"""All folds of a protocol: a network each, their decisions about the fold's own patient pooled."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune import __version__
from edgeprune.config import BuildConfig
from edgeprune.data import DatasetCard, load_card
from edgeprune.data.protocols import LEAVE_ONE_OUT, folds, with_protocol
from edgeprune.errors import UnknownNameError
from edgeprune.evaluation import (
    Bootstrap,
    Decisions,
    SeizureAnnotations,
    compare,
    decisions_of,
    seizure_scores,
)
from edgeprune.evaluation.folds import fold_stage, join_decisions
from edgeprune.evidence.codec import encode
from edgeprune.evidence.cross_validation import CrossValidation
from edgeprune.executor import Codec, Executor, Task
from edgeprune.files import write_text
from edgeprune.pipeline.build import build
from edgeprune.pipeline.learn import classifier_of, network_of, windows_of
from edgeprune.pipeline.products import inputs_of
from edgeprune.pipeline.recordings import recordings_of
from edgeprune.pipeline.requirements import (
    FLOAT,
    PRUNED,
    check_classes,
    judge_folds,
    left_to_build,
)
from edgeprune.pipeline.seizures import annotated, events_note, what_they_are_not, why_no_events
from edgeprune.progress import Progress, Silent
from edgeprune.training import predict

FILE = "cross-validation.json"
INT8 = "int8"
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FoldWork:
    """One fold as a worker gets it.

    Attributes:
        config: The configuration, with the fold in it.
        folder: Where its stages are kept.
    """

    config: BuildConfig
    folder: Path


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What the networks of one fold decided about its patient.

    Attributes:
        decided: Each stage and its decisions.
        events: Each stage and its recordings' events and detections; empty without times.
    """

    decided: tuple[tuple[str, Decisions], ...]
    events: tuple[tuple[str, tuple[SeizureAnnotations, ...]], ...]


def cross_validate(
    config: BuildConfig,
    out: Path | str,
    *,
    chosen: Sequence[str] = (),
    progress: Progress | None = None,
    scheduler: str | None = None,
) -> CrossValidation:
    """Run every fold of a protocol and pool what its networks decide; a killed run resumes.

    Each fold is built up to its integer network in a folder of its own; the decisions of all are
    scored by patient, then averaged, and all together.

    Args:
        config: What to build; without a protocol each patient is left out in turn.
        out: Folder of the result, `cross-validation.json`, and of the folds' stages.
        chosen: Some folds only; empty for all.
        progress: Receives the finished folds.
        scheduler: Address of a Dask scheduler whose workers run folds.

    Raises:
        UnknownNameError: There is no such protocol or fold.
        ConfigurationError: A requirement is on a class that the data set does not have.
        TaskError: A fold failed.
    """
    progress, out = progress or Silent(), Path(out).absolute()
    plain = load_card(config.dataset)
    config = replace(config, protocol=config.protocol or plain.split.protocol or LEAVE_ONE_OUT)
    check_classes(config.requirements, plain.class_names)
    known = folds(plain)
    for fold in chosen:
        if fold not in known:
            raise UnknownNameError("fold", fold, known, where="--fold")
    names = tuple(chosen) or known
    card = with_protocol(plain, config.protocol, names[0])
    works = [
        FoldWork(_absolute(replace(config, fold=fold)), out / "folds" / _folder_name(fold))
        for fold in names
    ]
    progress.note(
        f"edgeprune {__version__}: {len(works)} folds of {plain.name}, {config.protocol}, "
        f"seed {config.seed}, into {out}"
    )
    results = Executor(config.verification.workers, scheduler).run(
        run_fold,
        [Task(work.config.fold, work) for work in works],
        Codec(encode_fold, decode_fold),
        progress=progress,
        description="folds",
        unit="fold",
    )
    found = pool(card, config, names, results)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / FILE, json.dumps(encode(found), indent=1, ensure_ascii=False) + "\n")
    return found


def run_fold(work: FoldWork) -> FoldResult:
    """Build one fold's networks and let them decide about its patient; a task's function."""
    work.folder.parent.mkdir(parents=True, exist_ok=True)
    result = build(work.config, work.folder, until="quantize")
    context, stages = result.context, result.stages
    test = windows_of(stages["data"], "test")
    predictions: list[tuple[str, Int64Array]] = []
    for name, title in (("train", FLOAT), ("prune", PRUNED)):
        if name in stages:
            model, _ = classifier_of(context, stages[name])
            logits = predict(model, test, context.front_end)
            predictions.append((title, logits.argmax(axis=1).astype(np.int64)))
    network = network_of(stages["quantize"])
    flashed = network.run(*inputs_of(network, test))
    predictions.append((INT8, flashed.argmax(axis=1).astype(np.int64)))
    decided = tuple((stage, decisions_of(test, each)) for stage, each in predictions)
    if why_no_events(context.card):
        return FoldResult(decided, ())
    recordings = recordings_of(context, stages["data"], test)
    events = tuple(
        (stage, annotated(context.card, recordings, test, each)) for stage, each in predictions
    )
    return FoldResult(decided, events)


def pool(
    card: DatasetCard, config: BuildConfig, names: Sequence[str], results: Sequence[FoldResult]
) -> CrossValidation:
    """Return the scores of all folds together.

    Args:
        card: The data set, with the protocol.
        config: The configuration, its protocol named.
        names: The folds.
        results: Their results, in the same order.
    """
    bootstrap = Bootstrap(config.seed)
    stages = []
    joined = {
        stage: join_decisions([dict(result.decided)[stage] for result in results])
        for stage in dict(results[0].decided)
    }
    for stage, decisions in joined.items():
        recordings = [each for result in results for each in dict(result.events).get(stage, ())]
        seizures = (
            seizure_scores(stage, "test", recordings, bootstrap, notes=(what_they_are_not(card),))
            if recordings
            else None
        )
        stages.append(fold_stage(stage, decisions, bootstrap, seizures))
    comparison = None
    if FLOAT in joined and INT8 in joined:
        comparison = compare(FLOAT, joined[FLOAT], INT8, joined[INT8], bootstrap)
    last = len(stages) - 1
    requirements = judge_folds(
        config.requirements,
        stages[last].pooled,
        f"{stages[last].stage}, windows of {len(names)} folds together",
        f"stages.{last}.pooled",
        comparison.macro_f1_change if comparison else None,
    )
    return CrossValidation(
        foreword=what_they_are_not(card),
        edgeprune=__version__,
        dataset=card.name,
        synthetic=card.synthetic,
        protocol=config.protocol,
        model=config.model or card.model,
        seed=config.seed,
        folds=tuple(names),
        class_names=card.class_names,
        stages=tuple(stages),
        not_tested=(*events_note(card), *_left_to_build(config)),
        comparison=comparison,
        requirements=requirements,
    )


def _left_to_build(config: BuildConfig) -> tuple[str, ...]:
    names = left_to_build(config.requirements, config.robustness)
    if not names:
        return ()
    return (f"{', '.join(names)}: of one network and its firmware; `edgeprune build` decides",)


def encode_fold(result: FoldResult) -> bytes:
    """Write a fold's result as JSON."""
    document = {
        "decided": [
            {
                "stage": stage,
                "labels": decisions.labels.tolist(),
                "predictions": decisions.predictions.tolist(),
                "records": decisions.records.tolist(),
                "record_names": decisions.record_names,
                "patients": decisions.patients,
                "class_names": decisions.class_names,
            }
            for stage, decisions in result.decided
        ],
        "events": [
            {
                "stage": stage,
                "recordings": [
                    [each.record, each.patient, each.seconds, each.reference, each.detected]
                    for each in recordings
                ],
            }
            for stage, recordings in result.events
        ],
    }
    return json.dumps(document).encode()


def decode_fold(content: bytes) -> FoldResult:
    """Read what `encode_fold` wrote."""
    document = json.loads(content)
    decided = tuple(
        (
            each["stage"],
            Decisions(
                np.array(each["labels"], np.int64),
                np.array(each["predictions"], np.int64),
                np.array(each["records"], np.int64),
                tuple(each["record_names"]),
                tuple(each["patients"]),
                tuple(each["class_names"]),
            ),
        )
        for each in document["decided"]
    )
    events = tuple(
        (
            each["stage"],
            tuple(
                SeizureAnnotations(
                    record,
                    patient,
                    seconds,
                    tuple((begin, end) for begin, end in reference),
                    tuple((begin, end) for begin, end in detected),
                )
                for record, patient, seconds, reference, detected in each["recordings"]
            ),
        )
        for each in document["events"]
    )
    return FoldResult(decided, events)


def _folder_name(fold: str) -> str:
    """Return a fold's name as a folder's: "chb01/chb21" is one person of two cases."""
    return re.sub(r"[^\w.-]", "+", fold)


def _absolute(config: BuildConfig) -> BuildConfig:
    """Return the configuration with paths that hold wherever a worker runs."""
    folder = str(Path(config.data_dir).absolute()) if config.data_dir else ""
    weights = str(Path(config.weights).absolute()) if config.weights else ""
    return replace(config, data_dir=folder, weights=weights)
