"""Reading what anybody may have written: files, JSON and names of a bundle that came from afar."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeprune.errors import DataError

# Far above any JSON file of a bundle, far below what would fill a reader's memory.
MOST_BYTES = 1 << 26
_LONGEST_SHOWN = 1024
_DEEPEST = 64
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def shown(text: str) -> str:
    """Return a text of somebody else's so that a terminal and a log can hold it."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text[:_LONGEST_SHOWN]
    )


def read_small(path: Path, absent: str) -> bytes:
    """Return the bytes of a file that somebody else may have made.

    Args:
        path: The file.
        absent: What is said where there is none.

    Raises:
        DataError: It is no plain file, cannot be read, or is larger than any that edgeprune writes.
    """
    try:
        if path.is_symlink() or not path.is_file():
            what = f"{path.name} is a link or no file" if os.path.lexists(path) else absent
            raise DataError(
                what,
                where=str(path),
                hint="name the folder that a finished `edgeprune build --out` wrote; if the build "
                "was broken off, run the same command again",
            )
        if path.stat().st_size > MOST_BYTES:
            raise DataError(
                f"{path.name} has {path.stat().st_size:,} bytes: edgeprune writes none so large",
                where=str(path),
                hint="take the bundle from where it was made",
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path.name} cannot be read: {error.strerror}",
            where=str(path),
            hint="check who may read the folder",
        ) from error


def parse_json(content: bytes, where: str) -> Any:
    """Return what JSON says, if every reader would understand the same.

    Raises:
        DataError: It is no JSON, nests too deeply, has a key twice, or a text that is none.
    """
    try:
        value = json.loads(
            content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
        _check_depth(value, _DEEPEST)
        if _SURROGATE.search(content):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{Path(where).name} is not valid JSON: {error!s:.200}",
            where=where,
            hint="it was altered: take the bundle from where it was made",
        ) from error


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise ValueError("it nests too deeply")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, dict | list):
                _check_depth(inner, left - 1)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key is given twice")
    return table


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")
