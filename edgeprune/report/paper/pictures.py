"""Charts of the page as pictures: the style sheet's colours of paper, nothing to interact with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from edgeprune.report.paper.reader import Element
from edgeprune.report.paper.widths import text_width

FONT = "Libertinus Serif"
_COLOUR = re.compile(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), #[0-9a-f]{6}\);")
_PAPER = re.compile(r"@media print \{.*?--paper: (#[0-9a-f]{6});", re.DOTALL)
_RULE = re.compile(r"^(\.chart[^{}]*)\{([^{}]*)\}", re.MULTILINE)
_VARIABLE = re.compile(r"var\(--([a-z-]+)\)")
_SHORT_FONT = re.compile(r"font: ([0-9.]+px) var\(--sans\)")
# What a renderer of pictures makes of an element; names are in lower case in a page.
_KEPT = (
    *("class", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry"),
    *("width", "height", "points", "d", "transform"),
)
_LEFT_OUT = ("title", "desc")
# Of a label's width, what lies to the left of its place.
_ANCHORS = {"end": 1.0, "middle": 0.5}
_LABEL_SIZE = 12.0


def palette_of(style: str) -> dict[str, str]:
    """Return the colours of a page on paper by their names.

    Args:
        style: Its style sheet.
    """
    colours = dict(_COLOUR.findall(style))
    paper = _PAPER.search(style)
    return colours | {"paper": paper[1] if paper else "#ffffff"}


def chart_style(style: str, palette: Mapping[str, str]) -> str:
    """Return the rules of a style sheet about charts, with colours in place of variables.

    Args:
        style: The page's style sheet.
        palette: Its colours.
    """
    rules = []
    for selector, declarations in _RULE.findall(style):
        plain = _SHORT_FONT.sub(rf'font-size: \1; font-family: "{FONT}"', declarations)
        plain = _VARIABLE.sub(lambda found: palette.get(found[1], "#000000"), plain)
        rules.append(f"{selector.strip()} {{{plain.strip()}}}")
    return "\n".join(rules)


def picture(chart: Element, style: str) -> str:
    """Return a chart as an SVG file of its own.

    Args:
        chart: The element `svg` of the page.
        style: What `chart_style` returned.
    """
    box = _box(chart)
    names = escape(chart.attributes.get("class", "chart"))
    parts = "".join(_drawn(child) for child in chart.elements)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{escape(box)}" class="{names}">'
        f"<style>{style}</style>{parts}</svg>"
    )


def told(chart: Element) -> str:
    """Return what a chart shows in words, for those who cannot see it."""
    return next((child.text for child in chart.elements if child.tag == "title"), "chart")


def _box(chart: Element) -> str:
    """Return the chart's frame, wide enough for its labels: a picture is cut at its edges."""
    stated = chart.attributes.get("viewbox", "0 0 760 300")
    left, top, width, height = map(float, stated.split())
    right = left + width
    for label in chart.all("text"):
        at, wide = float(label.attributes.get("x", "0")), text_width(label.text) * _LABEL_SIZE
        share = next((_ANCHORS[name] for name in label.classes if name in _ANCHORS), 0.0)
        left, right = min(left, at - share * wide), max(right, at + (1 - share) * wide)
    return f"{left:.4g} {top:g} {right - left:.4g} {height:g}"


def _drawn(element: Element) -> str:
    if element.tag in _LEFT_OUT:
        return ""
    attributes = "".join(
        f' {name}="{escape(value)}"' for name, value in element.attributes.items() if name in _KEPT
    )
    inside = "".join(
        escape(child) if isinstance(child, str) else _drawn(child) for child in element.children
    )
    return f"<{element.tag}{attributes}>{inside}</{element.tag}>"
