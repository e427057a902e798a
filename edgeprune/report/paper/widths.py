"""How wide a table's columns must be: the widths of its words, and columns shared out by them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Advance of a character in ems: the greater of Libertinus Serif in regular and in semibold, with
# lining tabular figures. A test holds it against typst's own measure.
_ADVANCES = {
    0.15: "\N{NARROW NO-BREAK SPACE}",
    0.21: "'|",
    0.24: ",.:; ",
    0.29: "ijl!·’",
    0.31: "{}()\\I",
    0.33: "/tf",
    0.37: '"-[]J“”',
    0.40: "`rs",
    0.43: "*?cz$",
    0.46: "ea~#",
    0.48: "0123456789_FS",
    0.50: "oqb",
    0.52: "dgpkµ^×<>",
    0.55: "LvxyPYhnu≤≥+−–=",
    0.58: "ETV○",
    0.63: "BRZ%✗",
    0.67: "KCXU",
    0.72: "GANDHO&Q",
    0.79: "wm",
    0.84: "M✓",
    0.99: "W@",
}
_ADVANCE = {char: width for width, chars in _ADVANCES.items() for char in chars}
_OTHER = 0.8
_MONO = 0.603
_SEPARATED = re.compile(r"(?<=[./_:=,;\\-])(?=[^\s])")
_LONG = 20
_PIECE = 12


def text_width(text: str, *, mono: bool = False) -> float:
    """Return the width of a text in ems; of an unknown character, what a wide one has.

    Args:
        text: One line.
        mono: Whether it is in the font whose characters are equally wide.
    """
    if mono:
        return _MONO * len(text)
    return sum(_ADVANCE.get(char, _OTHER) for char in text)


def pieces(word: str) -> list[str]:
    """Return a word cut where it may be broken: long ones after their marks, or anywhere.

    Args:
        word: A text without spaces.
    """
    if len(word) <= _PIECE:
        return [word]
    parts = []
    for part in _SEPARATED.split(word):
        if len(part) > _LONG:
            parts += [part[start : start + _PIECE] for start in range(0, len(part), _PIECE)]
        else:
            parts.append(part)
    return parts


@dataclass(frozen=True)
class Need:
    """What a column takes.

    Attributes:
        least: Width of the widest piece that cannot be broken.
        full: Width of the longest line.
    """

    least: float = 0.0
    full: float = 0.0

    def grown(self, other: Need) -> Need:
        """Return what both take."""
        return Need(max(self.least, other.least), max(self.full, other.full))


def shared(needs: Sequence[Need], space: float, stretch: float = 1.0) -> list[float] | None:
    """Return the columns' widths, as a browser shares out a table's width.

    Each column has what it needs at least; what is left goes to the columns by what their longest
    lines lack.

    Args:
        needs: What each column takes.
        space: The table's width.
        stretch: How much wider than its longest line a column may become.

    Returns:
        None where the space is too small for any.
    """
    least, full = sum(need.least for need in needs), sum(need.full for need in needs)
    if least > space:
        return None
    if full <= space:
        factor = min(space / max(full, 1e-9), stretch)
        return [need.full * factor for need in needs]
    share = (space - least) / (full - least)
    return [need.least + share * (need.full - need.least) for need in needs]
