"""TOML files into frozen dataclasses, with errors that name the file, the line and the key."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from edgeprune.errors import ConfigurationError

Section = TypeVar("Section")
# Metadata of a field that no file states and none shows.
UNWRITTEN: Mapping[str, bool] = {"unwritten": True}


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        ConfigurationError: The file is absent, not UTF-8 or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            "the file does not exist", where=str(path), hint="check the path"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            f"the file cannot be read as TOML: {error}", where=str(path), hint="mend that line"
        ) from error


def written_fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields of a dataclass, or of one of its objects, that files state."""
    return tuple(f for f in dataclasses.fields(kind) if "unwritten" not in f.metadata)


def parse_table(
    kind: type[Section], table: Mapping[str, Any], *, path: Path | None = None, prefix: str = ""
) -> Section:
    """Return the dataclass `kind` filled from a TOML table; absent keys keep their defaults.

    Nested dataclasses are nested tables, `tuple[X, ...]` is an array, `Mapping[str, X]` a table
    with free keys, `X | None` an optional key.

    Raises:
        ConfigurationError: An unknown key (with the nearest known one), a value of the wrong
            type, or a required key that is absent.
    """
    fields = {field.name: field for field in written_fields(kind)}
    hints = typing.get_type_hints(kind)
    for key in table:
        if key not in fields:
            nearest = get_close_matches(key, fields, n=1, cutoff=0.5)
            guess = f"did you mean '{nearest[0]}'? " if nearest else ""
            raise ConfigurationError(
                f"unknown key '{prefix}{key}'",
                where=locate(path, prefix, key),
                hint=f"{guess}known: {', '.join(fields)}",
            )
    values = {
        key: _convert(hints[key], value, path=path, prefix=prefix, key=key)
        for key, value in table.items()
    }
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in values:
            raise ConfigurationError(
                f"the key '{prefix}{name}' is missing", where=str(path or ""), hint="add it"
            )
    return kind(**values)


def _convert(hint: Any, value: Any, *, path: Path | None, prefix: str, key: str) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return None if value is None else _convert(inner, value, path=path, prefix=prefix, key=key)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return parse_table(hint, value, path=path, prefix=f"{prefix}{key}.")
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(
            _convert(arguments[0], entry, path=path, prefix=prefix, key=key) for entry in value
        )
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {
            name: _convert(arguments[1], entry, path=path, prefix=f"{prefix}{key}.", key=name)
            for name, entry in value.items()
        }
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is bool or isinstance(value, bool):
        matches = hint is bool and isinstance(value, bool)
    else:
        matches = isinstance(hint, type) and isinstance(value, hint)
    if not matches:
        raise ConfigurationError(
            f"'{prefix}{key}' is {value!r}, which is not {_in_words(hint)}",
            where=locate(path, prefix, key),
            hint=f"give {_in_words(hint)}",
        )
    return value


def _in_words(hint: Any) -> str:
    words = {
        int: "a whole number",
        float: "a number",
        str: "a text in quotes",
        bool: "true or false",
    }
    if hint in words:
        return words[hint]
    return "an array" if typing.get_origin(hint) is tuple else "a table"


def locate(path: Path | None, prefix: str, key: str) -> str:
    """Return `file:line` of a key as far as the text shows it, else the file."""
    if path is None:
        return "command line"
    section = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        section = f"{header[1]}." if header else section
        if header and section.startswith(f"{prefix}{key}."):
            return f"{path}:{number}"
        inside = prefix.startswith(section) or section.startswith(f"{prefix}{key}.")
        if inside and re.search(rf'(^|[{{,\s."]){re.escape(key)}"?\s*[=\].]', line):
            return f"{path}:{number}"
    return str(path)
