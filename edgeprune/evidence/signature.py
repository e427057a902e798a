"""signature.json: who stands for a manifest, as an envelope that other tools know.

The form is DSSE 1.0 (secure-systems-lab/dsse, protocol.md and envelope.md): what is signed is the
pre-authentication encoding of the payload and its type, so that a signature for another kind of
file is none for this one. The payload is manifest.json, byte by byte. Each signature carries its
public key besides, which tells who signed and gives no reason to trust it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeprune.errors import DataError
from edgeprune.evidence.keys import key_id, parse_public, public_pem
from edgeprune.evidence.manifest import SIGNATURE_NAME
from edgeprune.evidence.untrusted import parse_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAYLOAD_TYPE = "application/vnd.edgeprune.manifest.v2+json"
SIGNATURE_SCHEMA_FILE = Path(__file__).with_name("signature-1.schema.json")
_MOST_SIGNATURES = 100


@dataclass(frozen=True)
class Signature:
    """One signature.

    Attributes:
        key_id: SHA-256 of the public key's SubjectPublicKeyInfo in DER.
        public_key: The public key as PEM.
        value: The 64 bytes of Ed25519 (RFC 8032).
    """

    key_id: str
    public_key: str
    value: bytes


@dataclass(frozen=True)
class Envelope:
    """A manifest with the signatures under it.

    Attributes:
        payload: The bytes of manifest.json that were signed.
        signatures: One for each key, in the order in which they were made.
    """

    payload: bytes
    signatures: tuple[Signature, ...]


def signed(envelope: Envelope, key: Ed25519PrivateKey) -> Envelope:
    """Return the envelope with one more signature; the same key's earlier one is replaced."""
    public = key.public_key()
    value = key.sign(pre_authentication_encoding(PAYLOAD_TYPE, envelope.payload))
    made = Signature(key_id(public), public_pem(public), value)
    others = tuple(each for each in envelope.signatures if each.key_id != made.key_id)
    return replace(envelope, signatures=(*others, made))


def is_valid(envelope: Envelope, signature: Signature) -> bool:
    """Return whether a signature is that of its own public key under the payload."""
    from cryptography.exceptions import InvalidSignature

    message = pre_authentication_encoding(PAYLOAD_TYPE, envelope.payload)
    try:
        parse_public(signature.public_key.encode()).verify(signature.value, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's PAE, "DSSEv1 LEN(type) type LEN(payload) payload"."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def envelope_bytes(envelope: Envelope) -> bytes:
    """Return the content of signature.json: equal envelopes give equal bytes."""
    value = {
        "payloadType": PAYLOAD_TYPE,
        "payload": _base64(envelope.payload),
        "signatures": [
            {
                "keyid": signature.key_id,
                "sig": _base64(signature.value),
                "publicKey": signature.public_key,
            }
            for signature in envelope.signatures
        ],
    }
    return f"{json.dumps(value, indent=1)}\n".encode()


def parse_envelope(content: bytes, where: str = SIGNATURE_NAME) -> Envelope:
    """Read an envelope that anybody may have written.

    Raises:
        DataError: It is no envelope of a manifest, a key is not the one that it is named after, or
            it is not written as `edgeprune sign` writes it: a changed letter that means nothing is
            a change all the same.
    """
    value = parse_json(content, where)
    if not isinstance(value, dict) or value.get("payloadType") != PAYLOAD_TYPE:
        raise _refused("it is no envelope of this manifest version", where)
    rows = value.get("signatures")
    if not isinstance(rows, list) or not 0 < len(rows) <= _MOST_SIGNATURES:
        raise _refused("it holds no list of signatures", where)
    envelope = Envelope(
        _unbase64(value.get("payload"), where),
        tuple(_signature(row, where) for row in rows),
    )
    names = [signature.key_id for signature in envelope.signatures]
    if len(set(names)) != len(names):
        raise _refused("a key signs twice", where)
    if envelope_bytes(envelope) != content:
        raise _refused("it is not written as `edgeprune sign` writes it", where)
    return envelope


def _signature(row: Any, where: str) -> Signature:
    fields = row if isinstance(row, dict) else {}
    name, pem = fields.get("keyid"), fields.get("publicKey")
    if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{64}", name):
        raise _refused("a signature has no key id", where)
    try:
        public = parse_public(pem.encode() if isinstance(pem, str) else b"")
    except ValueError as error:
        raise _refused(f"key {name[:12]}: {error}", where) from error
    if key_id(public) != name:
        raise _refused(f"the public key beside {name[:12]} is another one", where)
    return Signature(name, public_pem(public), _unbase64(fields.get("sig"), where))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _unbase64(text: Any, where: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, binascii.Error) as error:
        raise _refused("a field is no Base64", where) from error


def _refused(what: str, where: str) -> DataError:
    return DataError(
        f"the signature file cannot be used: {what}",
        where=where,
        hint="take it from where the bundle was signed, or sign again",
    )
