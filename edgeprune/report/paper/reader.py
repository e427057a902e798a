"""The report's page as a tree: our own markup, in which every element is closed in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from edgeprune.errors import DataError

_VOID = frozenset(("meta", "link", "br", "img", "hr", "input", "col"))


@dataclass(eq=False)
class Element:
    """An element of the page.

    Attributes:
        tag: Its name in lower case.
        attributes: Its attributes.
        children: Elements and texts in the order of the page.
    """

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """Names of its classes."""
        return self.attributes.get("class", "").split()

    @property
    def elements(self) -> list[Element]:
        """Its children that are elements."""
        return [child for child in self.children if isinstance(child, Element)]

    @property
    def text(self) -> str:
        """All text in it, in the order of the page."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def walk(self) -> Iterator[Element]:
        """Yield the element and all that is in it, in the order of the page."""
        yield self
        for child in self.elements:
            yield from child.walk()

    def all(self, *tags: str) -> list[Element]:
        """Return all elements in it of these names, itself included."""
        return [element for element in self.walk() if element.tag in tags]

    def of_class(self, name: str) -> list[Element]:
        """Return all elements in it of a class, itself included."""
        return [element for element in self.walk() if name in element.classes]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("document")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if self.open[-1].tag != tag:
            raise _broken(f"</{tag}> closes <{self.open[-1].tag}>")
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read_page(page: str) -> Element:
    """Return the elements of a page that `render_report` made.

    Args:
        page: The page.

    Raises:
        DataError: An element is not closed in order.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    if len(reader.open) > 1:
        raise _broken(f"<{reader.open[-1].tag}> is never closed")
    return reader.root


def _broken(what: str) -> DataError:
    return DataError(
        f"this is no page of a report: {what}",
        where="the page that the PDF is made of",
        hint="edgeprune report writes page and PDF from evidence.json",
    )
