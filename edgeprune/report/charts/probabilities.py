"""The reliability diagram: how often a confidence is right."""

from __future__ import annotations

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import NONE, Drawing, Ledger, draw
from edgeprune.report.charts.frame import SHARES, Frame, target
from edgeprune.report.citation import Citation, cite, number

_FRAME = Frame(56.0, 376.0, 34.0, 264.0)
_COUNTS = Frame(440.0, 720.0, 34.0, 264.0)


def reliability_chart(scores: Citation) -> Drawing:
    """Draw the share right against the mean confidence of each bin, and how full the bins are.

    Args:
        scores: ProbabilityScores with bins.
    """
    frame, counts = _FRAME, _COUNTS
    ledger = Ledger("Bin", "Mean confidence", "Share right", "n")
    rows = [
        ledger.add(
            Markup(f"{cite(each.low, 2)} to {cite(each.high, 2)}"),
            cite(each.confidence, 3) if each.confidence else NONE,
            cite(each.right, 3) if each.right else NONE,
            cite(each.n) + " windows",
        )
        for each in scores.reliability
    ]
    bins = [
        (each, row)
        for each, row in zip(scores.reliability, rows, strict=True)
        if each.confidence and each.right
    ]
    fullest = max((number(each.n) for each in scores.reliability), default=1) or 1
    parts = frame.grid(labelled=True)
    for share in SHARES:
        parts.append(svg.tick(share, (frame.x(share), frame.bottom + 18), "middle"))
        parts.append(svg.tick(share, (counts.x(share), counts.bottom + 18), "middle"))
    parts.append(svg.line((frame.left, frame.bottom), (frame.right, frame.top), "axis limit"))
    places = [(frame.x(number(each.confidence)), frame.y(number(each.right))) for each, _ in bins]
    parts.append(svg.polyline(places, "curve first"))
    for place, (_, row) in zip(places, bins, strict=True):
        parts.append(svg.mark(place, 3.4, "first", **target(row, "right")))
    parts.append(svg.line((counts.left, counts.bottom), (counts.right, counts.bottom), "axis"))
    for each, row in zip(scores.reliability, rows, strict=True):
        left, right = counts.x(number(each.low)), counts.x(number(each.high))
        top = counts.y(0.94 * number(each.n) / fullest)
        width = max(right - left - 2, 0.5)
        height = counts.bottom - top
        parts.append(svg.rectangle((left + 1, top), width, height, "bar", **target(row, "windows")))
    peak = next((each for each in scores.reliability if number(each.n) == fullest), None)
    if peak is not None:
        middle = (counts.x(number(peak.low)) + counts.x(number(peak.high))) / 2
        parts.append(svg.cited(peak.n, (min(middle, counts.right - 14), counts.top + 8), "middle"))
    for box, name in ((frame, "share decided rightly"), (counts, "windows in each bin")):
        middle = (box.left + box.right) / 2
        parts.append(svg.text("confidence", (middle, box.bottom + 42), "middle name"))
        parts.append(svg.text(name, (box.left, 16), "name"))
    return draw(
        "reliability",
        "Share decided rightly against the network's confidence, bin by bin, with the diagonal "
        "where both are equal; beside it the number of windows in each bin.",
        (760, frame.bottom + 52),
        parts,
        ledger,
        alone=True,
    )
