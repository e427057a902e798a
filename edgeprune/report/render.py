"""evidence.json to one HTML file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgeprune.evidence import Evidence, evidence_bytes, parse_evidence, read_evidence
from edgeprune.files import write_text
from edgeprune.report.charts import (
    certificate_chart,
    curve_points,
    layer_chart,
    memory_chart,
    perturbation_chart,
    score_chart,
    training_chart,
)
from edgeprune.report.citation import Citation, cite, count, number, raw


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        name: Name of its template in `templates/sections` and of its anchor.
        title: Its heading.
    """

    name: str
    title: str


SECTIONS = (
    Section("about", "What this report is, and what it is not"),
    Section("data", "Data and split"),
    Section("history", "Classifier, pruning and quantization"),
    Section("performance", "Performance"),
    Section("parity", "Parity with the integer specification"),
    Section("device", "Flash, memory and instructions"),
    Section("certificates", "Certificates"),
    Section("limits", "Limits, and what was not tested"),
    Section("reproduce", "Versions and reproduction"),
)


def render_report(evidence: Evidence) -> str:
    """Return the report as one HTML page; equal evidence gives an equal page.

    The evidence is rendered as evidence.json would hold it, so that page and file cannot differ.

    Args:
        evidence: The only source of every figure that is shown.
    """
    written = parse_evidence(evidence_bytes(evidence))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(evidence=Citation(written), verdict=written.verdict.value, sections=SECTIONS)
    )


def write_report(evidence_file: Path, report_file: Path) -> None:
    """Read evidence.json and write the report beside it or elsewhere.

    Raises:
        DataError: The evidence is absent, damaged or of another version.
        DiskError: The report cannot be written.
    """
    write_text(report_file, render_report(read_evidence(evidence_file)))


@cache
def _environment() -> Environment:
    """Compile the templates once a process."""
    environment = Environment(
        loader=PackageLoader("edgeprune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cite": cite,
        "count": count,
        "number": number,
        "plain": raw,
        "distinct": _distinct,
        "curve_points": curve_points,
        "timed": _timed,
    }
    environment.globals |= {
        "certificate_chart": certificate_chart,
        "layer_chart": layer_chart,
        "memory_chart": memory_chart,
        "perturbation_chart": perturbation_chart,
        "score_chart": score_chart,
        "training_chart": training_chart,
    }
    return environment


def _distinct(citations: Iterable[Citation]) -> list[Citation]:
    """Return the first citation of each different value that is something, in order."""
    return list(dict.fromkeys(citation for citation in citations if citation))


def _timed(rows: Iterable[Citation]) -> Citation | None:
    """Return the first time that a method of any set tells, or None."""
    times = (method.milliseconds for row in rows for method in row.methods)
    return next((time for time in times if time), None)
