"""A configuration as the text of an `edgeprune.toml`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Mapping
from typing import Any

from edgeprune.config import BuildConfig

EXAMPLE_REQUIREMENTS = """
[requirements]
# Limits that gate the exit code of `edgeprune build`; an absent limit is not checked.
# accuracy = 0.93
# macro_f1_loss = 0.005
# sensitivity = { V = 0.92 }
# precision = { V = 0.82 }
# flash_bytes = 65536
# ram_bytes = 20480
# instructions = 2000000
# certified_share = { perturbation = "linf:20uV", share = 0.5 }
# attack_success = { "linf:20uV" = 0.3 }
# sensitivity_under = { "electrode-motion:12dB" = { V = 0.8 } }
"""


def render_config(config: BuildConfig) -> str:
    """Return TOML that reads back to `config`, each key under the words of its documentation.

    Limits that are not set are left out.
    """
    lines = _keys(config)
    for field in dataclasses.fields(config):
        section = getattr(config, field.name)
        if dataclasses.is_dataclass(section):
            keys = _keys(section)
            lines += ["", f"[{field.name}]", *keys] if keys else []
            for inner in dataclasses.fields(section):
                lines += _rows(f"{field.name}.{inner.name}", getattr(section, inner.name))
        lines += _rows(field.name, section)
    return "\n".join(lines) + "\n"


def _keys(section: Any) -> list[str]:
    words = attribute_words(type(section))
    lines = []
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        is_table = dataclasses.is_dataclass(value) and isinstance(section, BuildConfig)
        is_table = is_table or _holds_tables(type(section), field.name)
        if not is_table and value is not None and value != {}:
            lines += [f"# {words[field.name]}", f"{field.name} = {_toml(value)}"]
    return lines


def _holds_tables(kind: type, name: str) -> bool:
    """Say whether a field is a list of tables, which is written as such below all others."""
    hint = typing.get_type_hints(kind)[name]
    return typing.get_origin(hint) is tuple and dataclasses.is_dataclass(typing.get_args(hint)[0])


def _rows(name: str, value: Any) -> list[str]:
    """Return `[[name]]` tables for a tuple of dataclasses; nothing for anything else."""
    if not isinstance(value, tuple):
        return []
    tables = [entry for entry in value if dataclasses.is_dataclass(entry)]
    return [line for table in tables for line in ("", f"[[{name}]]", *_keys(table))]


def _toml(value: Any) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        entries = ", ".join(f"{_key(key)} = {_toml(entry)}" for key, entry in value.items())
        return f"{{ {entries} }}"
    # numbers, booleans, strings and lists of them are written alike in JSON and TOML
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def attribute_words(kind: type) -> dict[str, str]:
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
