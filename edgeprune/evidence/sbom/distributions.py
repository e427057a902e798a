"""The Python distributions that a distribution stands on, as this environment holds them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import getaddresses
from functools import cache
from importlib.metadata import Distribution as Installed
from importlib.metadata import PackageMetadata, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgeprune import __version__
from edgeprune.files import sha256_bytes

ROOT = "edgeprune"
# What an installer writes beside the distribution's own files; it differs between machines.
_OF_THE_INSTALLER = ("/INSTALLER", "/RECORD", "/REQUESTED", "/direct_url.json", "/uv_cache.json")
# Longer texts of the field "License" are the licence itself, not its name.
_LONGEST_NAME = 64


@dataclass(frozen=True)
class Distribution:
    """One installed distribution.

    Attributes:
        name: Its name in the normal form of PEP 503.
        version: Its version.
        licence: The expression of its metadata (PEP 639), else the name of its licence as the
            metadata has it; empty where there is none.
        publisher: Whom its metadata names as author, else as maintainer; empty where nobody.
        requires: Installed distributions that it requires here, sorted.
        optional: Nothing but an extra of the root asks for it.
        record_sha256: Over the hashes in its RECORD (PEP 376), sorted: of the files that its wheel
            brought; absent where there is no such list. It is not the hash of the wheel.
    """

    name: str
    version: str
    licence: str
    publisher: str
    requires: tuple[str, ...]
    optional: bool
    record_sha256: str | None


@dataclass(frozen=True)
class Closure:
    """A distribution and all that it stands on.

    Attributes:
        root: The distribution.
        others: All that it requires, directly or not, sorted by name.
        missing: What is required without an extra of the root and is not installed.
    """

    root: Distribution
    others: tuple[Distribution, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Package:
    installed: Installed
    metadata: PackageMetadata
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True)
class _Walk:
    """What was met on the way from a root.

    Attributes:
        met: Every distribution.
        requires: What each asks for, by name.
        missing: What is asked for and not installed.
    """

    met: set[str]
    requires: dict[str, set[str]]
    missing: set[str]


@cache
def installed_closure(name: str = ROOT) -> Closure:
    """Return what a distribution requires in this environment, through all levels.

    What is installed does not change while a process runs: it is looked up once.

    Requirements count whose markers hold here (PEP 508). The extras of the root count where they
    are installed; those of others count where somebody asks for them.

    Raises:
        PackageNotFoundError: The root itself is not installed.
    """
    root: str = canonicalize_name(name)
    packages: dict[str, _Package] = {root: _package(root)}
    needed = _walk(packages, root, ("",))
    extras = packages[root].metadata.get_all("Provides-Extra") or ()
    everything = _walk(packages, root, ("", *extras))
    rows = {
        each: _describe(
            each, packages[each], everything.requires[each], optional=each not in needed.met
        )
        for each in sorted(everything.met)
    }
    return Closure(
        rows[root],
        tuple(row for each, row in rows.items() if each != root),
        tuple(sorted(needed.missing)),
    )


def closure_or_root() -> Closure:
    """Return what edgeprune stands on; where it runs from its sources alone, that it is missing."""
    try:
        return installed_closure()
    except PackageNotFoundError:
        root = Distribution(ROOT, __version__, "", "", (), optional=False, record_sha256=None)
        return Closure(root, (), (f"{ROOT}, whose requirements are therefore not known",))


def _package(name: str) -> _Package:
    installed = distribution(name)
    requirements = tuple(map(Requirement, installed.requires or ()))
    return _Package(installed, installed.metadata, requirements)


def _walk(packages: dict[str, _Package], root: str, extras: Sequence[str]) -> _Walk:
    """Go through what the root asks for; packages that are met for the first time are added."""
    walk = _Walk(set(), {}, set())
    waiting = [(root, extra) for extra in extras]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        if name not in packages:
            try:
                packages[name] = _package(name)
            except PackageNotFoundError:
                walk.missing.add(name)
                continue
        walk.met.add(name)
        required = set(_required(packages[name], extra))
        walk.requires.setdefault(name, set()).update(other for other, _ in required)
        waiting += required - seen
        seen |= required
    for others in walk.requires.values():
        others.difference_update(walk.missing)
    return walk


def _required(package: _Package, extra: str) -> Iterator[tuple[str, str]]:
    """Yield name and extra of everything that a distribution asks for with one of its extras."""
    for requirement in package.requirements:
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            name = canonicalize_name(requirement.name)
            yield name, ""
            yield from ((name, each) for each in requirement.extras)


def _describe(name: str, package: _Package, requires: set[str], *, optional: bool) -> Distribution:
    return Distribution(
        name=name,
        version=_field(package.metadata, "Version"),
        licence=_licence(package.metadata),
        publisher=_publisher(package.metadata),
        requires=tuple(sorted(requires - {name})),
        optional=optional,
        record_sha256=_record_sha256(package.installed),
    )


def _licence(metadata: PackageMetadata) -> str:
    expression = _field(metadata, "License-Expression")
    if expression:
        return expression
    words = _field(metadata, "License")
    if words != "UNKNOWN" and 0 < len(words) <= _LONGEST_NAME:
        return words
    titles = [
        line.split(" :: ")[-1]
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License :: ")
    ]
    return " and ".join(titles) or words[:_LONGEST_NAME]


def _publisher(metadata: PackageMetadata) -> str:
    for key in ("Author", "Maintainer"):
        name = re.sub(r"\s*<[^>]*>", "", _field(metadata, key))
        if name:
            return name
    for key in ("Author-email", "Maintainer-email"):
        names = [name for name, _ in getaddresses([_field(metadata, key)]) if name]
        if names:
            return ", ".join(names)
    return ""


def _field(metadata: PackageMetadata, key: str) -> str:
    return " ".join(metadata[key].split()) if key in metadata else ""


def _record_sha256(installed: Installed) -> str | None:
    # `Installed.files` makes a path object of every line: seconds for what is milliseconds here.
    rows = csv.reader((installed.read_text("RECORD") or "").splitlines())
    lines = sorted(
        f"{row[0]},{row[1]}\n"
        for row in rows
        if len(row) > 1 and row[1] and not _is_of_this_machine(row[0])
    )
    return sha256_bytes("".join(lines).encode()) if lines else None


def _is_of_this_machine(path: str) -> bool:
    """Say whether the installer made a file, as it does scripts and an editable one's finder."""
    return path.startswith(("/", "..")) or path.endswith((*_OF_THE_INSTALLER, ".pth"))
