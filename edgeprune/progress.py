"""How the library tells about long work without printing: the caller passes a `Progress`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """Receives the course of long work; the command line draws it, a script may ignore it."""

    def task(self, description: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """Open a task of `total` units; the returned callable advances it."""

    def note(self, message: str) -> None:
        """Receive one line about what is going on."""


class Silent:
    """A `Progress` that ignores everything."""

    @contextmanager
    def task(self, description: str, total: int, unit: str = "") -> Iterator[Advance]:
        """Open a task nobody watches."""
        yield lambda _: None

    def note(self, message: str) -> None:
        """Ignore the message."""
