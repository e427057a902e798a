"""Sensitivity and precision of each class against the severity of a disturbance."""

from __future__ import annotations

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import FIGURE, Drawing, Ledger, draw, figure, unit_text
from edgeprune.report.charts.frame import curve, panels, spot
from edgeprune.report.citation import Citation, cite, number

_TOP, _BOTTOM = 34.0, 150.0
_MEASURES = (("precision", "second"), ("sensitivity", "first"))


def disturbance_chart(undisturbed: Citation, course: Citation, name: str) -> Drawing:
    """Draw a panel a class: undisturbed at the left, then from mild to severe, evenly spaced.

    Args:
        undisturbed: Scores without the disturbance.
        course: A DisturbanceCurve with points.
        name: What tells its chart from the others of the page.
    """
    points = list(course.points)
    classes = [kind for kind in undisturbed.classes if number(kind.n)]
    ledger = Ledger("Class", "Score", "Severity", *FIGURE)
    parts: list[Markup] = []
    for frame, kind in zip(panels(len(classes), _TOP, _BOTTOM), classes, strict=True):
        places = [frame.x((each + 1) / len(points)) for each in range(len(points))]
        parts += frame.grid(labelled=not parts)
        parts += frame.heading(kind.name, kind.n)
        for measure, style in _MEASURES:
            quantity = getattr(kind, measure)
            row = ledger.add(kind.name, measure, "none", *figure(quantity))
            spots = [spot(frame.left, quantity, row=row)]
            for point, place in zip(points, places, strict=True):
                same = _has(point.scores, kind)
                quantity = getattr(same, measure) if same else None
                severity = cite(point.severity) + unit_text(str(point.unit))
                row = ledger.add(kind.name, measure, severity, *figure(quantity))
                spots.append(spot(place, quantity, row=row) if quantity else None)
            line = f"{kind.name} {measure}"
            banded = style == "first"
            parts += curve(frame, spots, style, banded=banded, small=True, line=line)
        parts.append(svg.text("none", (frame.left, _BOTTOM + 18), "middle faint small"))
        parts += frame.labels(places, [point.severity for point in points], small=True)
    axis = str(course.severity_is) or "severity"
    unit = str(points[0].unit)
    shown = {"uV": "µV", "%": "percent"}.get(unit, unit)
    parts.append(svg.text(f"{axis}{', ' if shown else ''}{shown}", (394, 190), "middle name"))
    return draw(
        f"disturbance-{name}",
        "Sensitivity and precision of each class without the disturbance and with it, from mild "
        "to severe, with their intervals.",
        (760, 200),
        parts,
        ledger,
    )


def _has(scores: Citation, kind: Citation) -> Citation | None:
    return next((each for each in scores.classes if each.name == kind.name), None)
