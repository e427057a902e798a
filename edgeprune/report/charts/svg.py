"""The few SVG elements that the charts are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from edgeprune.report.citation import Citation, cite
from edgeprune.report.numbers import MINUS

Point = tuple[float, float]
_FOLLOWS = "The data of this chart follow it as a table."


def element(tag: str, content: str = "", /, **attributes: str | float) -> Markup:
    """Return an element; underscores in attribute names stand for hyphens."""
    written = "".join(
        f' {name.strip("_").replace("_", "-")}="{escape(_written(value))}"'
        for name, value in attributes.items()
    )
    return Markup(f"<{tag}{written}>{escape(content)}</{tag}>")


def line(start: Point, end: Point, css_class: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=css_class)


def polyline(points: Iterable[Point], css_class: str) -> Markup:
    """Return a line through points."""
    return element("polyline", points=_points(points), class_=css_class)


def polygon(points: Iterable[Point], css_class: str, **data: str | float) -> Markup:
    """Return a filled area; `data` are further attributes, e.g. the row that holds its figure."""
    return element("polygon", points=_points(points), class_=css_class, **data)


def circle(centre: Point, radius: float, css_class: str, **data: str | float) -> Markup:
    """Return a dot; `data` are further attributes."""
    return element("circle", cx=centre[0], cy=centre[1], r=radius, class_=css_class, **data)


# Corners of the marks, in radii; what is not listed is a dot.
_CORNERS: dict[str, tuple[Point, ...]] = {
    "second": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "third": ((0, -1.3), (1.2, 0.8), (-1.2, 0.8)),
    "fourth": ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
    "fifth": ((0, 1.3), (1.2, -0.8), (-1.2, -0.8)),
    "sixth": ((-1.6, -0.7), (1.6, -0.7), (1.6, 0.7), (-1.6, 0.7)),
}


def mark(
    centre: Point, radius: float, style: str, css_class: str = "", /, **data: str | float
) -> Markup:
    """Return the mark of a style of curve: a dot, a square, a triangle, a diamond ...

    Args:
        centre: Where it is.
        radius: Its size.
        style: The style of the curve.
        css_class: A further class.
        data: Further attributes: the row that holds its figure, the line that it belongs to.
    """
    classes = f"dot {style} {css_class}".rstrip()
    if style not in _CORNERS:
        return circle(centre, radius, classes, **data)
    x, y = centre
    corners = [(x + dx * radius, y + dy * radius) for dx, dy in _CORNERS[style]]
    return polygon(corners, classes, **data)


def rectangle(
    corner: Point, width: float, height: float, css_class: str, **data: str | float
) -> Markup:
    """Return a rectangle from its upper left corner; `data` are further attributes."""
    x, y = corner
    return element("rect", x=x, y=y, width=width, height=height, rx=1.5, class_=css_class, **data)


def text(content: str, at: Point, css_class: str = "") -> Markup:
    """Return a label that is no figure."""
    return element("text", content, x=at[0], y=at[1], class_=css_class)


def tick(value: float, at: Point, css_class: str = "") -> Markup:
    """Return a mark of an axis: a number that belongs to the scale and not to the evidence."""
    return text(f"{value:g}".replace("-", MINUS), at, f"tick {css_class}".strip())


def cited(
    citation: Citation, at: Point, css_class: str = "", decimals: int | None = None
) -> Markup:
    """Return a label that is a figure of the evidence."""
    return cite(
        citation,
        decimals,
        tag="text",
        x=_written(at[0]),
        y=_written(at[1]),
        class_=css_class,
    )


def chart(
    name: str, title: str, size: Point, parts: Sequence[Markup], **attributes: str | float
) -> Markup:
    """Return a chart with its text alternative.

    Args:
        name: Unique name in the page.
        title: What the chart shows, in words, for those who cannot see it.
        size: Width and height in its own units.
        parts: Its elements, back to front.
        attributes: Further attributes.
    """
    told = [
        element("title", title, id=f"chart-{name}"),
        element("desc", _FOLLOWS, id=f"chart-{name}-data"),
    ]
    return element(
        "svg",
        Markup("\n").join([*told, *parts]),
        class_=f"chart chart-{name}",
        role="img",
        aria_labelledby=f"chart-{name}",
        aria_describedby=f"chart-{name}-data",
        viewBox=f"0 0 {_written(size[0])} {_written(size[1])}",
        xmlns="http://www.w3.org/2000/svg",
        **attributes,
    )


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{_written(x)},{_written(y)}" for x, y in points)


def _written(value: str | float) -> str:
    """Write a coordinate with at most two decimals: the same bytes everywhere."""
    return value if isinstance(value, str) else f"{round(value, 2):g}"
