"""A window that an attack turned: the signal before and after, and the change by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import Drawing, Ledger, draw
from edgeprune.report.charts.frame import Frame, even_step
from edgeprune.report.citation import Citation, listed, number

_SIGNAL, _CHANGE = Frame(58.0, 372.0, 22.0, 152.0), Frame(58.0, 372.0, 178.0, 238.0)


def attacked_window_chart(window: Citation, name: str) -> Drawing:
    """Draw a window over milliseconds about its beat, in microvolts.

    Args:
        window: A WorstWindow.
        name: What tells its chart from the others of the page.
    """
    before = [number(each) for each in window.raw_before]
    after = [number(each) for each in window.raw_after]
    change = [new - old for old, new in zip(before, after, strict=False)]
    period = 1000 / (number(window.rate_hz) or 1)
    start = -number(window.beat_at) * period
    span = max(len(before) - 1, 1) * period

    def place(index: int) -> float:
        return _SIGNAL.x(index * period / span)

    def curve(values: Sequence[float], height: Callable[[float], float]) -> list[svg.Point]:
        return [(place(index), height(value)) for index, value in enumerate(values)]

    # The change has an axis of its own: on that of the signal it could hardly be seen.
    unit = "RMS" if str(window.unit) == "rms" else "µV"
    signal, parts = _axis(_SIGNAL, before + after, unit, 6)
    moved, axis = _axis(_CHANGE, [*change, 0.0], unit, 4)
    parts += axis
    parts += _time(start, span)
    parts.append(svg.polyline(curve(before, signal), "trace before"))
    parts.append(svg.polyline(curve(after, signal), "trace after"))
    parts.append(svg.polyline(curve(change, moved), "trace change"))
    parts.append(svg.text("signal", (_SIGNAL.right, _SIGNAL.top - 6), "end name small"))
    parts.append(svg.text("change", (_CHANGE.right, _CHANGE.top - 6), "end name small"))
    parts.append(
        svg.text("time from the beat, ms", ((58 + 372) / 2, _CHANGE.bottom + 36), "middle name")
    )
    ledger = Ledger("Curve", f"Samples, {unit}")
    ledger.add("before", listed(window.raw_before))
    ledger.add("after", listed(window.raw_after))
    return draw(
        f"window-{name}",
        "Raw signal of one window before and after an attack, in microvolts over milliseconds "
        "about the beat, and below it the change alone. The caption holds the decisions.",
        (380, _CHANGE.bottom + 44),
        parts,
        ledger,
        data_start=start,
        data_step=period,
        data_unit=unit,
    )


def _axis(
    frame: Frame, values: Sequence[float], unit: str, about: int
) -> tuple[Callable[[float], float], list[Markup]]:
    """Return what places a value, and the grid with its numbers."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    room = 0.04 * (high - low) or 1.0
    low, high = low - room, high + room
    step = even_step(high - low, about)

    def height(value: float) -> float:
        return frame.y((value - low) / (high - low))

    parts = [svg.text(unit, (8, (frame.top + frame.bottom) / 2 + 4), "unit")]
    for count in range(math.ceil(low / step), math.floor(high / step) + 1):
        y = height(count * step)
        parts.append(svg.line((frame.left, y), (frame.right, y), "grid"))
        parts.append(svg.tick(round(count * step, 9), (frame.left - 6, y + 4), "end small"))
    return height, parts


def _time(start: float, span: float) -> list[Markup]:
    step = even_step(span, 6)
    parts = []
    first = math.ceil(start / step)
    for count in range(first, math.floor((start + span) / step) + 1):
        x = _SIGNAL.x((count * step - start) / span)
        parts.append(svg.line((x, _SIGNAL.top), (x, _CHANGE.bottom), "grid"))
        parts.append(svg.tick(round(count * step, 9), (x, _CHANGE.bottom + 16), "middle small"))
    return parts
