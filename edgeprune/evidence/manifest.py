"""manifest.json: what a result directory holds, so that any change can be named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeprune.errors import DataError
from edgeprune.evidence.codec import decode, encode
from edgeprune.files import sha256_file, write_text

MANIFEST_NAME = "manifest.json"
MANIFEST_SCHEMA = "edgeprune-manifest"
MANIFEST_VERSION = 1

_MEDIA_TYPES = {
    ".bin": "application/octet-stream",
    ".c": "text/x-c",
    ".cmake": "text/x-cmake",
    ".csv": "text/csv",
    ".elf": "application/x-elf",
    ".h": "text/x-c",
    ".html": "text/html",
    ".json": "application/json",
    ".ld": "text/plain",
    ".md": "text/markdown",
    ".npz": "application/zip",
    ".onnx": "application/onnx",
    ".s": "text/x-asm",
    ".safetensors": "application/vnd.safetensors",
    ".tflite": "application/vnd.tflite",
    ".toml": "application/toml",
    ".txt": "text/plain",
}


@dataclass(frozen=True)
class ManifestFile:
    """One file of the result directory.

    Attributes:
        path: Relative to the directory, with forward slashes.
        role: What it is for.
        media_type: Its kind.
        size: Bytes.
        sha256: Its hash.
    """

    path: str
    role: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Every file of a result directory but the manifest itself, sorted by path.

    Attributes:
        schema: Name of the form.
        version: Version of the form.
        files: The files.
    """

    schema: str
    version: int
    files: tuple[ManifestFile, ...]


@dataclass(frozen=True)
class ManifestDifferences:
    """How a directory differs from its manifest.

    Attributes:
        altered: Files whose content changed.
        missing: Files that are gone.
        added: Files that the manifest does not know.
    """

    altered: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.altered or self.missing or self.added)

    def __str__(self) -> str:
        named = (("altered", self.altered), ("missing", self.missing), ("added", self.added))
        return "\n".join(f"{kind}: {path}" for kind, paths in named for path in paths)


def write_manifest(folder: Path, roles: Mapping[str, str]) -> Manifest:
    """Write the manifest of a finished result directory; the last file to be written.

    Args:
        folder: The result directory.
        roles: Role of each file by its relative path, or of all files below a path that ends in
            a slash; the longest match counts.

    Raises:
        DataError: A file has no role, or is a link.
        DiskError: No space or no permission.
    """
    files = tuple(_describe(folder, path, roles) for path in _paths(folder))
    manifest = Manifest(MANIFEST_SCHEMA, MANIFEST_VERSION, files)
    content = json.dumps(encode(manifest), indent=1, ensure_ascii=False)
    write_text(folder / MANIFEST_NAME, f"{content}\n")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a result directory.

    Raises:
        DataError: It is absent, damaged or of another version.
    """
    path = folder / MANIFEST_NAME
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(
            "the result directory has no manifest",
            where=str(path),
            hint="the build did not finish: run the same command again",
        ) from error
    except ValueError as error:
        raise DataError(f"the manifest is not valid JSON: {error}", where=str(path)) from error
    form = (value.get("schema"), value.get("version")) if isinstance(value, dict) else None
    if form != (MANIFEST_SCHEMA, MANIFEST_VERSION):
        raise DataError(
            f"this edgeprune reads {MANIFEST_SCHEMA} version {MANIFEST_VERSION} only",
            where=str(path),
            hint="use the edgeprune that made the result",
        )
    try:
        return decode(Manifest, value)
    except DataError as error:
        raise DataError(error.what, where=f"{path}: {error.where}", hint=error.hint) from error


def verify_manifest(folder: Path) -> ManifestDifferences:
    """Compare a result directory with its manifest, byte by byte.

    Returns:
        Every altered, missing and added file; empty (false) where nothing differs.

    Raises:
        DataError: The manifest is absent, damaged or of another version.
    """
    expected = {file.path: file for file in read_manifest(folder).files}
    present = _paths(folder)
    return ManifestDifferences(
        altered=tuple(
            path for path in present if path in expected and _differs(folder / path, expected[path])
        ),
        missing=tuple(sorted(set(expected) - set(present))),
        added=tuple(path for path in present if path not in expected),
    )


def _paths(folder: Path) -> list[str]:
    """Return every file below a folder but its manifest, sorted; links count as files."""
    found = (
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )
    return sorted(path for path in found if path != MANIFEST_NAME)


def _differs(path: Path, expected: ManifestFile) -> bool:
    return (
        path.is_symlink()
        or not path.is_file()
        or path.stat().st_size != expected.size
        or sha256_file(path) != expected.sha256
    )


def _describe(folder: Path, path: str, roles: Mapping[str, str]) -> ManifestFile:
    if (folder / path).is_symlink():
        raise DataError("a result directory cannot hold links", where=path)
    matches = [key for key in roles if path == key or (key.endswith("/") and path.startswith(key))]
    if not matches:
        raise DataError(
            "a file of the result directory has no role",
            where=path,
            hint="choose an --out folder of its own, without other files",
        )
    return ManifestFile(
        path=path,
        role=roles[max(matches, key=len)],
        media_type=_MEDIA_TYPES.get(Path(path).suffix.lower(), "application/octet-stream"),
        size=(folder / path).stat().st_size,
        sha256=sha256_file(folder / path),
    )
