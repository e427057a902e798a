"""The publisher's SHA-256 sums, and whether a folder holds what was published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeprune.data.cards import Published
from edgeprune.errors import FetchError
from edgeprune.files import sha256_bytes, sha256_file

_LINE = re.compile(r"([0-9a-f]{64}) [ *]?(\S.*)")


@dataclass(frozen=True)
class FileState:
    """One file of a data set.

    Attributes:
        name: The file's name.
        state: "ok", "missing", "damaged" or "unchecked" (the list of sums is missing).
    """

    name: str
    state: str


@dataclass(frozen=True)
class CheckReport:
    """Whether a folder holds a data set as it was published.

    Attributes:
        card: Name of the data set.
        directory: The folder.
        files: Every file the data set needs, the list of sums first.
    """

    card: str
    directory: str
    files: tuple[FileState, ...]

    @property
    def ok(self) -> bool:
        """Every file is there and as published."""
        return all(file.state == "ok" for file in self.files)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the files that are not there."""
        return self._named("missing")

    @property
    def damaged(self) -> tuple[str, ...]:
        """Names of the files that differ from what was published."""
        return self._named("damaged")

    def _named(self, state: str) -> tuple[str, ...]:
        return tuple(file.name for file in self.files if file.state == state)


def parse_sums(card: Published, content: bytes) -> Mapping[str, str]:
    """Return file name to SHA-256 of a publisher's list.

    Raises:
        FetchError: The list is not the one the card was written for, or cannot be read.
    """
    where = f"{card.name}, {card.files.checksums}"
    anchor = card.files.checksums_sha256
    if anchor and sha256_bytes(content) != anchor:
        raise FetchError(
            "the publisher's list of checksums is not the one this card was written for",
            where=where,
            hint="fetch the data set again; if it stays so, the publisher changed it and the card "
            "needs a new checksums_sha256",
        )
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()]
    matches = [_LINE.fullmatch(line.strip()) for line in lines]
    sums = {match[2]: match[1] for match in matches if match}
    if len(sums) != len(lines):
        raise FetchError(
            "the list of checksums cannot be read",
            where=where,
            hint="one line a file: 64 hexadecimal digits, a blank, the name",
        )
    return sums


def published_sums(card: Published, directory: Path) -> Mapping[str, str]:
    """Return the publisher's sums as far as the folder has their list, else nothing.

    Raises:
        FetchError: See `parse_sums`.
    """
    path = directory / card.files.checksums
    if not card.files.checksums or not path.is_file():
        return {}
    return parse_sums(card, path.read_bytes())


def check(card: Published, directory: Path) -> CheckReport:
    """Return the state of every file that a data set needs; generated data sets need none."""
    if not card.record_files:
        return CheckReport(card.name, str(directory), ())
    sums: Mapping[str, str] = {}
    list_state = "missing"
    if (directory / card.files.checksums).is_file():
        try:
            sums, list_state = published_sums(card, directory), "ok"
        except FetchError:
            list_state = "damaged"
    states = [FileState(card.files.checksums, list_state)]
    for name in card.record_files:
        path = directory / name
        if not path.is_file():
            state = "missing"
        elif name not in sums:
            state = "unchecked"
        else:
            state = "ok" if sha256_file(path) == sums[name] else "damaged"
        states.append(FileState(name, state))
    return CheckReport(card.name, str(directory), tuple(states))
