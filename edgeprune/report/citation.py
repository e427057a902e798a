"""Evidence seen through its paths: whatever is printed says which figure of evidence.json it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum

from markupsafe import Markup, escape

from edgeprune.report.numbers import GROUP, format_number

_NOTHING = (None, "", ())


class Citation:
    """A value of the evidence together with its path.

    Attributes and items are citations too, so a template cannot lose the path. Printed as HTML, a
    leaf becomes an element that carries its path in `data-evidence`; as text, only its value.
    """

    __slots__ = ("_path", "_value")

    def __init__(self, value: object, path: str = "") -> None:
        self._value = value
        self._path = path

    def __getattr__(self, name: str) -> Citation:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._step(getattr(self._value, name), name)

    def __getitem__(self, index: int) -> Citation:
        items = self._items()
        return self._step(items[index], str(index % len(items)))

    def __iter__(self) -> Iterator[Citation]:
        return (self._step(item, str(index)) for index, item in enumerate(self._items()))

    def __len__(self) -> int:
        return len(self._items())

    def __bool__(self) -> bool:
        """Say whether there is anything; a figure of 0 is something."""
        return self._value if isinstance(self._value, bool) else self._value not in _NOTHING

    def __eq__(self, other: object) -> bool:
        return self._value == raw(other)

    def __hash__(self) -> int:
        return hash(self._value)

    def __str__(self) -> str:
        return _text(self._value, None)

    def __html__(self) -> Markup:
        return cite(self)

    def _items(self) -> tuple[object, ...]:
        if not isinstance(self._value, tuple):
            raise TypeError(f"evidence '{self._path}' is not a list")
        return self._value

    def _step(self, value: object, name: str) -> Citation:
        return Citation(value, f"{self._path}.{name}" if self._path else name)


def raw(value: object) -> object:
    """Return the value behind a citation; anything else is returned as it is."""
    return value._value if isinstance(value, Citation) else value


def path_of(citation: Citation) -> str:
    """Return the path of a citation in evidence.json."""
    return citation._path


def number(citation: Citation) -> float:
    """Return the number behind a citation, to place a mark in a chart.

    Raises:
        TypeError: There is no number.
    """
    value = raw(citation)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"evidence '{citation._path}' is not a number")
    return value


def cite(
    citation: Citation, decimals: int | None = None, tag: str = "", **attributes: str
) -> Markup:
    """Print a leaf of the evidence as an element that carries its path.

    Args:
        citation: The leaf.
        decimals: Least decimals of a number; as many as it needs where absent.
        tag: The element; `data` for numbers and `span` for text where absent.
        attributes: Further attributes of the element, underscores standing for hyphens.
    """
    value = raw(citation)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    tag = tag or ("data" if is_number else "span")
    pairs = {"data-evidence": citation._path}
    if tag == "data":
        pairs["value"] = repr(value)
    pairs |= {name.strip("_").replace("_", "-"): text for name, text in attributes.items()}
    return _element(tag, pairs, _text(value, decimals))


def count(citation: Citation) -> Markup:
    """Print how many items a list of the evidence has; the element carries the list's path."""
    items = len(citation)
    pairs = {"data-evidence": citation._path, "data-derived": "count", "value": str(items)}
    return _element("data", pairs, format_number(items))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_DERIVED: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": _mean,
    "least": min,
    "greatest": max,
}


def listed(citation: Citation) -> Markup:
    """Print all numbers of a list in one element, with spaces between; the list's path is cited.

    Args:
        citation: The list, without absent values.
    """
    texts = [_plain_number(number(item)) for item in citation]
    pairs = {"data-evidence": citation._path, "data-derived": "list"}
    return _element("span", pairs, " ".join(texts))


def _plain_number(value: float) -> str:
    return format_number(value, None if isinstance(value, int) else 1).replace(GROUP, "")


def derived(citation: Citation, what: str, decimals: int | None = None) -> Markup:
    """Print the mean, the least or the greatest of a list of numbers; the list's path is cited.

    Args:
        citation: The list, without absent values.
        what: "mean", "least" or "greatest".
        decimals: Least decimals; as many as it needs where absent.
    """
    value = _DERIVED[what]([number(item) for item in citation])
    pairs = {"data-evidence": citation._path, "data-derived": what, "value": repr(value)}
    return _element("data", pairs, format_number(value, decimals))


def _element(tag: str, pairs: dict[str, str], text: str) -> Markup:
    # Everything is escaped here; Markup.format would do the same ten times slower.
    written = " ".join(f'{name}="{escape(value)}"' for name, value in pairs.items())
    return Markup(f"<{tag} {written}>{escape(text)}</{tag}>")


def _text(value: object, decimals: int | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return format_number(value, decimals)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    raise TypeError(f"a {type(value).__name__} cannot be printed; print its fields")
