"""What a person or a program sees of a verb: progress, tables, JSON, and the verdict."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from edgeprune import __version__
from edgeprune.cli.bars import Bars, is_terminal, plain_lines
from edgeprune.cli.typed import where_typed
from edgeprune.errors import EdgepruneError

JSON_SCHEMA = "edgeprune.cli/1"
INTERRUPTED = 130
OUR_BUG = 4
PIPE_CLOSED = 141
BUG = "EP900"
_COLOURS = {"PASS": "32", "FAIL": "31", "ERROR": "31", "INTERRUPTED": "33"}


class Console:
    """The only place that prints; it is also the `Progress` handed to the library.

    Args:
        quiet: Print the verdict alone.
        as_json: Print one JSON object on standard output and nothing else there.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self._stream = sys.stderr if as_json else sys.stdout
        self._bars = Bars(self._stream)

    def line(self, text: str = "") -> None:
        """Print one line of the verb's answer."""
        if not self.quiet and not self.as_json:
            self._bars.say(text)

    def note(self, message: str) -> None:
        """Print one line about what is going on."""
        if not self.quiet:
            self._bars.say(message)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print an aligned table; columns of numbers are set flush right."""
        texts = [[number(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(header, *texts, strict=True)]
        right = [
            bool(rows) and all(_is_numeric(row[index]) for row in rows)
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
        unit = unit if unit.endswith("s") else f"{unit}s"
        if self.quiet:
            yield lambda _: None
        elif is_terminal(self._stream):
            with self._bars.task(description, total, unit) as advance:
                yield advance
        else:
            with plain_lines(self._stream, description, total, unit) as advance:
                yield advance


def number(cell: object) -> str:
    """Return a cell as text; thousands are set apart."""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return str(cell)
    return f"{cell:,}"


def _is_numeric(cell: object) -> bool:
    return (
        cell in ("", "-", "undefined", "not tested")
        or str(cell).lstrip("-").replace(",", "").replace(".", "").isdecimal()
    )


@dataclass
class Answer:
    """What a verb has to say when it ends.

    Attributes:
        result: The content of `--json`.
        passed: Whether every requirement that the verb checks is met.
        verdict: The last line, without PASS or FAIL.
        error: What ends the verb although there is a result to give; see `fail`.
    """

    result: Mapping[str, Any] = field(default_factory=dict)
    passed: bool = True
    verdict: str = ""
    error: EdgepruneError | None = None


def run_verb(
    verb: str,
    console: Console,
    body: Callable[[], Answer],
    flags: Mapping[str, Any] | None = None,
) -> NoReturn:
    """Run a verb, print its verdict as the last line and leave with its exit code.

    Args:
        verb: Its name.
        console: What is seen of it.
        body: The verb.
        flags: Keys of the configuration to the values of their flags; None where none was typed.
    """
    try:
        _run(verb, console, body, flags or {})
    except BrokenPipeError:
        # Whoever read the output has gone; the flush at exit would complain about the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(PIPE_CLOSED) from None


def _run(
    verb: str, console: Console, body: Callable[[], Answer], flags: Mapping[str, Any]
) -> NoReturn:
    try:
        answer = body()
    except EdgepruneError as error:
        error.where = where_typed(error.where, flags)
        fail(verb, console, error)
    except KeyboardInterrupt:
        say_verdict(verb, console, "INTERRUPTED", "finished stages are kept", INTERRUPTED, {})
    except BrokenPipeError:
        raise
    except Exception as error:
        print(traceback.format_exc(), file=sys.stderr, flush=True)
        what = f"{type(error).__name__}: {error}"
        hint = "this is a bug of edgeprune: please report it with the lines above"
        result = _error_fields(BUG, what, "", hint)
        say_verdict(verb, console, "ERROR", f"{BUG} {what}; {hint}", OUR_BUG, result)
    if answer.error is not None:
        fail(verb, console, answer.error, answer.result)
    word = "PASS" if answer.passed else "FAIL"
    say_verdict(verb, console, word, answer.verdict, 0 if answer.passed else 1, answer.result)


def fail(
    verb: str, console: Console, error: EdgepruneError, result: Mapping[str, Any] | None = None
) -> NoReturn:
    """Say what happened, where and what to do, then the verdict; leave with the error's code."""
    if not console.as_json:
        print(f"error {error}", file=sys.stderr, flush=True)
    fields = _error_fields(error.code, error.what, error.where, error.hint)
    word = "FAIL" if error.exit_code == 1 else "ERROR"
    say_verdict(
        verb,
        console,
        word,
        f"{error.code} {error.what}",
        error.exit_code,
        {**fields, **(result or {})},
    )


def _error_fields(code: str, what: str, where: str, hint: str) -> Mapping[str, Any]:
    return {"error": {"code": code, "what": what, "where": where, "what_to_do": hint}}


def say_verdict(
    verb: str, console: Console, word: str, text: str, exit_code: int, result: Mapping[str, Any]
) -> NoReturn:
    """Print the last line, or the one JSON object, and leave."""
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
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        print(f"{_coloured(word)} {verb}: {summary}" if summary else f"{_coloured(word)} {verb}")
    sys.stdout.flush()
    raise SystemExit(exit_code)


def _coloured(word: str) -> str:
    if is_terminal(sys.stdout) and "NO_COLOR" not in os.environ:
        return f"\033[1;{_COLOURS[word]}m{word}\033[0m"
    return word
