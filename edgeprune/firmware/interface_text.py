"""The documentation of the C interface, read from the comments of the generated header."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DOCUMENTED = re.compile(
    r"/\*(?P<words>(?:(?!\*/).)*)\*/\n(?:#define [^\n]*\n)*(?P<code>(?:[a-z][^;{}#/]*\);\n)+)",
    re.DOTALL,
)
_PROTOTYPE = re.compile(r"^[a-z][^;{}#/]*?\bedgeprune_\w+\([^;{}#/]*\);", re.MULTILINE)


@dataclass(frozen=True)
class Documented:
    """Functions of the interface that share one comment.

    Attributes:
        prototypes: Each on one line.
        paragraphs: What they do; an indented paragraph is code or a table and keeps its lines.
    """

    prototypes: tuple[str, ...]
    paragraphs: tuple[str, ...]


def documented(header: str) -> tuple[Documented, ...]:
    """Return the functions of a header with what their comments say, in its order."""
    return tuple(
        Documented(prototypes(match["code"]), _paragraphs(match["words"]))
        for match in _DOCUMENTED.finditer(header)
    )


def prototypes(header: str) -> tuple[str, ...]:
    """Return the prototypes of all functions that a header declares, each on one line."""
    return tuple(" ".join(text.split()) for text in _PROTOTYPE.findall(header))


def _paragraphs(words: str) -> tuple[str, ...]:
    lines = [re.sub(r"^ \* ?", "", line).rstrip() for line in words.split("\n")]
    found = []
    for part in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        is_plain = not any(
            line.startswith("    ") or "  " in line.strip() for line in part.split("\n")
        )
        found.append(" ".join(part.split()) if is_plain else _block(part))
    return tuple(text for text in found if text)


def _block(part: str) -> str:
    indented = [line if line.startswith("    ") else f"    {line}" for line in part.split("\n")]
    return "\n".join(indented)
