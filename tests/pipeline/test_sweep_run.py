"""A sweep's points run once to their end and are all in the file, whatever is killed."""

from __future__ import annotations

import json
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from edgeprune.errors import DataError, DiskError
from edgeprune.evidence import PointState
from edgeprune.executor import Executor
from edgeprune.pipeline.sweep_file import SweepFile
from edgeprune.pipeline.sweep_run import run_point, run_points
from edgeprune.progress import Silent
from tests.pipeline import sweep_work as work

POINTS = [work.point(ratio / 8, seed) for ratio in range(4) for seed in (1, 2)]


def _states(file: SweepFile) -> list[PointState]:
    return [each.result.state for each in file.points()]


def test_a_killed_worker_loses_no_point_and_none_runs_twice_to_its_end(tmp_path: Path) -> None:
    file, works = work.works(tmp_path, POINTS)
    killed = works[2].key, works[5].key
    run_points(file, works, work.dying(*killed), Executor(workers=2), Silent())
    assert _states(file) == [PointState.DONE] * len(works)
    begun, ended = work.logged(tmp_path, "begin"), work.logged(tmp_path, "end")
    assert ended == dict.fromkeys((each.key for each in works), 1)
    assert begun == {key: 1 + (key in killed) for key in ended}
    for kept, each in zip(file.points(), works, strict=True):
        figure, undefined = kept.result.figures
        assert kept.result.point == each.point
        assert (figure.value, undefined.value) == (each.point.setting.ratio, None)


def test_a_killed_sweep_runs_only_what_is_missing(tmp_path: Path) -> None:
    """The process that asked dies after the third point, as by kill -9."""

    class DeadlyProgress(Silent):
        done = 0

        def task(self, description, total, unit=""):  # type: ignore[no-untyped-def]
            from contextlib import contextmanager

            @contextmanager
            def counting():  # type: ignore[no-untyped-def]
                def advance(number: int) -> None:
                    self.done += number
                    if self.done == 3:
                        os._exit(9)

                yield advance

            return counting()

    file, works = work.works(tmp_path, POINTS)
    child = os.fork()
    if not child:
        run_points(file, works, work.measure, Executor(workers=1), DeadlyProgress())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert _states(file).count(PointState.DONE) == 3
    again, works = work.works(tmp_path, [*POINTS, work.point(0.9)])
    run_points(again, works, work.measure, Executor(workers=1), Silent())
    assert _states(again) == [PointState.DONE] * (len(POINTS) + 1)
    assert set(work.logged(tmp_path, "begin").values()) == {1}


def test_a_result_that_never_arrived_is_not_measured_again(tmp_path: Path) -> None:
    file, works = work.works(tmp_path, POINTS[:2])
    run_points(file, works, work.measure, Executor(workers=1), Silent())
    file.path.unlink()
    file, works = work.works(tmp_path, POINTS[:2])
    run_points(file, works, work.measure, Executor(workers=1), Silent())
    assert _states(file) == [PointState.DONE] * 2
    assert work.logged(tmp_path, "begin") == work.logged(tmp_path, "end")
    assert set(work.logged(tmp_path, "end").values()) == {1}


def test_a_point_that_another_process_has_in_hand_is_waited_for(tmp_path: Path) -> None:
    """A worker may outlive the sweep that asked it, and meet the next one."""
    _, (point,) = work.works(tmp_path, POINTS[:1])
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(partial(run_point, work.measure), [point, point])
    assert first == second
    assert sum(work.logged(tmp_path, "begin").values()) == 1


def test_what_a_method_cannot_do_is_an_answer(tmp_path: Path) -> None:
    file, works = work.works(tmp_path, [work.point(0.5), work.point(0.75)])
    run_points(file, works, work.refuse_half, Executor(workers=1), Silent())
    assert _states(file) == [PointState.REFUSED, PointState.DONE]
    assert file.points()[0].result.reason == "the ratio cannot be reached (pruning.ratio)"


def test_a_stopped_branch_goes_no_deeper(tmp_path: Path) -> None:
    ratios = (0.875, 0.25, 0.75, 0.5)
    points = [work.point(ratio, seed, "progressive") for ratio in ratios for seed in (1, 2)]
    points += [work.point(ratio) for ratio in ratios]
    file, works = work.works(tmp_path, points)
    run_points(file, works, work.stop_at_half, Executor(workers=1), Silent())
    found = {each.key: each.result for each in file.points()}
    stopped = {key for key, each in found.items() if each.state is PointState.STOPPED}
    assert stopped == {
        *("progressive 0.5 1", "progressive 0.75 1", "progressive 0.875 1", "one-shot 0.5 1")
    }
    assert found["progressive 0.875 1"].reason == "not run: stopped at 50.00% already"
    assert "progressive 0.75 1" not in work.logged(tmp_path, "begin")
    assert work.logged(tmp_path, "begin")["one-shot 0.75 1"] == 1


def test_any_tool_reads_the_file(tmp_path: Path) -> None:
    file, works = work.works(tmp_path, POINTS)
    run_points(file, works, work.measure, Executor(workers=1), Silent())
    with closing(sqlite3.connect(file.path)) as connection:
        rows = connection.execute(
            "SELECT ratio, avg(value), count(*) FROM points JOIN figures USING (point) "
            "WHERE name = 'macro_f1' AND part = 'validation' GROUP BY ratio ORDER BY ratio"
        ).fetchall()
        (schema,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'figures'"
        ).fetchone()
    assert rows == [(ratio / 8, ratio / 8, 2) for ratio in range(4)]
    assert "-- validation: it chooses; test: it only tells" in schema
    work.works(tmp_path, POINTS[:2])
    assert len(file.points()) == 2


@pytest.mark.parametrize("content", [None, b"", b"no database" * 100, json.dumps({}).encode()])
def test_another_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError):
        SweepFile(path).points()
    if content is not None:
        with pytest.raises(DataError):
            SweepFile(path).open_for({}, [])
        assert path.read_bytes() == content


def test_a_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    file, works = work.works(tmp_path, POINTS[:1])
    with closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        file_impatient = SweepFile(file.path, patience=0.01)
        with pytest.raises(DiskError, match="locked"):
            file_impatient.keep(works[0].key, work.measure(works[0]))
