"""Keys and signatures, held against cryptography's own functions and DSSE's published vector."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from edgeprune.errors import ConfigurationError, DataError
from edgeprune.evidence.keys import (
    is_exposed,
    key_id,
    load_private,
    load_public,
    new_key,
    public_path,
)
from edgeprune.evidence.signature import (
    PAYLOAD_TYPE,
    SIGNATURE_SCHEMA_FILE,
    Envelope,
    envelope_bytes,
    is_valid,
    parse_envelope,
    pre_authentication_encoding,
    signed,
)

VALIDATOR = Draft202012Validator(json.loads(SIGNATURE_SCHEMA_FILE.read_bytes()))
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def test_the_encoding_is_that_of_the_published_vector() -> None:
    """Of secure-systems-lab/dsse, protocol.md, Test Vectors."""
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(st.binary(max_size=200))
def test_a_signature_is_one_for_cryptography_too(payload: bytes) -> None:
    envelope = signed(signed(Envelope(payload, ()), KEY), OTHER)
    content = envelope_bytes(envelope)
    value = json.loads(content)
    VALIDATOR.validate(value)
    assert base64.b64decode(value["payload"]) == payload
    for row, key in zip(value["signatures"], (KEY, OTHER), strict=True):
        public = serialization.load_pem_public_key(row["publicKey"].encode())
        assert isinstance(public, ed25519.Ed25519PublicKey)
        body = base64.b64decode(value["payload"])
        message = b"DSSEv1 %d %s %d %s" % (
            len(PAYLOAD_TYPE),
            PAYLOAD_TYPE.encode(),
            len(body),
            body,
        )
        public.verify(base64.b64decode(row["sig"]), message)
        der = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert row["keyid"] == hashlib.sha256(der).hexdigest()
        with pytest.raises(InvalidSignature):
            public.verify(base64.b64decode(row["sig"]), message + b" ")
    again = parse_envelope(content)
    assert again == envelope
    assert all(is_valid(again, each) for each in again.signatures)
    assert envelope_bytes(signed(again, KEY)) == envelope_bytes(
        signed(signed(Envelope(payload, ()), OTHER), KEY)
    )


@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    content = bytearray(envelope_bytes(signed(Envelope(b'{"files": []}', ()), KEY)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        envelope = parse_envelope(bytes(content))
    except DataError:
        return
    assert not all(is_valid(envelope, each) for each in envelope.signatures)


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary().map(str), st.lists))
def test_whatever_stands_in_an_envelope_is_refused_as_our_error(value: object) -> None:
    form: dict[str, Any] = json.loads(envelope_bytes(signed(Envelope(b"", ()), KEY)))
    for name in ("payloadType", "payload", "signatures", "more"):
        with pytest.raises(DataError, match="cannot be used"):
            parse_envelope(json.dumps(form | {name: value}).encode())
    for name in ("keyid", "sig", "publicKey", "more"):
        rows = [form["signatures"][0] | {name: value}]
        with pytest.raises(DataError, match="cannot be used"):
            parse_envelope(json.dumps(form | {"signatures": rows}).encode())


@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_a_new_key_is_kept_from_others_and_never_overwritten(
    tmp_path: Path, passphrase: str
) -> None:
    path = tmp_path / "team.pem"
    public = new_key(path, passphrase)
    assert public == public_path(path) == tmp_path / "team.pub.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not is_exposed(path)
    assert (b"ENCRYPTED" in path.read_bytes()) == bool(passphrase)
    private = load_private(path, lambda: passphrase)
    assert key_id(private.public_key()) == key_id(load_public(public))
    for taken in (path, public):
        before = (path.read_bytes(), public.read_bytes())
        with pytest.raises(ConfigurationError, match="never overwritten"):
            new_key(path)
        assert (path.read_bytes(), public.read_bytes()) == before
        taken.rename(tmp_path / "aside")
        with pytest.raises(ConfigurationError, match="never overwritten"):
            new_key(path)
        (tmp_path / "aside").rename(taken)
    path.chmod(0o640)
    assert is_exposed(path)


def test_a_wrong_passphrase_is_said_to_be_one(tmp_path: Path) -> None:
    new_key(tmp_path / "a.pem", "right")
    with pytest.raises(ConfigurationError, match="passphrase is wrong"):
        load_private(tmp_path / "a.pem", lambda: "wrong")


def _pem(key: Any) -> bytes:
    content: bytes = key.private_bytes(PEM, PKCS8, serialization.NoEncryption())
    return content


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"hello", b"\xff" * 100, b"-----BEGIN PRIVATE KEY-----\nAAAA\n"),
        *(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",),
        *(_pem(KEY)[:-40], _pem(rsa.generate_private_key(65537, 1024))),
        *(_pem(ec.generate_private_key(ec.SECP256R1())), b"x" * (1 << 17)),
    ],
)
def test_what_is_no_key_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError):
        load_private(path, lambda: "x")
    with pytest.raises(ConfigurationError):
        load_public(path)


def test_the_two_parts_of_a_key_are_not_taken_for_each_other(tmp_path: Path) -> None:
    public = new_key(tmp_path / "a.pem")
    with pytest.raises(ConfigurationError, match="this is a public key"):
        load_private(public, lambda: "")
    with pytest.raises(ConfigurationError, match="this is a private key") as caught:
        load_public(tmp_path / "a.pem")
    assert "a.pub.pem" in caught.value.hint
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_public(tmp_path / "absent.pem")
