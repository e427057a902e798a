"""Which names, sizes and hashes a manifest may give: what it says comes from anybody."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from edgeprune.errors import DataError
from edgeprune.evidence.untrusted import shown

# What Windows refuses in a name, or takes for a device.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_DEVICES = frozenset(
    {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10)),
    }
)
_RESERVED = frozenset({"manifest.json", "signature.json"})
# For JSON Schemas: a part of what the functions below refuse.
DIGEST_PATTERN = "^[0-9a-f]{64}$"
PATH_PATTERN = r"^(?!/)(?!.*(^|/)\.{0,2}(/|$))[^\\:]+$"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_PATH = 1024
_LONGEST_NAME = 255
_LARGEST = 1 << 53


def check_paths(paths: Iterable[str], *, where: str) -> None:
    """Refuse paths that leave the bundle, or that another system would store elsewhere.

    Args:
        paths: Relative paths with forward slashes.
        where: What names them, for messages.

    Raises:
        DataError: The first that cannot be, by name.
    """
    kept: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        problem = _problem(path) or _clash(path, kept, folders)
        if problem:
            raise DataError(
                f"the path '{shown(path)}' cannot be in a bundle: {problem}",
                where=where,
                hint="rename it, or take the bundle from where it was made",
            )


def check_digest(digest: str, *, where: str) -> None:
    """Refuse what is no SHA-256 in lower-case hexadecimal.

    Raises:
        DataError: It is none.
    """
    if not _DIGEST.fullmatch(digest):
        raise DataError(
            f"'{shown(digest[:80])}' is no SHA-256", where=where, hint="the manifest was altered"
        )


def check_size(size: int, *, where: str) -> None:
    """Refuse a size that no file has.

    Raises:
        DataError: It is negative or beyond what JSON readers agree on.
    """
    if not 0 <= size < _LARGEST:
        raise DataError(
            f"no file has {str(size)[:30]} bytes", where=where, hint="the manifest was altered"
        )


def _clash(path: str, kept: dict[str, str], folders: dict[str, str]) -> str:
    """Return why a path cannot lie beside those before it, else note it and return nothing."""
    folded = _folded(path)
    if folded in kept:
        other = kept[folded]
        return (
            "it is listed twice"
            if other == path
            else f"only capitals or accents tell it from '{shown(other)}'"
        )
    parents = [path[:place] for place, letter in enumerate(path) if letter == "/"]
    for parent in parents:
        if _folded(parent) in kept:
            return f"'{shown(parent)}' is a file and a folder"
        if folders.setdefault(_folded(parent), parent) != parent:
            return "only capitals or accents tell its folder from another"
    if folded in folders:
        return "it is a file and a folder"
    kept[folded] = path
    return ""


def _problem(path: str) -> str:
    parts = path.split("/")
    for wrong, words in (
        (not path or path.startswith("/"), "it is absolute or empty"),
        ({"", ".", ".."} & set(parts), "it leaves its folder, or has an empty part"),
        (_FORBIDDEN.search(path), "it has letters that not every system can store"),
        (not _is_text(path), "it is no text"),
        (any(map(_is_strange, filter(None, parts))), "Windows cannot store it"),
        (len(path) > _LONGEST_PATH, "it is too long"),
        (_folded(path) in _RESERVED, "it is the manifest or the signature itself"),
    ):
        if wrong:
            return words
    return ""


def _is_strange(part: str) -> bool:
    return (
        part[-1] in " ."
        or part.split(".", maxsplit=1)[0].casefold() in _DEVICES
        or len(part) > _LONGEST_NAME
    )


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", path).casefold())
