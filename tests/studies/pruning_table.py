"""The settings of several sweeps as rows, and the small table of them that is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgeprune.evidence import SettingResult, SweepSetting
from edgeprune.pipeline.sweep import Sweep

# Two-sided 95 % of Student's t, by degrees of freedom.
_STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306}
# Figure, its subject, its unit in the table, decimals.
COLUMNS: tuple[tuple[str, str, int], ...] = (
    *(("recall", name, 3) for name in "NSVF"),
    ("macro_f1", "", 3),
    ("accuracy", "", 3),
    ("calibration_error", "", 4),
    *(("attack_success", f"linf:{size}uV", 3) for size in (20, 50, 100)),
    ("least_change", "l2", 0),
    ("least_change", "l0", 1),
    *(("certified_share", f"linf:{size}uV", 3) for size in (5, 10, 20)),
    ("instructions", "", 0),
    ("flash", "", 0),
    ("remaining", "", 0),
)
_ANYWHERE = ("instructions", "flash", "remaining", "compression")


@dataclass(frozen=True)
class Summary:
    """A figure over seeds.

    Attributes:
        mean: Mean.
        low: Lower end of the 95 % interval of the mean (Student's t over the seeds).
        high: Upper end.
        count: Seeds.
    """

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Row:
    """One setting.

    Attributes:
        setting: How it was pruned.
        seeds: The seeds.
        compression: Mean real compression.
        values: For each figure and subject, a value a seed, of test patients where it reads data.
        reason: Why there are no figures.
    """

    setting: SweepSetting
    seeds: tuple[int, ...]
    compression: float
    values: dict[tuple[str, str], tuple[float, ...]]
    reason: str = ""

    @property
    def text(self) -> str:
        return self.setting.text

    @property
    def told(self) -> str:
        """The other columns in one line."""
        found = []
        for name, subject, decimals in COLUMNS:
            summary = self.summary(name, subject)
            if summary is not None and name != "macro_f1":
                title = f"{name.replace('_', ' ')} {subject}".strip()
                found.append(f"{title} {summary.mean:.{decimals}f}")
        return ", ".join(found)

    def of(self, name: str, subject: str = "") -> tuple[float, ...] | None:
        """Return a value a seed."""
        return self.values.get((name, subject))

    def summary(self, name: str, subject: str = "") -> Summary | None:
        """Return a figure's mean and interval."""
        values = self.of(name, subject)
        return None if values is None else summary_of(values)


def summary_of(values: Sequence[float]) -> Summary:
    """Return mean and 95 % interval over seeds; with one seed the interval is all numbers."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Summary(mean, -math.inf, math.inf, count)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = _STUDENT.get(count - 1, 2.0) * deviation / math.sqrt(count)
    return Summary(mean, mean - half, mean + half, count)


def rows_of(sweeps: Iterable[Sweep]) -> list[Row]:
    """Return every setting once; the first sweep that has figures of it tells them."""
    found: dict[SweepSetting, Row] = {}
    for one in sweeps:
        for result in one.spots.settings:
            row = _row(result)
            known = found.get(row.setting)
            if known is None or (row.values.keys() > known.values.keys()):
                found[row.setting] = row
    return list(found.values())


def _row(result: SettingResult) -> Row:
    values = {}
    for figure in result.figures:
        part_fits = figure.part == "test" or figure.name in _ANYWHERE
        known = [value for value in figure.values if value is not None]
        if part_fits and figure.network != "float" and len(known) == len(figure.values):
            values[figure.name, figure.subject] = tuple(known)
    compression = values.get(("compression", ""), (1.0,))
    mean = math.fsum(compression) / len(compression)
    reason = "; ".join(result.refused) if not result.figures else ""
    return Row(result.setting, result.seeds, mean, values, reason)


def table_document(rows: Sequence[Row]) -> str:
    """Return all rows as JSON, one a line: mean, low and high over the seeds of each column."""
    lines = []
    for row in rows:
        entry = {
            "setting": row.text,
            "compression": round(row.compression, 2),
            "seeds": len(row.seeds),
            "figures": [
                _cell(row.summary(name, subject), digits) for name, subject, digits in COLUMNS
            ],
        }
        if row.reason:
            entry = {"setting": row.text, "reason": row.reason}
        lines.append(json.dumps(entry, ensure_ascii=False))
    columns = json.dumps([f"{name} {subject}".strip() for name, subject, _ in COLUMNS])
    about = "test patients, int8; mean and 95 % interval (Student's t) over seeds"
    joined = ",\n  ".join(lines)
    return (
        f'{{\n "about": "{about}",\n "command": "make study-pruning",\n "columns": {columns},\n'
        f' "rows": [\n  {joined}\n ]\n}}\n'
    )


def _cell(found: Summary | None, decimals: int) -> list[float | None] | None:
    if found is None:
        return None
    ends = (found.mean, found.low, found.high)
    return [round(value, decimals) if math.isfinite(value) else None for value in ends]
