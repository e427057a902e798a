"""The frame of a chart: where a share or a number lies, its grid, curves with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.citation import Citation, number

SHARES = (0, 0.25, 0.5, 0.75, 1)
# Styles that differ in dash and mark too, so that they differ on paper without colours.
STYLES = ("first", "second", "third")
_LABEL_GAP = 27.0


@dataclass(frozen=True)
class Frame:
    """A rectangle that shares are drawn in: x from left to right, y from bottom to top.

    Attributes:
        left: Left edge in the chart's units.
        right: Right edge.
        top: Upper edge.
        bottom: Lower edge.
    """

    left: float
    right: float
    top: float
    bottom: float

    def x(self, share: float) -> float:
        """Return the place of a share of the width; beyond the frame is at its edge."""
        return self.left + (self.right - self.left) * min(max(share, 0.0), 1.0)

    def y(self, share: float) -> float:
        """Return the place of a share of the height; beyond the frame is at its edge."""
        return self.bottom - (self.bottom - self.top) * min(max(share, 0.0), 1.0)

    def grid(self, *, labelled: bool, most: float = 1.0) -> list[Markup]:
        """Return lines at the quarters of 0 to `most`.

        Args:
            labelled: Whether the ends and quarters are written at the left.
            most: What the upper edge stands for.
        """
        parts = []
        for share in SHARES:
            parts.append(svg.line((self.left, self.y(share)), (self.right, self.y(share)), "grid"))
            if labelled:
                parts.append(svg.tick(share * most, (self.left - 8, self.y(share) + 4), "end"))
        return parts

    def heading(self, name: Citation, n: Citation) -> list[Markup]:
        """Return the name of what a panel shows, and how many windows that is."""
        y = self.top - 18
        return [
            svg.cited(name, (self.left, y), "strong"),
            svg.text("n =", (self.left + 24, y), "faint"),
            svg.cited(n, (self.left + 50, y), "faint"),
        ]

    def labels(
        self, places: Sequence[float], cited: Sequence[Citation], *, small: bool = False
    ) -> list[Markup]:
        """Return marks below the frame with figures, left out where they would touch.

        Args:
            places: Their places in the chart's units, rising.
            cited: The figures.
            small: Whether they are written small.
        """
        css_class = "middle small" if small else "middle"
        parts, last = [], self.left - _LABEL_GAP
        for place, citation in zip(places, cited, strict=True):
            parts.append(svg.line((place, self.bottom), (place, self.bottom + 4), "axis"))
            if place - last >= _LABEL_GAP:
                last = place
                parts.append(svg.cited(citation, (place, self.bottom + 18), css_class))
        return parts


@dataclass(frozen=True)
class Spot:
    """A point of a curve with its interval, as shares of the frame's height.

    Attributes:
        place: Where it is from left to right, in the chart's units.
        share: Its height.
        low: Lower end of the interval; None without one.
        high: Upper end.
        row: Row of the chart's table that holds its figure; None where none does.
    """

    place: float
    share: float
    low: float | None = None
    high: float | None = None
    row: int | None = None


def spot(
    place: float, quantity: Citation, most: float = 1.0, row: int | None = None
) -> Spot | None:
    """Return the point of a Quantity, or None where it is undefined."""
    if not quantity or not quantity.value:
        return None
    value, interval = number(quantity.value) / most, quantity.interval
    if not interval:
        return Spot(place, value, row=row)
    low, high = number(interval.low) / most, number(interval.high) / most
    return Spot(place, value, low, high, row)


def panels(
    count: int, top: float, bottom: float, left: float = 40.0, gap: float = 32.0
) -> list[Frame]:
    """Return frames side by side over the width of a chart of 760.

    Args:
        count: How many.
        top: Their upper edge.
        bottom: Their lower edge.
        left: Left edge of the first.
        gap: Between two.
    """
    width = (738.0 - left - gap * (count - 1)) / max(count, 1)
    lefts = [left + index * (width + gap) for index in range(count)]
    return [Frame(each, each + width, top, bottom) for each in lefts]


def curve(
    frame: Frame,
    spots: Sequence[Spot | None],
    style: str,
    *,
    banded: bool = False,
    bare: bool = False,
    small: bool = False,
    marked: bool = True,
    line: str = "",
) -> list[Markup]:
    """Return a curve through the points that there are, with their intervals.

    Args:
        frame: Where it is drawn.
        spots: Its points from left to right.
        style: One of `STYLES`.
        banded: Whether the intervals are an area instead of a line each.
        bare: Whether they are left out.
        small: Whether the marks are small.
        marked: Whether its points have marks.
        line: What tells it from the chart's other curves; its style where that is enough.
    """
    known = [each for each in spots if each]
    ends = [
        (each.place, frame.y(each.low), frame.y(each.high))
        for each in known
        if each.low is not None and each.high is not None
    ]
    parts = []
    if banded:
        around = [(x, low) for x, low, _ in ends] + [(x, high) for x, _, high in reversed(ends)]
        parts.append(svg.polygon(around, f"band {style}"))
    elif not bare:
        parts += [svg.line((x, low), (x, high), f"range {style}") for x, low, high in ends]
    places = [(each.place, frame.y(each.share)) for each in known]
    parts.append(svg.polyline(places, f"curve {style}"))
    size = 2.6 if small else 3.4
    if marked:
        for place, each in zip(places, known, strict=True):
            parts.append(svg.mark(place, size, style, **target(each.row, line or style)))
    return parts


def target(row: int | None, line: str) -> dict[str, str | float]:
    """Return the attributes of a mark that its figure can be asked of.

    Args:
        row: Row of the chart's table; None where none holds its figure.
        line: The curve that it belongs to.
    """
    return {} if row is None else {"data_row": row, "data_line": line}


def even_step(span: float, about: int) -> float:
    """Return the step of 1, 2 or 5 times a power of ten that divides a span about so often."""
    if span <= 0 or not math.isfinite(span):
        return 1.0
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= raw * 0.999))
