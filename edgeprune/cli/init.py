"""`edgeprune init`: a configuration file to start from."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb
from edgeprune.config import BuildConfig
from edgeprune.errors import ConfigurationError
from edgeprune.files import write_text

_REQUIREMENTS = """\
[requirements]
# Limits that gate the exit code of `edgeprune build`; an absent limit is not checked.
# accuracy = 0.93
# macro_f1_loss = 0.005
# sensitivity = { V = 0.92 }
# precision = { V = 0.82 }
# flash_bytes = 65536
# ram_bytes = 20480
# instructions = 2000000
# certified_share = { radius_lsb = 1, share = 0.5 }
"""


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
            path = folder / options.CONFIG_FILE
            if path.exists() and not force:
                raise ConfigurationError(
                    "there is a configuration already",
                    where=str(path),
                    hint="edit it, or replace it with --force",
                )
            given = {
                key: str(value) if key != "seed" else value
                for key, value in flags.items()
                if value is not None
            }
            write_text(path, render(BuildConfig(**given)))
            return Answer({"path": str(path)}, verdict=f"wrote {path}; next: edgeprune build")

        run_verb("init", console, body)


def render(config: BuildConfig) -> str:
    """Return the configuration as TOML, each key under the words of its documentation."""
    lines = [*_keys(config), ""]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and field.name != "requirements":
            lines += [f"[{field.name}]", *_keys(value), ""]
    return "\n".join(lines) + "\n" + _REQUIREMENTS


def _keys(section: Any) -> list[str]:
    words = _attribute_words(type(section))
    lines = []
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if not dataclasses.is_dataclass(value):
            lines += [f"# {words[field.name]}", f"{field.name} = {_toml(value)}"]
    return lines


def _toml(value: Any) -> str:
    # numbers, booleans, strings and lists of them are written alike in JSON and TOML
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _attribute_words(kind: type) -> dict[str, str]:
    """Return the sentences of the "Attributes" part of a docstring, by attribute."""
    _, _, text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    words: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent == 4:
            name, _, sentence = line.strip().partition(": ")
            words[name] = sentence
        elif indent > 4:
            words[name] += f" {line.strip()}"
    return words
