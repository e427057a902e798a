"""Scores of every class with their intervals, side by side."""

from __future__ import annotations

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.citation import Citation, number

_PANELS = (("sensitivity", "Sensitivity"), ("precision", "Precision"), ("f1", "F1"))
_LEFT, _PANEL, _GAP, _TOP, _ROW = 40.0, 204.0, 40.0, 30.0, 24.0


def score_chart(scores: Citation) -> Markup:
    """Draw one panel a score: a dot a class on a scale from 0 to 1, its interval as a line.

    Args:
        scores: Scores with at least one class.
    """
    classes = list(scores.classes)
    bottom = _TOP + len(classes) * _ROW
    parts = [
        svg.cited(row.name, (_LEFT - 16, _middle(index) + 4), "end")
        for index, row in enumerate(classes)
    ]
    for position, (name, title) in enumerate(_PANELS):
        left = _LEFT + position * (_PANEL + _GAP)
        parts.append(svg.text(title, (left, 14), "name"))
        for share in (0, 0.25, 0.5, 0.75, 1):
            x = left + share * _PANEL
            parts.append(svg.line((x, _TOP), (x, bottom), "grid"))
            if share in (0, 0.5, 1):
                parts.append(svg.tick(share, (x, bottom + 18), "middle"))
        for index, row in enumerate(classes):
            parts += _mark(getattr(row, name), left, _middle(index))
    return svg.chart(
        "scores",
        "Sensitivity, precision and F1 of each class with their intervals. "
        "The table below holds the same figures.",
        (760, bottom + 26),
        parts,
    )


def _middle(index: int) -> float:
    return _TOP + (index + 0.5) * _ROW


def _mark(quantity: Citation, left: float, y: float) -> list[Markup]:
    """Draw one score; an undefined one leaves its place empty."""
    if not quantity.value:
        return []
    parts = []
    if quantity.interval:
        low, high = number(quantity.interval.low), number(quantity.interval.high)
        parts.append(svg.line((left + low * _PANEL, y), (left + high * _PANEL, y), "spread"))
    centre = (left + number(quantity.value) * _PANEL, y)
    return [*parts, svg.circle(centre, 4, "dot first")]
