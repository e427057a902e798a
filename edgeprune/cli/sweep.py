"""`edgeprune sweep`: many prunings side by side; `edgeprune sweep show` tells of a sweep's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb

if TYPE_CHECKING:
    from edgeprune.evidence import SettingResult
    from edgeprune.pipeline.sweep import Sweep

_SWEEP = "Prune in many ways, measure each as it would be flashed, and find which to take."
_SHOW = "Show the points of a sweep, its front, and why each setting is or is not the one to take."

Names = list[str] | None
Methods = Annotated[
    Names, typer.Option("--pruning", help="Pruning method; may be repeated, as all lists.")
]
Importances = Annotated[Names, typer.Option("--importance", help="What makes a part important.")]
Scopes = Annotated[Names, typer.Option("--scope", help="global, local, or another of the scopes.")]
Schedules = Annotated[Names, typer.Option("--schedule", help="one-shot, iterative or progressive.")]
Ratios = Annotated[
    list[float] | None, typer.Option("--ratio", help="Share of the parameters to prune.")
]
FineTunes = Annotated[Names, typer.Option("--fine-tune", help="How the rest is trained.")]
Seeds = Annotated[
    list[int] | None, typer.Option("--with-seed", help="Seed of one parent and its prunings.")
]
Out = Annotated[
    Path, typer.Option("--out", help="File of the results; a killed sweep resumes there.")
]
Workers = Annotated[
    int | None, typer.Option(help="Processes that run points; 0 takes one for each processor.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://HOST:PORT", help="Dask scheduler whose workers run points."),
]
Windows = Annotated[
    int | None,
    typer.Option("--windows", help="Windows of each part that are attacked and verified."),
]
TimeLimit = Annotated[
    float | None, typer.Option(help="Seconds a proof may take a window; 0: plain bounds only.")
]


def add_to(app: typer.Typer) -> None:
    """Add the verb and what is below it."""
    group = typer.Typer(help=_SWEEP, short_help=_SWEEP, invoke_without_command=True)
    app.add_typer(group, name="sweep")

    @group.callback()
    def command(
        context: typer.Context,
        target: options.Target = None,
        dataset: options.Dataset = None,
        data_dir: options.DataDir = None,
        model: options.Model = None,
        weights: options.Weights = None,
        out: Out = Path("sweep.sqlite"),
        config: options.ConfigPath = None,
        epochs: options.Epochs = None,
        robust: options.Robust = None,
        method: Methods = None,
        importance: Importances = None,
        scope: Scopes = None,
        schedule: Schedules = None,
        ratio: Ratios = None,
        fine_tune: FineTunes = None,
        with_seed: Seeds = None,
        windows: Windows = None,
        attack: options.Attacks = None,
        ball: options.Balls = None,
        perturbation: options.Perturbations = None,
        time_limit: TimeLimit = None,
        quantizer: options.Quantizer = None,
        toolchain: options.Toolchain = None,
        optimize: options.Optimize = None,
        workers: Workers = None,
        scheduler: Scheduler = None,
        settings: options.Settings = None,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        if context.invoked_subcommand is not None:
            return
        console = Console(quiet=quiet, as_json=as_json)
        flags: dict[str, Any] = {
            "target": target,
            "dataset": dataset,
            "data_dir": data_dir,
            "model": model,
            "weights": weights,
            "training.epochs": epochs,
            "robustness.perturbation": robust,
            "sweep.methods": method,
            "sweep.importances": importance,
            "sweep.scopes": scope,
            "sweep.schedules": schedule,
            "sweep.ratios": ratio,
            "sweep.fine_tunes": fine_tune,
            "sweep.seeds": with_seed,
            "sweep.windows": windows,
            "sweep.attacks": attack,
            "sweep.balls": ball,
            "sweep.perturbations": perturbation,
            "sweep.seconds": time_limit,
            "quantization.quantizer": quantizer,
            "firmware.toolchain": toolchain,
            "firmware.optimize": optimize,
            "verification.workers": workers,
            "seed": seed,
        }

        def body() -> Answer:
            resolved = options.resolve_config(config, flags, settings)
            from edgeprune.pipeline.sweep import sweep
            from edgeprune.pipeline.sweep_report import write_sweep_report

            found = sweep(resolved, out, progress=console, scheduler=scheduler)
            console.line(f"report: {write_sweep_report(found)}")
            console.line()
            return _answer(found, console)

        run_verb("sweep", console, body, flags)

    @group.command("show", help=_SHOW, short_help=_SHOW)
    def show_command(
        file: Annotated[Path, typer.Argument(help="File of a sweep.")],
        config: Annotated[
            Path | None,
            typer.Option(help="Configuration whose requirements decide; else the sweep's own."),
        ] = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)

        def body() -> Answer:
            from edgeprune.config import load_config
            from edgeprune.pipeline.sweep import read_sweep

            other = None if config is None else load_config(config, {})
            return _answer(read_sweep(file, other), console)

        run_verb("sweep show", console, body)


def _answer(found: Sweep, console: Console) -> Answer:
    from edgeprune.cli.figures import plain
    from edgeprune.config import Requirements

    synthetic = found.about.get("synthetic") == "yes"
    source = "SYNTHETIC data" if synthetic else found.about.get("dataset", "")
    for part in ("validation", "test"):
        chooses = "it chooses" if part == "validation" else "it chooses nothing"
        console.line(f"int8 as flashed, {part} part of {source} ({chooses}), means over the seeds")
        _table(found, part, console)
        console.line()
    for line in filter(None, found.about.get("left_out", "").splitlines()):
        console.line(f"left out: {line}")
    console.line("why not:")
    for setting in found.spots.settings:
        if setting.refused:
            console.line(f"  {setting.setting.text}: {'; '.join(setting.refused)}")
    if found.requirements == Requirements():
        console.line("[requirements] is empty: the guard alone limits what pruning may cost")
    done = sum(point.finished for point in found.points)
    best = found.spots.recommended
    return Answer(
        {
            "file": str(found.path),
            "points": [
                {"number": point.number, "key": point.key, **plain(point.result)}
                for point in found.points
            ],
            "settings": [plain(each) for each in found.spots.settings],
            "objectives": [each.text for each in found.spots.objectives],
            "recommended": found.recommended,
        },
        passed=found.passed,
        verdict=(
            f"{done} of {len(found.points)} points; "
            + (
                f"take point {found.recommended}: {best.setting.text}"
                if best is not None
                else "no setting meets the requirements"
            )
            + (", SYNTHETIC data" if synthetic else "")
        ),
    )


def _table(found: Sweep, part: str, console: Console) -> None:
    shown = [each for each in found.spots.settings if each.figures]
    names = [
        (name, subject)
        for name in ("recall", "attack_success", "certified_share", "least_change")
        for subject in dict.fromkeys(
            figure.subject
            for setting in shown
            for figure in setting.figures
            if (figure.name, figure.part, figure.network) == (name, part, "int8")
            and figure.mean is not None
        )
    ]
    titles = {"attack_success": "turned", "certified_share": "proved", "least_change": "least"}
    console.table(
        (
            *("points", "setting", "front", "times smaller", "macro-F1"),
            *(f"{titles.get(name, name)} {subject}" for name, subject in names),
            *("instructions", "flash"),
        ),
        [
            (
                ",".join(map(str, setting.numbers)),
                setting.setting.text,
                "yes" if setting.on_front else "",
                _text(setting.mean("compression", "", "", "")),
                _text(setting.mean("macro_f1", "", part)),
                *(_text(setting.mean(name, subject, part)) for name, subject in names),
                *(_whole(setting, name) for name in ("instructions", "flash")),
            )
            for setting in shown
        ],
    )


def _text(value: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:.3f}" if value < 10 else f"{value:,.0f}"


def _whole(setting: SettingResult, name: str) -> str:
    value = setting.mean(name, part="")
    return "-" if value is None else f"{value:,.0f}"
