"""Runs tasks and returns their results in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeprune.errors import ConfigurationError
from edgeprune.executor.cluster import on_cluster
from edgeprune.executor.pool import on_processes
from edgeprune.executor.store import ResultStore
from edgeprune.executor.task import Attempt, Codec, Failure, Payload, Result, Task
from edgeprune.progress import Progress, Silent


def run_tasks(
    function: Callable[[Payload], Result],
    tasks: Sequence[Task[Payload]],
    codec: Codec[Result],
    *,
    store: Path | None = None,
    workers: int = 0,
    scheduler: str | None = None,
    progress: Progress | None = None,
    description: str = "working",
    unit: str = "task",
    on_result: Callable[[Task[Payload], Result], None] | None = None,
) -> list[Result]:
    """Run independent tasks; what an earlier run with the same store finished is not run again.

    A worker that is killed loses the task that it had, and that task is run again. Results pass
    through the codec wherever they come from, so that they do not depend on the number of workers.

    Args:
        function: Does the work of one payload. It is sent to the workers, once each: what all tasks
            share belongs into a `functools.partial`. It must be importable by name.
        tasks: What is to be done.
        codec: How results are written down.
        store: Folder that keeps results; None to keep none.
        workers: Local processes; 1 works in this process, 0 takes one for each processor.
        scheduler: Address of a Dask scheduler, e.g. "tcp://host:8786"; None for local processes.
        progress: Told of the finished tasks.
        description: What is being done, for the progress.
        unit: What a task's size counts.
        on_result: Called here with each result as soon as it is there and kept.

    Returns:
        One result a task, in the order of the tasks.

    Raises:
        ValueError: Two tasks have one key.
        ConfigurationError: The number of workers is negative, or the scheduler cannot be reached.
        TaskError: A task failed, or ended its worker three times.
        MissingToolError: A scheduler is named and the extra `cluster` is not installed.
    """
    if len({task.key for task in tasks}) != len(tasks):
        raise ValueError("two tasks have the same key")
    if workers < 0:
        raise ConfigurationError(
            f"{workers} worker processes cannot be", where="workers", hint="0 takes all processors"
        )
    progress = progress or Silent()
    kept = ResultStore(store)
    found = {task.key: kept.find(task.key) for task in tasks}
    pending = [task for task in tasks if found[task.key] is None]
    if len(pending) < len(tasks):
        done = sum(task.size for task in tasks) - sum(task.size for task in pending)
        progress.note(f"{description}: {done:,} {unit}s kept from an earlier run")
    attempt = Attempt(function, codec.encode)
    with progress.task(description, sum(task.size for task in pending), unit) as advance:

        def finish(task: Task[Payload], outcome: bytes | Failure) -> None:
            if isinstance(outcome, Failure):
                raise outcome.error(task.key)
            kept.keep(task.key, outcome)
            found[task.key] = outcome
            if on_result is not None:
                on_result(task, codec.decode(outcome))
            advance(task.size)

        if scheduler is not None:
            on_cluster(attempt, pending, finish, scheduler)
        else:
            processes = min(workers or available_processors(), len(pending))
            if processes > 1:
                on_processes(attempt, pending, finish, processes)
            else:
                for task in pending:
                    finish(task, attempt(task.payload))
    return [codec.decode(found[task.key] or b"") for task in tasks]


@dataclass(frozen=True)
class Executor:
    """Where long work is done and kept; see `run_tasks`.

    Attributes:
        workers: Local processes; 1 works in this process, 0 takes one for each processor.
        scheduler: Address of a Dask scheduler; None for local processes.
        store: Folder that keeps results; None to keep none.
    """

    workers: int = 1
    scheduler: str | None = None
    store: Path | None = None

    def below(self, name: str) -> Executor:
        """Return the executor that keeps its results in a folder of that name within its own."""
        return replace(self, store=None if self.store is None else self.store / name)

    def run(
        self,
        function: Callable[[Payload], Result],
        tasks: Sequence[Task[Payload]],
        codec: Codec[Result],
        *,
        progress: Progress | None = None,
        description: str = "working",
        unit: str = "task",
        on_result: Callable[[Task[Payload], Result], None] | None = None,
    ) -> list[Result]:
        """Run independent tasks; see `run_tasks`."""
        return run_tasks(
            function,
            tasks,
            codec,
            store=self.store,
            workers=self.workers,
            scheduler=self.scheduler,
            progress=progress,
            description=description,
            unit=unit,
            on_result=on_result,
        )


def available_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
