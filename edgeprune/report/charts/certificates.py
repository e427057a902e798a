"""Share of windows proved against the radius."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.citation import Citation, number

_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 690.0, 14.0, 262.0
_LABEL_GAP = 34.0


def certificate_chart(certificates: Citation) -> Markup:
    """Draw both shares with the interval of the stricter one, against LSB; median microvolts below.

    Args:
        certificates: A CertificateEvidence with points.
    """
    points = list(certificates.points)
    largest = max(number(point.radius_lsb) for point in points) or 1

    def x(point: Citation) -> float:
        return _LEFT + (_RIGHT - _LEFT) * number(point.radius_lsb) / largest

    def y(share: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * share

    parts = [_grid(y(share), share) for share in (0, 0.25, 0.5, 0.75, 1)]
    band = [point for point in points if point.proved_and_right_share.interval]
    if band:
        low = [(x(p), y(number(p.proved_and_right_share.interval.low))) for p in band]
        high = [(x(p), y(number(p.proved_and_right_share.interval.high))) for p in band]
        parts.append(svg.polygon([*low, *reversed(high)], "band"))
    for name, css_class in (("proved_share", "second"), ("proved_and_right_share", "first")):
        drawn = [point for point in points if getattr(point, name).value]
        centres = [(x(point), y(number(getattr(point, name).value))) for point in drawn]
        parts.append(svg.polyline(centres, f"curve {css_class}"))
        parts += [svg.circle(centre, 3.4, f"dot {css_class}") for centre in centres]
    parts += _axis(points, x)
    return svg.chart(
        "certificates",
        "Share of windows proved, and proved and right, against the radius of the change. "
        "The table below holds the same figures.",
        (760, 330),
        parts,
    )


def _grid(height: float, share: float) -> Markup:
    return svg.line((_LEFT, height), (_RIGHT, height), "grid") + svg.tick(
        share, (_LEFT - 9, height + 4), "end"
    )


def _axis(points: list[Citation], x: Callable[[Citation], float]) -> list[Markup]:
    """Label the radii, leaving out labels that would touch their neighbour."""
    parts = []
    last = -_LABEL_GAP
    for point in points:
        parts.append(svg.line((x(point), _BOTTOM), (x(point), _BOTTOM + 5), "axis"))
        if x(point) - last < _LABEL_GAP:
            continue
        last = x(point)
        parts.append(svg.cited(point.radius_lsb, (last, _BOTTOM + 20), "middle"))
        if point.radius_uv:
            radius = svg.cited(point.radius_uv.median, (last, _BOTTOM + 37), "middle faint", 0)
            parts.append(radius)
    parts.append(svg.text("LSB", (_RIGHT + 18, _BOTTOM + 20), "unit"))
    if points[0].radius_uv:
        parts.append(svg.text("µV", (_RIGHT + 18, _BOTTOM + 37), "unit"))
    parts.append(
        svg.text("radius: largest change of any sample", ((_LEFT + _RIGHT) / 2, 322), "middle name")
    )
    return parts
