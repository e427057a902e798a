"""evidence.json to one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgeprune.evidence import (
    Evidence,
    SweepEvidence,
    evidence_bytes,
    parse_evidence,
    read_evidence,
)
from edgeprune.files import write_text
from edgeprune.report import sweeps
from edgeprune.report.charts import (
    SWEEP_CHARTS,
    attack_chart,
    attack_class_chart,
    attacked_norms,
    attacked_window_chart,
    certificate_chart,
    chart_title,
    cost_name,
    coverage_chart,
    curve_points,
    curved_sets,
    disturbance_chart,
    front_chart,
    layer_chart,
    memory_chart,
    perturbation_chart,
    reliability_chart,
    score_chart,
    sweep_chart,
    training_chart,
)
from edgeprune.report.citation import Citation, cite, count, derived, number, raw
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
    Section("pruning", "What pruning cost, and how it was chosen"),
    Section("performance", "Performance"),
    Section("beats", "Beat by beat or event by event, and what the confidence is worth"),
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


@dataclass(frozen=True)
class SweepPage:
    """What a sweep's own report is made of.

    Attributes:
        dataset: The data set in words.
        target: The target in words.
        model: The classifier's name.
        synthetic: Whether the recordings were generated and not recorded from people.
        edgeprune: Version that made it.
        unfinished: Points without a result.
        left_out: Combinations that are no points, and why.
        sweep: What was found; its `point` is not read.
    """

    dataset: str
    target: str
    model: str
    synthetic: bool
    edgeprune: str
    unfinished: int
    left_out: tuple[str, ...]
    sweep: SweepEvidence


def render_sweep(page: SweepPage) -> str:
    """Return a sweep's report as one HTML page; equal pages give equal bytes.

    Args:
        page: The only source of every figure that is shown.
    """
    return _environment().get_template("sweep.html.j2").render(page=Citation(page))


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
        "columns": sweeps.columns,
        "compression_figure": sweeps.compression_figure,
        "count": count,
        "derived": derived,
        "families": sweeps.families,
        "figure_like": sweeps.figure_like,
        "parts_of": sweeps.parts_of,
        "title_of": sweeps.title_of,
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
        "chart_title": chart_title,
        "cost_name": cost_name,
        "coverage_chart": coverage_chart,
        "disturbance_chart": disturbance_chart,
        "front_chart": front_chart,
        "layer_chart": layer_chart,
        "memory_chart": memory_chart,
        "perturbation_chart": perturbation_chart,
        "reliability_chart": reliability_chart,
        "score_chart": score_chart,
        "sweep_chart": sweep_chart,
        "sweep_chart_names": SWEEP_CHARTS,
        "training_chart": training_chart,
    }
    return environment
