"""`edgeprune flash`: writes a result to a board through its debug probe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb

_FLASH = "Write a result to a board through its debug probe, and read it back."


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("flash", help=_FLASH, short_help=_FLASH)
    def command(
        result: Annotated[Path, typer.Argument(help="Result directory of a build.")] = Path(
            "result"
        ),
        board: Annotated[str, typer.Option(help="Which board, e.g. nucleo-h743zi.")] = "",
        probe: Annotated[
            str, typer.Option(help="Identification of the probe, where there are several.")
        ] = "",
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("flash", console, lambda: _flash(console, result, board, probe))


def _flash(console: Console, result: Path, board: str, probe: str) -> Answer:
    from dataclasses import asdict

    from edgeprune.pipeline.flash import flash_result

    done = flash_result(result, board, probe=probe, progress=console)
    flashed = done.flashed
    console.line(f"probe {flashed.probe_title}, {flashed.probe}")
    console.line(f"network {done.network_sha256}, image {done.image_sha256}")
    console.line(f"next: edgeprune bench --out {result} --device /dev/ttyACM0")
    return Answer(
        {"flash": asdict(done)},
        verdict=f"{done.board} holds the network, {flashed.bytes:,} bytes read back",
    )
