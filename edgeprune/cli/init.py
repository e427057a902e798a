"""`edgeprune init`: a configuration file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb
from edgeprune.config import load_config
from edgeprune.config_text import EXAMPLE_REQUIREMENTS, render_config
from edgeprune.errors import ConfigurationError
from edgeprune.files import write_text
from edgeprune.targets import load_target


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("init", help="Write an edgeprune.toml with every key at its default.")
    def command(
        folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(),
        target: options.Target = None,
        dataset: options.Dataset = None,
        data_dir: options.DataDir = None,
        force: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        flags = {"target": target, "dataset": dataset, "data_dir": data_dir, "seed": seed}

        def body() -> Answer:
            from edgeprune.data import load_card

            path = folder / options.CONFIG_FILE
            if path.exists() and not force:
                raise ConfigurationError(
                    "there is a configuration already",
                    where=str(path),
                    hint="edit it, or replace it with --force",
                )
            config = load_config(None, options.texts(flags))
            load_target(config.target)
            load_card(config.dataset)
            write_text(path, render_config(config) + EXAMPLE_REQUIREMENTS)
            return Answer({"path": str(path)}, verdict=f"wrote {path}; next: edgeprune build")

        run_verb("init", console, body)
