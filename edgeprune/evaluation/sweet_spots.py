"""Which settings of a sweep are worth a look, and which to take.

Everything here is decided on the validation patients, averaged over the seeds; the test patients'
figures stand beside it and choose nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edgeprune.config import Requirements
from edgeprune.evidence import (
    PointState,
    SettingFigure,
    SettingResult,
    SweepResult,
    SweepSetting,
)

CHOSEN_ON = "the validation patients, averaged over the seeds; the test patients chose nothing"
RULE = (
    "of the settings that the guard stopped with no seed and whose means meet every requirement, "
    "the one with the fewest instructions (on the host, parameters that are not zero), then the "
    "least flash, then the highest macro-F1; what requirements say of disturbances is left to the "
    "build"
)


@dataclass(frozen=True)
class Objective:
    """One figure that is better large or better small.

    Attributes:
        name: Of the figure.
        subject: Of which class, ball or perturbation.
        part: "validation", or empty for what reads no data.
        largest: Whether more of it is better.
        network: Of which network.
    """

    name: str
    subject: str
    part: str
    largest: bool
    network: str = "int8"

    @property
    def text(self) -> str:
        """The objective in words."""
        of = f" {self.subject}" if self.subject else ""
        return f"{'most' if self.largest else 'least'} {self.name.replace('_', ' ')}{of}"

    def goodness(self, setting: SettingResult) -> float:
        """Return a number that is larger for better; what is undefined is worst."""
        value = setting.mean(self.name, self.subject, self.part, self.network)
        if value is None:
            return -math.inf
        return value if self.largest else -value


@dataclass(frozen=True)
class SweetSpots:
    """What a sweep comes to.

    Attributes:
        objectives: What the front is over.
        settings: Every setting in the order of the points, with its place on the front and why it
            is not the one to take.
        recommended: The one to take; None where no setting meets the requirements.
    """

    objectives: tuple[Objective, ...]
    settings: tuple[SettingResult, ...]
    recommended: SettingResult | None


def sweet_spots(
    points: Sequence[tuple[int, SweepResult]], requirements: Requirements
) -> SweetSpots:
    """Find the Pareto front, and the setting to take under the requirements.

    Args:
        points: Number and result of every point, the unfinished ones too.
        requirements: What the validation figures must meet.
    """
    found: dict[SweepSetting, list[tuple[int, SweepResult]]] = {}
    for number, result in points:
        found.setdefault(result.point.setting, []).append((number, result))
    settings = [_averaged(setting, rows) for setting, rows in found.items()]
    complete = [each for each in settings if each.figures]
    objectives = tuple(_objectives(complete))
    settings = [
        replace(each, on_front=each in complete and _undominated(each, complete, objectives))
        for each in settings
    ]
    parent = next((each for each in settings if each.setting.is_parent), None)
    judged = [
        each if each.refused else replace(each, refused=tuple(_unmet(each, parent, requirements)))
        for each in settings
    ]
    able = sorted((each for each in judged if not each.refused), key=_cost)
    if able:
        judged = [
            replace(each, refused=(_costlier(each, able[0]),))
            if not each.refused and each is not able[0]
            else each
            for each in judged
        ]
    return SweetSpots(objectives, tuple(judged), able[0] if able else None)


def _averaged(setting: SweepSetting, rows: Sequence[tuple[int, SweepResult]]) -> SettingResult:
    """Bring the points of one setting together; without figures where one has none."""
    results = [result for _, result in rows]
    missing = [
        f"seed {each.point.seed} {'not finished' if waiting else each.state.value}"
        + (f": {each.reason}" if each.reason else "")
        for each in results
        if (waiting := each.state is PointState.WAITING) or each.state is not PointState.DONE
    ]
    figures: list[SettingFigure] = []
    if not missing:
        values = [{each.place: each.value for each in result.figures} for result in results]
        figures = [
            SettingFigure(*first.place, first.unit, tuple(each.get(first.place) for each in values))
            for first in results[0].figures
        ]
    return SettingResult(
        setting,
        tuple(each.point.seed for each in results),
        tuple(number for number, _ in rows),
        tuple(figures),
        on_front=False,
        refused=tuple(missing),
    )


def _objectives(settings: Sequence[SettingResult]) -> Iterator[Objective]:
    """Yield what the settings can be compared by: figures that at least one of them has."""
    wanted = (
        ("recall", "validation", True),
        ("attack_success", "validation", False),
        ("certified_share", "validation", True),
        ("instructions", "", False),
        ("flash", "", False),
    )
    for name, part, largest in wanted:
        subjects = dict.fromkeys(
            figure.subject
            for setting in settings
            for figure in setting.figures
            if (figure.name, figure.part, figure.network) == (name, part, "int8")
            and figure.mean is not None
        )
        yield from (Objective(name, subject, part, largest) for subject in subjects)
    if not any(setting.mean("instructions", part="") is not None for setting in settings):
        yield Objective("remaining", "", "", False, network="")


def _undominated(
    setting: SettingResult, others: Sequence[SettingResult], objectives: Sequence[Objective]
) -> bool:
    own = [objective.goodness(setting) for objective in objectives]
    for other in others:
        theirs = [objective.goodness(other) for objective in objectives]
        if all(a >= b for a, b in zip(theirs, own, strict=True)) and theirs != own:
            return False
    return True


def _unmet(
    setting: SettingResult, parent: SettingResult | None, requirements: Requirements
) -> Iterator[str]:
    """Yield each requirement that the validation means do not meet."""
    for title, value, limit, at_least in _demands(setting, parent, requirements):
        if value is None:
            yield f"{title} is undefined"
        elif at_least and value < limit:
            yield f"{title} {value:.3f} < {limit:g}"
        elif not at_least and value > limit:
            shown = f"{value:.3f}" if limit <= 1 else f"{value:,.0f}"
            yield f"{title} {shown} > {limit:,g}"


def _demands(
    setting: SettingResult, parent: SettingResult | None, requirements: Requirements
) -> Iterator[tuple[str, float | None, float, bool]]:
    for name, title in (("accuracy", "accuracy"), ("macro_f1", "macro-F1")):
        limit = getattr(requirements, name)
        if limit is not None:
            yield title, setting.mean(name), limit, True
    if requirements.macro_f1_loss is not None:
        before = parent.mean("macro_f1", network="float") if parent else None
        after = setting.mean("macro_f1")
        loss = None if before is None or after is None else before - after
        yield "loss of macro-F1", loss, requirements.macro_f1_loss, False
    for table, name in (("sensitivity", "recall"), ("precision", "precision"), ("f1", "f1")):
        for of_class, limit in getattr(requirements, table).items():
            yield f"{name} of {of_class}", setting.mean(name, of_class), limit, True
    for name, title, part in (
        ("flash_bytes", "flash", "flash"),
        ("ram_bytes", "RAM", "ram"),
        ("instructions", "instructions", "instructions"),
    ):
        limit = getattr(requirements, name)
        if limit is not None:
            yield title, setting.mean(part, part=""), limit, False
    required = requirements.certified_share
    if required is not None:
        share = setting.mean("certified_share", required.perturbation)
        yield f"certified share under {required.perturbation}", share, required.share, True
    if requirements.attack_success:
        from edgeprune.attacks.balls import Ball

        for text, limit in requirements.attack_success.items():
            success = setting.mean("attack_success", Ball.parse(text).text)
            yield f"attack success within {text}", success, limit, False


def _cost(setting: SettingResult) -> tuple[float, ...]:
    """Return what is to be least, in order."""
    work = setting.mean("instructions", part="")
    remaining = setting.mean("remaining", part="", network="")
    flash, score = setting.mean("flash", part=""), setting.mean("macro_f1")
    return (
        math.inf if work is None else work,
        math.inf if work is not None or remaining is None else remaining,
        math.inf if flash is None else flash,
        math.inf if score is None else -score,
    )


def _costlier(setting: SettingResult, best: SettingResult) -> str:
    names = ("instructions", "parameters that are not zero", "flash", "macro-F1")
    for name, own, least in zip(names, _cost(setting), _cost(best), strict=True):
        if own != least:
            if name == "macro-F1":
                return f"macro-F1 {-own:.3f} < {-least:.3f} at the same cost"
            return f"{name} {own:,.0f} > {least:,.0f}"
    return "equal to the recommended one, and later in the sweep"
