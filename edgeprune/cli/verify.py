"""`edgeprune verify check` and `edgeprune verify twins`: certificates of files at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb
from edgeprune.errors import ConfigurationError, DataError

_CHECK = "Check a file of certificates by the independent, exact and slow program."
_TWINS = "Prove that two networks decide alike over a set, or find where they do not."
_SHOWN = 20


def add_to(group: typer.Typer) -> None:
    """Add the verbs below `verify`."""

    @group.command("check", help=_CHECK, short_help=_CHECK)
    def check_command(
        file: Annotated[Path, typer.Argument(help="File of certificates.")],
        network: Annotated[
            Path | None,
            typer.Option(help="The network; network.safetensors beside or above by default."),
        ] = None,
        windows: Annotated[
            Path | None,
            typer.Option(help="The data set's windows: compare what was held with the data too."),
        ] = None,
        sample: Annotated[
            int | None, typer.Option(help="Check this many, drawn by --seed, instead of all.")
        ] = None,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb(
            "verify check",
            console,
            lambda: _check(console, file, network, windows, sample, seed or 0),
        )

    @group.command("twins", help=_TWINS, short_help=_TWINS)
    def twins_command(
        first: Annotated[Path, typer.Argument(help="The reference: .safetensors or ONNX.")],
        second: Annotated[Path, typer.Argument(help="The other network.")],
        held: Annotated[
            Path | None,
            typer.Option(help="Windows to try: certificates/held.npz beside the first by default."),
        ] = None,
        perturbation: options.Perturbations = None,
        runtime: options.Runtime = None,
        windows: Annotated[
            int | None, typer.Option("--windows", help="Try the first of them only.")
        ] = None,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)

        def body() -> Answer:
            from edgeprune.cli.twins import twins

            sets = tuple(perturbation or ("linf:5uV",))
            return twins(console, first, second, held, sets, runtime, windows, seed or 0)

        run_verb("verify twins", console, body)


def _check(
    console: Console,
    file: Path,
    network: Path | None,
    windows: Path | None,
    sample: int | None,
    seed: int,
) -> Answer:
    from edgeprune.certificate_checker import Verdict, check
    from edgeprune.verification.certificates import read_certificates

    for path in (file, network, windows):
        if path is not None and not path.is_file():
            raise DataError("the file does not exist", where=str(path), hint="check the path")
    network = network or find_network(file)
    content = read_certificates(file)
    chosen = _drawn(content.count, sample, seed)
    rejected: list[Verdict] = []
    with console.task("checking certificates", len(chosen), "certificate") as advance:

        def tell(verdict: Verdict) -> None:
            advance(1)
            if not verdict.accepted:
                rejected.append(verdict)

        report = check(file, network, windows, chosen, tell)
    console.table(
        ("outcome", "checked", "accepted"),
        [
            (outcome, len(rows), sum(row.accepted for row in rows))
            for outcome in ("proved", "falsified", "unknown", "timeout")
            if (rows := [row for row in report.verdicts if row.outcome == outcome])
        ],
    )
    if report.problem:
        console.line(f"the file is refused: {report.problem}")
    for verdict in rejected[:_SHOWN]:
        console.line(f"window {verdict.window}, {verdict.outcome}: {verdict.reason}")
    if len(rejected) > _SHOWN:
        console.line(f"and {len(rejected) - _SHOWN} more")
    accepted = len(report.verdicts) - len(rejected)
    text = content.header["perturbation"]
    return Answer(
        {
            "file": str(file),
            "network": str(network),
            "perturbation": text,
            "problem": report.problem,
            "checked": len(report.verdicts),
            "accepted": accepted,
            "rejected": [
                {"window": row.window, "outcome": row.outcome, "reason": row.reason}
                for row in rejected
            ],
        },
        passed=report.accepted,
        verdict=f"the file is refused: {report.problem}"
        if report.problem
        else f"{accepted} of {len(report.verdicts)} certificates accepted, {text}",
    )


def find_network(file: Path) -> Path:
    """Return the network of a result directory that a file of certificates lies in.

    Raises:
        ConfigurationError: There is none.
    """
    for folder in file.resolve().parents[:2]:
        path = folder / "network.safetensors"
        if path.is_file():
            return path
    raise ConfigurationError(
        "the network that these certificates are about is not beside them",
        where=str(file),
        hint="name it: --network FILE.safetensors",
    )


def _drawn(count: int, sample: int | None, seed: int) -> list[int]:
    if sample is None:
        return list(range(count))
    if sample < 1:
        raise ConfigurationError(
            f"{sample} certificates cannot be checked", where="--sample", hint="give 1 or more"
        )
    import random

    return sorted(random.Random(seed).sample(range(count), min(sample, count)))
