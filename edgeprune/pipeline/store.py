"""Keeps finished stages, so that a killed build resumes and a repeated one is quick.

A stage is a folder of files. It is made in `NAME.partial`, described by `stage.json` (its key and
the SHA-256 of each file) and renamed to `NAME`: a reader sees a whole stage or none. The key is a
hash of everything that the stage reads: its settings, the products of earlier stages, and the
source code of the rooms that it runs. A checkpoint that a stage keeps in its partial folder
survives a kill only if its key is still the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeprune import __version__
from edgeprune.errors import EdgepruneError
from edgeprune.files import disk_errors, sha256_bytes, sha256_file, write_text

_DESCRIPTION = "stage.json"
_PENDING_KEY = ".key"
_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    Attributes:
        name: Name of the stage.
        folder: Where its files are.
        digest: SHA-256 over its files; later stages that read it have this in their keys.
        reused: Whether an earlier run had made it.
        inputs: Names and hashes of all that it read: earlier stages, "settings" and "code".
    """

    name: str
    folder: Path
    digest: str
    reused: bool
    inputs: tuple[tuple[str, str], ...] = ()

    def file(self, name: str) -> Path:
        """Return the path of one of its files.

        Raises:
            EdgepruneError: The stage did not make that file.
        """
        path = self.folder / name
        if not path.exists():
            raise EdgepruneError(
                f"the stage '{self.name}' has not made '{name}'",
                where=str(self.folder),
                hint="remove that folder and run the same command again",
            )
        return path


class StageStore:
    """The finished stages of one result directory.

    Args:
        root: Folder that holds one folder a stage.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(
        self,
        name: str,
        produce: Callable[[Path], None],
        *,
        reads: Sequence[Stage] = (),
        settings: Mapping[str, Any] | None = None,
        rooms: Sequence[str] = (),
    ) -> Stage:
        """Return the stage, from an earlier run if its key is the same, else made by `produce`.

        Args:
            name: Name of the stage.
            produce: Writes the stage's files into the folder it is given. Files that a killed
                run with the same key left there are still there.
            reads: Stages whose products it reads.
            settings: Everything else that its files depend on; must be JSON.
            rooms: Rooms of the package (folders or modules) whose code it runs.

        Raises:
            DiskError: The disk is full or the folder cannot be written.
        """
        key = stage_key(name, reads, settings or {}, rooms)
        inputs = stage_inputs(reads, settings or {}, rooms)
        finished = self.root / name
        reused = _load(name, finished, key)
        if reused is not None:
            return replace(reused, inputs=inputs)
        partial = self.root / f"{name}.partial"
        with disk_errors(partial):
            _prepare(partial, key)
            produce(partial)
            (partial / _PENDING_KEY).unlink()
            files = _hashes(partial)
            write_text(
                partial / _DESCRIPTION,
                json.dumps({"key": key, "files": files}, indent=1, sort_keys=True) + "\n",
            )
            if finished.exists():
                shutil.rmtree(finished)
            partial.rename(finished)
        return Stage(name, finished, _digest(files), reused=False, inputs=inputs)


def _prepare(partial: Path, key: str) -> None:
    pending = partial / _PENDING_KEY
    if partial.exists() and not (pending.exists() and pending.read_text() == key):
        shutil.rmtree(partial)
    partial.mkdir(parents=True, exist_ok=True)
    write_text(pending, key)


def _load(name: str, folder: Path, key: str) -> Stage | None:
    description = folder / _DESCRIPTION
    if not description.is_file():
        return None
    try:
        content = json.loads(description.read_text())
        files = content["files"]
        whole = content["key"] == key and files == _hashes(folder)
    except (ValueError, KeyError, TypeError, OSError):
        whole = False
    return Stage(name, folder, _digest(files), reused=True) if whole else None


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _DESCRIPTION
    }


def _digest(files: Mapping[str, str]) -> str:
    return sha256_bytes(json.dumps(files, sort_keys=True).encode())


def stage_key(
    name: str, reads: Sequence[Stage], settings: Mapping[str, Any], rooms: Sequence[str]
) -> str:
    """Return a hash of everything that decides what a stage makes; see `StageStore.run`."""
    content = {
        "name": name,
        "edgeprune": __version__,
        "reads": [stage.digest for stage in reads],
        "settings": settings,
        "code": {room: _code_hash(room) for room in sorted(rooms)},
    }
    return sha256_bytes(json.dumps(content, sort_keys=True).encode())


def stage_inputs(
    reads: Sequence[Stage], settings: Mapping[str, Any], rooms: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return by name what a stage's key is a hash of; see `StageStore.run`."""
    code = "".join(_code_hash(room) for room in sorted(rooms))
    stated = json.dumps(settings, sort_keys=True)
    return (
        *((stage.name, stage.digest) for stage in reads),
        ("settings", sha256_bytes(stated.encode())),
        ("code", sha256_bytes(code.encode())),
    )


def _code_hash(room: str) -> str:
    folder = _PACKAGE / room
    # Templates, schemas and tables decide as the modules do that read them.
    inside = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    paths = sorted(inside) if folder.is_dir() else [_PACKAGE / f"{room}.py"]
    return sha256_bytes("".join(sha256_file(path) for path in paths).encode())
