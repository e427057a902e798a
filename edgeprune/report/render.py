"""evidence.json to one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgeprune.evidence import Evidence, evidence_bytes, parse_evidence, read_evidence
from edgeprune.files import write_text
from edgeprune.report.charts import (
    attack_chart,
    attack_class_chart,
    attacked_norms,
    attacked_window_chart,
    certificate_chart,
    coverage_chart,
    curve_points,
    curved_sets,
    disturbance_chart,
    layer_chart,
    memory_chart,
    perturbation_chart,
    reliability_chart,
    score_chart,
    training_chart,
)
from edgeprune.report.citation import Citation, cite, count, number, raw
from edgeprune.report.lookups import attack_on, distinct, minimum_of, timed


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
    Section("beats", "Beat by beat, and what the confidence is worth"),
    Section("parity", "Parity with the integer specification"),
    Section("device", "Flash, memory and instructions"),
    Section("certificates", "Certificates"),
    Section("attacks", "Robustness: attacks"),
    Section("disturbances", "Robustness: what really happens to a lead"),
    Section("monitor", "What the device refuses to decide"),
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
        "distinct": distinct,
        "curve_points": curve_points,
        "timed": timed,
        "attacked_norms": attacked_norms,
        "attack_on": attack_on,
        "minimum_of": minimum_of,
        "curved_sets": curved_sets,
    }
    environment.globals |= {
        "attack_chart": attack_chart,
        "attack_class_chart": attack_class_chart,
        "attacked_window_chart": attacked_window_chart,
        "certificate_chart": certificate_chart,
        "coverage_chart": coverage_chart,
        "disturbance_chart": disturbance_chart,
        "layer_chart": layer_chart,
        "memory_chart": memory_chart,
        "perturbation_chart": perturbation_chart,
        "reliability_chart": reliability_chart,
        "score_chart": score_chart,
        "training_chart": training_chart,
    }
    return environment
