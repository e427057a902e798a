"""The verbs of `edgeprune`, in the order in which a user meets them."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeprune import __version__
from edgeprune.cli import (
    analyze,
    bundle,
    check,
    compare,
    cross_validate,
    datasets,
    diff,
    doctor,
    flash,
    init,
    ops,
    report,
    stages,
    sweep,
    targets,
)
from edgeprune.cli.usage import Verbs


def create_app() -> typer.Typer:
    """Return the command line."""
    app = typer.Typer(
        name="edgeprune",
        cls=Verbs,
        help="Prune, verify, quantize and flash medical signal classifiers.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def version(
        version: Annotated[
            bool,
            typer.Option(
                "--version", help="Print the version.", is_eager=True, callback=_print_version
            ),
        ] = False,
    ) -> None:
        """Take the flags that belong to no verb."""

    for verb in (
        init,
        doctor,
        targets,
        datasets,
        ops,
        analyze,
        stages,
        report,
        sweep,
        cross_validate,
        flash,
        check,
        compare,
        diff,
        bundle,
    ):
        verb.add_to(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgeprune {__version__}")
        raise typer.Exit
