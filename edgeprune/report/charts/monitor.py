"""Error against coverage: what refusing the least sure windows would leave."""

from __future__ import annotations

import math

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import FIGURE, Drawing, Ledger, draw, figure
from edgeprune.report.charts.frame import STYLES, Frame, curve, even_step, panels, spot, target
from edgeprune.report.citation import Citation, cite, number

_TOP, _BOTTOM = 34.0, 242.0
_STEPS = (0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def curved_sets(monitor: Citation) -> list[Citation]:
    """Return the sets of windows that have a curve, as many as there are styles."""
    return [each for each in monitor.sets if each.curve][: len(STYLES)]


def coverage_chart(monitor: Citation) -> Drawing:
    """Draw the share decided wrongly of the decided windows against the share decided.

    Args:
        monitor: A MonitorEvidence of which some set has a curve.
    """
    first, *others = curved_sets(monitor)
    groups = [[first], others] if others else [[first]]
    ledger = Ledger("Windows", "Coverage", *FIGURE)
    parts: list[Markup] = []
    styles = iter(STYLES)
    frames = panels(len(groups), _TOP, _BOTTOM, left=52.0, gap=72.0)
    for frame, sets in zip(frames, groups, strict=True):
        parts += _panel(frame, list(zip(sets, styles, strict=False)), ledger)
    return draw(
        "coverage",
        "Share of the decided windows decided wrongly against the share decided, in the order of "
        "the margins; a cross marks the limits of the firmware.",
        (760, _BOTTOM + 52),
        parts,
        ledger,
    )


def _panel(frame: Frame, sets: list[tuple[Citation, str]], ledger: Ledger) -> list[Markup]:
    errors = [point.error for each, _ in sets for point in each.curve if point.error.value]
    largest = max(
        (number(error.interval.high if error.interval else error.value) for error in errors),
        default=1.0,
    )
    most = next((step for step in _STEPS if step >= largest), 1.0)
    least = _least_coverage([each for each, _ in sets])

    def x(coverage: float) -> float:
        return frame.x((coverage - least) / (1 - least))

    parts = frame.grid(labelled=True, most=most)
    step = even_step(1 - least, 4)
    for count in range(math.floor((1 - least) / step + 1e-9) + 1):
        coverage = round(1 - count * step, 9)
        parts.append(svg.tick(coverage, (x(coverage), frame.bottom + 18), "middle"))
    for windows, style in reversed(sets):
        course = sorted(windows.curve, key=lambda point: number(point.coverage))
        spots = [
            spot(
                x(number(each.coverage)),
                each.error,
                most,
                ledger.add(windows.name, cite(each.coverage, 3), *figure(each.error)),
            )
            for each in course
        ]
        parts += curve(frame, spots, style, banded=style == STYLES[0], small=True)
        chosen = spot(x(_share(windows.coverage)), windows.error, most)
        if chosen and windows.coverage.value:
            share = cite(windows.coverage.value, 3) + ", limits of the firmware"
            row = ledger.add(windows.name, share, *figure(windows.error))
            parts += _cross((chosen.place, frame.y(chosen.share)), style, row)
    middle = (frame.left + frame.right) / 2
    name = "coverage: share of the windows that is decided"
    parts.append(svg.text(name, (middle, frame.bottom + 42), "middle name"))
    parts.append(svg.text("error: share of these decided wrongly", (frame.left, 16), "name"))
    return parts


def _cross(centre: svg.Point, style: str, row: int) -> list[Markup]:
    """Return a cross with the mark of its curve about it."""
    x, y = centre
    return [
        svg.mark(centre, 5, style, **target(row, style)),
        svg.line((x - 8, y), (x + 8, y), f"whisker {style}"),
        svg.line((x, y - 8), (x, y + 8), f"whisker {style}"),
    ]


def _least_coverage(sets: list[Citation]) -> float:
    """Return the tenth below all coverages: where the axis begins."""
    coverages = [number(point.coverage) for each in sets for point in each.curve]
    coverages += [_share(each.coverage) for each in sets if each.coverage.value]
    return min(max(math.floor(min(coverages, default=0.0) * 10 - 1e-9) / 10, 0.0), 0.9)


def _share(quantity: Citation) -> float:
    return number(quantity.value) if quantity.value else 0.0
