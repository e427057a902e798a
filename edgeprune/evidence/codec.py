"""Frozen dataclasses to JSON and back, exactly, and the JSON Schema that describes them.

Understood are dataclasses, tuples of one type, string enums, str, int, float, bool, None and unions
of these: all that the records of this room are made of.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from numbers import Integral, Real
from typing import Any, TypeVar

from edgeprune.errors import DataError

Json = Any
Record = TypeVar("Record")

_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def encode(record: object, kind: Any = None, where: str = "") -> Json:
    """Turn a record into JSON values.

    Args:
        record: The record.
        kind: Its declared type; the record's own class where absent.
        where: Dotted path of the record, for messages.

    Raises:
        TypeError: A value is not of its declared type, or a number is not finite: a mistake of the
            code that filled the record.
    """
    kind = type(record) if kind is None else kind
    for option in _options(kind):
        if is_dataclass(option) and type(record) is option:
            hints = _hints(option)
            return {
                field.name: encode(
                    getattr(record, field.name), hints[field.name], _join(where, field.name)
                )
                for field in fields(option)
            }
        if typing.get_origin(option) is tuple and isinstance(record, tuple | list):
            item = _item(option)
            return [
                encode(value, item, _join(where, str(index))) for index, value in enumerate(record)
            ]
        if isinstance(option, type) and issubclass(option, StrEnum) and isinstance(record, option):
            return record.value
        if option in _JSON_TYPES and _is_plain(record, option):
            return _plain(record, option, where)
    raise TypeError(f"{where or 'record'} is {record!r}, expected {_name(kind)}")


def decode(kind: type[Record], value: Json, where: str = "") -> Record:
    """Turn JSON values back into a record.

    Args:
        kind: The dataclass to build.
        value: What `json.loads` returned.
        where: Dotted path of the value, for messages.

    Raises:
        DataError: A field is missing, unknown or of another type.
    """
    decoded: Record = _decode(kind, value, where)
    return decoded


def json_schema(kind: type) -> dict[str, Json]:
    """Return the JSON Schema (2020-12) of a dataclass; descriptions come from its docstring."""
    definitions = {record.__name__: _record_schema(record) for record in _records(kind, set())}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": f"#/$defs/{kind.__name__}",
        "$defs": dict(sorted(definitions.items())),
    }


def _decode(kind: Any, value: Json, where: str) -> Any:
    for option in _options(kind):
        if is_dataclass(option) and isinstance(value, dict):
            return _decode_record(option, value, where)
        if typing.get_origin(option) is tuple and isinstance(value, list):
            item = _item(option)
            return tuple(
                _decode(item, element, _join(where, str(index)))
                for index, element in enumerate(value)
            )
        if isinstance(option, type) and issubclass(option, StrEnum) and isinstance(value, str):
            if value in {member.value for member in option}:
                return option(value)
        elif option in _JSON_TYPES and _is_plain(value, option) and _is_finite(value, option):
            return float(value) if option is float else value
    raise DataError(
        f"the value is {value!r:.60}, expected {_name(kind)}",
        where=where,
        hint="the file was altered or not written by edgeprune: make it again",
    )


def _decode_record(kind: Any, value: dict[str, Json], where: str) -> Any:
    declared = {field.name: field for field in fields(kind)}
    unknown = [name for name in value if name not in declared]
    missing = [
        name for name, field in declared.items() if name not in value and _is_required(field)
    ]
    for names, complaint in ((unknown, "unknown"), (missing, "missing")):
        if names:
            raise DataError(
                f"{complaint} field of {kind.__name__}: {', '.join(names)}",
                where=where or "top level",
                hint="the file was altered or not written by edgeprune: make it again",
            )
    hints = _hints(kind)
    return kind(
        **{name: _decode(hints[name], item, _join(where, name)) for name, item in value.items()}
    )


def _is_plain(value: object, option: Any) -> bool:
    """Say whether a value may stand where `option` is declared; numpy's scalars may."""
    if option is bool or isinstance(value, bool):
        return option is bool and isinstance(value, bool)
    if option is int:
        return isinstance(value, Integral)
    if option is float:
        return isinstance(value, Real)
    return isinstance(value, option)


def _is_finite(value: Any, option: Any) -> bool:
    """Say whether a number is one that a float holds: JSON writes 1e999 too."""
    try:
        return option is not float or math.isfinite(value)
    except OverflowError:
        return False


def _plain(value: Any, option: Any, where: str) -> Json:
    if option is float and not math.isfinite(value):
        raise TypeError(f"{where or 'record'} is {value!r}: say undefined (None) and why")
    return value if value is None or isinstance(value, bool) else option(value)


def _options(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type alone."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return typing.get_args(kind)
    return (kind,)


def _item(kind: Any) -> Any:
    item, ellipsis = typing.get_args(kind)
    if ellipsis is not Ellipsis:
        raise TypeError(f"{kind} is not a tuple of one type")
    return item


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _name(kind: Any) -> str:
    return " or ".join(getattr(option, "__name__", str(option)) for option in _options(kind))


def _records(kind: Any, seen: set[type]) -> Iterator[type]:
    """Yield every dataclass that a type mentions, each once."""
    for option in _options(kind):
        if typing.get_origin(option) is tuple:
            yield from _records(_item(option), seen)
        elif is_dataclass(option) and option not in seen:
            record = typing.cast(type, option)
            seen.add(record)
            yield record
            for hint in _hints(record).values():
                yield from _records(hint, seen)


def _record_schema(kind: type) -> dict[str, Json]:
    summary, descriptions = _documentation(kind)
    hints = _hints(kind)
    return {
        "type": "object",
        "description": summary,
        "properties": {
            field.name: {"description": descriptions[field.name], **_type_schema(hints[field.name])}
            for field in fields(kind)
        },
        "required": [field.name for field in fields(kind) if _is_required(field)],
        "additionalProperties": False,
    }


def _type_schema(kind: Any) -> dict[str, Json]:
    options = _options(kind)
    if len(options) > 1:
        return {"anyOf": [_type_schema(option) for option in options]}
    if typing.get_origin(kind) is tuple:
        return {"type": "array", "items": _type_schema(_item(kind))}
    if is_dataclass(kind):
        return {"$ref": f"#/$defs/{typing.cast(type, kind).__name__}"}
    if issubclass(kind, StrEnum):
        return {"enum": [member.value for member in kind]}
    return {"type": _JSON_TYPES[kind]}


def _documentation(kind: type) -> tuple[str, dict[str, str]]:
    """Split a docstring into its first paragraphs and the descriptions of its attributes."""
    summary, _, attributes = (kind.__doc__ or "").partition("Attributes:")
    descriptions: dict[str, str] = {}
    names = {field.name for field in fields(typing.cast(Any, kind))}
    current = ""
    for line in attributes.splitlines():
        name, colon, text = line.strip().partition(":")
        if colon and name in names:
            current = name
            descriptions[current] = text.strip()
        elif current and line.strip():
            descriptions[current] += f" {line.strip()}"
    return " ".join(summary.split()), descriptions
