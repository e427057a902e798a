"""A sweep as its page shows it: curves of settings that differ in the ratio alone, and columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgeprune.evidence import SettingResult
from edgeprune.report.citation import Citation, raw

# Styles that differ in colour, dash and mark; further families are drawn thin.
FAMILY_STYLES = ("first", "second", "third", "fourth", "fifth", "sixth")
OTHER_STYLE = "other"
_AXES = ("method", "importance", "scope", "schedule", "fine_tune")
_PARTS = ("validation", "test")


@dataclass(frozen=True)
class Measure:
    """One kind of figure of a sweep.

    Attributes:
        name: Its name in `SettingFigure`.
        title: What tables and charts call it.
        chart: Name of the chart that draws it; empty for tables only.
    """

    name: str
    title: str
    chart: str = ""


MEASURES = (
    Measure("accuracy", "accuracy", "scores"),
    Measure("macro_f1", "macro-F1", "scores"),
    Measure("calibration_error", "calibration error", "scores"),
    Measure("recall", "recall", "recall"),
    Measure("attack_success", "attack success", "attacks"),
    Measure("certified_share", "proved and right", "certified"),
    Measure("least_change", "least change", "least"),
    Measure("flash", "flash"),
    Measure("ram", "RAM"),
    Measure("instructions", "instructions"),
)
_TITLES = {measure.name: measure.title for measure in MEASURES}


@dataclass(frozen=True)
class Family:
    """Settings that differ in the ratio alone: one curve.

    Attributes:
        members: Their SettingResults by rising compression, the parent first where there is one.
        words: What tells it from the other families.
        style: One of `FAMILY_STYLES`, or `OTHER_STYLE`.
    """

    members: tuple[Citation, ...]
    words: tuple[Citation, ...]
    style: str


def families(sweep: Citation) -> list[Family]:
    """Return the curves of a SweepEvidence: those with a setting on the front have the styles."""
    complete = [each for each in sweep.settings if len(each.figures)]
    parents = [each for each in complete if is_parent(each)]
    groups: dict[tuple[str, ...], list[Citation]] = {}
    for each in complete:
        if not is_parent(each):
            groups.setdefault(_axes(each), []).append(each)
    told = [name for index, name in enumerate(_AXES) if len({key[index] for key in groups}) > 1]
    ranked = sorted(groups, key=lambda key: -_rank(groups[key]))
    styled = dict(zip(ranked, FAMILY_STYLES, strict=False))
    return [
        Family(
            tuple(sorted([*parents, *members], key=compression)),
            tuple(
                word for name in told or _AXES[:1] if (word := getattr(members[0].setting, name))
            ),
            styled.get(key, OTHER_STYLE),
        )
        for key, members in groups.items()
    ]


def parts_of(sweep: Citation) -> list[str]:
    """Return the parts of the data that there are figures of."""
    present = {str(figure.part) for each in sweep.settings for figure in each.figures}
    return [part for part in _PARTS if part in present]


def columns(sweep: Citation, part: str, chart: str = "") -> list[Citation]:
    """Return one figure of each kind that the sweep has, of any setting, in the order of a table.

    Args:
        sweep: A SweepEvidence.
        part: The part of the data; figures that read no data are in none of them.
        chart: Only those of a chart; empty for all.
    """
    found: dict[tuple[int, str], Citation] = {}
    for each in sweep.settings:
        for figure in each.figures:
            order = _order(figure, part, chart)
            if order is not None and any(value is not None for value in _values(figure)):
                found.setdefault((order, str(figure.subject)), figure)
    return [found[key] for key in sorted(found, key=lambda key: key[0])]


def figure_like(result: Citation, column: Citation) -> list[Citation]:
    """Return the figure of a SettingResult that a column is of, or none where it is undefined."""
    place = _place(column)
    same = (figure for figure in result.figures if _place(figure) == place)
    return [figure for figure in same if mean(figure) is not None][:1]


def mean(figure: Citation) -> float | None:
    """Return the mean over the seeds; None where it is undefined for one."""
    values = _values(figure)
    if not values or any(value is None for value in values):
        return None
    return sum(value for value in values if value is not None) / len(values)


def ends(figure: Citation) -> tuple[float, float]:
    """Return the least and the greatest value of the seeds of a figure that has a mean."""
    known = [value for value in _values(figure) if value is not None]
    return min(known), max(known)


def compression(result: Citation) -> float:
    """Return the mean real compression of a setting; 1 where it was not told."""
    return next((mean(figure) or 1.0 for figure in compression_figure(result)), 1.0)


def compression_figure(result: Citation) -> list[Citation]:
    """Return the real compression of a SettingResult, or none where it was not told."""
    found = (figure for figure in result.figures if figure.name == "compression")
    return [figure for figure in found if mean(figure) is not None][:1]


def is_recommended(result: Citation, sweep: Citation) -> bool:
    """Say whether the rule takes this setting."""
    return raw(sweep.recommended) in (raw(number) for number in result.numbers)


def is_parent(result: Citation) -> bool:
    """Say whether nothing is pruned."""
    found = raw(result)
    assert isinstance(found, SettingResult)
    return found.setting.is_parent


def title_of(figure: Citation) -> str:
    """Return what a kind of figure is called."""
    return _TITLES[str(figure.name)]


def _axes(result: Citation) -> tuple[str, ...]:
    return tuple(str(getattr(result.setting, name)) for name in _AXES)


def _rank(members: Iterable[Citation]) -> int:
    return sum(bool(raw(each.on_front)) + 100 * (not len(each.refused)) for each in members)


def _order(figure: Citation, part: str, chart: str) -> int | None:
    """Return the place of a figure among the columns of a part, or None where it has none."""
    own = str(figure.part)
    # What reads no data stands with what chooses.
    with_part = own == part or (own == "" and part == _PARTS[0] and not chart)
    if not with_part or figure.network == "float":
        return None
    for index, measure in enumerate(MEASURES):
        if measure.name == str(figure.name) and chart in ("", measure.chart):
            return index
    return None


def _place(figure: Citation) -> tuple[str, ...]:
    return tuple(str(getattr(figure, name)) for name in ("name", "subject", "part", "network"))


def _values(figure: Citation) -> tuple[float | None, ...]:
    values = raw(figure.values)
    assert isinstance(values, tuple)
    return values
