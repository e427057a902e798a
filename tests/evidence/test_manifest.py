"""manifest.json names every kind of change to a result directory."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from edgeprune.errors import DataError
from edgeprune.evidence import read_manifest, verify_manifest
from edgeprune.evidence.manifest import (
    MANIFEST_SCHEMA_FILE,
    StageInput,
    StageRecord,
    describe_files,
    manifest_schema_bytes,
    parse_manifest,
)
from edgeprune.evidence.manifest import write_manifest as write

ROLES = {
    "evidence.json": "evidence",
    "firmware/": "firmware source",
    "firmware/image.elf": "firmware image",
}
STAGES = [StageRecord("firmware", (StageInput("settings", "0" * 64),)), StageRecord("record", ())]
MADE_BY = {"evidence.json": "record", "firmware/": "firmware"}
VALIDATOR = Draft202012Validator(json.loads(MANIFEST_SCHEMA_FILE.read_bytes()))


def write_manifest(folder: Path, roles: dict[str, str]) -> None:
    made_by = MADE_BY if roles is ROLES else dict.fromkeys(roles, "record")
    write(folder, describe_files(folder, roles, made_by), STAGES, "edgeprune build")


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
    assert [file.stage for file in files.values()] == ["record", "firmware", "firmware"]


def test_the_schema_in_the_package_is_that_of_what_is_written(folder: Path) -> None:
    assert MANIFEST_SCHEMA_FILE.read_bytes() == manifest_schema_bytes()
    Draft202012Validator.check_schema(VALIDATOR.schema)
    VALIDATOR.validate(json.loads((folder / "manifest.json").read_bytes()))


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
    differences = verify_manifest(folder)
    assert differences.missing == ("evidence.json",)
    assert differences.added == ("evidence.json/",)


def test_a_file_without_a_role_is_refused(folder: Path) -> None:
    (folder / "holiday.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="has no role") as caught:
        write_manifest(folder, ROLES)
    assert caught.value.where == "holiday.jpg"


def test_an_unfinished_build_has_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no manifest") as caught:
        verify_manifest(tmp_path)
    assert "run the same command again" in caught.value.hint


def _changed(folder: Path, **changes: object) -> bytes:
    """Return the manifest with fields of its first file (or of itself) changed."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, value in changes.items():
        (manifest if name in manifest else manifest["files"][0])[name] = value
    return json.dumps(manifest).encode()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"schema": NaN}'),
        b'{"schema": "edgeprune-manifest", "schema": "edgeprune-manifest", "version": 2}',
    ],
)
def test_a_damaged_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(DataError):
        verify_manifest(folder)


@pytest.mark.parametrize("version", [1, 3, 2.5, True, None, "2"])
def test_a_manifest_of_another_version_says_what_to_do(folder: Path, version: object) -> None:
    with pytest.raises(DataError, match="version 2 only") as caught:
        parse_manifest(_changed(folder, version=version))
    assert "edgeprune build --config" in caught.value.hint


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "../evidence.json", "a/../b", "./a", "a//b", "a/", "", ".", "a\\b"),
        *("C:/a", "a\x00b", "a\nb", "a ", "a./b", "con", "LPT1.txt", "manifest.json"),
        *("Signature.JSON", "a" * 256, "a/" * 600 + "a"),
    ],
)
def test_a_path_that_no_bundle_can_hold_is_refused_by_name(folder: Path, path: str) -> None:
    with pytest.raises(DataError, match="cannot be in a bundle"):
        parse_manifest(_changed(folder, path=path))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("firmware/model.c", "twice"),
        ("Firmware/model.c", "capitals"),
        ("firmware/Image.ELF", "capitals"),
        ("firmware", "file and a folder"),
        ("firmware/model.c/deeper", "file and a folder"),
    ],
)
def test_paths_that_clash_are_refused_by_name(folder: Path, path: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        parse_manifest(_changed(folder, path=path))


@pytest.mark.parametrize(
    "changes",
    [
        *({"size": "2"}, {"size": -1}, {"size": 1 << 60}, {"size": True}, {"size": 1.5}),
        *({"sha256": "0" * 63}, {"sha256": "A" * 64}, {"sha256": "0" * 64 + "\n"}),
        *({"files": {}}, {"files": [[]]}, {"stages": []}, {"path": None}, {"stage": "nobody's"}),
        *({"command": 7}, {"path": "zzz"}),
    ],
)
def test_a_field_of_another_kind_is_refused(folder: Path, changes: dict[str, object]) -> None:
    with pytest.raises(DataError) as caught:
        parse_manifest(_changed(folder, **changes))
    assert caught.value.where.startswith("manifest.json")


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_whatever_stands_in_a_manifest_is_refused_as_our_error(value: object) -> None:
    form = {"schema": "edgeprune-manifest", "version": 2, "edgeprune": "0", "command": ""}
    for name in ("stages", "files"):
        table = form | {"stages": [], "files": []} | {name: value}
        try:
            parse_manifest(json.dumps(table).encode())
        except DataError:
            continue
        assert value == []


def test_an_empty_folder_and_a_link_to_a_folder_are_added(folder: Path, tmp_path: Path) -> None:
    (folder / "empty" / "er").mkdir(parents=True)
    (folder / "elsewhere").symlink_to(folder / "firmware")
    assert verify_manifest(folder).added == ("elsewhere", "empty/er/")


def test_a_manifest_that_is_a_link_or_huge_is_refused(folder: Path) -> None:
    path = folder / "manifest.json"
    path.rename(folder / "other.json")
    path.symlink_to(folder / "other.json")
    with pytest.raises(DataError, match="is a link"):
        verify_manifest(folder)
    path.unlink()
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(DataError, match="none so large"):
        verify_manifest(folder)


@pytest.mark.parametrize("depth", [63, 70, 500, 900, 990])
def test_however_deep_a_field_nests_it_is_refused_as_our_error(folder: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    content = (folder / "manifest.json").read_text().replace('"edgeprune build"', deep)
    with pytest.raises(DataError):
        parse_manifest(content.encode())


def test_texts_that_are_none_or_steer_a_terminal_are_not_passed_on(folder: Path) -> None:
    with pytest.raises(DataError, match="not valid JSON"):
        parse_manifest(_changed(folder, role="\ud800"))
    assert parse_manifest(_changed(folder, role="\U0001f600")).files[0].role == "\U0001f600"
    manifest = json.loads((folder / "manifest.json").read_text()) | {"\x1b[2J": 1}
    with pytest.raises(DataError) as caught:
        parse_manifest(json.dumps(manifest).encode())
    assert "\x1b" not in str(caught.value)
