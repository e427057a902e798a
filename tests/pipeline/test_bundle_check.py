"""verify-bundle on a bundle of a few files: every kind of tampering that needs no evidence."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from edgeprune.errors import ConfigurationError, DataError
from edgeprune.evidence.keys import new_key, public_path
from edgeprune.evidence.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    StageRecord,
    describe_files,
    write_manifest,
)
from edgeprune.evidence.signature import Envelope, envelope_bytes, signed
from edgeprune.pipeline import bundle_check
from edgeprune.pipeline.bundle_check import Kind, check_bundle, read_keys, sign_bundle
from tests.studies.evidence_tampering import (
    Bundle,
    Tampering,
    is_named,
    kinds,
    tampered,
)

FILES = {
    "edgeprune.toml": "seed = 1\n",
    "evidence.json": json.dumps({"performance": [], "requirements": []}),
    "report.html": "<html><body></body></html>",
    "provenance.intoto.json": json.dumps({"subject": []}),
    "network.safetensors": "weights",
    "model.tflite": "flat buffer",
    "model.onnx": "graph",
    "firmware.elf": "image",
    "firmware/model.c": "int x;\n",
    "firmware/model.h": "extern int x;\n",
    "certificates/a.npz": "proof",
    "certificates/b.npz": "other proof",
    "sbom/firmware.cdx.json": '{"version": "1"}',
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    scratch = tmp_path_factory.mktemp("bundle")
    folder = scratch / "signed"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    rows = describe_files(folder, dict.fromkeys(FILES, "x"), dict.fromkeys(FILES, "record"))
    from edgeprune.evidence.manifest import StageInput

    stage = StageRecord("record", (StageInput("code", "1" * 64),))
    write_manifest(folder, rows, [stage], "edgeprune build")
    made = Bundle(folder, scratch, scratch / "team.pem", scratch / "stranger.pem")
    for path in (made.key, made.stranger):
        new_key(path)
    return made


@pytest.fixture(autouse=True)
def without_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the parts say of each other: these files are none."""
    monkeypatch.setattr(bundle_check, "_links", lambda *_: ())


@pytest.fixture(autouse=True)
def whole(bundle: Bundle, without_evidence: None) -> None:
    (bundle.folder / SIGNATURE_NAME).unlink(missing_ok=True)
    sign_bundle(bundle.folder, bundle.key, lambda: "")


def _kinds() -> list[Tampering]:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        for path in (*FILES, MANIFEST_NAME, SIGNATURE_NAME):
            (Path(name) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(name) / path).write_text("")
        return list(kinds(Path(name)))


KINDS = _kinds()


def test_there_are_many_kinds() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 50


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_named(bundle: Bundle, kind: Tampering) -> None:
    found, named = tampered(bundle, kind)
    assert not found.passed
    assert is_named(found, named), found.findings


def test_an_untouched_bundle_passes_for_whoever_names_its_key(bundle: Bundle) -> None:
    team, stranger = public_path(bundle.key), public_path(bundle.stranger)
    keys = read_keys([team])
    found = check_bundle(bundle.folder, keys)
    assert found.passed
    assert found.signers == tuple(keys)
    assert found.files == len(FILES)
    assert {each.kind for each in check_bundle(bundle.folder).findings} == {Kind.KEY}
    assert check_bundle(bundle.folder, unsigned=True).passed
    both = read_keys([team, stranger])
    assert [each.kind for each in check_bundle(bundle.folder, both).findings] == [Kind.KEY]
    sign_bundle(bundle.folder, bundle.stranger, lambda: "")
    assert check_bundle(bundle.folder, both).signers == tuple(both)


def test_an_edit_with_a_manifest_to_suit_is_named_by_what_was_signed(
    bundle: Bundle, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle.folder, copy)
    (copy / "report.html").write_text("<html>better</html>")
    manifest = json.loads((copy / MANIFEST_NAME).read_text())
    rows = describe_files(copy, dict.fromkeys(FILES, "x"), dict.fromkeys(FILES, "record"))
    write_manifest(copy, rows, [StageRecord("record", ())], manifest["command"])
    found = check_bundle(copy, read_keys([public_path(bundle.key)]))
    assert [(each.kind, each.path) for each in found.findings] == [
        (Kind.MANIFEST, MANIFEST_NAME),
        (Kind.ALTERED, "report.html"),
    ]


def test_names_that_steer_a_terminal_are_shown_as_text(bundle: Bundle, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle.folder, copy)
    (copy / "\x1b[2Jnothing here").write_text("")
    (copy / os.fsdecode(b"\xff.txt")).write_text("")
    found = check_bundle(copy, unsigned=True)
    assert [each.path for each in found.findings] == ["\\x1b[2Jnothing here", "\\udcff.txt"]


def test_what_does_not_verify_is_not_signed(bundle: Bundle, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle.folder, copy)
    (copy / "report.html").write_text("")
    before = (copy / SIGNATURE_NAME).read_bytes()
    with pytest.raises(DataError, match="is not signed") as caught:
        sign_bundle(copy, bundle.stranger, lambda: "")
    assert "report.html" in caught.value.where
    assert (copy / SIGNATURE_NAME).read_bytes() == before


def test_a_key_inside_the_bundle_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle.folder, copy)
    shutil.copy(bundle.key, copy / "key.pem")
    with pytest.raises(ConfigurationError, match="lies in the bundle"):
        sign_bundle(copy, copy / "key.pem", lambda: "")


def test_a_payload_that_a_known_key_signed_may_still_be_hostile(
    bundle: Bundle, tmp_path: Path
) -> None:
    from edgeprune.evidence.keys import load_private

    copy = tmp_path / "copy"
    shutil.copytree(bundle.folder, copy)
    envelope = signed(Envelope(b'{"schema": [', ()), load_private(bundle.key, lambda: ""))
    (copy / SIGNATURE_NAME).write_bytes(envelope_bytes(envelope))
    found = check_bundle(copy, read_keys([public_path(bundle.key)]))
    assert {each.path for each in found.findings} == {MANIFEST_NAME, SIGNATURE_NAME}


def test_a_folder_that_is_no_bundle_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigurationError, match="no result directory"):
            check_bundle(folder)
