"""Paths into this evidence: how one part of it points at another without copying a figure."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from typing import Any

_NOTHING = (None, "", ())


@dataclass(frozen=True)
class EvidenceLink:
    """A part of this evidence that something rests on.

    Attributes:
        id: Its path, e.g. "performance.2.scores.classes.1.sensitivity".
        what: What it is, in words.
    """

    id: str
    what: str


def value_at(record: object, path: str) -> Any:
    """Return what stands at a dotted path, positions in lists as numbers.

    Args:
        record: Usually an `Evidence`.
        path: The path; bounds of lists and names of fields are checked.

    Returns:
        The value; None where the path leads nowhere.
    """
    value: Any = record
    for name in path.split("."):
        if isinstance(value, tuple) and name.isascii() and name.isdigit():
            position = int(name)
            value = value[position] if position < len(value) else None
        elif is_dataclass(value) and name in value.__dataclass_fields__:
            value = getattr(value, name)
        else:
            return None
    return value


def is_present(record: object, path: str) -> bool:
    """Say whether there is anything at a path; a figure of 0 is something."""
    return value_at(record, path) not in _NOTHING
