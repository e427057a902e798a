"""The pictures of README.md: `python -m tests.studies.readme_pictures RESULT CONSOLE.txt`.

RESULT is the directory of a build with its report.pdf, CONSOLE.txt what that build wrote on its
standard output. Both pictures show what is there; lines of progress and times are left out.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from edgeprune.evidence import read_evidence

CHECKOUT = Path(__file__).resolve().parent.parent.parent
IMAGES = CHECKOUT / "docs" / "images"
DOTS_PER_INCH = 80
MOST_BYTES = 300_000
DEMO = "edgeprune build --target cortex-m7 --robust linf:20uV"
_COLUMNS = 110
_LEFT_OUT = "[...]"
# Parts of the console that fit a picture, by how they begin; the others are said to be left out.
_SHOWN = (
    "edgeprune ",
    "int8 as flashed, test part",
    r"\S+: \d+ of [\d,]+ values",
    r"int8 as flashed, \d+ windows, runtime",
    r"set +proved",
    "requirement ",
    "(PASS|FAIL) ",
)
_STAGE_TIME = re.compile(r"[a-z]+ +([\d,.]+ s|kept from an earlier run)$")
_PER_WINDOW = re.compile(r" +ms a window$| +-{11}$| +[\d.]+$| +-$")


def first_page(report: Path, picture: Path) -> None:
    """Draw the first page of a PDF."""
    program = shutil.which("pdftoppm")
    if program is None:
        raise SystemExit("pdftoppm is missing: apt-get install poppler-utils")
    options = ["-png", "-singlefile", "-f", "1", "-l", "1", "-r", str(DOTS_PER_INCH)]
    subprocess.run([program, *options, str(report), str(picture.with_suffix(""))], check=True)


def session(console: str, command: str) -> str:
    """Return what of a console is shown: whole paragraphs, without progress and times."""
    begin = console.index("edgeprune ", console.find("\nedgeprune ") + 1)
    lines = [
        line
        for line in console[begin:].splitlines()
        if not (line.startswith("  ") or _STAGE_TIME.fullmatch(line) or "quantized by" in line)
    ]
    paragraphs = re.split(r"\n{2,}", "\n".join(lines).strip())
    return f"$ {command}\n" + "\n\n".join(_chosen(paragraphs))


def _chosen(paragraphs: Sequence[str]) -> Iterator[str]:
    left_out = False
    for paragraph in paragraphs:
        if re.match("|".join(_SHOWN), paragraph):
            if left_out:
                yield _LEFT_OUT
            left_out = False
            yield _untimed(paragraph)
        else:
            left_out = True


def _untimed(paragraph: str) -> str:
    """Return a table without its column of times, if it has one."""
    lines = paragraph.splitlines()
    if not any(line.endswith("ms a window") for line in lines):
        return paragraph
    first = next(number for number, line in enumerate(lines) if line.endswith("ms a window"))
    return "\n".join([*lines[:first], *(_PER_WINDOW.sub("", line) for line in lines[first:])])


def terminal(text: str, picture: Path) -> None:
    """Draw a console as SVG that loads no font from anywhere."""
    recorder = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in text.splitlines():
        style = "bold" if line.startswith("$ ") else ""
        style = "bold green" if line.startswith("PASS") else style
        style = "bold red" if line.startswith("FAIL") else style
        recorder.print(Text(line, style=style), soft_wrap=True)
    form = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    drawn = recorder.export_svg(
        title="edgeprune on SYNTHETIC data", code_format=form, unique_id="terminal"
    )
    picture.write_text(drawn.replace("Fira Code, monospace", "monospace"), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.studies.readme_pictures")
    parser.add_argument("result", type=Path)
    parser.add_argument("console", type=Path)
    parser.add_argument(
        "--command", default="edgeprune build --target cortex-m7 --robust linf:20uV"
    )
    options = parser.parse_args(arguments)
    evidence = read_evidence(options.result / "evidence.json")
    if not evidence.identity.synthetic:
        raise SystemExit("the pictures say that their data are synthetic; these are not")
    IMAGES.mkdir(exist_ok=True)
    first_page(options.result / "report.pdf", IMAGES / "report.png")
    text = session(options.console.read_text(encoding="utf-8"), options.command)
    terminal(text, IMAGES / "terminal.svg")
    for picture in sorted(IMAGES.iterdir()):
        if picture.stat().st_size > MOST_BYTES:
            raise SystemExit(f"{picture} has more than {MOST_BYTES} bytes")
        print(f"{picture.relative_to(CHECKOUT)}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
