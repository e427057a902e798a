"""The firmware as SPDX 2.3 JSON: the same parts, files and hashes as in the CycloneDX document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.spdx import fixup_id, is_expression

from edgeprune import __version__
from edgeprune.evidence.evidence import Evidence
from edgeprune.evidence.sbom.documents import json_bytes
from edgeprune.evidence.sbom.inventory import (
    NOT_STATED,
    OWN_LICENCE,
    FileRole,
    Firmware,
    FirmwareFile,
)
from edgeprune.files import sha256_bytes

_NO_ASSERTION = "NOASSERTION"
_DOCUMENT = "SPDXRef-DOCUMENT"
_FIRMWARE = "SPDXRef-firmware"
_GENERATED = "SPDXRef-generated-sources"
_RUNTIME = "SPDXRef-edgeprune-runtime"
_NETWORK = "SPDXRef-network"
_TOOLCHAIN = "SPDXRef-toolchain"
_NAMESPACE = uuid5(NAMESPACE_URL, "edgeprune:spdx")
# SPDX demands a date. Where nobody fixed one, this says so: the same bundle has the same bytes.
_NO_DATE = "1970-01-01T00:00:00Z"
_FILE_TYPES = {FileRole.BINARY: "BINARY", FileRole.OTHER: "TEXT", FileRole.MODEL: "OTHER"}
Json = dict[str, Any]


def spdx_document(firmware: Firmware, evidence: Evidence) -> bytes:
    """Return the bill of materials of a firmware as SPDX 2.3 has it (clauses 6 to 11).

    Args:
        firmware: What it consists of.
        evidence: What was found out about it.
    """
    date = evidence.identity.date
    comment = "" if date else " SOURCE_DATE_EPOCH was not set: the date of creation is not stated."
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": f"{firmware.name} {firmware.version}",
        "creationInfo": {
            "created": date or _NO_DATE,
            "creators": [f"Tool: edgeprune-{__version__}", *_organization(firmware.manufacturer)],
            "comment": f"Written at the end of a build.{comment}",
        },
        "packages": list(_packages(firmware, evidence)),
        "files": [_file(number, file) for number, file in enumerate(firmware.files)],
        "relationships": [
            {"spdxElementId": first, "relationshipType": kind, "relatedSpdxElement": second}
            for first, kind, second in _relationships(firmware)
        ],
    }
    namespace = uuid5(_NAMESPACE, sha256_bytes(json_bytes(document)))
    return json_bytes({**document, "documentNamespace": namespace.urn})


def _packages(firmware: Firmware, evidence: Evidence) -> Iterator[Json]:
    whole = _package(_FIRMWARE, firmware.name, firmware.version, "FIRMWARE", firmware.manufacturer)
    whole["comment"] = (
        f"support level: {firmware.support_level or NOT_STATED}; end of support: "
        f"{firmware.end_of_support or NOT_STATED}; contact for defects and vulnerabilities: "
        f"{firmware.contact or NOT_STATED}; network {evidence.identity.network_sha256}"
    )
    if firmware.image_sha256:
        whole["checksums"] = [_checksum("SHA256", firmware.image_sha256)]
    yield whole
    generated = _package(
        _GENERATED, "generated sources", firmware.version, "SOURCE", firmware.manufacturer
    )
    yield generated | _analyzed(firmware, _of_generated(firmware))
    runtime = _package(
        _RUNTIME, "edgeprune runtime", __version__, "LIBRARY", "edgeprune", OWN_LICENCE
    )
    runtime["externalRefs"] = [
        {
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": f"pkg:pypi/edgeprune@{__version__}",
        }
    ]
    yield runtime | _analyzed(firmware, firmware.of_role(FileRole.RUNTIME))
    network = _package(
        _NETWORK, "network", evidence.identity.network_sha256[:16], "OTHER", firmware.manufacturer
    )
    yield network | _analyzed(firmware, firmware.of_role(FileRole.MODEL))
    for number, item in enumerate(firmware.of_others):
        reference = f"SPDXRef-of-others-{number}"
        maker = item.manufacturer if item.manufacturer != "unknown" else ""
        yield _package(reference, item.title, item.version, "LIBRARY", maker, item.licence)
    if firmware.toolchain:
        tool = firmware.toolchain
        yield _package(_TOOLCHAIN, tool.name, tool.version, "APPLICATION", "", tool.licence)


def _package(
    reference: str, name: str, version: str, purpose: str, maker: str, licence: str = ""
) -> Json:
    return {
        "SPDXID": reference,
        "name": name,
        "versionInfo": version,
        "supplier": next(iter(_organization(maker)), _NO_ASSERTION),
        "downloadLocation": _NO_ASSERTION,
        "filesAnalyzed": False,
        "licenseConcluded": _NO_ASSERTION,
        "licenseDeclared": _expression(licence),
        "copyrightText": _NO_ASSERTION,
        "primaryPackagePurpose": purpose,
    }


def _analyzed(firmware: Firmware, files: Sequence[FirmwareFile]) -> Json:
    if not files:
        return {}
    # Clause 7.9: the SHA-1 of all files' SHA-1, sorted and put together.
    joined = "".join(sorted(file.sha1 for file in files)).encode()
    code = hashlib.sha1(joined, usedforsecurity=False).hexdigest()
    return {
        "filesAnalyzed": True,
        "packageVerificationCode": {"packageVerificationCodeValue": code},
        "licenseInfoFromFiles": ["NONE"],
    }


def _file(number: int, file: FirmwareFile) -> Json:
    return {
        "SPDXID": _reference(number),
        "fileName": f"./{file.path}",
        "fileTypes": [_FILE_TYPES.get(file.role, "SOURCE")],
        "checksums": [_checksum("SHA1", file.sha1), _checksum("SHA256", file.sha256)],
        "licenseConcluded": _expression(file.licence),
        "licenseInfoInFiles": ["NONE"],
        "copyrightText": _NO_ASSERTION,
        "comment": file.role.value,
    }


def _relationships(firmware: Firmware) -> Iterator[tuple[str, str, str]]:
    yield _DOCUMENT, "DESCRIBES", _FIRMWARE
    for part in (_GENERATED, _RUNTIME, _NETWORK):
        yield _FIRMWARE, "CONTAINS", part
    for number, _ in enumerate(firmware.of_others):
        yield _FIRMWARE, "CONTAINS", f"SPDXRef-of-others-{number}"
    if firmware.toolchain:
        yield _TOOLCHAIN, "BUILD_TOOL_OF", _FIRMWARE
    owners = {FileRole.RUNTIME: _RUNTIME, FileRole.MODEL: _NETWORK}
    for number, file in enumerate(firmware.files):
        yield owners.get(file.role, _GENERATED), "CONTAINS", _reference(number)


def _of_generated(firmware: Firmware) -> tuple[FirmwareFile, ...]:
    return firmware.of_role(FileRole.GENERATED, FileRole.OTHER, FileRole.BINARY)


def _reference(number: int) -> str:
    return f"SPDXRef-file-{number}"


def _checksum(algorithm: str, value: str) -> Json:
    return {"algorithm": algorithm, "checksumValue": value}


def _organization(name: str) -> tuple[str, ...]:
    # On one line, and a parenthesis would begin an address of electronic mail (clause 6.8).
    plain = " ".join(name.split()).translate(str.maketrans("()", "[]"))
    return (f"Organization: {plain}",) if plain else ()


def _expression(licence: str) -> str:
    known = fixup_id(licence) or (licence if is_expression(licence) else None) if licence else None
    return known or _NO_ASSERTION
