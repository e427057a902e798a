"""A proposed card as the text of a TOML file, with the reasons beside the keys."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from edgeprune.data.proposal import Proposal

_WIDTH = 100
_TABLES = ("labels", "signal", "window", "split", "patients", "files", "reader")
_KEYS = (
    *("name", "title", "source", "epochs", "model", "synthetic", "patients_known"),
    *("origin", "licence", "citation", "text", "not_beats"),
)


def card_text(proposal: Proposal, command: str) -> str:
    """Return TOML that reads back to the proposal's card.

    Args:
        proposal: The card and its reasons.
        command: The command line that wrote it.
    """
    card, reasons = proposal.card, proposal.reasons
    lines = [
        f"# Written by: {command}",
        "# after looking at every file. It is a proposal: read it, above all [labels], [split] and",
        "# whose the records are, then: edgeprune build",
    ]
    for key in _KEYS:
        value = getattr(card, key)
        if value not in ("", ()):
            lines += [*_comment(reasons.get(key, "")), f"{key} = {_value(value)}"]
    for name in _TABLES:
        table = getattr(card, name)
        values = _entries(table)
        if not values:
            continue
        only_tables = all(isinstance(value, Mapping) for value in values.values())
        if not only_tables:
            lines += ["", *_comment(reasons.get(name, "")), f"[{name}]"]
        nested = []
        for key, value in values.items():
            if isinstance(value, Mapping):
                nested.append((key, value))
                continue
            lines += [*_comment(reasons.get(f"{name}.{key}", "")), f"{_key(key)} = {_value(value)}"]
        for key, value in nested:
            lines += ["", *_comment(reasons.get(f"{name}.{key}", "")), f"[{name}.{key}]"]
            lines += [f"{_key(entry)} = {_value(one)}" for entry, one in value.items()]
    return "\n".join(lines) + "\n"


def _entries(table: Any) -> Mapping[str, Any]:
    """Return a table's keys that are not at their defaults."""
    if table is None:
        return {}
    if isinstance(table, Mapping):
        return table
    return {
        field.name: getattr(table, field.name)
        for field in fields(table)
        if getattr(table, field.name) not in ("", (), {}, field.default)
    }


def _comment(text: str) -> list[str]:
    plain = re.sub(r"[\x00-\x1f\x7f]", "?", text)
    return [f"# {line}" for line in textwrap.wrap(plain, _WIDTH - 2)]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    # What JSON escapes as \uXXXX TOML does too, as long as it is no surrogate.
    if isinstance(value, tuple):
        entries = [_value(entry) for entry in value]
        one = f"[{', '.join(entries)}]"
        if len(one) < _WIDTH - 20:
            return one
        return "[\n" + "".join(f"    {entry},\n" for entry in entries) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
