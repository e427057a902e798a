"""Ed25519 keys in PEM files: made, read, and named by the hash of their public part.

Private keys are PKCS #8 (RFC 5958, RFC 8410), public keys SubjectPublicKeyInfo (RFC 5280): what
OpenSSL and every other tool reads too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprune.errors import ConfigurationError
from edgeprune.files import disk_errors, sha256_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

Passphrase = Callable[[], str]
_LARGEST = 1 << 16


def public_path(private: Path) -> Path:
    """Return where the public part of a private key's file is written."""
    return private.with_name(f"{private.stem}.pub{private.suffix or '.pem'}")


def new_key(path: Path, passphrase: str = "") -> Path:
    """Make a key pair; nothing is ever overwritten.

    Args:
        path: Where the private key goes; nobody but its owner may read it.
        passphrase: What encrypts it; empty for none.

    Returns:
        Where the public key went.

    Raises:
        ConfigurationError: One of the files is there already, or their folder is not.
        DiskError: No space or no permission.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = public_path(path)
    for each in (path, public):
        if os.path.lexists(each):
            raise ConfigurationError(
                "the file is there already, and keys are never overwritten",
                where=str(each),
                hint="give the new key another name",
            )
    if not path.parent.is_dir():
        raise ConfigurationError(
            "the folder does not exist", where=str(path.parent), hint="make it first"
        )
    key = Ed25519PrivateKey.generate()
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    # The private one first: a public key without it would be of no use to anybody.
    _write_new(path, content, 0o600)
    _write_new(public, public_pem(key.public_key()).encode(), 0o644)
    return public


def load_private(path: Path, passphrase: Passphrase) -> Ed25519PrivateKey:
    """Read a private key.

    Args:
        path: PKCS #8 in PEM.
        passphrase: Asked only where the key is encrypted.

    Raises:
        ConfigurationError: It is none of Ed25519, is damaged, or the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(path)
    if b"PRIVATE KEY-----" not in content:
        what = "this is a public key" if b"PUBLIC KEY" in content else "this is no private key"
        raise _unusable(what, path, "make one: edgeprune sign --new-key FILE")
    try:
        encrypted = b"ENCRYPTED" in content
        key = load_pem_private_key(content, passphrase().encode() if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(
            "the private key cannot be read: its passphrase is wrong, or the file is damaged"
            if encrypted
            else f"the private key cannot be read: {error!s:.200}",
            path,
            "give the right file and passphrase",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable("the key is not of Ed25519", path, "edgeprune sign --new-key makes one")
    return key


def load_public(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        ConfigurationError: It is none of Ed25519, is damaged, or is a private key.
    """
    content = _read(path)
    if b"PRIVATE KEY" in content:
        raise _unusable(
            "this is a private key, and verifying takes the public one",
            path,
            f"name {public_path(path).name}, and keep the private key to yourself",
        )
    try:
        return parse_public(content)
    except ValueError as error:
        raise _unusable(f"{error}", path, "give the public key's PEM file") from error


def parse_public(pem: bytes) -> Ed25519PublicKey:
    """Return the public key of a PEM text.

    Raises:
        ValueError: It is none of Ed25519.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("this is no public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the public key is not of Ed25519")
    return key


def public_pem(key: Ed25519PublicKey) -> str:
    """Return a public key as PEM."""
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode("ascii")


def key_id(key: Ed25519PublicKey) -> str:
    """Return the name of a key: SHA-256 of its SubjectPublicKeyInfo in DER, hexadecimal."""
    from cryptography.hazmat.primitives import serialization

    return sha256_bytes(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def is_exposed(path: Path) -> bool:
    """Return whether others than its owner may read a private key's file."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    with disk_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise _unusable("the file does not exist", path, "check the path")
        if path.stat().st_size > _LARGEST:
            raise _unusable("no key is so large", path, "check the path")
        return path.read_bytes()
    except OSError as error:
        raise _unusable(f"it cannot be read: {error.strerror}", path, "check its mode") from error


def _unusable(what: str, path: Path, hint: str) -> ConfigurationError:
    return ConfigurationError(what, where=str(path), hint=hint)
