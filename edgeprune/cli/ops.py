"""`edgeprune ops`: the operators that edgeprune takes from a model to a device."""

from __future__ import annotations

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb

_SUMMARY = "List the supported operators and how each target runs them."


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("ops", help=_SUMMARY, short_help=_SUMMARY)
    def command(
        target: options.Target = None,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("ops", console, lambda: _ops(console, target))


def _ops(console: Console, target: str | None) -> Answer:
    from edgeprune.firmware.assembled import OR_C, how_computed
    from edgeprune.network import OPERATORS
    from edgeprune.targets import list_targets, load_target

    targets = [load_target(name) for name in ([target] if target else list_targets())]
    rows = [
        {"operator": name, "what": OPERATORS.get(name).summary}
        | {each.name: how_computed(name, each) for each in targets}
        for name in OPERATORS
    ]
    console.table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    if any(str(cell).endswith("or C") for row in rows for cell in row.values()):
        console.line(OR_C)
    return Answer({"operators": rows}, verdict=f"{len(rows)} operators")
