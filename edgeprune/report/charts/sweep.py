"""Sweeps: each figure against the real compression, and the front of macro-F1 and cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from edgeprune.report import sweeps
from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import Drawing, draw
from edgeprune.report.charts.frame import Frame, Spot, curve, even_step, panels
from edgeprune.report.citation import Citation, path_of, raw

_TOP, _BOTTOM = 30.0, 150.0
_MOST_PANELS = 5
_THOUSAND = 1000.0
_FRONT = Frame(56.0, 690.0, 14.0, 262.0)
PARENT_STYLE = "parent"
_TITLES = {
    "scores": "Accuracy, macro-F1 and calibration error",
    "recall": "Recall of each class",
    "attacks": "Share of windows turned by attacks, within each ball",
    "certified": "Share of windows proved and right",
    "least": "Median least change that turns a decision",
}
SWEEP_CHARTS = tuple(_TITLES)


def chart_title(chart: str) -> str:
    """Return what one of `SWEEP_CHARTS` shows."""
    return _TITLES[chart]


def sweep_chart(sweep: Citation, part: str, chart: str) -> Drawing:
    """Draw a panel a figure: the mean over the seeds against the real compression.

    Args:
        sweep: A SweepEvidence with figures of the chart.
        part: The part of the data that they are of.
        chart: One of `SWEEP_CHARTS`.
    """
    shown = sweeps.columns(sweep, part, chart)[:_MOST_PANELS]
    found = sweeps.families(sweep)
    largest = max((sweeps.compression(each) for one in found for each in one.members), default=1.0)
    gap = 52.0 if any(map(_has_own_scale, shown)) else 26.0
    frames = panels(max(len(shown), 2), _TOP, _BOTTOM, gap=gap)[: len(shown)]
    parts: list[Markup] = []
    for frame, column in zip(frames, shown, strict=True):
        own_scale = _has_own_scale(column)
        most = _most(found, column) if own_scale else 1.0
        parts += frame.grid(labelled=own_scale or not parts, most=most)
        parts += _heading(frame, column)
        parts += _scale(frame, largest)
        for family in reversed(found):
            parts += _family(frame, family, column, (most, largest), sweep)
    middle = (frames[0].left + frames[-1].right) / 2
    parts.append(svg.text("real compression", (middle, _BOTTOM + 40), "middle name"))
    return draw(
        f"sweep-{chart}-{part}",
        f"{_TITLES[chart]} against the real compression, one curve for each way of pruning.",
        (760, _BOTTOM + 50),
        parts,
        table=table_name(part),
    )


def front_chart(sweep: Citation, part: str) -> Drawing:
    """Draw each setting's macro-F1 against what it costs, those on the front filled.

    Args:
        sweep: A SweepEvidence with settings that have figures.
        part: The part of the data.
    """
    costs = _costs(sweep)
    most = max(costs.values(), default=1.0) or 1.0
    frame = _FRONT
    parts = frame.grid(labelled=True)
    step = even_step(most, 5)
    for count in range(math.floor(most / step + 1e-9) + 1):
        across = frame.x(count * step / most)
        parts.append(svg.tick(count * step / _THOUSAND, (across, frame.bottom + 18), "middle"))
    for family in reversed(sweeps.families(sweep)):
        for result in family.members:
            for figure in (each for each in result.figures if _is_score(each, part)):
                cost, score = costs.get(result), sweeps.mean(figure)
                if cost is not None and score is not None:
                    place = (frame.x(cost / most), frame.y(score))
                    style = PARENT_STYLE if sweeps.is_parent(result) else family.style
                    told = _told([figure, *_cost_figures(result, sweep)], style)
                    parts += _spot(place, style, result, sweep, 4.2, told)
    middle = (frame.left + frame.right) / 2
    parts.append(
        svg.text(f"{cost_name(sweep)}, in thousands", (middle, frame.bottom + 44), "middle name")
    )
    return draw(
        f"sweep-front-{part}",
        "Macro-F1 of every setting against its cost. Filled marks are on the front over all "
        "objectives, the ringed one is recommended.",
        (760, frame.bottom + 54),
        parts,
        table=table_name(part),
    )


def table_name(part: str) -> str:
    """Return the anchor of the table that holds a part's figures."""
    return f"sweep-table-{part}"


def cost_name(sweep: Citation) -> str:
    """Return what the front counts as the cost."""
    measured = any(f.name == "instructions" for each in sweep.settings for f in each.figures)
    return "instructions a window" if measured else "weights and biases that are not zero"


def _costs(sweep: Citation) -> dict[Citation, float]:
    return {
        each: value
        for each in sweep.settings
        for figure in _cost_figures(each, sweep)
        if (value := sweeps.mean(figure)) is not None
    }


def _cost_figures(result: Citation, sweep: Citation) -> list[Citation]:
    name = "instructions" if cost_name(sweep).startswith("instructions") else "remaining"
    return [figure for figure in result.figures if figure.name == name]


def _told(figures: Sequence[Citation], line: str) -> dict[str, str | float]:
    """Return the attributes of a mark: where the sweep's table holds its figures."""
    return {"data_path": " ".join(path_of(each.values) for each in figures), "data_line": line}


def _is_score(figure: Citation, part: str) -> bool:
    return figure.name == "macro_f1" and figure.part == part and figure.network == "int8"


def _family(
    frame: Frame,
    family: sweeps.Family,
    column: Citation,
    scale: tuple[float, float],
    sweep: Citation,
) -> list[Markup]:
    most, largest = scale
    panel = f"{sweeps.title_of(column)} {column.subject}"
    spots, marks = [], []
    for result in family.members:
        for figure in sweeps.figure_like(result, column):
            value, (low, high) = sweeps.mean(figure), sweeps.ends(figure)
            assert value is not None
            place = frame.x(_across(sweeps.compression(result), largest))
            spots.append(Spot(place, value / most, low / most, high / most))
            style = PARENT_STYLE if sweeps.is_parent(result) else family.style
            data = _told([figure], f"{panel} {style}")
            marks += _spot((place, frame.y(value / most)), style, result, sweep, 2.8, data)
    thin = family.style == sweeps.OTHER_STYLE
    line = curve(frame, spots, family.style, bare=thin, marked=False)
    return line if thin else line + marks


def _spot(
    place: svg.Point,
    style: str,
    result: Citation,
    sweep: Citation,
    size: float,
    data: dict[str, str | float],
) -> list[Markup]:
    """Return the mark of a setting: filled on the front, ringed where it is recommended."""
    parts = [svg.mark(place, size, style, "full" if raw(result.on_front) else "hollow", **data)]
    if sweeps.is_recommended(result, sweep):
        parts.append(svg.circle(place, size + 4, "ring"))
    return parts


def _heading(frame: Frame, column: Citation) -> list[Markup]:
    y = frame.top - 12
    title = sweeps.title_of(column)
    if column.unit != "1":
        title += f", {'µV' if column.unit == 'uV' else column.unit}"
    parts = [svg.text(title, (frame.left, y), "strong small")]
    if column.subject:
        parts.append(svg.cited(column.subject, (frame.right, y), "end small"))
    return parts


def _scale(frame: Frame, largest: float) -> list[Markup]:
    """Return marks at the powers of two below the frame."""
    parts = []
    powers = [2.0**power for power in range(math.floor(math.log2(max(largest, 1.0)) + 0.02) + 1)]
    for value in powers if len(powers) > 1 else [1.0, round(largest, 2)]:
        place = frame.x(_across(value, largest))
        parts.append(svg.line((place, frame.bottom), (place, frame.bottom + 4), "axis"))
        parts.append(svg.tick(value, (place, frame.bottom + 18), "middle small"))
    return parts


def _across(compression: float, largest: float) -> float:
    if largest <= 1:
        return 0.0
    return math.log2(max(compression, 1.0)) / math.log2(largest)


def _has_own_scale(column: Citation) -> bool:
    return str(column.name) in ("least_change", "calibration_error")


def _most(found: Sequence[sweeps.Family], column: Citation) -> float:
    """Return what the upper edge stands for: so much that four even steps hold all."""
    highest = max(
        (
            sweeps.ends(figure)[1]
            for family in found
            for result in family.members
            for figure in sweeps.figure_like(result, column)
        ),
        default=1.0,
    )
    return 4 * even_step(highest, 4) if highest > 0 else 1.0
