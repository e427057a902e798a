"""`edgeprune compare`: the figures of two result directories, and the gates of a policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb
from edgeprune.errors import ConfigurationError

if TYPE_CHECKING:
    from edgeprune.evidence.comparison import BundleComparison, FigureChange, GateResult

_COMPARE = "Compare two results figure by figure, and judge what a change may cost."
_POLICY = "What a change may cost (policy.toml); that of the old result where it has one."
# A table's title is the part of the names that all of its rows have in common.
_SHARED = re.compile(
    r"^(?:(?:performance|beats|seizures|probabilities)\.\{[^{}]*\}\.(?:scores\.|gross\.|events\.)?"
    r"|(?:certificates|attacks)\.networks\.\{[^{}]*\}\.\w+\.|disturbances\.curves\.|\w+\.)"
)
_SHOWN_CLASSES = 4


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("compare", help=_COMPARE, short_help=_COMPARE)
    def command(
        old: Annotated[Path | None, typer.Argument(help="Result directory of before.")] = None,
        new: Annotated[Path | None, typer.Argument(help="Result directory of after.")] = None,
        policy: Annotated[Path | None, typer.Option(help=_POLICY)] = None,
        write_policy: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Write a policy to start from, and end."),
        ] = None,
        every: Annotated[
            bool, typer.Option("--all", help="Every figure, not those looked at first alone.")
        ] = False,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)

        def body() -> Answer:
            if write_policy is not None:
                return _write_policy(write_policy)
            if old is None or new is None:
                raise ConfigurationError(
                    "two result directories are compared",
                    where="command line of edgeprune compare",
                    hint="edgeprune compare OLD NEW",
                )
            return _compare(console, old, new, policy, every, seed or 0)

        run_verb("compare", console, body)


def _write_policy(path: Path) -> Answer:
    from edgeprune.evidence.policy import write_default_policy

    write_default_policy(path)
    hint = f'wrote {path}; set its limits, then name it in edgeprune.toml: [pccp] policy = "{path}"'
    return Answer({"policy": str(path)}, verdict=hint)


def _compare(
    console: Console, old: Path, new: Path, policy: Path | None, every: bool, seed: int
) -> Answer:
    from dataclasses import replace

    from edgeprune.evidence.codec import encode
    from edgeprune.pipeline.compare import compare_bundles, is_headline, open_bundle, policy_of

    first, second = (open_bundle(folder) for folder in (old, new))
    rules = policy or policy_of(first)
    found = compare_bundles(first, second, rules, seed=seed)
    gated = {figure.name for gate in found.gates for figure in gate.figures}
    shown = tuple(
        row for row in found.figures if every or row.name in gated or is_headline(row.name)
    )
    say_bundles(console, found)
    say_figures(console, shown)
    if found.gates:
        console.line()
        console.line(f"policy: {found.policy}, SHA-256 {found.policy_sha256}")
        say_gates(console, found.gates)
    document = {"comparison": encode(replace(found, figures=shown))}
    if found.incomparable:
        error = ConfigurationError(
            "the two results cannot be compared",
            where=f"{old}, {new}",
            hint="; ".join(found.incomparable),
        )
        return Answer(document, error=error)
    passed, verdict = _verdict(found)
    return Answer(document, passed=passed, verdict=verdict)


def _verdict(found: BundleComparison) -> tuple[bool, str]:
    from edgeprune.evidence import Outcome

    compared = sum(row.change is not None for row in found.figures)
    if found.policy is None:
        return True, f"{compared:,} figures compared; no policy: nothing judged"
    return found.outcome is Outcome.PASS, f"{words_of(found.gates)}; {compared:,} figures compared"


def words_of(gates: tuple[GateResult, ...]) -> str:
    """Return in words what became of all gates, those that do not pass by name."""
    from edgeprune.evidence import Outcome

    parts = []
    for outcome, words in ((Outcome.FAIL, "failed"), (Outcome.NOT_TESTED, "not tested")):
        names = [gate.name for gate in gates if gate.outcome is outcome]
        if names:
            parts.append(f"{len(names)} of {len(gates)} gates {words}: {', '.join(names)}")
    return "; ".join(parts) or f"all {len(gates)} gates passed"


def say_bundles(console: Console, found: BundleComparison) -> None:
    """Say which two results are compared, and what differs beside the figures."""
    console.table(
        ("", "result", "network", "data", "target", "its own verdict"),
        [
            (
                side,
                each.folder,
                each.network_sha256[:12],
                each.dataset,
                each.target,
                each.verdict.value,
            )
            for side, each in (("old", found.old), ("new", found.new))
        ],
    )
    for note in found.notes:
        console.line(f"note: {note}")
    for reason in found.incomparable:
        console.line(f"not comparable: {reason}")


def say_figures(console: Console, rows: tuple[FigureChange, ...]) -> None:
    """Show figures side by side, those of one section in one table."""
    from edgeprune.cli.figures import text

    groups: dict[str, list[FigureChange]] = {}
    for row in rows:
        match = _SHARED.match(row.name)
        groups.setdefault(match[0] if match else "", []).append(row)
    for title, group in groups.items():
        console.line()
        console.line(title.rstrip("."))
        lines = []
        for row in group:
            unit = row.new.unit if row.new else row.old.unit if row.old else "1"
            lines.append(
                (
                    row.name.removeprefix(title),
                    text(row.old),
                    text(row.new),
                    "" if unit == "1" else unit,
                    change_text(row),
                )
            )
        console.table(("figure", "old", "new", "unit", "change"), lines)


def change_text(row: FigureChange) -> str:
    """Return a change with its paired interval, or why there is none."""
    if row.refused:
        return f"not comparable: {row.refused}"
    if row.change is None:
        return "-"
    plain = float(row.change).is_integer() and row.interval is None
    text = f"{row.change:+,.0f}" if plain else f"{row.change:+.4g}"
    if row.change == 0:
        text = "0"
    if row.interval is not None and row.interval.low < row.interval.high:
        text += f" ({row.interval.low:+.3f} to {row.interval.high:+.3f})"
    return f"{text} {row.better}" if row.better in ("better", "worse") else text


def say_gates(console: Console, gates: tuple[GateResult, ...]) -> None:
    """Show every gate with the figures that it looked at."""
    rows: list[tuple[object, ...]] = []
    for gate in gates:
        if len(gate.figures) != 1:
            rows.append((gate.outcome.value.upper(), gate.name, gate.demand, "", "", gate.why))
        for figure in gate.figures:
            alone = len(gate.figures) == 1
            rows.append(
                (
                    figure.outcome.value.upper() if alone else f"  {figure.outcome.value}",
                    gate.name if alone else f"  {_short(figure.name)}",
                    gate.demand if alone else "",
                    _number(figure.old),
                    _number(figure.new),
                    figure.why,
                )
            )
        if gate.left_out:
            names = ", ".join(_short(name) for name in gate.left_out[:_SHOWN_CLASSES])
            more = len(gate.left_out) - _SHOWN_CLASSES
            rows.append(
                (
                    "",
                    f"  left out: {names}{f' and {more} more' if more > 0 else ''}",
                    "",
                    "",
                    "",
                    "",
                )
            )
    console.table(("gate", "name", "demands", "old", "new", "why"), rows)


def _short(name: str) -> str:
    """Return the part of a figure's name that tells it from its siblings."""
    items = re.findall(r"\{([^{}]*)\}", name)
    return items[-1] if items else name


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"
