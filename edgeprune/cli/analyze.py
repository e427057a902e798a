"""`edgeprune analyze`: what a model takes of each target, before anything is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb

if TYPE_CHECKING:
    from edgeprune.pipeline.analysis import Analysis, TargetAnalysis

_SUMMARY = "Say which targets a model fits, and what of it is unsupported, before anything is run."
_SHOWN = 40


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("analyze", help=_SUMMARY, short_help=_SUMMARY)
    def command(
        model: Annotated[
            str,
            typer.Argument(
                help="ONNX or TFLite file, package.module:factory, classifier name, "
                "or result directory."
            ),
        ],
        target: Annotated[
            list[str] | None,
            typer.Option(help="Name or TOML file of a target; may be repeated; all by default."),
        ] = None,
        dataset: options.Dataset = None,
        optimize: options.Optimize = None,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        flags = {"dataset": dataset, "firmware.optimize": optimize, "seed": seed}
        run_verb("analyze", console, lambda: _analyze(console, model, target, flags))


def _analyze(
    console: Console, model: str, names: list[str] | None, flags: Mapping[str, object]
) -> Answer:
    from edgeprune.data import front_end_for, load_card
    from edgeprune.errors import UnsupportedOperatorError
    from edgeprune.pipeline.analysis import SCHEMA, analyze
    from edgeprune.pipeline.opened_model import open_model
    from edgeprune.targets import list_targets, load_target

    targets = [load_target(name) for name in (names or list_targets())]
    config = options.resolve_config(None, flags, None)
    card = load_card(config.dataset)
    front_end = front_end_for(card, card.adc)
    try:
        opened = open_model(model, front_end, len(card.class_names), config.seed)
    except UnsupportedOperatorError as error:
        return Answer({"analysis": {"schema": SCHEMA, "model": model}}, error=error)
    analysis = analyze(opened, targets, config.firmware.optimize)
    _show(console, analysis)
    fitting = [each.target for each in analysis.targets if each.fits]
    return Answer(
        {"analysis": {"schema": SCHEMA, **dataclasses.asdict(analysis)}},
        passed=len(fitting) == len(targets) if names else bool(fitting),
        verdict=f"{analysis.macs:,} MACs, {analysis.weight_bytes:,} bytes of weights; "
        f"fits {len(fitting)} of {len(targets)} targets",
    )


def _show(console: Console, analysis: Analysis) -> None:
    console.line(f"{analysis.model}: {analysis.format}")
    for note in analysis.notes:
        console.line(f"  {note}")
    console.line()
    console.table(
        ("layer", "operator", "output", "MACs", "parameters", "weight bytes", "output bytes"),
        [
            (
                layer.name,
                layer.operator,
                "x".join(map(str, layer.output)),
                layer.macs,
                layer.parameters,
                layer.weight_bytes,
                layer.output_bytes,
            )
            for layer in analysis.layers[:_SHOWN]
        ],
    )
    if len(analysis.layers) > _SHOWN:
        console.line(f"and {len(analysis.layers) - _SHOWN} more layers (--json has all)")
    console.line()
    console.table(
        ("target", "fits", "flash", "of", "RAM", "of", "instructions", "peak in", "why not"),
        [_row(each) for each in analysis.targets],
    )
    console.line()
    for source in dict.fromkeys(each.instructions_by for each in analysis.targets):
        if source:
            named = [each.target for each in analysis.targets if each.instructions_by == source]
            console.line(f"instructions, {source}: {', '.join(named)}")


def _row(each: TargetAnalysis) -> tuple[object, ...]:
    numbers = (each.flash_bytes, each.flash_available, each.ram_bytes, each.ram_available)
    return (
        each.target,
        "yes" if each.fits else "no",
        *("-" if number is None else number for number in numbers),
        "-" if each.instructions is None else each.instructions,
        each.peak,
        "; ".join(each.why_not),
    )
