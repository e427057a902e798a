"""The report as PDF: made of the very page that a browser shows, so no figure has two sources."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from edgeprune.errors import DataError
from edgeprune.files import write_bytes
from edgeprune.report.paper.blocks import Blocks
from edgeprune.report.paper.pictures import chart_style, palette_of
from edgeprune.report.paper.reader import Element, read_page
from edgeprune.report.paper.words import quoted

# Tagged for screen readers, every character with a meaning: ISO 14289-1.
_STANDARD: Final = "ua-1"
_HASH = "identity.network_sha256"
_HASH_SHOWN = 16
_PLACE = re.compile(r"__\.typ:(\d+):")
# Held by the fonts that come with typst; anything else is tried.
_KNOWN = frozenset(map(chr, range(0x20, 0x7F))) | frozenset("µ×–’“”\u00a0\u202f−≤≥✓✗○·\n")


def render_pdf(page: str) -> bytes:
    """Return the report as a tagged PDF; equal pages give equal bytes.

    Only the fonts inside typst are used, no file is read, and no date is written.

    Args:
        page: What `render_report` returned.

    Raises:
        DataError: The page is none of a report.
    """
    import typst

    try:
        return _compiled(markup_of(page))
    except typst.TypstError as error:
        raise DataError(
            f"the page cannot be set on paper: {error.message}",
            where="the page that the PDF is made of",
            hint="edgeprune report --format html writes the page itself; please report this",
        ) from error


def write_pdf(page_file: Path, pdf_file: Path) -> None:
    """Write the report as PDF beside its page or elsewhere.

    Args:
        page_file: The page that `write_report` wrote.
        pdf_file: The file to write.

    Raises:
        DataError: The page is absent or none of a report.
        DiskError: The file cannot be written.
    """
    try:
        page = page_file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(
            "the page that the PDF is made of cannot be read",
            where=str(page_file),
            hint="write the report as HTML first",
        ) from error
    write_bytes(pdf_file, render_pdf(page))


def markup_of(page: str) -> str:
    """Return the page as one typst document, each figure with `metadata` that names it.

    Args:
        page: What `render_report` returned.
    """
    digest = sha256(page.encode()).hexdigest()
    root = read_page(page.translate(_spelt_out(page)))
    style = "".join(element.text for element in root.all("style"))
    palette = palette_of(style)
    blocks = Blocks(root, chart_style(style, palette))
    (body,) = root.all("main")
    written = [blocks.write(body.children), blocks.appendix()]
    written += [blocks.write([footer]) for footer in root.all("footer")]
    colours = ", ".join(f"{name}: rgb({quoted(value)})" for name, value in palette.items())
    head = f"#let palette = ({colours})\n#let about = ({_about(root, digest)})\n{_style()}"
    return "\n\n".join([head, *written])


def _compiled(markup: str) -> bytes:
    import typst

    # No date is written, and the fonts of the machine do not count: the same bytes everywhere.
    return typst.compile(
        markup.encode(), format="pdf", ignore_system_fonts=True, pdf_standards=[_STANDARD]
    )


def _about(root: Element, digest: str) -> str:
    title = "".join(element.text for element in root.all("title")[:1])
    network = next(
        (each.text for each in root.walk() if each.attributes.get("data-evidence") == _HASH), ""
    )
    banners = "".join(_banner(each.text) for each in root.of_class("synthetic"))
    return (
        f'title: {quoted(title)}, author: "edgeprune", '
        f"made: {quoted(f'Made of the page report.html with SHA-256 {digest}')}, "
        f"network: {quoted(network[:_HASH_SHOWN])}, banners: ({banners})"
    )


def _banner(text: str) -> str:
    mark, colon, rest = text.strip().partition(":")
    return f"({quoted(mark.upper() + colon)}, {quoted(rest)}),"


@cache
def _style() -> str:
    return Path(__file__).with_name("style.typ").read_text(encoding="utf-8")


def _spelt_out(page: str) -> dict[int, str]:
    """Return what stands for the characters that no font has: their numbers, as in U+4E2D."""
    doubtful = sorted({*page} - _KNOWN)
    if not doubtful:
        return {}
    return {ord(char): f"[U+{ord(char):04X}]" for char in _without_font("".join(doubtful))}


@cache
def _without_font(characters: str) -> frozenset[str]:
    import typst

    lines = "\n\n".join(f"#{quoted(char)};" for char in characters)
    start = '#set document(title: "t")\n#set text(font: "Libertinus Serif")\n'
    try:
        _compiled(start + lines)
    except typst.TypstError as error:
        first = start.count("\n") + 1
        places = {int(number) for number in _PLACE.findall(error.diagnostic)}
        return frozenset(characters[(place - first) // 2] for place in places)
    return frozenset()
