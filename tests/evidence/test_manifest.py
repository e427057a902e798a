"""manifest.json names every kind of change to a result directory."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edgeprune.errors import DataError
from edgeprune.evidence import read_manifest, verify_manifest, write_manifest

ROLES = {
    "evidence.json": "evidence",
    "firmware/": "firmware source",
    "firmware/image.elf": "firmware image",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "firmware").mkdir()
    (tmp_path / "evidence.json").write_text("{}")
    (tmp_path / "firmware" / "model.c").write_text("int x;")
    (tmp_path / "firmware" / "image.elf").write_bytes(bytes(range(256)))
    write_manifest(tmp_path, ROLES)
    return tmp_path


def test_manifest_describes_every_file(folder: Path) -> None:
    files = {file.path: file for file in read_manifest(folder).files}
    assert list(files) == ["evidence.json", "firmware/image.elf", "firmware/model.c"]
    image = files["firmware/image.elf"]
    assert image.size == 256
    assert image.sha256 == hashlib.sha256(bytes(range(256))).hexdigest()
    assert image.role == "firmware image"
    assert image.media_type == "application/x-elf"
    assert files["firmware/model.c"].role == "firmware source"


def test_an_untouched_folder_has_no_differences(folder: Path) -> None:
    before = (folder / "manifest.json").read_bytes()
    assert not verify_manifest(folder)
    write_manifest(folder, ROLES)
    assert (folder / "manifest.json").read_bytes() == before


def test_every_change_is_named(folder: Path) -> None:
    content = bytearray((folder / "firmware" / "image.elf").read_bytes())
    content[17] ^= 1
    (folder / "firmware" / "image.elf").write_bytes(content)
    (folder / "evidence.json").unlink()
    (folder / "firmware" / "extra.h").write_text("")
    differences = verify_manifest(folder)
    assert differences
    assert differences.altered == ("firmware/image.elf",)
    assert differences.missing == ("evidence.json",)
    assert differences.added == ("firmware/extra.h",)
    assert str(differences).splitlines() == [
        "altered: firmware/image.elf",
        "missing: evidence.json",
        "added: firmware/extra.h",
    ]


def test_swapped_files_are_both_altered(folder: Path) -> None:
    first, second = folder / "evidence.json", folder / "firmware" / "model.c"
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    assert verify_manifest(folder).altered == ("evidence.json", "firmware/model.c")


def test_a_link_in_place_of_a_file_is_altered(folder: Path, tmp_path: Path) -> None:
    target = folder / "firmware" / "model.c"
    copy = folder.parent / "copy.c"
    copy.write_bytes(target.read_bytes())
    target.unlink()
    target.symlink_to(copy)
    assert verify_manifest(folder).altered == ("firmware/model.c",)
    with pytest.raises(DataError, match="cannot hold links"):
        write_manifest(folder, ROLES)


def test_a_folder_in_place_of_a_file_is_missing(folder: Path) -> None:
    (folder / "evidence.json").unlink()
    (folder / "evidence.json").mkdir()
    assert verify_manifest(folder).missing == ("evidence.json",)


def test_a_file_without_a_role_is_refused(folder: Path) -> None:
    (folder / "holiday.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="has no role") as caught:
        write_manifest(folder, ROLES)
    assert caught.value.where == "holiday.jpg"


def test_an_unfinished_build_has_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no manifest") as caught:
        verify_manifest(tmp_path)
    assert "run the same command again" in caught.value.hint


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", json.dumps({"schema": "edgeprune-manifest", "version": 2})]
)
def test_a_damaged_manifest_is_refused(folder: Path, content: str) -> None:
    (folder / "manifest.json").write_text(content)
    with pytest.raises(DataError):
        verify_manifest(folder)


def test_a_manifest_with_an_altered_field_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["size"] = "2"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="expected int") as caught:
        read_manifest(folder)
    assert caught.value.where.endswith("files.0.size")
