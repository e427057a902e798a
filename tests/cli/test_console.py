"""Tables, plain lines and bars, as they reach a file or a terminal."""

from __future__ import annotations

import os
import pty
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgeprune.cli.bars import is_terminal
from edgeprune.cli.console import Console


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(
        ("layer", "bytes", "score"), [("a", 1048576, "0.812"), ("long name", 7, "undefined")]
    )
    assert capsys.readouterr().out.splitlines() == [
        "layer          bytes      score",
        "---------  ---------  ---------",
        "a          1,048,576      0.812",
        "long name          7  undefined",
    ]


def test_a_file_gets_plain_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 2.0, 6.0, 12.0, 20.0])
    monkeypatch.setattr("edgeprune.cli.bars.time.monotonic", lambda: next(clock))
    with Console().task("training", 4000, "step") as advance:
        for _ in range(3):
            advance(1000)
    assert capsys.readouterr().out.splitlines() == [
        "  training: 2,000 of 4,000 steps, 333.3/s, 6 s left",
        "  training: 3,000 of 4,000 steps, 250.0/s, 4 s left",
        "  training: done in 20.0 s",
    ]


def test_short_work_is_not_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Console().task("reading", 3, "records") as advance:
        advance(3)
    assert capsys.readouterr().out == ""


def test_quiet_and_json_keep_standard_output_for_the_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for console in (Console(quiet=True), Console(as_json=True)):
        console.line("a line")
        console.note("a note")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "a note\n")


def _read_until(leader: int, end: bytes) -> bytes:
    """Read a terminal, which holds no more than 4 KB at a time, until it has shown `end`."""
    written = b""
    while end not in written:
        written += os.read(leader, 1 << 16)
    return written


def test_bars_on_a_terminal_leave_only_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with ThreadPoolExecutor() as reader, os.fdopen(follower, "w") as terminal:
        reading = reader.submit(_read_until, leader, b"after [bold]\r\n")
        monkeypatch.setattr(sys, "stdout", terminal)
        assert is_terminal(terminal)
        console = Console()
        with console.task("pruning", 2, "step") as outer:
            console.note("between")
            with console.task("training", 1200, "steps") as inner:
                inner(600)
                outer(1)
                time.sleep(0.5)
        console.line("after [bold]")
        written = reading.result(timeout=60).decode()
    os.close(leader)
    assert "600/1,200 steps" in written
    assert "1/2 steps" in written
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert "between\r\n" in shown
    assert shown.endswith("after [bold]\r\n")
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor is back"
