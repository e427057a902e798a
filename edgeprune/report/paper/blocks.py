"""The page's blocks as typst markup: headings, paragraphs, lists, tables, charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edgeprune.report.paper.pictures import picture, told
from edgeprune.report.paper.reader import Element
from edgeprune.report.paper.tables import write_table
from edgeprune.report.paper.words import Words, citation, quoted, shown

# What only a screen needs.
_ON_SCREEN = frozenset(("skip", "back", "tools", "readout"))
_NEVER = frozenset(("script", "style", "button", "head", "nav"))
_LEVELS = {"h3": 2, "h4": 3}
_BLOCKS = frozenset(
    (
        *("section", "header", "main", "nav", "footer", "div", "h1", "h2", "h3", "h4", "p"),
        *("ul", "ol", "dl", "table", "figure", "figcaption", "svg", "details", "pre"),
        *("script", "style", "button", "head"),
    )
)
_SMALL = frozenset(("interval", "note"))
_PARAGRAPHS = ("kicker", "lead", "absent", "support", "missing", "faint", "note")


class Blocks:
    """Writes the blocks of one page.

    The tables behind the charts are collected; `appendix` writes them.

    Args:
        page: The page.
        style: The charts' style sheet.
    """

    def __init__(self, page: Element, style: str) -> None:
        wanted = {link.attributes.get("href", "")[1:] for link in page.all("a")}
        places = {each.attributes.get("id", "") for each in page.walk() if _is_place(each)}
        folded = {each.attributes.get("id", "") for each in _folded_tables(page)}
        self._anchors = frozenset((wanted | folded) & places - {""})
        self._style = style
        self._data: list[Element] = []
        self._handlers: dict[str, Callable[[Element], str]] = {
            "h1": self._title,
            "h2": self._heading,
            "h3": self._heading,
            "h4": self._heading,
            "p": self._paragraph,
            "footer": self._footer,
            "ul": self._list,
            "ol": self._list,
            "dl": self._terms,
            "table": self._table,
            "figure": self._figure,
            "figcaption": self._caption,
            "svg": self._chart,
            "details": self._details,
            "pre": self._command,
            "nav": self._contents,
            "div": self._division,
            "section": self._section,
        }

    def write(self, nodes: Sequence[Element | str]) -> str:
        """Return the markup of blocks; text between them becomes paragraphs."""
        written: list[str] = []
        run: list[Element | str] = []
        for node in nodes:
            if isinstance(node, Element) and node.tag in _BLOCKS:
                written += [self._words(run), self._block(node)]
                run = []
            else:
                run.append(node)
        written.append(self._words(run))
        return "\n\n".join(each for each in written if each)

    def appendix(self) -> str:
        """Return the tables behind the charts, which a screen folds out below each."""
        if not self._data:
            return ""
        tables = [
            self._at(table) + self._table(table)
            for each in self._data
            for table in each.all("table")
        ]
        heading = "#heading(level: 1, numbering: none)[Data of the charts]"
        return "\n\n".join([heading, *tables])

    def _block(self, element: Element) -> str:
        if _ON_SCREEN & {*element.classes} or "hidden" in element.attributes:
            return ""
        handler = self._handlers.get(element.tag)
        if handler is None:
            return "" if element.tag in _NEVER else self.write(element.children)
        return self._at(element) + handler(element)

    def _at(self, element: Element) -> str:
        name = element.attributes.get("id", "")
        return f"#at({quoted(name)});" if name in self._anchors and _is_place(element) else ""

    def _words(self, nodes: Sequence[Element | str], *, below: bool = False) -> str:
        return Words(self._anchors, notes_below=below).write(nodes)

    def _section(self, element: Element) -> str:
        written = self.write(element.children)
        return written + ("\n\n#pagebreak(weak: true)" if "cover" in element.classes else "")

    def _title(self, element: Element) -> str:
        return f"#title[{self._words(element.children)}]"

    def _heading(self, element: Element) -> str:
        words = self._words(element.children)
        if "plain" in element.classes:
            return f"#plain[{words}]"
        if element.tag == "h2":
            return f"#section[{words}]"
        return f"#heading(level: {_LEVELS[element.tag]})[{words}]"

    def _paragraph(self, element: Element) -> str:
        words = self._words(element.children)
        name = next((each for each in _PARAGRAPHS if each in element.classes), "")
        if not words or "data" in element.classes:
            return f"#note[{words}]" if words else ""
        return f"#{name}[{words}]" if name else words

    def _footer(self, element: Element) -> str:
        return f"#support[{self.write(element.children)}]"

    def _list(self, element: Element) -> str:
        if "legend" in element.classes:
            entries = "".join(self._legend(item) for item in element.elements)
            return f"#legend({entries})"
        items = "".join(f"[{self.write(item.children)}]," for item in element.elements)
        name = "links" if "links" in element.classes else "list" if element.tag == "ul" else "enum"
        return f"#{name}({items})" if items else ""

    def _legend(self, item: Element) -> str:
        style = next(iter(item.classes), "")
        return f"legend-entry({quoted(style)})[{self._words(item.children)}],"

    def _terms(self, element: Element) -> str:
        if "headline" in element.classes:
            groups = [child for child in element.elements if child.tag == "div"]
            entries = "".join(self._headline(group) for group in groups)
            return f"#headline({entries})"
        pairs = []
        for each in element.all("dt", "dd"):
            words = self._inside(each)
            pairs.append(f"term[{words}]," if each.tag == "dt" else f"[{words}],")
        return f"#facts({''.join(pairs)})"

    def _headline(self, group: Element) -> str:
        (term, body) = group.elements[:2]
        small = [
            isinstance(each, Element) and bool(_SMALL & {*each.classes}) for each in body.children
        ]
        first = small.index(True) if True in small else len(small)
        figure, rest = body.children[:first], body.children[first:]
        words = (self._words(term.children), self._words(figure), self._words(rest, below=True))
        return "headline-entry" + "".join(f"[{each}]" for each in words) + ","

    def _inside(self, element: Element) -> str:
        """Write what is in a cell: lines of text, or blocks where there are any."""
        notes = [each for each in element.elements if "note" in each.classes]
        if "fixed" not in element.classes or not notes:
            return citation(element) + self._mono(element, self._in_cell(element))
        # What is said beside a figure is folded, the figure is not.
        figure = replace(element, children=[each for each in element.children if each not in notes])
        words = self._mono(figure, self._in_cell(figure))
        return f"{citation(element)}{words}#linebreak();{self._words(notes, below=True)}"

    def _in_cell(self, element: Element) -> str:
        if not any(child.tag in _BLOCKS for child in element.elements):
            return self._words(element.children, below=True)
        written: list[str] = []
        run: list[Element | str] = []
        for node in [*element.children, Element("end")]:
            if isinstance(node, Element) and (node.tag in _BLOCKS or node.tag == "end"):
                written.append(self._words(run, below=True))
                written.append("" if node.tag == "end" else self._block(node))
                run = []
            else:
                run.append(node)
        return "\n\n".join(each for each in written if each)

    @staticmethod
    def _mono(element: Element, words: str) -> str:
        for name, function in (("key", "mono"), ("missing", "missing")):
            if name in element.classes:
                words = f"#{function}[{words}];"
        return f"#box[{words}];" if "fixed" in element.classes else words

    def _table(self, table: Element) -> str:
        captions = [child for child in table.elements if child.tag == "caption"]
        caption = "".join(self._caption(each) + "\n\n" for each in captions)
        written = write_table(table, self._row_cell)
        across = written.startswith("#wide[")
        # A caption goes with its table onto a sheet that is turned.
        return f"#wide[{caption}{written[6:]}" if across else caption + written

    def _row_cell(self, cell: Element, row: Element) -> str:
        first = next(iter(row.elements), None)
        return (self._at(row) if cell is first else "") + self._inside(cell)

    def _caption(self, element: Element) -> str:
        return f"#caption[{self._titled(element)}]"

    def _titled(self, element: Element) -> str:
        """Write a caption: its title strong, the notes below it."""
        notes = [each for each in element.elements if "note" in each.classes]
        title = [each for each in element.children if each not in notes]
        words = f"#strong-part[{self._words(title)}]"
        below = [f"#linebreak();#note[{self._words(each.children)}];" for each in notes]
        return words + "".join(below)

    def _figure(self, element: Element) -> str:
        return f"#kept[{self.write(element.children)}]"

    def _chart(self, chart: Element) -> str:
        cited = "".join(citation(each) for each in chart.walk())
        drawn = quoted(picture(chart, self._style))
        return f"{cited}#picture({drawn}, {quoted(told(chart))})"

    def _details(self, element: Element) -> str:
        inside = [each for each in element.children if not _is_summary(each)]
        if "data" not in element.classes:
            heads = [each for each in element.elements if _is_summary(each)]
            first = "".join(f"#note[{self._words(each.children)}];" for each in heads)
            return "\n\n".join((first, self.write(inside)))
        if "alone" in element.classes:
            return self.write(inside)
        self._data.append(element)
        table = element.all("table")[0].attributes.get("id", "")
        return f"#data-at({quoted(table)})" if table else ""

    def _command(self, element: Element) -> str:
        cited = "".join(citation(each) for each in element.walk())
        lines = [shown(line) for line in element.text.strip("\n").split("\n")]
        return f"{cited}#command[{'#linebreak();'.join(lines)}]"

    def _contents(self, element: Element) -> str:
        titles = [each for each in element.elements if each.tag == "h2"]
        return (
            "".join(self._block(each) + "\n\n" for each in titles)
            + "#outline(title: none, depth: 1)"
        )

    def _division(self, element: Element) -> str:
        if "verdict" in element.classes:
            return self._verdict(element)
        if "windows" in element.classes:
            return self._side_by_side(element)
        return self.write(element.children)

    def _verdict(self, element: Element) -> str:
        name = next(each[3:] for each in element.classes if each.startswith("is-"))
        word, body = element.elements[:2]
        return (
            f"#verdict({quoted(name)})[{self._words(word.children)}][{self.write(body.children)}]"
        )

    def _side_by_side(self, element: Element) -> str:
        cells = "".join(f"[{self._block(each)}]," for each in element.elements)
        return f"#grid(columns: (1fr, 1fr), column-gutter: 12pt, row-gutter: 10pt, {cells})"


def _is_summary(node: Element | str) -> bool:
    return isinstance(node, Element) and node.tag == "summary"


def _folded_tables(page: Element) -> list[Element]:
    return [table for each in page.all("details") for table in each.all("table")]


def _is_place(element: Element) -> bool:
    return element.tag in _BLOCKS - _NEVER - {"svg"} | {"nav", "tr"}
