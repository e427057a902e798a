"""manifest.json: what a bundle holds and where each file comes from, so that changes are named."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeprune import __version__
from edgeprune.errors import DataError
from edgeprune.evidence.codec import decode, encode, json_schema
from edgeprune.evidence.manifest_paths import (
    DIGEST_PATTERN,
    PATH_PATTERN,
    check_digest,
    check_paths,
    check_size,
)
from edgeprune.evidence.untrusted import parse_json, read_small, shown
from edgeprune.files import sha256_file, write_bytes

MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "signature.json"
MANIFEST_SCHEMA = "edgeprune-manifest"
MANIFEST_VERSION = 2
MANIFEST_SCHEMA_FILE = Path(__file__).with_name(f"manifest-{MANIFEST_VERSION}.schema.json")

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
    ".pdf": "application/pdf",
    ".s": "text/x-asm",
    ".safetensors": "application/vnd.safetensors",
    ".sqlite": "application/vnd.sqlite3",
    ".tflite": "application/vnd.tflite",
    ".toml": "application/toml",
    ".txt": "text/plain",
    # Of two suffixes the longer counts: CycloneDX and in-toto have types of their own.
    ".cdx.json": "application/vnd.cyclonedx+json",
    ".intoto.json": "application/vnd.in-toto+json",
    ".spdx.json": "application/spdx+json",
}


@dataclass(frozen=True)
class StageInput:
    """What a stage of the build read.

    Attributes:
        name: An earlier stage, "settings" or "code".
        sha256: Its hash; of an earlier stage over its files.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class StageRecord:
    """A stage of the build.

    Attributes:
        name: Its name.
        inputs: Everything that it read: equal inputs make equal files on one kind of processor.
    """

    name: str
    inputs: tuple[StageInput, ...]


@dataclass(frozen=True)
class ManifestFile:
    """One file of the bundle.

    Attributes:
        path: Relative to the bundle, with forward slashes.
        role: What it is for.
        media_type: Its kind.
        size: Bytes.
        sha256: Its hash.
        stage: The stage that made it: one of the manifest's stages.
    """

    path: str
    role: str
    media_type: str
    size: int
    sha256: str
    stage: str


@dataclass(frozen=True)
class Manifest:
    """Every file of a bundle but the manifest itself and the signature, sorted by path.

    Attributes:
        schema: Name of the form.
        version: Version of the form.
        edgeprune: Version of edgeprune that made the bundle.
        command: The command line that makes it, its configuration beside it.
        stages: The stages that made the files, in order.
        files: The files.
    """

    schema: str
    version: int
    edgeprune: str
    command: str
    stages: tuple[StageRecord, ...]
    files: tuple[ManifestFile, ...]


@dataclass(frozen=True)
class ManifestDifferences:
    """How a folder differs from its manifest.

    Attributes:
        altered: Files whose content changed, or that became links.
        missing: Files that are gone.
        added: Files, links and empty folders that the manifest does not know.
    """

    altered: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.altered or self.missing or self.added)

    def __str__(self) -> str:
        named = (("altered", self.altered), ("missing", self.missing), ("added", self.added))
        return "\n".join(f"{kind}: {shown(path)}" for kind, paths in named for path in paths)


def describe_files(
    folder: Path, roles: Mapping[str, str], made_by: Mapping[str, str]
) -> tuple[ManifestFile, ...]:
    """Return the manifest's entries of all files that a folder holds now.

    Args:
        folder: The bundle.
        roles: Role of each file by its relative path, or of all files below a path that ends in
            a slash; the longest match counts.
        made_by: In the same way, the stage that made it.

    Raises:
        DataError: A file has no role or no stage, is a link, or has a name that not every system
            can store.
    """
    paths = _paths(folder)
    check_paths(paths, where=str(folder))
    return tuple(_describe(folder, path, roles, made_by) for path in paths)


def write_manifest(
    folder: Path,
    files: Sequence[ManifestFile],
    stages: Sequence[StageRecord],
    command: str,
) -> Manifest:
    """Write the manifest of a finished bundle; the last file to be written.

    Args:
        folder: The bundle.
        files: What `describe_files` returned.
        stages: The stages that made them.
        command: What makes the bundle again.

    Raises:
        DiskError: No space or no permission.
    """
    manifest = Manifest(
        MANIFEST_SCHEMA, MANIFEST_VERSION, __version__, command, tuple(stages), tuple(files)
    )
    write_bytes(folder / MANIFEST_NAME, manifest_bytes(manifest))
    return manifest


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the content of manifest.json: equal manifests give equal bytes."""
    return _json_bytes(encode(manifest))


def manifest_schema_bytes() -> bytes:
    """Return the JSON Schema of manifest.json, generated from the records."""
    schema = json_schema(Manifest)
    fields = {name: record["properties"] for name, record in schema["$defs"].items()}
    fields["Manifest"]["schema"]["const"] = MANIFEST_SCHEMA
    fields["Manifest"]["version"]["const"] = MANIFEST_VERSION
    fields["ManifestFile"]["path"]["pattern"] = PATH_PATTERN
    fields["ManifestFile"]["size"]["minimum"] = 0
    for name in ("ManifestFile", "StageInput"):
        fields[name]["sha256"]["pattern"] = DIGEST_PATTERN
    return _json_bytes({"title": f"{MANIFEST_SCHEMA} {MANIFEST_VERSION}", **schema})


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle.

    Raises:
        DataError: It is absent, damaged or of another version.
    """
    path = folder / MANIFEST_NAME
    return parse_manifest(read_small(path, "the result directory has no manifest"), str(path))


def parse_manifest(content: bytes, where: str = MANIFEST_NAME) -> Manifest:
    """Read a manifest from bytes that may come from anybody.

    Raises:
        DataError: It is damaged, of another version, or names files that no bundle can hold.
    """
    value = parse_json(content, where)
    form = (value.get("schema"), value.get("version")) if isinstance(value, dict) else (None, None)
    if form[0] != MANIFEST_SCHEMA:
        raise DataError(
            f"the file does not say that it is {MANIFEST_SCHEMA}",
            where=where,
            hint="name the folder of a finished build",
        )
    if form[1] != MANIFEST_VERSION or isinstance(form[1], bool):
        raise DataError(
            f"this edgeprune reads {MANIFEST_SCHEMA} version {MANIFEST_VERSION} only, not "
            f"{form[1]!r:.20}",
            where=where,
            hint="build again: `edgeprune build --config RESULT/edgeprune.toml --out NEW`; or read "
            "it with the edgeprune that made it",
        )
    try:
        manifest = decode(Manifest, value)
    except DataError as error:
        raise DataError(
            shown(error.what), where=f"{where}: {shown(error.where)}", hint=error.hint
        ) from error
    _check(manifest, where)
    return manifest


def verify_manifest(folder: Path, manifest: Manifest | None = None) -> ManifestDifferences:
    """Compare a bundle with its manifest, byte by byte.

    Args:
        folder: The bundle.
        manifest: What it is held against; None for the one that it holds.

    Returns:
        Every altered, missing and added file; empty (false) where nothing differs.

    Raises:
        DataError: The manifest is absent, damaged or of another version.
    """
    manifest = manifest or read_manifest(folder)
    expected = {file.path: file for file in manifest.files}
    present = _paths(folder)
    return ManifestDifferences(
        altered=tuple(
            path for path in present if path in expected and _differs(folder / path, expected[path])
        ),
        missing=tuple(sorted(set(expected) - set(present))),
        added=tuple(path for path in present if path not in expected),
    )


def _check(manifest: Manifest, where: str) -> None:
    paths = [file.path for file in manifest.files]
    check_paths(paths, where=where)
    if paths != sorted(paths):
        raise DataError("the files are not sorted by path", where=where, hint="it was altered")
    names = [stage.name for stage in manifest.stages]
    if len(set(names)) != len(names):
        raise DataError("a stage is listed twice", where=where, hint="it was altered")
    for stage in manifest.stages:
        for entry in stage.inputs:
            check_digest(entry.sha256, where=f"{where}: stage {shown(stage.name)}")
    for file in manifest.files:
        check_digest(file.sha256, where=f"{where}: {shown(file.path)}")
        check_size(file.size, where=f"{where}: {shown(file.path)}")
        if file.stage not in names:
            raise DataError(
                f"the file's stage {shown(file.stage)} is not listed",
                where=f"{where}: {shown(file.path)}",
                hint="it was altered",
            )


def _paths(folder: Path) -> list[str]:
    """Return every file below a folder but manifest and signature, sorted.

    Links count as files and are not followed; a folder without any file is told with a slash.
    """
    found = []
    for name, folders, files in os.walk(folder):
        inside = Path(name)
        links = [each for each in folders if (inside / each).is_symlink()]
        found += [(inside / each).relative_to(folder).as_posix() for each in (*files, *links)]
        if not files and not folders and inside != folder:
            found.append(f"{inside.relative_to(folder).as_posix()}/")
    return sorted(path for path in found if path not in (MANIFEST_NAME, SIGNATURE_NAME))


def _differs(path: Path, expected: ManifestFile) -> bool:
    try:
        return (
            path.is_symlink()
            or not path.is_file()
            or path.stat().st_size != expected.size
            or sha256_file(path) != expected.sha256
        )
    except OSError:
        return True


def _describe(
    folder: Path, path: str, roles: Mapping[str, str], made_by: Mapping[str, str]
) -> ManifestFile:
    if (folder / path).is_symlink():
        raise DataError("a result directory cannot hold links", where=path)
    role, stage = _longest(path, roles), _longest(path, made_by)
    if role is None or stage is None:
        raise DataError(
            "a file of the result directory has no role",
            where=path,
            hint="choose an --out folder of its own, without other files",
        )
    return ManifestFile(
        path=path,
        role=role,
        media_type=_media_type(path),
        size=(folder / path).stat().st_size,
        sha256=sha256_file(folder / path),
        stage=stage,
    )


def _longest(path: str, table: Mapping[str, str]) -> str | None:
    matches = [key for key in table if path == key or (key.endswith("/") and path.startswith(key))]
    return table[max(matches, key=len)] if matches else None


def _media_type(path: str) -> str:
    suffixes = [suffix.lower() for suffix in Path(path).suffixes[-2:]]
    for suffix in ("".join(suffixes), "".join(suffixes[-1:])):
        if suffix in _MEDIA_TYPES:
            return _MEDIA_TYPES[suffix]
    return "application/octet-stream"


def _json_bytes(value: object) -> bytes:
    return f"{json.dumps(value, indent=1, ensure_ascii=False)}\n".encode()
