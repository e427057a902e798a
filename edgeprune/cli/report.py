"""`edgeprune report`: the report of a result that is there already, as page, PDF or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb

if TYPE_CHECKING:
    from edgeprune.pipeline.written_report import WrittenReport

_REPORT = "Write the report of a finished result again: as page, PDF or JSON, for any profile."


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("report", help=_REPORT, short_help=_REPORT)
    def command(
        result: Annotated[
            Path, typer.Argument(help="Result directory of a build, or an evidence.json alone.")
        ] = Path("result"),
        out: Annotated[
            Path | None,
            typer.Option(help="File to write; RESULT-report.html and the like by default."),
        ] = None,
        form: Annotated[
            str,
            typer.Option("--format", help="html, pdf or json; what --out ends in by default."),
        ] = "",
        profile: Annotated[
            str,
            typer.Option(help="fda, eu or research; that of the result by default."),
        ] = "",
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)

        def body() -> Answer:
            from edgeprune.pipeline.written_report import write_report_of

            return _answer(write_report_of(result, out, form, profile))

        flags = {"format": form or None, "profile": profile or None}
        run_verb("report", console, body, flags)


def _answer(written: WrittenReport) -> Answer:
    from edgeprune.evidence.codec import encode

    evidence = written.evidence
    told = evidence.verdict.value
    follows = f" for profile {written.profile}" if written.profile else ""
    return Answer(
        {
            "report": str(written.path),
            "format": written.format,
            "profile": written.profile,
            "result_verdict": told,
            "evidence": encode(evidence),
        },
        verdict=f"wrote {written.path}{follows}; the verdict of the result itself: {told}",
    )
