"""Charts as SVG that inherits the page's colours; every label that is a figure cites it."""

from edgeprune.report.charts.attacked_window import attacked_window_chart
from edgeprune.report.charts.attacks import attack_chart, attack_class_chart, attacked_norms
from edgeprune.report.charts.certificates import (
    certificate_chart,
    curve_points,
    perturbation_chart,
)
from edgeprune.report.charts.disturbances import disturbance_chart
from edgeprune.report.charts.drawing import Drawing, plot
from edgeprune.report.charts.layers import layer_chart
from edgeprune.report.charts.memory import memory_chart
from edgeprune.report.charts.monitor import coverage_chart, curved_sets
from edgeprune.report.charts.probabilities import reliability_chart
from edgeprune.report.charts.scores import score_chart
from edgeprune.report.charts.sweep import (
    SWEEP_CHARTS,
    chart_title,
    cost_name,
    front_chart,
    sweep_chart,
)
from edgeprune.report.charts.training import training_chart

__all__ = [
    "SWEEP_CHARTS",
    "Drawing",
    "attack_chart",
    "attack_class_chart",
    "attacked_norms",
    "attacked_window_chart",
    "certificate_chart",
    "chart_title",
    "cost_name",
    "coverage_chart",
    "curve_points",
    "curved_sets",
    "disturbance_chart",
    "front_chart",
    "layer_chart",
    "memory_chart",
    "perturbation_chart",
    "plot",
    "reliability_chart",
    "score_chart",
    "sweep_chart",
    "training_chart",
]
