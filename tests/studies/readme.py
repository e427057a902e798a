"""The README's table of figures, from the last study: `python -m tests.studies.readme`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent.parent
STUDY = CHECKOUT / "tests" / "studies" / "build.json"
BEGIN, END = "<!-- figures:mit-bih -->\n", "<!-- /figures:mit-bih -->"
_SHOWN = (
    ("V sensitivity", "V sensitivity", "{:.3f}"),
    ("V precision", "V precision", "{:.3f}"),
    ("S F1", "S F1", "{:.3f}"),
    ("S F1 without 232", "S F1 without record 232", "{:.3f}"),
    ("N sensitivity", "N sensitivity", "{:.3f}"),
    ("accuracy", "accuracy", "{:.3f}"),
    ("flash", "flash, bytes", "{:,.0f}"),
    ("RAM", "RAM with stack, bytes", "{:,.0f}"),
    ("instructions a beat", "instructions a beat (emulator, cortex-m7)", "{:,.0f}"),
    ("build from nothing", "build from nothing on 2 cores, s", "{:,.0f}"),
)


def table(study: dict[str, Any]) -> str:
    """Return the figures of the real recordings as Markdown."""
    figures = {row["name"]: row for row in study["figures"] if row["section"] == "mit-bih"}
    lines = [
        "Int8, as flashed, on DS2 (49,684 beats of 22 patients), from `make study-build`. The mark "
        "is where",
        "Farag 2023 (PMC9919183) stands; the intervals over patients are wide, see the report.",
        "",
        "| figure | found | floor | mark |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, title, form in _SHOWN:
        row = figures[name]
        sign = "at most " if row["at_most"] else ""
        limits = (
            "" if row[key] is None else sign + form.format(row[key]) for key in ("floor", "mark")
        )
        lines.append(f"| {title} | {form.format(row['found'])} | {' | '.join(limits)} |")
    return "\n".join([*lines, ""])


def filled(readme: str) -> str:
    """Return the README with the table of the last study in its place."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + table(json.loads(STUDY.read_text(encoding="utf-8"))) + END + tail


def main() -> None:
    """Rewrite the README."""
    path = CHECKOUT / "README.md"
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
