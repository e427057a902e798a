"""How long work looks while it goes on: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PLAIN_SECONDS = 5.0
_WORTH_A_LINE_SECONDS = 1.0


def is_terminal(stream: TextIO) -> bool:
    """Whether a person watches the stream on a screen that can redraw a line."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Bars:
    """The bars of all tasks that are open; they vanish with their tasks.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._progress: Progress | None = None

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        if self._progress is None:
            print(text, file=self._stream, flush=True)
        else:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Show a bar with rate and remaining time; tasks may be opened within tasks."""
        outermost = self._progress is None
        progress = self._progress or _open(self._stream)
        self._progress = progress
        task: TaskID = progress.add_task(description, total=total, unit=unit)
        try:
            yield lambda count: progress.advance(task, count)
        finally:
            progress.remove_task(task)
            if outermost:
                progress.stop()
                self._progress = None


def _open(stream: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Done(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{int(task.completed):,}/{int(task.total or 0):,} {task.fields['unit']}")

    class Rate(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.1f}/s" if task.speed else "")

    progress = Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=24),
        Done(""),
        Rate(""),
        TimeRemainingColumn(),
        console=Console(file=stream, highlight=False),
        transient=True,
    )
    progress.start()
    return progress


@contextmanager
def plain_lines(
    stream: TextIO, description: str, total: int, unit: str
) -> Iterator[Callable[[int], None]]:
    """Print a line every few seconds, and one at the end where the task took any time."""
    started = last = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= _PLAIN_SECONDS and done < total:
            last = now
            rate = done / (now - started)
            left = (total - done) / rate if rate else 0.0
            print(
                f"  {description}: {done:,} of {total:,} {unit}, {rate:,.1f}/s, {left:,.0f} s left",
                file=stream,
                flush=True,
            )

    yield advance
    seconds = time.monotonic() - started
    if seconds >= _WORTH_A_LINE_SECONDS:
        print(f"  {description}: done in {seconds:,.1f} s", file=stream, flush=True)
