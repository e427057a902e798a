"""Runs the points of a sweep: each once to its end, whatever is killed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgeprune.config import BuildConfig
from edgeprune.errors import ConfigurationError, EdgepruneError, ModelError, TargetTooSmallError
from edgeprune.evidence import PointState, SweepPoint, SweepResult
from edgeprune.evidence.codec import decode, encode
from edgeprune.executor import Codec, Executor, Task
from edgeprune.files import write_bytes
from edgeprune.pipeline.store import Stage
from edgeprune.pipeline.sweep_file import SweepFile
from edgeprune.progress import Progress

LOG = "points.log"
PROGRESSIVE = "progressive"
# What a method cannot do with this classifier or ratio is an answer, and not the sweep's end.
_REFUSALS = (ConfigurationError, ModelError, TargetTooSmallError)


@dataclass(frozen=True)
class ParentWork:
    """The parent of one seed as a worker gets it.

    Attributes:
        seed: The seed.
        config: The sweep's configuration.
        folder: The sweep's work folder, which every worker must see.
    """

    seed: int
    config: BuildConfig
    folder: Path

    @property
    def own_folder(self) -> Path:
        """What its stages are kept beside."""
        return self.folder / f"seed-{self.seed}"


@dataclass(frozen=True)
class PointWork:
    """One point as a worker gets it: plain values and absolute paths.

    Attributes:
        key: What defines the point, as a hash.
        point: The point.
        config: The sweep's configuration; `point_config` gives the point's.
        parts: Stages of the parent by name: "data" and "train".
        folder: The sweep's work folder, which every worker must see.
    """

    key: str
    point: SweepPoint
    config: BuildConfig
    parts: Mapping[str, Stage]
    folder: Path

    @property
    def own_folder(self) -> Path:
        """Where the point's stages and its result are."""
        return self.folder / "points" / self.key


Measure = Callable[[PointWork], SweepResult]


def run_points(
    file: SweepFile,
    works: Sequence[PointWork],
    measure: Measure,
    executor: Executor,
    progress: Progress,
) -> None:
    """Run every point that the file has no result of, and write each result as it comes.

    Progressive schedules go from the least ratio to the greatest: once one was stopped, the greater
    ones of the same setting and seed are stopped too, without being run.

    Args:
        file: Where results are kept; it knows the points.
        works: The points.
        measure: Measures one; it must be importable by name.
        executor: Where it is done.
        progress: Receives the finished points.

    Raises:
        TaskError: A point failed for no fault of its own, or ended its worker three times.
    """
    finished = {each.key: each.result for each in file.points() if each.finished}
    if finished:
        progress.note(f"{len(finished)} of {len(works)} points kept from an earlier run")
    for wave in _waves(works):
        pending = []
        for work in wave:
            if work.key in finished:
                continue
            passed = [finished[each.key] for each in _shallower(work, works)]
            stopped = [each for each in passed if each.state is PointState.STOPPED]
            if stopped:
                finished[work.key] = _not_run(work, stopped)
                file.keep(work.key, finished[work.key])
            else:
                pending.append(work)

        def keep(task: Task[PointWork], result: SweepResult) -> None:
            finished[task.payload.key] = result
            file.keep(task.payload.key, result)

        executor.run(
            partial(run_point, measure),
            [Task(work.key, work) for work in pending],
            Codec(encode_result, decode_result),
            progress=progress,
            description="points",
            unit="point",
            on_result=keep,
        )


def run_point(measure: Measure, work: PointWork) -> SweepResult:
    """Measure one point and keep its result, or return what an earlier worker kept.

    A worker that ends after this and before its result has arrived loses nothing. Where another
    process has the point in hand, e.g. a worker that outlived the sweep that asked it, it is waited
    for.
    """
    path = work.own_folder / "result.json"
    with alone(work.own_folder / "lock"):
        if path.is_file():
            return decode_result(path.read_bytes())
        _log(work, "begin")
        started = time.monotonic()
        try:
            result = measure(work)
        except _REFUSALS as error:
            result = SweepResult(work.point, PointState.REFUSED, _in_one_line(error))
        result = replace(result, seconds=round(time.monotonic() - started, 3))
        write_bytes(path, encode_result(result))
        _log(work, "end")
    return result


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes out of a piece of work; the lock of one that is killed is free again.

    Args:
        path: The file that is locked; systems without such locks keep nobody out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def encode_result(result: SweepResult) -> bytes:
    """Return the JSON of a result."""
    return json.dumps(encode(result)).encode()


def decode_result(content: bytes) -> SweepResult:
    """Return the result of what `encode_result` gave."""
    return decode(SweepResult, json.loads(content))


def _waves(works: Sequence[PointWork]) -> Iterator[list[PointWork]]:
    """Yield what can run at the same time, the ratios of progressive schedules one by one."""
    depths = [len(_shallower(work, works)) for work in works]
    for depth in sorted(set(depths)):
        yield [work for work, own in zip(works, depths, strict=True) if own == depth]


def _shallower(work: PointWork, works: Sequence[PointWork]) -> list[PointWork]:
    """Return the points that a progressive one passes on its way; none for other schedules."""
    setting, seed = work.point.setting, work.point.seed
    if setting.schedule != PROGRESSIVE:
        return []
    return [
        other
        for other in works
        if other.point.seed == seed
        and other.point.setting.ratio < setting.ratio
        and replace(other.point.setting, ratio=setting.ratio) == setting
    ]


def _not_run(work: PointWork, stopped: Sequence[SweepResult]) -> SweepResult:
    first = min(each.point.setting.ratio for each in stopped)
    return SweepResult(work.point, PointState.STOPPED, f"not run: stopped at {first:.2%} already")


def _log(work: PointWork, word: str) -> None:
    """Append one line to the log of all points: what, when, which process."""
    line = f"{word} {work.key} {os.getpid()} {time.time():.3f}\n"
    with (work.folder / LOG).open("a", encoding="utf-8") as stream:
        stream.write(line)


def _in_one_line(error: EdgepruneError) -> str:
    return f"{error.what} ({error.where})" if error.where else error.what
