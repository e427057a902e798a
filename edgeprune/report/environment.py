"""The templates, with the filters and charts that they use."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgeprune.report import charts, lookups, sweeps
from edgeprune.report.citation import cite, count, derived, listed, number, raw
from edgeprune.report.sections import anchor_of


@cache
def environment() -> Environment:
    """Compile the templates once a process."""
    made = Environment(
        loader=PackageLoader("edgeprune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "anchor_of": anchor_of,
        "attack_on": lookups.attack_on,
        "attacked_norms": charts.attacked_norms,
        "by_document": lookups.by_document,
        "cite": cite,
        "clauses_of": lookups.clauses_of,
        "columns": sweeps.columns,
        "compression_figure": sweeps.compression_figure,
        "count": count,
        "curve_points": charts.curve_points,
        "curved_sets": charts.curved_sets,
        "derived": derived,
        "distinct": lookups.distinct,
        "families": sweeps.families,
        "figure_like": sweeps.figure_like,
        "follow": lookups.follow,
        "in_profile": lookups.in_profile,
        "is_number": lookups.is_number,
        "is_quantity": lookups.is_quantity,
        "listed": listed,
        "minimum_of": lookups.minimum_of,
        "number": number,
        "parts_of": sweeps.parts_of,
        "plain": raw,
        "plot": charts.plot,
        "timed": lookups.timed,
        "title_of": sweeps.title_of,
        "unit_of": lookups.unit_of,
    }
    made.globals |= {
        "attack_chart": charts.attack_chart,
        "attack_class_chart": charts.attack_class_chart,
        "attacked_window_chart": charts.attacked_window_chart,
        "certificate_chart": charts.certificate_chart,
        "chart_title": charts.chart_title,
        "cost_name": charts.cost_name,
        "coverage_chart": charts.coverage_chart,
        "disturbance_chart": charts.disturbance_chart,
        "front_chart": charts.front_chart,
        "layer_chart": charts.layer_chart,
        "memory_chart": charts.memory_chart,
        "perturbation_chart": charts.perturbation_chart,
        "reliability_chart": charts.reliability_chart,
        "score_chart": charts.score_chart,
        "sweep_chart": charts.sweep_chart,
        "sweep_chart_names": charts.SWEEP_CHARTS,
        "training_chart": charts.training_chart,
    }
    return made
