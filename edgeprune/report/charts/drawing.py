"""A chart together with its figures as a table, to which each of its marks points."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from edgeprune.report.charts import svg
from edgeprune.report.citation import Citation, cite

# Columns that `figure` fills.
FIGURE = ("Value", "Interval", "n")
NONE = "–"
_UNITS = {"byte": "B", "instruction": "instructions", "uV": "µV"}


class Ledger:
    """The table of a chart, row by row as its marks are drawn.

    Args:
        columns: Headings; the first column heads its row.
    """

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self._rows: dict[tuple[str, ...], int] = {}

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The rows in the order in which they came."""
        return tuple(self._rows)

    def add(self, *cells: Citation | str) -> int:
        """Append a row, or find the same one, and return its number for the mark's `data-row`.

        Args:
            cells: A cell a column; citations are printed with their paths.
        """
        row = tuple(cite(cell) if isinstance(cell, Citation) else escape(cell) for cell in cells)
        if len(row) != len(self.columns):
            raise ValueError(f"{len(row)} cells for {len(self.columns)} columns")
        return self._rows.setdefault(row, len(self._rows))


@dataclass(frozen=True)
class Drawing:
    """A chart and its data.

    Attributes:
        name: Unique name in the page.
        title: What it shows, in words.
        picture: The SVG element.
        columns: Headings of the table of its data.
        rows: The table's cells, escaped.
        alone: Whether no other table of the page holds these figures, so that paper needs this one.
        table: Anchor of the table elsewhere that holds them all; its marks name paths, not rows.
    """

    name: str
    title: str
    picture: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    alone: bool
    table: str


def draw(
    name: str,
    title: str,
    size: svg.Point,
    parts: list[Markup],
    ledger: Ledger | None = None,
    *,
    alone: bool = False,
    table: str = "",
    **attributes: str | float,
) -> Drawing:
    """Return a chart with its table.

    Args:
        name: Unique name in the page.
        title: What the chart shows, in words, for those who cannot see it.
        size: Width and height in its own units.
        parts: Its elements, back to front.
        ledger: Its figures; None where another table holds them.
        alone: Whether no other table of the page holds these figures.
        table: Anchor of the other table.
        attributes: Further attributes of the SVG element.
    """
    picture = svg.chart(name, title, size, parts, **attributes)
    columns, rows = (ledger.columns, ledger.rows) if ledger else ((), ())
    return Drawing(name, title, picture, columns, rows, alone, table)


def plot(drawing: Drawing, label: str) -> Markup:
    """Return the elements of a chart: the picture, and its data to fold out.

    Args:
        drawing: The chart.
        label: What it is called where it can be scrolled.
    """
    return Markup(
        '<div class="plot">\n'
        f'<div class="scroll" role="group" tabindex="0" aria-label="{escape(label)}">'
        f"{drawing.picture}</div>\n{_data(drawing, label)}</div>"
    )


def figure(quantity: Citation | None, decimals: int = 3) -> tuple[str, str, str]:
    """Return a quantity as the cells of `FIGURE`: value with unit, interval, size of the sample.

    Args:
        quantity: A Quantity; None where there is none.
        decimals: Least decimals of a share.
    """
    if not quantity or not quantity.value:
        return NONE, NONE, _sample(quantity)
    places = decimals if quantity.unit == "1" else None
    value = cite(quantity.value, places) + unit_text(str(quantity.unit))
    if not quantity.interval:
        return value, NONE, _sample(quantity)
    low, high = quantity.interval.low, quantity.interval.high
    return value, Markup(f"{cite(low, places)} to {cite(high, places)}"), _sample(quantity)


def unit_text(unit: str) -> str:
    """Return a unit as it follows its number; nothing for shares and counts."""
    return "" if unit in ("1", "") else f" {_UNITS.get(unit, unit)}"


def _data(drawing: Drawing, label: str) -> str:
    if drawing.table:
        anchor = escape(drawing.table)
        return f'<p class="data"><a href="#{anchor}">Data of this chart as a table</a></p>\n'
    alone = " alone" if drawing.alone else ""
    return (
        f'<details class="data{alone}"><summary>Data of this chart as a table</summary>\n'
        f'<div class="scroll" role="group" tabindex="0" aria-label="Data: {escape(label)}">\n'
        f"{_table(drawing)}\n</div>\n</details>\n"
    )


def _sample(quantity: Citation | None) -> str:
    if not quantity or not quantity.n:
        return NONE
    return cite(quantity.n) + (Markup(" ") + cite(quantity.n_of) if quantity.n_of else "")


def _table(drawing: Drawing) -> str:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in drawing.columns)
    lines = "\n".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in drawing.rows
    )
    return (
        f'<table class="dense" id="data-{escape(drawing.name)}">'
        f"<caption>Data: {escape(drawing.title)}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>"
    )
