"""Long work: nothing finished is lost, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from edgeprune.errors import ConfigurationError, MissingToolError
from edgeprune.executor import Executor, Task, TaskError, run_tasks
from tests.executor import work

CHECKOUT = Path(__file__).resolve().parents[2]


def _tasks(count: int) -> list[Task[int]]:
    return [Task(f"task {number}", number) for number in range(count)]


class _Watch:
    def __init__(self) -> None:
        self.total = self.done = 0
        self.notes: list[str] = []

    @contextmanager
    def task(self, description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        self.total = total

        def advance(count: int) -> None:
            self.done += count

        yield advance

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    watch = _Watch()
    found = run_tasks(work.square, _tasks(9), work.CODEC, workers=workers, progress=watch)
    assert found == [number * number for number in range(9)]
    assert watch.done == watch.total == 9


def test_no_tasks_are_no_work() -> None:
    assert run_tasks(work.square, [], work.CODEC) == []


def test_workers_are_other_processes_with_one_thread_each() -> None:
    before = os.environ.get("OMP_NUM_THREADS")
    found = run_tasks(work.processes, _tasks(4), work.CODEC, workers=2)
    assert os.getpid() not in {process for process, _ in found}
    assert {threads for _, threads in found} == {"1"}
    assert os.environ.get("OMP_NUM_THREADS") == before


@pytest.mark.parametrize("workers", [1, 2])
def test_finished_tasks_are_not_run_again(tmp_path: Path, workers: int) -> None:
    function = partial(work.square_and_log, tmp_path)
    store = tmp_path / "store"
    run_tasks(function, _tasks(3), work.CODEC, store=store, workers=workers)
    watch = _Watch()
    found = run_tasks(function, _tasks(6), work.CODEC, store=store, workers=workers, progress=watch)
    assert found == [0, 1, 4, 9, 16, 25]
    assert [work.calls(tmp_path, number) for number in range(6)] == [1] * 6
    assert watch.total == 3
    assert "3 tasks kept" in watch.notes[0]


def test_a_damaged_result_is_made_again(tmp_path: Path) -> None:
    function = partial(work.square_and_log, tmp_path)
    store = tmp_path / "store"
    run_tasks(function, _tasks(2), work.CODEC, store=store, workers=1)
    for path in store.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert run_tasks(function, _tasks(2), work.CODEC, store=store, workers=1) == [0, 1]
    assert [work.calls(tmp_path, number) for number in range(2)] == [2, 2]


def test_nothing_on_disk_is_a_pickle(tmp_path: Path) -> None:
    run_tasks(work.square, _tasks(4), work.CODEC, store=tmp_path, workers=2)
    written = sorted(path.read_bytes().partition(b"\n")[2] for path in tmp_path.iterdir())
    assert written == [b"0", b"1", b"4", b"9"]


def test_workers_killed_in_the_middle_lose_nothing(tmp_path: Path) -> None:
    function = partial(work.die_once, tmp_path)
    found = run_tasks(function, _tasks(8), work.CODEC, store=tmp_path / "store", workers=2)
    assert found == [number * number for number in range(8)]
    again = [work.calls(tmp_path, number) for number in range(8)]
    assert again == [1, 1, 1, 2, 2, 1, 1, 1]


def test_the_last_task_outlives_its_worker_too(tmp_path: Path) -> None:
    """The other worker is idle by then: it must be given the task."""
    function = partial(work.die_once, tmp_path)
    assert run_tasks(function, _tasks(5), work.CODEC, workers=2) == [0, 1, 4, 9, 16]


def test_a_task_that_kills_every_worker_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError) as caught:
        run_tasks(work.die_at_five, _tasks(7), work.CODEC, store=tmp_path, workers=2)
    assert "'task 5'" in caught.value.where
    assert "3 times" in caught.value.what
    assert len(list(tmp_path.iterdir())) >= 5


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_task_names_the_task(tmp_path: Path, workers: int) -> None:
    with pytest.raises(TaskError) as caught:
        run_tasks(work.fail_at_two, _tasks(4), work.CODEC, store=tmp_path, workers=workers)
    error = caught.value
    assert error.what == "two is refused"
    assert error.where == "task 'task 2': the number"
    assert error.hint == "take three"
    assert error.exit_code == ConfigurationError.exit_code
    assert len(list(tmp_path.iterdir())) >= 1


def test_an_error_of_any_shape_crosses_processes() -> None:
    with pytest.raises(TaskError, match="there is no number"):
        run_tasks(work.fail_with_arguments, _tasks(2), work.CODEC, workers=2)


def test_a_bug_says_its_line() -> None:
    with pytest.raises(TaskError) as caught:
        run_tasks(work.divide, _tasks(2), work.CODEC, workers=2)
    assert "ZeroDivisionError" in caught.value.what
    assert "work.py, line" in caught.value.where
    assert caught.value.exit_code == 4


def test_an_executor_keeps_what_belongs_together_apart(tmp_path: Path) -> None:
    executor = Executor(workers=2, store=tmp_path)
    first = executor.below("first").run(work.square, _tasks(3), work.CODEC)
    second = executor.below("second").run(work.fail_at_two, _tasks(2), work.CODEC)
    assert (first, second) == ([0, 1, 4], [0, 1])
    assert len(list((tmp_path / "first").iterdir())) == 3
    assert Executor().below("anything").store is None


def test_keys_are_unique() -> None:
    with pytest.raises(ValueError, match="same key"):
        run_tasks(work.square, [*_tasks(2), *_tasks(1)], work.CODEC)


def test_a_negative_number_of_workers_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="-1"):
        run_tasks(work.square, _tasks(2), work.CODEC, workers=-1)


_SCRIPT = """
import sys
from functools import partial
from pathlib import Path
from edgeprune.executor import run_tasks
from tests.executor import work
from tests.executor.test_executor import _tasks

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    function = partial(work.slow_square, folder)
    run_tasks(function, _tasks(40), work.CODEC, store=folder / "store", workers=int(sys.argv[2]))
"""


def _start(folder: Path, workers: int) -> subprocess.Popen[bytes]:
    script = folder / "script.py"
    script.write_text(_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(workers)],
        env=environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list((folder / "store").glob("*.result"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_stops_at_once_and_keeps_what_is_done(tmp_path: Path, workers: int) -> None:
    process = _start(tmp_path, workers)
    started = time.monotonic()
    # As a terminal does it: to the whole group, workers included.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert process.returncode not in (0, None)
    assert errors.count(b"KeyboardInterrupt") == 1, errors.decode()
    kept = len(list((tmp_path / "store").glob("*.result")))
    assert 3 <= kept < 40
    before = [work.calls(tmp_path, number) for number in range(40)]
    function = partial(work.square_and_log, tmp_path)
    found = run_tasks(function, _tasks(40), work.CODEC, store=tmp_path / "store", workers=1)
    assert found == [number * number for number in range(40)]
    after = [work.calls(tmp_path, number) for number in range(40)]
    assert sum(after) - sum(before) == 40 - kept


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_killed_run_resumes_and_leaves_no_workers(tmp_path: Path) -> None:
    process = _start(tmp_path, 2)
    children = _children(process.pid)
    assert len(children) >= 2
    process.kill()
    process.wait()
    kept = len(list((tmp_path / "store").glob("*.result")))
    deadline = time.monotonic() + 20
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_alive, children))
    watch = _Watch()
    function = partial(work.square_and_log, tmp_path)
    run_tasks(function, _tasks(40), work.CODEC, store=tmp_path / "store", workers=1, progress=watch)
    assert watch.total == 40 - kept


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children")
    if not found.exists():
        pytest.skip("children are looked up in /proc")
    return [int(text) for text in found.read_text().split()]


def _alive(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "2"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "worker processes end before they begin" in result.stderr
    assert "__main__" in result.stderr


def test_a_cluster_without_dask_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingToolError) as caught:
        run_tasks(work.square, _tasks(2), work.CODEC, scheduler="tcp://127.0.0.1:9")
    assert caught.value.hint == "pip install edgeprune[cluster]"
