"""Certified shares: against the radius for each network, and side by side for all sets."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.citation import Citation, number

_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 690.0, 14.0, 282.0
_LABEL_GAP = 30.0
# From the flashed network back to what it was made from.
_CLASSES = ("first", "second", "third")
_BAR_LEFT, _BAR_RIGHT, _BAR_TOP, _BAR_ROW = 232.0, 690.0, 12.0, 27.0
_SHARES = (0, 0.25, 0.5, 0.75, 1)


def curve_points(network: Citation) -> list[Citation]:
    """Return the sets of a network that differ in one radius alone, by rising radius."""
    balls = [each for each in network.perturbations if each.family == "linf" and each.radius]
    units = [str(each.unit) for each in balls]
    chosen = next((unit for unit in ("uV", "rms", *units) if unit in units), "")
    return sorted(
        (each for each in balls if each.unit == chosen), key=lambda each: number(each.radius)
    )


def certificate_chart(certificates: Citation) -> Markup:
    """Draw the share proved and right against the radius, and above it the attack's limit.

    Args:
        certificates: A CertificateEvidence whose last network has a curve.
    """
    networks = list(certificates.networks)
    flashed = networks[-1]
    points = curve_points(flashed)
    largest = max(number(point.radius) for each in networks for point in curve_points(each))

    def x(radius: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * radius / (largest or 1)

    def curve(network: Citation, name: str) -> list[svg.Point]:
        start = [(0.0, network.right_share)]
        later = [(number(each.radius), getattr(each, name)) for each in curve_points(network)]
        return [
            (x(radius), _height(number(share.value)))
            for radius, share in (*start, *later)
            if share.value
        ]

    parts = [_grid(share) for share in _SHARES]
    parts.append(_band(flashed, points, x(0), [x(number(point.radius)) for point in points]))
    for network, css_class in reversed(list(zip(networks[::-1], _CLASSES, strict=False))):
        places = curve(network, "proved_and_right_share")
        parts.append(svg.polyline(places, f"curve {css_class}"))
        parts += [svg.circle(place, 3.4, f"dot {css_class}") for place in places]
    parts.append(svg.polyline(curve(flashed, "attack_limit"), "curve ceiling"))
    parts += _axis(points, [x(number(point.radius)) for point in points])
    return svg.chart(
        "certificates",
        "Share of windows proved and right against the radius of the change, for each stage of "
        "the network, and the limit that attacks set to the flashed one. The tables below hold "
        "the same figures.",
        (760, 352),
        parts,
    )


def perturbation_chart(certificates: Citation) -> Markup:
    """Draw one bar a set: the share proved and right, its interval, and the attack's limit.

    Args:
        certificates: A CertificateEvidence whose last network was verified under some set.
    """
    rows = list(certificates.networks[-1].perturbations)
    bottom = _BAR_TOP + len(rows) * _BAR_ROW

    def x(share: float) -> float:
        return _BAR_LEFT + (_BAR_RIGHT - _BAR_LEFT) * min(max(share, 0), 1)

    parts = []
    for share in _SHARES:
        parts.append(svg.line((x(share), _BAR_TOP), (x(share), bottom), "grid"))
        parts.append(svg.tick(share, (x(share), bottom + 18), "middle"))
    for index, row in enumerate(rows):
        top = _BAR_TOP + index * _BAR_ROW
        middle = top + _BAR_ROW / 2
        parts.append(svg.cited(row.text, (_BAR_LEFT - 10, middle + 4), "end"))
        proved, limit = row.proved_and_right_share, row.attack_limit
        if proved.value:
            width = x(number(proved.value)) - _BAR_LEFT
            parts.append(svg.rectangle((_BAR_LEFT, top + 5), width, _BAR_ROW - 10, "bar"))
        if proved.interval:
            ends = [(x(number(end)), middle) for end in (proved.interval.low, proved.interval.high)]
            parts.append(svg.line(ends[0], ends[1], "whisker"))
        if limit.value:
            at = x(number(limit.value))
            parts.append(svg.line((at, top + 3), (at, top + _BAR_ROW - 3), "curve ceiling"))
    return svg.chart(
        "perturbations",
        "Share of windows proved and right under each set, with its interval and the limit that "
        "attacks set. The table below holds the same figures.",
        (760, bottom + 26),
        parts,
    )


def _height(share: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * min(max(share, 0), 1)


def _grid(share: float) -> Markup:
    return svg.line((_LEFT, _height(share)), (_RIGHT, _height(share)), "grid") + svg.tick(
        share, (_LEFT - 9, _height(share) + 4), "end"
    )


def _band(
    flashed: Citation, points: Sequence[Citation], origin: float, places: Sequence[float]
) -> Markup:
    """Draw the interval of the flashed network's curve."""
    shares = [flashed.right_share, *(point.proved_and_right_share for point in points)]
    known = [
        (place, share.interval)
        for place, share in zip((origin, *places), shares, strict=True)
        if share.interval
    ]
    low = [(place, _height(number(interval.low))) for place, interval in known]
    high = [(place, _height(number(interval.high))) for place, interval in known]
    return svg.polygon([*low, *reversed(high)], "band")


def _axis(points: Sequence[Citation], places: Sequence[float]) -> list[Markup]:
    """Label the radii, leaving out labels that would touch their neighbour."""
    parts = [svg.tick(0, (_LEFT, _BOTTOM + 20), "middle")]
    last = _LEFT
    for point, place in zip(points, places, strict=True):
        parts.append(svg.line((place, _BOTTOM), (place, _BOTTOM + 5), "axis"))
        if place - last >= _LABEL_GAP:
            last = place
            parts.append(svg.cited(point.radius, (place, _BOTTOM + 20), "middle"))
    unit = {"uV": "µV", "rms": "RMS"}.get(str(points[0].unit), "LSB")
    parts.append(svg.text(unit, (_RIGHT + 22, _BOTTOM + 20), "unit"))
    where = "of the network's input" if unit == "LSB" else "at the converter"
    name = f"radius: largest change of any sample {where}"
    parts.append(svg.text(name, ((_LEFT + _RIGHT) / 2, 336), "middle name"))
    return parts
