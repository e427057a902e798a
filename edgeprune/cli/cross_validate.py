"""`edgeprune cross-validate`: every patient left out, or fitted to, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb

if TYPE_CHECKING:
    from edgeprune.evidence import Quantity
    from edgeprune.evidence.cross_validation import CrossValidation, FoldStage

_SUMMARY = (
    "Train one network a patient, leaving it out or fitting to it, and pool what they decide."
)
Protocol = Annotated[
    str | None, typer.Option(help="leave-one-patient-out (if none is named) or personalised.")
]
Folds = Annotated[
    list[str] | None, typer.Option("--fold", help="This patient only; may be repeated.")
]
Out = Annotated[
    Path, typer.Option("--out", help="Folder of the result; a killed run resumes there.")
]
Workers = Annotated[
    int | None, typer.Option(help="Processes that run folds; 0 takes one for each processor.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://HOST:PORT", help="Dask scheduler whose workers run folds."),
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("cross-validate", help=_SUMMARY, short_help=_SUMMARY)
    def command(
        dataset: options.Dataset = None,
        data_dir: options.DataDir = None,
        protocol: Protocol = None,
        fold: Folds = None,
        model: options.Model = None,
        weights: options.Weights = None,
        target: options.Target = None,
        out: Out = Path("cross-validation"),
        config: options.ConfigPath = None,
        epochs: options.Epochs = None,
        robust: options.Robust = None,
        pruning: options.Method = None,
        ratio: options.Ratio = None,
        quantizer: options.Quantizer = None,
        workers: Workers = None,
        scheduler: Scheduler = None,
        settings: options.Settings = None,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        flags: dict[str, Any] = {
            "dataset": dataset,
            "data_dir": data_dir,
            "protocol": protocol,
            "model": model,
            "weights": weights,
            "target": target,
            "training.epochs": epochs,
            "robustness.perturbation": robust,
            "pruning.method": pruning,
            "pruning.ratio": ratio,
            "quantization.quantizer": quantizer,
            "verification.workers": workers,
            "seed": seed,
        }

        def body() -> Answer:
            resolved = options.resolve_config(config, flags, settings)
            from edgeprune.pipeline.cross_validation import FILE, cross_validate

            found = cross_validate(
                resolved, out, chosen=fold or (), progress=console, scheduler=scheduler
            )
            answer = _answer(found, console)
            console.line(f"written: {out / FILE}")
            return answer

        run_verb("cross-validate", console, body, flags)


def _answer(found: CrossValidation, console: Console) -> Answer:
    from edgeprune.cli.answers import requirement_table
    from edgeprune.cli.figures import plain

    if found.foreword:
        console.line(found.foreword)
        console.line()
    last = found.stages[-1]
    console.line(f"{found.protocol}, {len(found.folds)} folds, {last.stage}, patient by patient")
    _patients(found, last, console)
    console.line()
    console.line("means over the patients, with intervals that draw patients")
    console.table(
        ("stage", *(f"recall {name}" for name in found.class_names), "accuracy"),
        [
            (stage.stage, *(_text(each) for each in stage.recalls), _text(stage.accuracy))
            for stage in found.stages
        ],
    )
    console.line()
    if last.seizures is not None:
        _events(found, console)
    if found.requirements:
        requirement_table(found.requirements, console)
        console.line()
    for line in found.not_tested:
        console.line(f"not tested: {line}")
    recalls = ", ".join(
        f"{name} {_text(each)}" for name, each in zip(found.class_names, last.recalls, strict=True)
    )
    return Answer(
        plain(found),
        passed=found.passed,
        verdict=f"{_outcome(found)}; {len(found.folds)} folds, {last.stage}: mean recall over "
        f"patients {recalls}" + (", SYNTHETIC data" if found.synthetic else ""),
    )


def _outcome(found: CrossValidation) -> str:
    from edgeprune.evidence import Outcome

    rows = found.requirements
    unmet = [row.name for row in rows if row.outcome is not Outcome.PASS]
    if unmet:
        return f"{len(unmet)} of {len(rows)} requirements not met ({', '.join(unmet)})"
    if not rows:
        return "no requirement that folds can decide is set"
    return f"all {len(rows)} requirements met" if len(rows) > 1 else "the one requirement met"


def _patients(found: CrossValidation, stage: FoldStage, console: Console) -> None:
    events = {} if stage.seizures is None else {e.patient: e for e in stage.seizures.by_patient}
    titles = ("events", "found", "false alarms", "FA/h") if events else ()
    rows = []
    for row in stage.patients:
        own = events.get(row.patient)
        counted = (
            (
                own.events.reference,
                own.events.found,
                own.events.false_alarms,
                _number(own.events.false_alarms_per_hour.value),
            )
            if own is not None
            else ()
        )
        recalls = (_number(each) for each in row.recalls)
        rows.append((row.patient, row.windows, *row.counts, *recalls, *counted))
    names = found.class_names
    console.table(
        ("patient", "windows", *names, *(f"recall {name}" for name in names), *titles), rows
    )


def _events(found: CrossValidation, console: Console) -> None:
    console.line("events by SzCORE: mean over the patients")
    rows = []
    for stage in found.stages:
        average = stage.seizures.average if stage.seizures is not None else None
        if average is not None:
            scores = (average.sensitivity, average.precision, average.f1)
            shown = (*scores, average.false_alarms_per_hour)
            rows.append((stage.stage, *(_text(each) for each in shown)))
    console.table(("stage", "sensitivity", "precision", "F1", "false alarms/h"), rows)
    console.line()


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _text(quantity: Quantity) -> str:
    interval = quantity.interval
    if interval is None:
        return _number(quantity.value)
    return f"{_number(quantity.value)} [{interval.low:.3f}, {interval.high:.3f}]"
