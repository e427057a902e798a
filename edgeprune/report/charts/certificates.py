"""Certified shares: against the radius for each network, and side by side for all sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import FIGURE, Drawing, Ledger, draw, figure, unit_text
from edgeprune.report.charts.frame import target
from edgeprune.report.citation import Citation, cite, number

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


def certificate_chart(certificates: Citation) -> Drawing:
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

    ledger = Ledger("Network", "Radius", "Figure", *FIGURE)
    parts = [_grid(share) for share in _SHARES]
    parts.append(_band(flashed, points, x(0), [x(number(point.radius)) for point in points]))
    for network, css_class in reversed(list(zip(networks[::-1], _CLASSES, strict=False))):
        spots = _spots(network, "proved_and_right_share", "proved and right", x, ledger)
        parts.append(svg.polyline([place for place, _ in spots], f"curve {css_class}"))
        for place, row in spots:
            data = target(row, css_class)
            parts.append(svg.circle(place, 3.4, f"dot {css_class}", **data))
    ceiling = _spots(flashed, "attack_limit", "limit set by attacks", x, ledger)
    parts.append(svg.polyline([place for place, _ in ceiling], "curve ceiling"))
    for place, row in ceiling:
        parts.append(svg.circle(place, 1.6, "dot ceiling", **target(row, "ceiling")))
    parts += _axis(points, [x(number(point.radius)) for point in points])
    return draw(
        "certificates",
        "Share of windows proved and right against the radius of the change, for each stage of "
        "the network, and the limit that attacks set to the flashed one.",
        (760, 352),
        parts,
        ledger,
    )


def _spots(
    network: Citation, name: str, title: str, x: Callable[[float], float], ledger: Ledger
) -> list[tuple[svg.Point, int]]:
    """Return the places of a network's curve, each with the row of its figure."""
    found = []
    start = [(0.0, "none", network.right_share)]
    later = [
        (number(each.radius), cite(each.radius) + unit_text(str(each.unit)), getattr(each, name))
        for each in curve_points(network)
    ]
    for radius, text, share in (*start, *later):
        if share.value:
            row = ledger.add(network.stage, text, title, *figure(share))
            found.append(((x(radius), _height(number(share.value))), row))
    return found


def perturbation_chart(certificates: Citation) -> Drawing:
    """Draw one bar a set: the share proved and right, its interval, and the attack's limit.

    Args:
        certificates: A CertificateEvidence whose last network was verified under some set.
    """
    rows = list(certificates.networks[-1].perturbations)
    bottom = _BAR_TOP + len(rows) * _BAR_ROW

    def x(share: float) -> float:
        return _BAR_LEFT + (_BAR_RIGHT - _BAR_LEFT) * min(max(share, 0), 1)

    ledger = Ledger("Set", "Figure", *FIGURE)
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
            data = target(ledger.add(row.text, "proved and right", *figure(proved)), "first")
            corner = (_BAR_LEFT, top + 5)
            parts.append(svg.rectangle(corner, width, _BAR_ROW - 10, "bar first", **data))
        if proved.interval:
            ends = [(x(number(end)), middle) for end in (proved.interval.low, proved.interval.high)]
            parts.append(svg.line(ends[0], ends[1], "whisker first"))
        if limit.value:
            at = x(number(limit.value))
            parts.append(svg.line((at, top + 3), (at, top + _BAR_ROW - 3), "curve ceiling"))
            data = target(ledger.add(row.text, "limit set by attacks", *figure(limit)), "ceiling")
            parts.append(svg.circle((at, middle), 1.6, "dot ceiling", **data))
    return draw(
        "perturbations",
        "Share of windows proved and right under each set, with its interval and the limit that "
        "attacks set.",
        (760, bottom + 26),
        parts,
        ledger,
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
    return svg.polygon([*low, *reversed(high)], "band first")


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
