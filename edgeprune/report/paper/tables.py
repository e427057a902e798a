"""Tables of the page on paper: heads repeat on every page, and no column leaves the sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edgeprune.report.paper.reader import Element
from edgeprune.report.paper.widths import Need, shared
from edgeprune.report.paper.words import Ruler

# Widths between the margins of A4, upright and across, in points.
UPRIGHT, ACROSS = 504.0, 751.0
_INSET = 7.0
# Space above and below a cell's text.
_PADS = {"signatures": 9.0, "heat": 5.0, "dense": 1.7}
_SIZES = {False: (8.5, 8.0, 7.5, 7.0, 6.5), True: (7.5, 7.0, 6.5, 6.0)}
_SMALLEST = 5.0
# Rows of a table that is not broken over pages.
_KEPT_ROWS = 22
_STRETCH = 2.4
# Estimates of the text are exact to this share.
_MARGIN = 1.03


@dataclass(frozen=True)
class _Layout:
    columns: tuple[float, ...]
    size: float
    across: bool


@dataclass(frozen=True)
class _Cell:
    element: Element
    row: Element
    place: int
    span: int


def write_table(table: Element, write: Callable[[Element, Element], str]) -> str:
    """Return the markup of a table without its caption.

    Args:
        table: The table.
        write: Returns the markup inside a cell of a row.
    """
    grid = list(_placed(table))
    layout = _layout(table, grid)
    prose = "prose" in table.classes
    left = prose or "signatures" in table.classes
    parts: dict[str, list[str]] = {"thead": [], "tbody": [], "tfoot": []}
    for section, cells in grid:
        for cell in cells:
            head = section == "thead"
            parts[section].append(_cell(cell, write(cell.element, cell.row), left, head))
    columns = ", ".join(f"{width:.2f}pt" for width in layout.columns)
    pad = next((each for name, each in _PADS.items() if name in table.classes), 2.6)
    written = (
        f"#matrix(({columns},), {layout.size}pt, ({_joined(parts['thead'])}), "
        f"({_joined(parts['tbody'])}), ({_joined(parts['tfoot'])}), pad: {pad}pt, "
        f"spread: {'true' if prose else 'false'})"
    )
    rows = sum(section == "tbody" for section, _ in grid)
    if "keep" in table.classes and rows <= _KEPT_ROWS and not prose:
        written = f"#kept[{written}]"
    return f"#wide[{written}]" if layout.across else written


def _joined(cells: Sequence[str]) -> str:
    return "".join(f"{cell}," for cell in cells)


def _placed(table: Element) -> Iterator[tuple[str, list[_Cell]]]:
    """Yield each row with its part of the table and its cells in their columns."""
    for part in table.elements:
        if part.tag not in ("thead", "tbody", "tfoot"):
            continue
        open_rows: dict[int, int] = {}
        for row in (child for child in part.elements if child.tag == "tr"):
            cells, place = [], 0
            for cell in (child for child in row.elements if child.tag in ("td", "th")):
                while open_rows.get(place):
                    place += 1
                span = int(cell.attributes.get("colspan", "1"))
                cells.append(_Cell(cell, row, place, span))
                held = int(cell.attributes.get("rowspan", "1"))
                place += span
                open_rows |= {each: held for each in range(place - span, place) if held > 1}
            open_rows = {each: left - 1 for each, left in open_rows.items() if left > 1}
            yield part.tag, cells


def _layout(table: Element, grid: Sequence[tuple[str, list[_Cell]]]) -> _Layout:
    count = max((cell.place + cell.span for _, cells in grid for cell in cells), default=1)
    needs = [Need()] * count
    for section, cells in grid:
        for cell in cells:
            if cell.span == 1:
                needs[cell.place] = needs[cell.place].grown(_need(cell, section))
    stretch = 1.3 if {"narrow", "heat"} & {*table.classes} else _STRETCH
    stated = _stated(table, count)
    sizes = _SIZES["dense" in table.classes or "prose" in table.classes]
    for across, space in ((False, UPRIGHT), (True, ACROSS)):
        for size in sizes:
            scaled = [_points(need, size) for need in needs]
            columns = _as_stated(scaled, stated, space) or shared(scaled, space, stretch)
            if columns:
                return _Layout(tuple(columns), size, across)
    # Nothing fits: every column gets its share of the wider sheet, and words break where they must.
    total = sum(need.least for need in needs) or 1.0
    columns = [ACROSS * need.least / total for need in needs]
    return _Layout(tuple(columns), _SMALLEST, True)


def _need(cell: _Cell, section: str) -> Need:
    classes = {*cell.element.classes, *cell.row.classes}
    need = Ruler(mono="key" in cell.element.classes).need(
        cell.element.children, whole="fixed" in classes
    )
    heavy = 1.02 if section == "thead" else 1.0
    return Need(need.least * heavy, need.full * heavy)


def _points(need: Need, size: float) -> Need:
    return Need(
        need.least * size * _MARGIN + _INSET,
        need.full * size * _MARGIN + _INSET,
    )


def _stated(table: Element, count: int) -> list[float] | None:
    """Return the shares of the width that a table states, from classes like `wide-2`."""
    if "signatures" in table.classes:
        return [1.0] * count
    names = [name for column in table.all("col") for name in column.classes]
    steps = [name.removeprefix("wide-") for name in names if name.startswith("wide-")]
    if len(steps) != count or not all(step.isdecimal() for step in steps):
        return None
    return [0.5 + float(step) for step in steps]


def _as_stated(
    needs: Sequence[Need], stated: Sequence[float] | None, space: float
) -> list[float] | None:
    if stated is None:
        return None
    columns = [space * share / sum(stated) for share in stated]
    fits = all(width >= need.least for width, need in zip(columns, needs, strict=True))
    return columns if fits else None


def _cell(cell: _Cell, content: str, left: bool, head: bool) -> str:
    element, row = cell.element, cell.row
    settings = [f"{name}: {element.attributes[name]}" for name in _spans(element)]
    settings.append(f"align: {_alignment(cell, left, head)}")
    share = next((each for each in element.classes if each.startswith("share-")), "")
    if share:
        settings.append(f"fill: shade({5 * int(share.removeprefix('share-'))}%)")
    bold = "sum" in row.classes or "diagonal" in element.classes
    group = "group" in row.classes
    kind = "head-cell" if head else "group-cell" if group else "sum-cell" if bold else "c"
    if group:
        settings = [each for each in settings if not each.startswith("align")]
    return f"{kind}([{content}], {', '.join(settings)})"


def _spans(element: Element) -> list[str]:
    return [
        name
        for name in ("colspan", "rowspan")
        if element.attributes.get(name, "1").isdecimal()
        and element.attributes.get(name, "1") != "1"
    ]


def _alignment(cell: _Cell, left: bool, head: bool) -> str:
    classes = cell.element.classes
    if cell.element.attributes.get("scope") == "colgroup":
        side = "center"
    elif left or cell.place == 0 or "text" in classes:
        side = "left"
    else:
        side = "right"
    return f"{side} + {'bottom' if head else 'top'}"
