"""A sweep on a Dask cluster of two workers, one of them killed in the middle."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeprune.config import BuildConfig, load_config
from edgeprune.evidence import PointState
from edgeprune.pipeline.sweep import Sweep, sweep
from edgeprune.pipeline.sweep_run import LOG
from tests.studies.study import Figure

SECTION = "cluster"
POINTS = 24
_ENDED_BEFORE = 8
# 4 seeds of a parent and 5 prunings; hrank scores no weights.
_SETTINGS = {
    "sweep.methods": ("channel", "weight"),
    "sweep.importances": ("l2", "hrank", "random"),
    "sweep.ratios": (0.5,),
    "sweep.seeds": (1, 2, 3, 4),
    "sweep.windows": 16,
    "sweep.steps": 5,
    "sweep.least": ("l2",),
    "sweep.perturbations": ("linf:5uV",),
    "training.epochs": 1,
    "training.epoch_steps": 20,
    "training.teachers": 0,
    "pruning.schedule": "one-shot",
    "pruning.fine_tune_epochs": 1,
    "pruning.guard.limits": {},
    "quantization.calibration_windows": 256,
    "quantization.search": False,
    "monitor.enabled": False,
}


@dataclass(frozen=True)
class Line:
    """One line of the log of points."""

    word: str
    key: str
    process: int

    @staticmethod
    def of(folder: Path) -> list[Line]:
        path = folder / LOG
        rows = [row.split() for row in path.read_text().splitlines()] if path.exists() else []
        return [Line(word, key, int(process)) for word, key, process, _ in rows]


def cluster_sweep(folder: Path | None = None) -> Iterator[Figure]:
    """Sweep 24 points of the synthetic set on two workers, and kill one with -9 in the middle."""
    from distributed import LocalCluster

    with tempfile.TemporaryDirectory(prefix="edgeprune-") as name:
        out = (folder or Path(name)) / "sweep.sqlite"
        killed: list[Line] = []
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            killer = threading.Thread(
                target=_kill_in_the_middle, args=(out.with_suffix(".work"), killed), daemon=True
            )
            killer.start()
            begin = time.monotonic()
            found = sweep(_config(), out, scheduler=cluster.scheduler_address)
            seconds = time.monotonic() - begin
        yield from _figures(found, Line.of(out.with_suffix(".work")), killed, seconds)


def _config() -> BuildConfig:
    return load_config(None, dict(_SETTINGS))


def _kill_in_the_middle(folder: Path, killed: list[Line]) -> None:
    """Kill the process of a point that has begun and not ended, once a third are done."""
    while not killed:
        time.sleep(0.05)
        lines = Line.of(folder)
        ended = {line.key for line in lines if line.word == "end"}
        running = [line for line in lines if line.word == "begin" and line.key not in ended]
        if len(ended) >= _ENDED_BEFORE and running:
            # Into its work, not at its very start.
            time.sleep(0.5)
            if any(line.word == "end" and line.key == running[-1].key for line in Line.of(folder)):
                continue
            os.kill(running[-1].process, signal.SIGKILL)
            killed.append(running[-1])


def _figures(
    found: Sweep, lines: list[Line], killed: list[Line], seconds: float
) -> Iterator[Figure]:
    begun = Counter(line.key for line in lines if line.word == "begin")
    ended = Counter(line.key for line in lines if line.word == "end")
    keys = [point.key for point in found.points]
    done = [point for point in found.points if point.result.state is PointState.DONE]
    whole = [point for point in done if point.result.figures and point.result.network_sha256]
    note = f"2 Dask workers, {seconds:.0f} s, {len(killed)} killed by -9 in the middle of a point"
    yield Figure(SECTION, "points of the sweep", len(keys), POINTS, note=note)
    yield Figure(SECTION, "points with all figures in the file", len(whole), POINTS)
    yield Figure(SECTION, "points lost", sum(key not in ended for key in keys), 0, None, True)
    twice = sum(count > 1 for count in ended.values())
    yield Figure(SECTION, "points run twice to the end", twice, 0, None, True)
    times = sum(begun[line.key] for line in killed)
    note = f"the killed point began {times} times; of the others, {_others(begun, killed)}"
    yield Figure(SECTION, "workers killed in the middle of a point", len(killed), 1, note=note)


def _others(begun: Counter[str], killed: list[Line]) -> str:
    mortal = {line.key for line in killed}
    counts = Counter(count for key, count in begun.items() if key not in mortal)
    return ", ".join(f"{number} begun {count}x" for count, number in sorted(counts.items()))


if __name__ == "__main__":
    for figure in cluster_sweep(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(figure.name, figure.found, figure.note, flush=True)
