"""Charts as SVG that inherits the page's colours; every label that is a figure cites it."""

from edgeprune.report.charts.certificates import (
    certificate_chart,
    curve_points,
    perturbation_chart,
)
from edgeprune.report.charts.layers import layer_chart
from edgeprune.report.charts.memory import memory_chart
from edgeprune.report.charts.scores import score_chart
from edgeprune.report.charts.training import training_chart

__all__ = [
    "certificate_chart",
    "curve_points",
    "layer_chart",
    "memory_chart",
    "perturbation_chart",
    "score_chart",
    "training_chart",
]
