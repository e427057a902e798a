"""A piece of long work, how its result is written down, and how it fails."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from edgeprune.errors import EdgepruneError

Payload = TypeVar("Payload")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Task(Generic[Payload]):
    """One piece of work; pieces are independent of each other.

    Attributes:
        key: Its name, unique among the tasks of one run and the same in every run.
        payload: What the function is called with; it must be picklable.
        size: How much of the whole it is, in units of the progress, e.g. windows.
    """

    key: str
    payload: Payload
    size: int = 1


@dataclass(frozen=True)
class Codec(Generic[Result]):
    """How a result becomes bytes and comes back: JSON or `.npz`, never a pickle.

    Attributes:
        encode: Called where the task ran; it must be picklable.
        decode: Its inverse; called by the process that asked.
    """

    encode: Callable[[Result], bytes]
    decode: Callable[[bytes], Result]


class TaskError(EdgepruneError):
    """A task of long work failed, or ended its worker every time; the task is named."""

    code = "EP604"
    exit_code = 4


@dataclass(frozen=True)
class Failure:
    """Why a task failed, in a form that any process can read.

    Attributes:
        what: What happened.
        where: Where in the task.
        hint: What can be done about it.
        exit_code: Exit code of the error.
    """

    what: str
    where: str
    hint: str
    exit_code: int

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Describe an exception while it is being handled."""
        if isinstance(error, EdgepruneError):
            return cls(error.what, error.where, error.hint, error.exit_code)
        frames = traceback.extract_tb(error.__traceback__)[-1:]
        return cls(
            f"{type(error).__name__}: {error}",
            "".join(f"{Path(at.filename).name}, line {at.lineno}, in {at.name}" for at in frames),
            "the finished tasks are kept; this is a bug of edgeprune or of the function given",
            TaskError.exit_code,
        )

    def error(self, key: str) -> TaskError:
        """Return the error to raise, naming the task."""
        where = f"task '{key}'" + (f": {self.where}" if self.where else "")
        error = TaskError(self.what, where=where, hint=self.hint)
        error.exit_code = self.exit_code
        return error


Work = Callable[[Any], bytes | Failure]
"""What a worker does with a payload: the encoded result, or why there is none."""


@dataclass(frozen=True)
class Attempt(Generic[Payload, Result]):
    """A function together with its encoding, fit to be sent to a worker.

    Attributes:
        function: Does the work of one payload.
        encode: Writes its result down.
    """

    function: Callable[[Payload], Result]
    encode: Callable[[Result], bytes]

    def __call__(self, payload: Payload) -> bytes | Failure:
        """Do the work of one payload."""
        try:
            return self.encode(self.function(payload))
        except Exception as error:
            return Failure.of(error)


def worker_lost(key: str, times: int) -> TaskError:
    """Return the error of a task that ended its worker again and again."""
    return TaskError(
        f"the worker process ended {times} times without a result",
        where=f"task '{key}'",
        hint="mostly memory ran out: use fewer workers; the finished tasks are kept",
    )
