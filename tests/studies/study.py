"""What all studies share: figures with floor and mark, sections that are kept, one table."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
KEPT = CHECKOUT / ".studies"
PACKAGES = (
    *("edgeprune", "torch", "torch-pruning", "highspy", "numpy", "onnxruntime", "tflite-runtime"),
    *("unicorn", "ziglang"),
)


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        section: Part of the study.
        name: What was measured.
        found: The value; None where it could not be measured, which is a miss.
        floor: What it must reach (or stay below).
        mark: What it is meant to reach, where that is more than the floor.
        at_most: The floor is an upper limit.
        unit: Unit of all three.
        note: What a reader must know beside it.
    """

    section: str
    name: str
    found: float | None
    floor: float | None = None
    mark: float | None = None
    at_most: bool = False
    unit: str = ""
    note: str = ""

    def meets(self, limit: float | None) -> bool:
        """Say whether the figure reaches a limit; an absent limit is reached by any figure."""
        if limit is None:
            return True
        if self.found is None:
            return False
        return self.found <= limit if self.at_most else self.found >= limit


Section = Callable[[], Iterable[Figure]]


def run_study(
    name: str,
    seed: int,
    sections: dict[str, Section],
    only: Sequence[str] | None = None,
    unread: Mapping[str, Sequence[str]] | None = None,
) -> int:
    """Measure what is not kept from an earlier run on this code, print and write the table.

    With some sections alone, these are measured and kept, and nothing is written: several can so
    be measured beside each other.

    Args:
        name: Name of the study.
        seed: Of everything that is drawn.
        sections: What yields the figures.
        only: Sections to measure alone.
        unread: Beginnings of the paths that a section has nothing to do with: it is kept when
            they change.
    """
    commit, code = _git("rev-parse", "HEAD"), code_hash()
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ":!tests/studies/*.json")
    if changes:
        print(f"commit first, a study measures a committed state:\n{changes}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for section, measure in sections.items():
        if only and section not in only:
            continue
        path = KEPT / name / code_hash((unread or {}).get(section, ())) / f"{section}.json"
        if path.exists():
            found = [Figure(**entry) for entry in json.loads(path.read_text())]
        else:
            print(f"== {section}", flush=True)
            found = list(measure())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps([asdict(figure) for figure in found], indent=1))
        figures += found
    if not only:
        _write(name, seed, commit, code, figures)
    return _print(figures)


def _write(name: str, seed: int, commit: str, code: str, figures: list[Figure]) -> None:
    document = {
        "study": name,
        "command": f"make study-{name}",
        "seed": seed,
        "commit": commit,
        "code": code,
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "figures": [asdict(figure) for figure in figures],
    }
    path = CHECKOUT / "tests" / "studies" / f"{name}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _print(figures: list[Figure]) -> int:
    rows = [
        (
            figure.section,
            figure.name,
            _text(figure.found),
            _limit(figure, figure.floor),
            _limit(figure, figure.mark),
            "ok" if figure.meets(figure.floor) else "FALLS SHORT",
            "" if figure.mark is None else "yes" if figure.meets(figure.mark) else "no",
            figure.note,
        )
        for figure in figures
    ]
    header = ("section", "figure", "found", "floor", "mark", "", "mark met", "note")
    widths = [max(len(row[index]) for row in [header, *rows]) for index in range(len(header))]
    for row in [header, *rows]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    short = sum(not figure.meets(figure.floor) for figure in figures)
    print(f"{len(figures) - short} passed, {short} failed")
    return 1 if short else 0


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) or value == int(value) else f"{value:.4f}"


def _limit(figure: Figure, limit: float | None) -> str:
    return "" if limit is None else f"{'<=' if figure.at_most else '>='} {_text(limit)}"


def outcome_of_tests(
    section: str,
    title: str,
    arguments: list[str],
    environment: dict[str, str] | None = None,
) -> Figure:
    """Run tests; the figure is 0, or absent where one failed or none ran."""
    # the project's own options hold one -q: a second would take the summary away
    command = [sys.executable, "-m", "pytest", *arguments]
    _, output = run_command(command, CHECKOUT, environment, check=False)
    failed = re.search(r"(\d+) (failed|error)", output)
    passed = re.search(r"(\d+) passed", output)
    found = 0 if passed and not failed else None
    return Figure(section, title, found, 0, None, True, note=summary_of_tests(output))


def summary_of_tests(output: str) -> str:
    """Return pytest's last line of what it printed."""
    return next((line.strip("= ") for line in output.splitlines()[::-1] if " passed" in line), "")


def run_command(
    command: list[str], folder: Path, environment: dict[str, str] | None = None, check: bool = True
) -> tuple[float, str]:
    """Run a command and return its wall seconds and what it printed."""
    begin = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.monotonic() - begin, done.stdout + (done.stderr if not done.stdout else "")


def code_hash(unread: Sequence[str] = ()) -> str:
    """Return a hash of the committed files.

    The studies, the prose about them and paths that begin as in `unread` are left out.
    """
    prose = ("tests/studies/", "README.md", "CHANGELOG.md", *unread)
    lines = _git("ls-tree", "-r", "HEAD").splitlines()
    kept = [line for line in lines if not line.split("\t")[1].startswith(prose)]
    return sha256("\n".join(kept).encode()).hexdigest()[:16]


def _git(*arguments: str) -> str:
    command = ("git", *arguments)
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
