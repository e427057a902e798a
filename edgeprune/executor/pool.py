"""Local worker processes that may die.

Each worker has a pipe of its own, so that it is always known which task a dead one had. Processes
are spawned, not forked: a forked child would share the locks of this process's tensor libraries.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from edgeprune.executor.task import Failure, Task, TaskError, Work, worker_lost

_ATTEMPTS = 3
# Workers share the processors: a second thread in one of them would take another's.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_READY = "ready"

Finish = Callable[[Task[Any], bytes | Failure], None]


class _Worker:
    """One process and the task that it has."""

    def __init__(self, work: Work) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_serve, args=(theirs, work), name="edgeprune-worker", daemon=True
        )
        self.task: Task[Any] | None = None
        self.ready = False
        with _for_children():
            self.process.start()
        # Without this the pipe would stay open when the worker is gone.
        theirs.close()

    def give(self, task: Task[Any]) -> None:
        """Hand it a task; where it is gone, its pipe will say so when it is read."""
        self.task = task
        with suppress(OSError):
            self.pipe.send(task.payload)

    def stop(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def on_processes(work: Work, tasks: Sequence[Task[Any]], finish: Finish, processes: int) -> None:
    """Run tasks on local processes; `finish` is called in this process as results come.

    Raises:
        TaskError: A task ended its worker three times, or no worker can be started.
    """
    waiting = deque(tasks)
    deaths: dict[str, int] = {}
    false_starts = 0
    workers: list[_Worker] = []
    left = len(tasks)
    try:
        while left:
            _employ(workers, waiting, work, processes)
            for worker, message in _messages(workers):
                if message == _READY:
                    worker.ready = True
                    false_starts = 0
                elif message is not None:
                    task, worker.task = worker.task, None
                    assert task is not None
                    finish(task, message)
                    left -= 1
                else:
                    workers.remove(worker)
                    worker.stop()
                    if worker.task is not None:
                        _count_death(worker.task, deaths)
                        waiting.appendleft(worker.task)
                    elif not worker.ready:
                        false_starts += 1
                    if false_starts == _ATTEMPTS:
                        raise _cannot_start()
    finally:
        for worker in workers:
            worker.stop()


def _employ(workers: list[_Worker], waiting: deque[Task[Any]], work: Work, processes: int) -> None:
    """Start as many workers as there is work for, and give those a task that have none."""
    idle = [worker for worker in workers if worker.task is None]
    for _ in range(min(processes - len(workers), len(waiting) - len(idle))):
        workers.append(_Worker(work))
    for worker in idle:
        if worker.ready and waiting:
            worker.give(waiting.popleft())


def _messages(workers: Sequence[_Worker]) -> Iterator[tuple[_Worker, Any]]:
    """Yield what the workers say, once anyone says something; None where one is gone."""
    speaking = wait([worker.pipe for worker in workers])
    for worker in [worker for worker in workers if worker.pipe in speaking]:
        try:
            yield worker, worker.pipe.recv()
        except (EOFError, OSError):
            yield worker, None


def _count_death(task: Task[Any], deaths: dict[str, int]) -> None:
    deaths[task.key] = deaths.get(task.key, 0) + 1
    if deaths[task.key] == _ATTEMPTS:
        raise worker_lost(task.key, _ATTEMPTS)


def _cannot_start() -> TaskError:
    return TaskError(
        "worker processes end before they begin",
        where="multiprocessing",
        hint='a script must begin its work under `if __name__ == "__main__":`, and the function '
        "must be importable by name",
    )


@contextmanager
def _for_children() -> Iterator[None]:
    """What a child is born with: one thread, and deaf to Ctrl-C, which its parent handles."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    masked = None
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        # It opens the mask again when it is started, so it is started first.
        resource_tracker.ensure_running()
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if masked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, work: Work) -> None:
    """The life of a worker: payloads in, outcomes out, until the pipe closes."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        pipe.send(_READY)
        while True:
            pipe.send(work(pipe.recv()))
