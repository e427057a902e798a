"""The same work on a Dask cluster (extra `cluster`)."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from edgeprune import __version__
from edgeprune.errors import ConfigurationError, MissingToolError
from edgeprune.executor.task import Failure, Task, Work, worker_lost

_CONNECT_SECONDS = 10
_WORKER_SECONDS = 30

Finish = Callable[[Task[Any], bytes | Failure], None]


def on_cluster(work: Work, tasks: Sequence[Task[Any]], finish: Finish, address: str) -> None:
    """Run tasks on the workers of a Dask scheduler; `finish` is called here as results come.

    The scheduler gives the task of a dead worker to another, as often as its setting
    `distributed.scheduler.allowed-failures` says.

    Raises:
        MissingToolError: Dask is not installed.
        ConfigurationError: The scheduler cannot be reached or has no workers.
        TaskError: A task ended its workers too often.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise MissingToolError(
            "a cluster needs Dask", where=sys.prefix, hint="pip install edgeprune[cluster]"
        ) from error
    _check_address(address)
    client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    with client:
        _wait_for_workers(client, address)
        futures = {
            client.submit(_attempt, work, task.payload, __version__, pure=False): task
            for task in tasks
        }
        try:
            for future in as_completed(list(futures), loop=client.loop):
                task = futures.pop(future)
                failed = future.exception()
                if isinstance(failed, KilledWorker):
                    raise worker_lost(task.key, failed.allowed_failures + 1)
                finish(task, Failure.of(failed) if failed is not None else future.result())
        finally:
            client.cancel(list(futures), force=True)


def _check_address(address: str) -> None:
    """Connect once: Dask's client is no good at saying that nobody answers."""
    try:
        parts = urlsplit(address)
        if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
            raise ValueError("it is not tcp://HOST:PORT")
        socket.create_connection((parts.hostname, parts.port), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"no Dask scheduler answers: {error}",
            where=f"--scheduler {address}",
            hint="start one with `dask scheduler`, and name its address as tcp://HOST:8786",
        ) from error


def _wait_for_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_WORKER_SECONDS)
    except TimeoutError as error:
        raise ConfigurationError(
            "the scheduler has no workers",
            where=f"--scheduler {address}",
            hint=f"start some with `dask worker {address}`",
        ) from error


def _attempt(work: Work, payload: Any, version: str) -> bytes | Failure:
    """Do the work of one payload on a worker."""
    if version != __version__:
        return Failure(
            f"a worker has edgeprune {__version__}, not {version}",
            "",
            "install the same version on every worker",
            ConfigurationError.exit_code,
        )
    return work(payload)
