"""Scores of every class with their intervals, side by side."""

from __future__ import annotations

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import FIGURE, Drawing, Ledger, draw, figure
from edgeprune.report.charts.frame import target
from edgeprune.report.citation import Citation, number

_PANELS = (("sensitivity", "Sensitivity"), ("precision", "Precision"), ("f1", "F1"))
_LEFT, _PANEL, _GAP, _TOP, _ROW = 40.0, 204.0, 40.0, 30.0, 24.0


def score_chart(scores: Citation) -> Drawing:
    """Draw one panel a score: a dot a class on a scale from 0 to 1, its interval as a line.

    Args:
        scores: Scores with at least one class.
    """
    classes = list(scores.classes)
    bottom = _TOP + len(classes) * _ROW
    ledger = Ledger("Class", "Score", *FIGURE)
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
            quantity = getattr(row, name)
            data = target(ledger.add(row.name, title, *figure(quantity)), name)
            parts += _mark(quantity, left, _middle(index), data)
    return draw(
        "scores",
        "Sensitivity, precision and F1 of each class with their intervals.",
        (760, bottom + 26),
        parts,
        ledger,
    )


def _middle(index: int) -> float:
    return _TOP + (index + 0.5) * _ROW


def _mark(quantity: Citation, left: float, y: float, data: dict[str, str | float]) -> list[Markup]:
    """Draw one score; an undefined one leaves its place empty."""
    if not quantity.value:
        return []
    parts = []
    if quantity.interval:
        low, high = number(quantity.interval.low), number(quantity.interval.high)
        parts.append(svg.line((left + low * _PANEL, y), (left + high * _PANEL, y), "spread"))
    centre = (left + number(quantity.value) * _PANEL, y)
    return [*parts, svg.circle(centre, 4, "dot first", **data)]
