"""evidence.json: writing, reading, and its JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path

from edgeprune.errors import DataError
from edgeprune.evidence.codec import decode, encode, json_schema
from edgeprune.evidence.evidence import READ_VERSIONS, SCHEMA_NAME, SCHEMA_VERSION, Evidence
from edgeprune.evidence.untrusted import parse_json
from edgeprune.files import write_bytes

SCHEMA_FILE = Path(__file__).with_name(f"evidence-{SCHEMA_VERSION}.schema.json")


def evidence_bytes(evidence: Evidence) -> bytes:
    """Return the content of evidence.json: equal evidence gives equal bytes."""
    return _json_bytes(encode(evidence))


def write_evidence(path: Path, evidence: Evidence) -> None:
    """Write evidence.json atomically.

    Raises:
        DiskError: No space or no permission.
    """
    write_bytes(path, evidence_bytes(evidence))


def read_evidence(path: Path) -> Evidence:
    """Read evidence.json.

    Raises:
        DataError: The file is absent, is not JSON, has another schema or was altered.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            "the evidence cannot be read",
            where=str(path),
            hint="name the evidence.json of a finished build",
        ) from error
    return parse_evidence(content, where=str(path))


def parse_evidence(content: bytes, where: str = "evidence.json") -> Evidence:
    """Read evidence from the bytes of an evidence.json.

    Raises:
        DataError: The bytes are not JSON, have another schema or were altered.
    """
    value = parse_json(content, where)
    schema = value.get("schema") if isinstance(value, dict) else None
    name, version = (
        (schema.get("name"), schema.get("version")) if isinstance(schema, dict) else (None, None)
    )
    if name != SCHEMA_NAME:
        raise DataError(
            f"the file does not say that it is {SCHEMA_NAME}",
            where=f"{where}: schema.name",
            hint="name the evidence.json of a finished build",
        )
    if type(version) is not int or version not in READ_VERSIONS:
        known = " and ".join(map(str, READ_VERSIONS))
        raise DataError(
            f"this edgeprune reads {SCHEMA_NAME} versions {known}, not version {version}",
            where=f"{where}: schema.version",
            hint="use the edgeprune named under identity.edgeprune, or build again with this one",
        )
    try:
        return decode(Evidence, value)
    except DataError as error:
        raise DataError(error.what, where=f"{where}: {error.where}", hint=error.hint) from error


def schema_bytes() -> bytes:
    """Return the JSON Schema of evidence.json, generated from the records."""
    return _json_bytes({"title": f"{SCHEMA_NAME} {SCHEMA_VERSION}", **json_schema(Evidence)})


def _json_bytes(value: object) -> bytes:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()
