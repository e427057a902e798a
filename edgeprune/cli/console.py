"""What a person or a program sees of a verb: progress, tables, JSON, and the verdict."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, TextIO

from edgeprune import __version__
from edgeprune.errors import EdgepruneError

JSON_SCHEMA = "edgeprune.cli/1"
INTERRUPTED = 130
OUR_BUG = 4
_PLAIN_SECONDS = 5.0


class Console:
    """The only place that prints; it is also the `Progress` handed to the library.

    Args:
        quiet: Print the verdict alone.
        as_json: Print one JSON object on standard output and nothing else there.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json

    @property
    def _speaks(self) -> bool:
        return not self.quiet

    @property
    def _stream(self) -> TextIO:
        return sys.stderr if self.as_json else sys.stdout

    def line(self, text: str = "") -> None:
        """Print one line of the verb's answer."""
        if self._speaks and not self.as_json:
            print(text, file=sys.stdout, flush=True)

    def note(self, message: str) -> None:
        """Print one line about what is going on."""
        if self._speaks:
            print(message, file=self._stream, flush=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print an aligned table; numbers are set flush right."""
        texts = [[str(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(header, *texts, strict=True)]
        right = [
            bool(rows) and all(isinstance(row[index], int | float) for row in rows)
            for index in range(len(header))
        ]
        for row in [list(header), ["-" * width for width in widths], *texts]:
            cells = (
                cell.rjust(width) if flush_right else cell.ljust(width)
                for cell, width, flush_right in zip(row, widths, right, strict=True)
            )
            self.line("  ".join(cells).rstrip())

    @contextmanager
    def task(self, description: str, total: int, unit: str = "") -> Iterator[Callable[[int], None]]:
        """Show a bar with rate and remaining time on a terminal, plain lines elsewhere."""
        if not self._speaks:
            yield lambda _: None
        elif self._stream.isatty() and os.environ.get("TERM") != "dumb":
            with _bar(self._stream, description, total, unit) as advance:
                yield advance
        else:
            with _plain_lines(self._stream, description, total, unit) as advance:
                yield advance


@contextmanager
def _bar(
    stream: TextIO, description: str, total: int, unit: str
) -> Iterator[Callable[[int], None]]:
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(TextColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.1f} {unit}/s" if speed else "")

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(""),
        TimeRemainingColumn(),
        console=RichConsole(file=stream),
    ) as progress:
        task = progress.add_task(description, total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def _plain_lines(
    stream: TextIO, description: str, total: int, unit: str
) -> Iterator[Callable[[int], None]]:
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
                f"{description}: {done}/{total} {unit}, {rate:,.1f} {unit}/s, {left:,.0f} s left",
                file=stream,
                flush=True,
            )

    yield advance
    seconds = time.monotonic() - started
    print(f"{description}: done in {seconds:,.1f} s", file=stream, flush=True)


@dataclass
class Answer:
    """What a verb has to say when it ends.

    Attributes:
        result: The content of `--json`.
        passed: Whether every requirement that the verb checks is met.
        verdict: The last line, without PASS or FAIL.
    """

    result: Mapping[str, Any] = field(default_factory=dict)
    passed: bool = True
    verdict: str = ""


def run_verb(verb: str, console: Console, body: Callable[[], Answer]) -> NoReturn:
    """Run a verb, print its verdict as the last line and leave with its exit code."""
    try:
        answer = body()
    except EdgepruneError as error:
        _fail(verb, console, error)
    except KeyboardInterrupt:
        _say_verdict(verb, console, "INTERRUPTED", "finished stages are kept", INTERRUPTED, {})
    except Exception as error:
        details = traceback.format_exc()
        hint = "this is a bug of edgeprune: please report it with the lines above"
        print(details, file=sys.stderr)
        _say_verdict(
            verb, console, "ERROR", f"EP900 {type(error).__name__}: {error}; {hint}", OUR_BUG, {}
        )
    word = "PASS" if answer.passed else "FAIL"
    _say_verdict(verb, console, word, answer.verdict, 0 if answer.passed else 1, answer.result)


def _fail(verb: str, console: Console, error: EdgepruneError) -> NoReturn:
    if not console.as_json:
        print(f"error {error}", file=sys.stderr)
    result = {
        "error": {
            "code": error.code,
            "what": error.what,
            "where": error.where,
            "what_to_do": error.hint,
        }
    }
    word = "FAIL" if error.exit_code == 1 else "ERROR"
    _say_verdict(verb, console, word, f"{error.code} {error.what}", error.exit_code, result)


def _say_verdict(
    verb: str, console: Console, word: str, text: str, exit_code: int, result: Mapping[str, Any]
) -> NoReturn:
    summary = text.splitlines()[0] if text else ""
    if console.as_json:
        document = {
            "schema": JSON_SCHEMA,
            "edgeprune": __version__,
            "verb": verb,
            "verdict": word,
            "exit_code": exit_code,
            "summary": summary,
            **result,
        }
        print(json.dumps(document, indent=2, sort_keys=False))
    else:
        print(f"{word} {verb}: {summary}" if summary else f"{word} {verb}")
    sys.stdout.flush()
    raise SystemExit(exit_code)
