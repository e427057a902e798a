"""A configuration as the text of an `edgeprune.toml`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Collection, Mapping
from typing import Any

from edgeprune.config import BuildConfig
from edgeprune.typed_toml import written_fields

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

EXAMPLE_ROWS = """
# Rows of your own in the report's table of risks, as many as you need.
# [[risks]]
# hazard = "the strap rubs"
# sequence_of_events = "worn for days, the skin is sore; the patient takes it off"
# hazardous_situation = "nothing is recorded"
# harm = "an arrhythmia is not found"
# control = "padding, and a reminder when no lead is on"
# evidence = ["monitor.limits"]
# requirements = ["sensitivity.V"]

# Changes that you plan in advance; [pccp] policy names the file whose gates judge them.
# [[pccp.modifications]]
# title = "re-training on more patients"
# description = "the same architecture, recordings of the same kind of device"
# evaluation = "the policy's gates on the same test patients"
"""


def render_config(config: BuildConfig) -> str:
    """Return TOML that reads back to `config`, each key under the words of its documentation.

    Limits that are not set are left out; what is left open to the data is a comment.
    """
    lines = _keys(config)
    for field in written_fields(config):
        section = getattr(config, field.name)
        if dataclasses.is_dataclass(section):
            names = (inner.name for inner in dataclasses.fields(section))
            left_open = {name for name in names if config.leaves_open(f"{field.name}.{name}")}
            keys = _keys(section, left_open)
            lines += ["", f"[{field.name}]", *keys] if keys else []
            for inner in dataclasses.fields(section):
                lines += _rows(f"{field.name}.{inner.name}", getattr(section, inner.name))
        lines += _rows(field.name, section)
    return "\n".join(lines) + "\n"


def _keys(section: Any, left_open: Collection[str] = ()) -> list[str]:
    words = attribute_words(type(section))
    lines = []
    for field in written_fields(section):
        value = getattr(section, field.name)
        is_table = dataclasses.is_dataclass(value) and isinstance(section, BuildConfig)
        is_table = is_table or _holds_tables(type(section), field.name)
        if not is_table and value is not None and value != {}:
            mark = "# left open, so that it suits the data: " if field.name in left_open else ""
            lines += [f"# {words[field.name]}", f"{mark}{field.name} = {_toml(value)}"]
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
