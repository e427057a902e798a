"""Text of the page as typst markup: escaped, cited, styled, broken only where it may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from edgeprune.report.paper.reader import Element
from edgeprune.report.paper.widths import Need, pieces, text_width

# Classes and tags in the order in which they are looked for: function of the style, size, font.
_MONO_SIZE, _PATH_SIZE, _NOTE_SIZE = 0.82, 0.68, 0.87
_SPACES = re.compile(r"[ \t\r\n]+")
_STYLES = {
    "path": ("path", _PATH_SIZE, True),
    "key": ("mono", _MONO_SIZE, True),
    "mono": ("mono", _MONO_SIZE, True),
    "note": ("note", _NOTE_SIZE, False),
    "interval": ("note", _NOTE_SIZE, False),
    "missing": ("missing", 1.0, False),
    "faint": ("faint", 1.0, False),
    "unit": ("faint", 1.0, False),
    "label": ("faint", 1.0, False),
}
_TAGS = {"strong": "strong", "em": "emph", "code": "mono", "kbd": "mono"}
# Elements that begin a line of their own, and are lines of a cell.
LINES = frozenset(("p", "li", "ul", "ol", "div", "details", "summary", "dl", "dt", "dd"))
_BADGE_WIDTH = 1.9
_INDENT = 1.4
_NOTE_WIDTH = 13.0


def quoted(text: str) -> str:
    """Return a text as a string of typst."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def shown(text: str) -> str:
    """Return markup that shows a text as it is, whatever characters it has."""
    return f"#{quoted(text)};" if text else ""


def citation(element: Element) -> str:
    """Return markup that says which figure follows, for `typst.query`; empty where none does."""
    path = element.attributes.get("data-evidence")
    if path is None:
        return ""
    path += f":{element.attributes['data-derived']}" if "data-derived" in element.attributes else ""
    return f"#m({quoted(path)},{quoted(element.text)});"


class Words:
    """Writes runs of text with their elements.

    Spaces are those that a browser shows: one between words, none at the ends of lines.

    Args:
        anchors: Names of the places that links can lead to.
        notes_below: Whether notes begin a line of their own, as in captions and cells.
    """

    def __init__(self, anchors: frozenset[str], *, notes_below: bool = False) -> None:
        self._anchors = anchors
        self._notes_below = notes_below
        self._pending = ""
        self._begun = False
        self._plain = False

    def write(self, nodes: Iterable[Element | str]) -> str:
        """Return the markup of some nodes."""
        return "".join(self._node(node) for node in nodes)

    def _node(self, node: Element | str) -> str:
        if isinstance(node, str):
            return self._text(node)
        if node.tag == "br":
            self._break()
            return ""
        if _hidden(node):
            return ""
        own_line = self._own_line(node)
        if own_line:
            self._break()
        written = self._styled(node, self._before(node) + citation(node))
        if own_line:
            self._break()
        return written

    def _before(self, node: Element) -> str:
        # The space before an element stands outside of it, so that no box begins with one.
        if not node.text.strip() or node.text[:1].isspace():
            return ""
        return self._flush()

    def _styled(self, node: Element, before: str) -> str:
        inside = self._with_font(node)
        if "badge" in node.classes:
            kind = next((each for each in node.classes if each.startswith("is-")), "is-made")
            inside = f"#badge({quoted(kind[3:])})[{inside}];"
        for name in _functions(node):
            inside = f"#{name}[{inside}];"
        if is_whole(node):
            inside = f"#box[{inside}];"
        target = node.attributes.get("href", "")[1:]
        if node.tag == "a" and target in self._anchors:
            inside = f"#to({quoted(target)})[{inside}];"
        return before + inside

    def _with_font(self, node: Element) -> str:
        outer, self._plain = self._plain, self._plain or is_whole(node)
        inside = self.write(node.children)
        self._plain = outer
        return inside

    def _own_line(self, node: Element) -> bool:
        return (
            node.tag in LINES
            or "interval" in node.classes
            or (self._notes_below and "note" in node.classes)
        )

    def _break(self) -> None:
        if self._begun:
            self._pending = "#linebreak();"

    def _flush(self) -> str:
        pending, self._pending, self._begun = self._pending, "", True
        return pending

    def _text(self, text: str) -> str:
        flat = _SPACES.sub(" ", text)
        words = flat.strip(" ")
        if flat.startswith(" ") and self._begun and not self._pending:
            self._pending = '#" ";'
        if not words:
            return ""
        written = self._flush() + self._broken(words)
        if flat.endswith(" "):
            self._pending = '#" ";'
        return written

    def _broken(self, text: str) -> str:
        if self._plain:
            return shown(text)
        return "#cut;".join(shown(part) for part in _breakable(text))


def _breakable(text: str) -> list[str]:
    parts = [""]
    for index, word in enumerate(text.split(" ")):
        first, *others = pieces(word)
        parts[-1] += f" {first}" if index else first
        parts += others
    return parts


def _functions(node: Element) -> list[str]:
    names = [_STYLES[each][0] for each in node.classes if each in _STYLES]
    if "path" in names:
        names = ["path"]
    return [*dict.fromkeys(names), *([_TAGS[node.tag]] if node.tag in _TAGS else [])]


def is_whole(node: Element) -> bool:
    """Return whether an element is never broken over lines."""
    return any(each in node.classes for each in ("interval", "fixed", "badge"))


def _hidden(node: Element) -> bool:
    return node.tag in ("button", "svg", "script", "style") or "hidden" in node.attributes


class Ruler:
    """Measures what a column needs for a cell, in ems of the table's text.

    Args:
        mono: Whether the cell is in the font whose characters are equally wide.
    """

    def __init__(self, *, mono: bool = False) -> None:
        self._atom = self._line = self._least = self._full = 0.0
        self._start = (_MONO_SIZE, True) if mono else (1.0, False)

    def need(self, nodes: Sequence[Element | str], *, whole: bool = False) -> Need:
        """Return what the column needs for a cell.

        Args:
            nodes: The cell's children.
            whole: Whether the cell is never broken over lines.
        """
        size, mono = self._start
        for node in nodes:
            self._node(node, size, mono, whole)
        self._end_line()
        return Need(self._least, self._full)

    def _node(self, node: Element | str, size: float, mono: bool, whole: bool) -> None:
        if isinstance(node, str):
            self._text(node, size, mono, whole)
            return
        if _hidden(node):
            return
        note = "note" in node.classes
        own_line = note or node.tag in LINES or node.tag == "br" or "interval" in node.classes
        if own_line:
            self._end_line()
        widest = self._full
        smaller, other = _font(node)
        if "badge" in node.classes:
            self._atom += _BADGE_WIDTH
        if node.tag == "li":
            self._atom += _INDENT
        for child in node.children:
            self._node(child, size * smaller, mono or other, is_whole(node) or (whole and not note))
        if own_line:
            self._end_line()
        if note:
            # A note is folded rather than that it widens its column.
            self._full = max(widest, self._least, min(self._full, _NOTE_WIDTH))

    def _text(self, text: str, size: float, mono: bool, whole: bool) -> None:
        flat = _SPACES.sub(" ", text)
        for index, word in enumerate(flat.split(" ")):
            if index:
                self._atom += size * text_width(" ", mono=mono)
                if not whole:
                    self._end_atom()
            for place, part in enumerate([word] if whole else pieces(word)):
                if place:
                    self._end_atom()
                self._atom += size * text_width(part, mono=mono)

    def _end_atom(self) -> None:
        self._least = max(self._least, self._atom)
        self._line += self._atom
        self._atom = 0.0

    def _end_line(self) -> None:
        self._end_atom()
        self._full = max(self._full, self._line)
        self._line = 0.0


def _font(node: Element) -> tuple[float, bool]:
    found = [_STYLES[each] for each in node.classes if each in _STYLES]
    if node.tag in ("code", "kbd"):
        found.append(_STYLES["mono"])
    if "path" in node.classes:
        found = [_STYLES["path"]]
    size = 1.0
    for _, smaller, _ in found:
        size *= smaller
    return size, any(mono for _, _, mono in found)
