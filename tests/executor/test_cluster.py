"""The same work on a Dask cluster of two processes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from edgeprune.errors import ConfigurationError
from edgeprune.executor import Task, TaskError, run_tasks
from tests.executor import work

distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def _tasks(count: int) -> list[Task[int]]:
    return [Task(f"task {number}", number) for number in range(count)]


def test_a_cluster_gives_what_local_processes_give(scheduler: str, tmp_path: Path) -> None:
    found = run_tasks(work.square, _tasks(7), work.CODEC, store=tmp_path, scheduler=scheduler)
    assert found == run_tasks(work.square, _tasks(7), work.CODEC, workers=1)
    assert len(list(tmp_path.iterdir())) == 7


def test_a_killed_worker_of_a_cluster_loses_nothing(scheduler: str, tmp_path: Path) -> None:
    function = partial(work.die_once, tmp_path)
    store = tmp_path / "store"
    found = run_tasks(function, _tasks(8), work.CODEC, store=store, scheduler=scheduler)
    assert found == [number * number for number in range(8)]
    assert work.calls(tmp_path, 3) >= 2
    before = [work.calls(tmp_path, number) for number in range(8)]
    run_tasks(function, _tasks(8), work.CODEC, store=store, scheduler=scheduler)
    assert [work.calls(tmp_path, number) for number in range(8)] == before


def test_a_failing_task_of_a_cluster_is_named(scheduler: str) -> None:
    with pytest.raises(TaskError) as caught:
        run_tasks(work.fail_at_two, _tasks(4), work.CODEC, scheduler=scheduler)
    assert caught.value.where == "task 'task 2': the number"


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "nonsense", "nowhere://x", "tcp://x", "tcp://x:y"]
)
def test_a_scheduler_that_is_not_there_is_a_clear_error(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run_tasks(work.square, _tasks(2), work.CODEC, scheduler=address)
    assert caught.value.where == f"--scheduler {address}"
