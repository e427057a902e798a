"""What a result directory's firmware consists of: every file with its role and its hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath

from edgeprune import __version__
from edgeprune.evidence.evidence import Evidence
from edgeprune.evidence.product import ProductEvidence
from edgeprune.evidence.soup import SoupItem, SoupKind

# Of edgeprune itself, and with it of all text that it copies into a firmware.
OWN_LICENCE = "Apache-2.0"
NOT_STATED = "not stated"
# CycloneDX 1.6 takes no longer versions.
_LONGEST_VERSION = 1024
_FOLDERS = ("firmware", "package", "linux")
_IMAGE = "firmware.elf"
_NETWORK = "network.safetensors"
_RUNTIME = "runtime"
_SOURCES = (".c", ".cpp", ".h", ".ino", ".s", ".ld")
_BINARIES = (".a", ".elf", ".o")
# The compilers that images are made with, by the name that they give themselves.
_COMPILER_LICENCES = {
    "zig": "MIT",
    "arm-none-eabi-gcc": "GPL-3.0-or-later WITH GCC-exception-3.1",
}


class FileRole(StrEnum):
    """What a file of a firmware is."""

    GENERATED = "generated source"
    RUNTIME = "runtime source"
    OTHER = "other file"
    BINARY = "binary"
    MODEL = "model data"


@dataclass(frozen=True)
class FirmwareFile:
    """One file.

    Attributes:
        path: Relative to the result directory, with forward slashes.
        role: What it is.
        sha256: Its hash.
        sha1: Its hash as SPDX 2.3 asks for it (clause 8.4); it protects nothing.
        licence: SPDX identifier of the terms; empty where nobody stated any. No file carries a
            licence header: that of the runtime follows from where it was copied from.
    """

    path: str
    role: FileRole
    sha256: str
    sha1: str
    licence: str


@dataclass(frozen=True)
class Tool:
    """A program that made the image and is not in it.

    Attributes:
        name: Its name.
        version: Its version.
        licence: Its licence; empty where it is not known here.
    """

    name: str
    version: str
    licence: str


@dataclass(frozen=True)
class Firmware:
    """A firmware as its bills of materials describe it.

    Attributes:
        name: The product's name, else the network's.
        version: The product's version, else one that follows from the network's hash.
        manufacturer: Who answers for it; empty where the configuration names nobody.
        support_level: As the configuration says it; empty where it does not.
        end_of_support: As the configuration says it; empty where it does not.
        contact: For defects and vulnerabilities; empty where the configuration names nobody.
        files: Every file of it in the result directory, sorted by path.
        image_sha256: Hash of the linked test image; absent where there is none.
        toolchain: The compiler; absent where the library is compiled elsewhere.
        of_others: What of others is linked into it.
    """

    name: str
    version: str
    manufacturer: str
    support_level: str
    end_of_support: str
    contact: str
    files: tuple[FirmwareFile, ...]
    image_sha256: str | None
    toolchain: Tool | None
    of_others: tuple[SoupItem, ...]

    def of_role(self, *roles: FileRole) -> tuple[FirmwareFile, ...]:
        """Return the files of some roles."""
        return tuple(file for file in self.files if file.role in roles)


def firmware_of(folder: Path, evidence: Evidence) -> Firmware:
    """Return what the firmware of a result directory consists of.

    Args:
        folder: The result directory, all of its firmware written.
        evidence: What was found out about it.
    """
    identity = evidence.identity
    network = evidence.classifier.name if evidence.classifier else "network"
    return Firmware(
        name=product_field(evidence.product, "name") or f"{network} for {identity.dataset}",
        version=product_field(evidence.product, "version")[:_LONGEST_VERSION]
        or f"{__version__}+network.{identity.network_sha256[:16]}",
        manufacturer=product_field(evidence.product, "manufacturer"),
        support_level=product_field(evidence.product, "support_level"),
        end_of_support=product_field(evidence.product, "end_of_support"),
        contact=product_field(evidence.product, "contact"),
        files=_files(folder),
        image_sha256=identity.firmware_sha256,
        toolchain=_toolchain(evidence),
        of_others=tuple(_linked(item) for item in evidence.soup if item.in_device),
    )


def _linked(item: SoupItem) -> SoupItem:
    """Return what of others' software is in the device; of a compiler, only its routines are."""
    short = replace(item, version=item.version[:_LONGEST_VERSION])
    if item.kind is not SoupKind.TOOLCHAIN:
        return short
    return replace(
        short,
        title=f"support routines of {item.title}",
        licence=_COMPILER_LICENCES.get(item.title, item.licence),
    )


def product_field(product: ProductEvidence | None, key: str) -> str:
    """Return what the team says of its product under a key of `[product]`; empty where nothing."""
    fields = product.fields if product else ()
    return next((each.value or "" for each in fields if each.key == f"product.{key}"), "")


def _files(folder: Path) -> tuple[FirmwareFile, ...]:
    found = [path for name in _FOLDERS for path in (folder / name).rglob("*") if path.is_file()]
    found += [path for name in (_IMAGE, _NETWORK) if (path := folder / name).is_file()]
    runtime = {path.name for path in (folder / _FOLDERS[0] / _RUNTIME).glob("*")}
    return tuple(
        _file(folder, path.relative_to(folder).as_posix(), runtime)
        for path in sorted(found, key=Path.as_posix)
    )


def _file(folder: Path, path: str, runtime: set[str]) -> FirmwareFile:
    content = (folder / path).read_bytes()
    role = _role(PurePosixPath(path), runtime)
    return FirmwareFile(
        path=path,
        role=role,
        sha256=hashlib.sha256(content).hexdigest(),
        sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        licence=OWN_LICENCE if role is FileRole.RUNTIME else "",
    )


def _role(path: PurePosixPath, runtime: set[str]) -> FileRole:
    if str(path) == _NETWORK:
        return FileRole.MODEL
    # A package holds the runtime beside the generated files, under the same names.
    if path.name in runtime:
        return FileRole.RUNTIME
    if path.suffix.lower() in _SOURCES:
        return FileRole.GENERATED
    if path.suffix in _BINARIES or (path.parts[0] == "linux" and not path.suffix):
        return FileRole.BINARY
    return FileRole.OTHER


def _toolchain(evidence: Evidence) -> Tool | None:
    if evidence.device is None or evidence.device.firmware is None:
        return None
    name, _, version = evidence.device.firmware.toolchain.rpartition(" ")
    return Tool(name or version, version, _COMPILER_LICENCES.get(name, ""))
