"""Holds a bundle against its manifest, its signatures and itself, and names whatever does not fit.

What is trusted comes first: a manifest that a named key signed decides over the one that lies in
the folder, so that whoever alters a file and writes a manifest to suit is named with the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprune.errors import ConfigurationError, DataError, EdgepruneError
from edgeprune.evidence.keys import Passphrase, is_exposed, key_id, load_private, load_public
from edgeprune.evidence.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Manifest,
    manifest_bytes,
    parse_manifest,
    verify_manifest,
)
from edgeprune.evidence.signature import (
    Envelope,
    envelope_bytes,
    is_valid,
    parse_envelope,
    signed,
)
from edgeprune.evidence.untrusted import read_small, shown
from edgeprune.files import write_bytes

if TYPE_CHECKING:
    from edgeprune.pipeline.bundle_links import Link

_SIGNS_OF_A_BUNDLE = (MANIFEST_NAME, SIGNATURE_NAME, "evidence.json", "edgeprune.toml")


class Kind(StrEnum):
    """What is wrong with a bundle."""

    ALTERED = "altered"
    MISSING = "missing"
    ADDED = "added"
    MANIFEST = "manifest"
    SIGNATURE = "signature"
    UNSIGNED = "unsigned"
    KEY = "key"
    UNCONFIRMED = "unconfirmed"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: Its kind.
        path: The file, as it may be shown.
        what: What is wrong, in words.
    """

    kind: Kind
    path: str
    what: str


@dataclass(frozen=True)
class BundleCheck:
    """What a check of a bundle found.

    Attributes:
        folder: The bundle.
        files: Files that its manifest lists.
        signers: Ids of the keys whose signatures hold and that were named.
        findings: Everything that is wrong.
        compared: What else was compared with each other, in words.
        notes: What was not compared or not demanded, and why.
    """

    folder: Path
    files: int
    signers: tuple[str, ...]
    findings: tuple[Finding, ...]
    compared: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


@dataclass(frozen=True)
class _Signatures:
    """What signature.json says.

    Attributes:
        envelope: The envelope; None where there is none that can be read.
        signers: Named keys whose signatures hold.
        findings: What is wrong.
        notes: What was not demanded.
    """

    envelope: Envelope | None
    signers: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def read_keys(paths: list[Path]) -> dict[str, Path]:
    """Return public keys by id, with the files that they come from.

    Raises:
        ConfigurationError: A file is no public key of Ed25519.
    """
    return {key_id(load_public(path)): path for path in paths}


def check_bundle(
    folder: Path, keys: Mapping[str, Path] | None = None, *, unsigned: bool = False
) -> BundleCheck:
    """Check a bundle: files, manifest, signatures, and that its parts belong together.

    Args:
        folder: The bundle.
        keys: The public keys that must have signed it, and no others; see `read_keys`.
        unsigned: Do not ask who signed it: only whether it is whole and fits together.

    Raises:
        ConfigurationError: The folder is no bundle at all.
    """
    if not any(os.path.lexists(folder / name) for name in _SIGNS_OF_A_BUNDLE):
        raise ConfigurationError(
            "this is no result directory",
            where=str(folder),
            hint="name the folder that `edgeprune build --out` wrote",
        )
    signatures = _signatures(folder, keys or {}, unsigned)
    findings = list(signatures.findings)
    manifest, wrong = _manifest(folder, signatures)
    findings += wrong
    if manifest is None:
        return BundleCheck(folder, 0, (), tuple(findings), (), signatures.notes)
    differences = verify_manifest(folder, manifest)
    for kind, paths, what in (
        (Kind.ALTERED, differences.altered, "its bytes are not those of the manifest"),
        (Kind.MISSING, differences.missing, "the manifest lists it, and it is not there"),
        (Kind.ADDED, differences.added, "the manifest does not list it"),
    ):
        findings += [Finding(kind, shown(path), what) for path in paths]
    damaged = {*differences.altered, *differences.missing}
    notes, compared = list(signatures.notes), []
    for link in _links(folder, manifest, damaged):
        if link.problem:
            findings.append(Finding(Kind.CONTRADICTION, link.path, link.problem))
        elif link.unconfirmed and not signatures.signers:
            # Without a signature nothing else stands for it.
            findings.append(Finding(Kind.UNCONFIRMED, link.path, link.left_out))
        elif link.left_out:
            notes.append(f"{link.path}: {link.left_out}")
        else:
            compared.append(link.compared)
    files = len(manifest.files)
    return BundleCheck(
        folder, files, signatures.signers, tuple(findings), tuple(compared), tuple(notes)
    )


def sign_bundle(folder: Path, key_file: Path, passphrase: Passphrase) -> BundleCheck:
    """Sign a bundle that is whole; other keys' signatures under the same manifest stay.

    Args:
        folder: The bundle.
        key_file: The private key.
        passphrase: Asked where the key is encrypted.

    Returns:
        The check of the signed bundle, with the signing key among the signers.

    Raises:
        ConfigurationError: The key cannot be used, or the folder is no bundle.
        DataError: The bundle does not verify.
        DiskError: The signature cannot be written.
    """
    if folder.resolve() in key_file.resolve().parents:
        raise ConfigurationError(
            "the private key lies in the bundle, which is given away",
            where=str(key_file),
            hint="move it out, and take it that others may have it: make a new one",
        )
    key = load_private(key_file, passphrase)
    found = check_bundle(folder, unsigned=True)
    # A second signer may have other packages; the first had none.
    open_ones = [each for each in found.findings if each.kind is Kind.UNCONFIRMED]
    wrong = [each for each in found.findings if each.kind is not Kind.UNCONFIRMED]
    if wrong:
        first = wrong[0]
        raise DataError(
            f"the bundle does not verify, so it is not signed ({len(wrong)} findings)",
            where=f"{folder}: {first.kind.value}: {first.path}: {first.what}",
            hint="edgeprune verify-bundle --unsigned names all of them; build again",
        )
    path = folder / SIGNATURE_NAME
    payload = read_small(folder / MANIFEST_NAME, "the bundle has no manifest")
    earlier = (
        parse_envelope(read_small(path, ""), str(path))
        if os.path.lexists(path)
        else Envelope(payload, ())
    )
    envelope = signed(earlier, key)
    write_bytes(path, envelope_bytes(envelope))
    notes = [f"{each.path}: {each.what}" for each in open_ones]
    if is_exposed(key_file):
        notes.append(f"{key_file} can be read by others: chmod 600 {key_file}")
    signers = tuple(signature.key_id for signature in envelope.signatures)
    return replace(found, signers=signers, findings=(), notes=tuple(notes))


def _signatures(folder: Path, keys: Mapping[str, Path], unsigned: bool) -> _Signatures:
    path = folder / SIGNATURE_NAME
    if not os.path.lexists(path):
        what = "nobody has signed it"
        finding = Finding(Kind.UNSIGNED, SIGNATURE_NAME, what)
        return _Signatures(None, (), () if unsigned else (finding,), (what,) if unsigned else ())
    try:
        envelope = parse_envelope(read_small(path, "there is no signature"), str(path))
    except DataError as error:
        return _Signatures(None, (), (Finding(Kind.SIGNATURE, SIGNATURE_NAME, error.what),))
    found = {signature.key_id: is_valid(envelope, signature) for signature in envelope.signatures}
    findings = []
    for name, holds in found.items():
        if not holds:
            what = f"the signature of key {name} is not that of its payload"
            findings.append(Finding(Kind.SIGNATURE, SIGNATURE_NAME, what))
        elif name not in keys and not unsigned:
            what = f"key {name} signed it, and was not named with --key"
            findings.append(Finding(Kind.KEY, SIGNATURE_NAME, what))
    for name, file in keys.items():
        if name not in found:
            what = f"the key of {file.name} ({name}) did not sign it"
            findings.append(Finding(Kind.KEY, SIGNATURE_NAME, what))
    signers = tuple(name for name, holds in found.items() if holds and name in keys)
    strangers = [name for name in found if name not in keys] if unsigned else []
    notes = tuple(f"signed by key {name}, of which nothing is known" for name in strangers)
    return _Signatures(envelope, signers, tuple(findings), notes)


def _manifest(folder: Path, signatures: _Signatures) -> tuple[Manifest | None, list[Finding]]:
    """Return the manifest that decides, and what is wrong with the one in the folder."""
    findings = []
    path, content, own = folder / MANIFEST_NAME, None, None
    try:
        content = read_small(path, "the bundle has no manifest")
        own = parse_manifest(content, MANIFEST_NAME)
        if manifest_bytes(own) != content:
            what = "it is not written as edgeprune writes it"
            findings.append(Finding(Kind.MANIFEST, MANIFEST_NAME, what))
    except DataError as error:
        where = error.where.removeprefix(str(path)).removeprefix(MANIFEST_NAME).strip(": ")
        what = f"{error.what} ({where})" if where else error.what
        findings.append(Finding(Kind.MANIFEST, MANIFEST_NAME, what))
    envelope = signatures.envelope
    if envelope is None:
        return own, findings
    if envelope.payload != content:
        what = "it is not the manifest that was signed: edited, replaced, or of another bundle"
        findings.append(Finding(Kind.MANIFEST, MANIFEST_NAME, what))
        if signatures.signers:
            try:
                return parse_manifest(envelope.payload, SIGNATURE_NAME), findings
            except DataError as error:
                findings.append(Finding(Kind.SIGNATURE, SIGNATURE_NAME, error.what))
    return own, findings


def _links(folder: Path, manifest: Manifest, damaged: set[str]) -> Iterator[Link]:
    from edgeprune.pipeline.bundle_links import (
        EVIDENCE,
        LINKS,
        OPTIONAL,
        Link,
        Opened,
        is_touched,
    )

    opened = Opened(folder, manifest)
    listed = {file.path for file in manifest.files}
    for name, reads, follow in LINKS:
        # What is named already would only be named again, in other words.
        needed = [
            EVIDENCE,
            *(each for each in reads if not each.endswith("/") and each not in OPTIONAL),
        ]
        if is_touched(reads, damaged) or (reads and not listed.issuperset(needed)):
            continue
        try:
            yield from follow(opened)
        except EdgepruneError as error:
            yield Link(name, problem=f"it cannot be read: {shown(error.what)}")
        except Exception as error:  # a hostile file may break any reader, in any way
            yield Link(name, problem=f"it cannot be read: {type(error).__name__}")
