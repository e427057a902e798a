"""Points that take milliseconds, for workers to import: they measure nothing, or die."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

from edgeprune.config import BuildConfig
from edgeprune.errors import ConfigurationError
from edgeprune.evidence import PointState, SweepFigure, SweepPoint, SweepResult, SweepSetting
from edgeprune.pipeline.sweep_file import SweepFile
from edgeprune.pipeline.sweep_run import LOG, Measure, PointWork

CONFIG = BuildConfig()


def point(ratio: float, seed: int = 1, schedule: str = "one-shot") -> SweepPoint:
    return SweepPoint(SweepSetting("channel", "l2", "global", schedule, ratio), seed)


def works(folder: Path, points: list[SweepPoint]) -> tuple[SweepFile, list[PointWork]]:
    """Return an open file and the works of its points."""
    folder.mkdir(exist_ok=True)
    work = folder / "sweep.work"
    work.mkdir(exist_ok=True)
    found = [
        PointWork(
            f"{each.setting.schedule} {each.setting.ratio:g} {each.seed}", each, CONFIG, {}, work
        )
        for each in points
    ]
    file = SweepFile(folder / "sweep.sqlite")
    file.open_for({"config": ""}, [(each.key, each.point) for each in found])
    return file, found


def _key(each: SweepPoint) -> str:
    return f"{each.setting.schedule} {each.setting.ratio:g} {each.seed}"


def logged(folder: Path, word: str) -> Counter[str]:
    """Return how often each point began or ended, by its key."""
    path = folder / "sweep.work" / LOG
    rows = path.read_text().splitlines() if path.exists() else []
    return Counter(row.split(" ", 1)[1].rsplit(" ", 2)[0] for row in rows if row.startswith(word))


def measure(work: PointWork) -> SweepResult:
    """Return one figure: the ratio."""
    time.sleep(0.01)
    figure = SweepFigure("macro_f1", "", "validation", "int8", work.point.setting.ratio)
    undefined = SweepFigure("recall", "Q", "validation", "int8", None)
    return SweepResult(work.point, PointState.DONE, "", "5a" * 32, 0.0, (figure, undefined))


def die_in_the_middle(keys: tuple[str, ...], work: PointWork) -> SweepResult:
    """Kill the own process at the first try of some points."""
    if work.key in keys and logged(work.folder.parent, "begin")[work.key] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(work)


def dying(*keys: str) -> Measure:
    return partial(die_in_the_middle, keys)


def refuse_half(work: PointWork) -> SweepResult:
    if work.point.setting.ratio == 0.5:
        raise ConfigurationError("the ratio cannot be reached", where="pruning.ratio")
    return measure(work)


def stop_at_half(work: PointWork) -> SweepResult:
    """Let the guard stop what prunes half."""
    if work.point.setting.ratio == 0.5 and work.point.seed == 1:
        return SweepResult(work.point, PointState.STOPPED, "recall of V fell by 0.02")
    return measure(work)
