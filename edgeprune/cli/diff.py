"""`edgeprune diff`: an update in the field, and whether the plan in the old result allows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb

if TYPE_CHECKING:
    from edgeprune.evidence import Quantity
    from edgeprune.evidence.update import DecisionsChange, NetworkChange, TwinSet, UpdateDifference

_DIFF = "Show what an update changes, and whether the old result's plan allows it."
_RECORDS = 10


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("diff", help=_DIFF, short_help=_DIFF)
    def command(
        old: Annotated[Path, typer.Argument(help="Result directory of what is in the field.")],
        new: Annotated[Path, typer.Argument(help="Result directory of what is to replace it.")],
        data_dir: options.DataDir = None,
        perturbation: options.Perturbations = None,
        windows: Annotated[
            int,
            typer.Option("--windows", help="Windows over which twins are compared; 0 for none."),
        ] = 20,
        time_limit: Annotated[
            float, typer.Option(help="Seconds that the twins may take; 0 for no limit.")
        ] = 0.0,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)

        def body() -> Answer:
            from edgeprune.evidence.codec import encode
            from edgeprune.pipeline.compare import open_bundle
            from edgeprune.pipeline.update import OUTSIDE, UpdateSettings, difference

            settings = UpdateSettings(
                data_dir, tuple(perturbation or ()), windows, time_limit, seed or 0
            )
            found = difference(open_bundle(old), open_bundle(new), settings, console)
            _show(console, found)
            return Answer(
                {"update": encode(found)},
                passed=found.verdict != OUTSIDE,
                verdict=_verdict(found),
            )

        run_verb("diff", console, body)


def _verdict(found: UpdateDifference) -> str:
    from edgeprune.evidence import Outcome
    from edgeprune.pipeline.update import INSIDE, OUTSIDE

    if found.verdict == INSIDE:
        return f"{INSIDE}: all {len(found.comparison.gates)} gates of the old result's policy pass"
    if found.verdict == OUTSIDE:
        names = ["not comparable"] if found.comparison.incomparable else []
        names += [gate.name for gate in found.comparison.gates if gate.outcome is not Outcome.PASS]
        return f"{OUTSIDE}: {', '.join(names)}"
    return "no plan: the old result has no policy.toml that says what an update may cost"


def _show(console: Console, found: UpdateDifference) -> None:
    from edgeprune.cli.compare import say_bundles, say_figures, say_gates

    comparison = found.comparison
    say_bundles(console, comparison)
    _show_network(console, found.network)
    _show_size(console, found)
    _show_decisions(console, found.decisions, found.decisions_why)
    _show_twins(console, found.twins, found.twins_why)
    if not comparison.gates:
        return
    gated = {figure.name for gate in comparison.gates for figure in gate.figures}
    rows = (row for row in comparison.figures if not row.name.startswith("device."))
    say_figures(console, tuple(row for row in rows if row.name in gated))
    console.line()
    console.line(f"plan: {comparison.policy}, SHA-256 {comparison.policy_sha256}")
    say_gates(console, comparison.gates)


def _show_network(console: Console, network: NetworkChange) -> None:
    console.line()
    if network.identical:
        console.line("integer network: identical, to the bit")
        return
    console.line(f"integer network: structure {network.structure}")
    rows = [
        (
            layer.name,
            layer.kind,
            layer.change + (f" ({layer.shapes})" if layer.change == "reshaped" else ""),
            _of(layer.weights_changed, layer.weights),
            "-" if layer.largest_weight_change is None else layer.largest_weight_change,
            _of(layer.biases_changed, layer.biases),
            _of(layer.scales_changed, layer.scales),
            ", ".join(layer.settings_changed),
        )
        for layer in network.layers
        if layer.weights or layer.change != "same"
    ]
    rows.append(
        (
            "all",
            "",
            "",
            _of(network.weights_changed, network.weights),
            "",
            _of(network.biases_changed, network.biases),
            _of(network.scales_changed, network.scales),
            "",
        )
    )
    console.table(
        ("layer", "kind", "", "weights", "by at most", "biases", "scales", "settings"), rows
    )


def _of(changed: int, total: int) -> str:
    return f"{changed:,} of {total:,}" if total else "-"


def _show_size(console: Console, found: UpdateDifference) -> None:
    from edgeprune.cli.compare import change_text
    from edgeprune.cli.figures import text

    rows = [
        (row.name.removeprefix("device."), text(row.old), text(row.new), change_text(row))
        for row in found.comparison.figures
        if row.name.startswith("device.")
    ]
    if rows:
        console.line()
        console.table(("device", "old", "new", "change"), rows)


def _show_decisions(console: Console, decisions: DecisionsChange | None, why: str) -> None:
    console.line()
    if decisions is None:
        console.line(f"decisions on the test windows: not tested: {why}")
        return
    counts = decisions.counts
    console.line(
        f"decisions on the test windows ({decisions.windows_from}): {counts.changed:,} of "
        f"{counts.n:,} changed, {_share(decisions.changed_share)}; "
        f"{counts.better:,} better, {counts.worse:,} worse against the reference"
    )
    header = ("windows", "changed", "better", "worse")
    classes = [each for each in decisions.classes if each.n]
    console.table(
        ("class", *header),
        [(each.name, each.n, each.changed, each.better, each.worse) for each in classes],
    )
    if not decisions.records:
        console.line("by recording: withheld in a result")
        return
    records = sorted(decisions.records, key=lambda each: (-each.changed, each.name))
    moved = [each for each in records if each.changed]
    if not moved:
        return
    console.table(
        ("recording", *header),
        [(each.name, each.n, each.changed, each.better, each.worse) for each in moved[:_RECORDS]],
    )
    if len(moved) > _RECORDS:
        console.line(f"and {len(moved) - _RECORDS} more recordings")


def _share(quantity: Quantity) -> str:
    from edgeprune.cli.figures import text

    return f"a share of {text(quantity)}"


def _show_twins(console: Console, twins: tuple[TwinSet, ...], why: str) -> None:
    console.line()
    if not twins:
        console.line(f"twins over whole sets: not tested: {why}")
        return
    console.table(
        (
            *("set", "windows", "tried", "proved alike", "decided differently", "unknown"),
            *("new follows old", "margin loss at most", "found"),
        ),
        [
            (
                *(each.perturbation, each.windows, each.tried, each.proved_alike),
                *(each.different, each.unknown, each.implied),
                _margin(each.margin_loss_bound),
                _margin(each.margin_loss_found),
            )
            for each in twins
        ],
    )


def _margin(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
