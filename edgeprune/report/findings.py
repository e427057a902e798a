"""Requirements and comparisons as findings, which a pipeline shows to its readers."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeprune.evidence import Evidence, Outcome, ParityRow, Quantity, Requirement

REQUIREMENT = "edgeprune.requirements"
PARITY = "edgeprune.parity"
_TABLE = "requirements"
# Requirements whose limit stands in another table than [requirements].
_ELSEWHERE = {"robustness.share": ("robustness", "share")}
# Keys of [requirements] that are tables of tables: the last part of a name is the inner key.
_NESTED = ("sensitivity_under",)


@dataclass(frozen=True)
class Finding:
    """One requirement or one comparison, judged.

    Attributes:
        group: `REQUIREMENT` or `PARITY`.
        name: Its key in the configuration, or which implementations were compared, where.
        title: What it demands, in words.
        outcome: Pass, fail or not tested.
        gates: Whether it decides; a comparison that is only told of does not.
        detail: Limit, figure, interval and the place of both in evidence.json, in one line.
        line: Where the requirement stands in the configuration file, from 1; absent where it
            stands in none.
    """

    group: str
    name: str
    title: str
    outcome: Outcome
    gates: bool
    detail: str
    line: int | None = None


def findings_of(evidence: Evidence, config: Path | None = None) -> tuple[Finding, ...]:
    """Return a finding for each requirement, then for each comparison.

    Args:
        evidence: What was found out.
        config: The configuration file that the limits come from, if there is one.
    """
    text = _text_of(config)
    synthetic = "; SYNTHETIC data" if evidence.identity.synthetic else ""
    requirements = (
        Finding(
            group=REQUIREMENT,
            name=row.name,
            title=row.title,
            outcome=row.outcome,
            gates=True,
            detail=f"{_of_requirement(row, number)}{synthetic}",
            line=line_of(text, _key_of(row.name)),
        )
        for number, row in enumerate(evidence.requirements)
    )
    return (*requirements, *_of_parity(evidence.parity))


def holds(findings: Sequence[Finding]) -> bool:
    """Say whether everything that decides passed; what was not tested did not."""
    deciding = [each.outcome for each in findings if each.gates]
    return bool(deciding) and all(outcome is Outcome.PASS for outcome in deciding)


def _of_requirement(row: Requirement, number: int) -> str:
    limit = f"limit {row.comparison.value} {_figure(row.limit, row.unit)}"
    places = ", ".join(filter(None, (f"requirements.{number}", row.source)))
    if row.value is None:
        return f"{row.title}: not tested; {limit}; evidence {places}"
    return f"{row.title}: found {_in_words(row.value)}; {limit}; evidence {places}"


def _of_parity(rows: Sequence[ParityRow]) -> Iterator[Finding]:
    names: Counter[str] = Counter()
    for number, row in enumerate(rows):
        # Without versions and positions: the same comparison has one name from build to build.
        name = f"{row.implementation}, {row.compared}, {row.place}"
        names[name] += 1
        differs = f"{row.mismatches} of {row.values} values differ from the specification"
        by = f", by {row.largest_difference_lsb} LSB at most" if row.mismatches else ""
        without = "" if row.gate else "; it decides nothing"
        yield Finding(
            group=PARITY,
            name=name if names[name] == 1 else f"{name} ({names[name]})",
            title=f"{row.implementation} gives the specification's values",
            outcome=Outcome.FAIL if row.mismatches else Outcome.PASS,
            gates=row.gate,
            detail=f"{row.implementation} {row.version}: {differs}{by} ({row.windows} windows, "
            f"{row.where.value}){without}; limit <= 0; evidence parity.{number}",
        )


def _in_words(quantity: Quantity) -> str:
    found = "nothing: undefined"
    if quantity.value is not None:
        found = _figure(quantity.value, quantity.unit)
    interval = quantity.interval
    if interval is not None:
        found += (
            f" [{interval.low:.6g}, {interval.high:.6g}] ({interval.level:g}: {interval.method}"
        )
        found += f", {interval.patients} patients)"
    counted = f"n = {quantity.n} {quantity.n_of}" if quantity.n is not None else ""
    return f"{found} ({', '.join(filter(None, (counted, quantity.where.value)))})"


def _figure(value: float, unit: str) -> str:
    number = f"{int(value)}" if value == int(value) else f"{value:.6g}"
    return number if unit == "1" else f"{number} {unit}"


def _key_of(name: str) -> tuple[str, ...]:
    """Return the path of a requirement's limit in the configuration's tables."""
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    key, _, inner = name.partition(".")
    if key in _NESTED and "." in inner:
        # Disturbances may have a point in their severity, classes are what is behind the last.
        disturbance, _, class_name = inner.rpartition(".")
        return _TABLE, key, disturbance, class_name
    return (_TABLE, key, inner) if inner else (_TABLE, key)


def line_of(text: str, path: Sequence[str]) -> int | None:
    """Return the line, from 1, on which a key of TOML gets its value; None where it gets none.

    The standard library's reader does not tell where a value stood. But of the text up to a line
    it tells whether the key is there yet: the first such line is the key's own.

    Args:
        text: The file.
        path: The tables' names and the key.
    """
    lines = text.splitlines()
    for number in _lines_that_say(lines, path[-1]):
        try:
            table: Any = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue
        for name in path:
            table = table.get(name) if isinstance(table, dict) else None
        if table is not None:
            return number
    return None


def _lines_that_say(lines: Sequence[str], key: str) -> Iterator[int]:
    word = re.compile(rf"(?<![\w-]){re.escape(key)}(?![\w-])")
    return (number for number, line in enumerate(lines, start=1) if word.search(line))


def _text_of(config: Path | None) -> str:
    try:
        return "" if config is None else config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        # It went away, or was rewritten, while the build ran: the findings hold without lines.
        return ""
