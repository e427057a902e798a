"""The one kind of look-up by name that edgeprune has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from edgeprune.errors import UnknownNameError

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """Named entries of one kind; names are unique and a failed look-up lists them all.

    Args:
        kind: What an entry is, in the words of an error message ("pruning method").
    """

    def __init__(self, kind: str, **entries: Entry) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = dict(entries)

    def add(self, name: str, entry: Entry) -> Entry:
        """Add an entry.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = entry
        return entry

    def get(self, name: str, *, where: str = "") -> Entry:
        """Return the entry of that name.

        Raises:
            UnknownNameError: No entry has that name.
        """
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries, where=where)
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted(self._entries))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._entries)
