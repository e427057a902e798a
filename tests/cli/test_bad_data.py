"""Recordings that cannot be used: each is one clear error before anything is learnt."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprune.resources import resource_folder
from tests.cli.conftest import Edgeprune, Small
from tests.data.records import write_record
from tests.pipeline.small import small_flags

RECORDS = ("r1", "r2", "r3")
SPLIT = '[split]\ndevelopment = ["r1", "r2"]\nvalidation = ["r2"]\ntest = ["r3"]\n\n'


def _card(folder: Path) -> Path:
    """Write MIT-BIH's card with three records of its layout and without a publisher."""
    text = (resource_folder("datasets") / "mit-bih.toml").read_text(encoding="utf-8")
    text = re.sub(r"\[split\].*?(?=\[files\])", SPLIT, text, flags=re.DOTALL)
    text = re.sub(r'^(base_url|checksums|checksums_sha256) = ".*"\n', "", text, flags=re.MULTILINE)
    path = folder / "card.toml"
    path.write_text(text.replace('name = "mit-bih"', 'name = "three"'), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    for record in RECORDS:
        write_record(folder, record)
    return folder


@pytest.fixture
def records(recorded: Path, tmp_path: Path) -> Path:
    """Return a copy of three sound records, to be spoilt."""
    return Path(shutil.copytree(recorded, tmp_path / "records"))


def _flags(folder: Path, records: Path) -> list[object]:
    flags = ["--dataset", _card(folder), "--data-dir", records, "--out", folder / "result"]
    return [*flags, *small_flags()]


def _truncate(records: Path) -> None:
    path = records / "r2.dat"
    path.write_bytes(path.read_bytes()[:-1000])


def _miss_a_file(records: Path) -> None:
    (records / "r2.dat").unlink()


def _lose_annotations(records: Path) -> None:
    (records / "r2.atr").unlink()


def _take_other_annotations(records: Path) -> None:
    shutil.copyfile(records / "r1.atr", records / "r2.atr")


def _rename_the_lead(records: Path) -> None:
    path = records / "r2.hea"
    path.write_text(path.read_text().replace("MLII", "V1"))


def _scribble_over_header(records: Path) -> None:
    (records / "r2.hea").write_bytes(b"\x00\xff not a header")


def _cut_annotations(records: Path) -> None:
    path = records / "r2.atr"
    path.write_bytes(path.read_bytes()[:7])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_truncate, ["r2.dat is cut short", "bytes", "fetch r2.dat again"]),
        (_miss_a_file, ["the header names the file 'r2.dat', which does not exist", "r2.hea"]),
        (_lose_annotations, ["annotations are missing", "r2.atr"]),
        (_take_other_annotations, ["record r2", "r2.atr"]),
        (_rename_the_lead, ["no lead MLII (it has V5, V1)", "split.left_out"]),
        (_scribble_over_header, ["r2.hea"]),
        (_cut_annotations, ["r2.atr"]),
    ],
)
def test_damaged_records(
    edgeprune: Edgeprune,
    records: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    words: list[str],
) -> None:
    spoil(records)
    result = edgeprune("train", *_flags(tmp_path, records))
    result.failed(2, "EP201", "record r2", *words)
    assert not (tmp_path / "result.work" / "data").exists()


def test_what_was_finished_on_sound_records_comes_back_with_them(
    edgeprune: Edgeprune, records: Path, tmp_path: Path
) -> None:
    flags = _flags(tmp_path, records)
    assert edgeprune("train", *flags).code == 0
    sound = (records / "r2.dat").read_bytes()
    _truncate(records)
    edgeprune("train", *flags).failed(2, "EP201", "cut short")
    (records / "r2.dat").write_bytes(sound)
    assert edgeprune("train", *flags).out.count("kept from an earlier run") == 2


def test_a_data_set_of_files_needs_their_folder(edgeprune: Edgeprune, tmp_path: Path) -> None:
    out = tmp_path / "result"
    missing = edgeprune("train", "--dataset", "mit-bih", "--out", out)
    missing.failed(2, "EP101", "--data-dir", "edgeprune datasets fetch mit-bih")
    absent = tmp_path / "absent"
    result = edgeprune("train", "--dataset", "mit-bih", "--data-dir", absent, "--out", out)
    result.failed(2, "EP201", "does not exist", str(absent), "datasets fetch mit-bih")


def test_an_empty_folder(edgeprune: Edgeprune, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    result = edgeprune("train", *_flags(tmp_path, tmp_path / "records"))
    result.failed(2, "EP201", "r1.hea")


def test_a_card_with_an_unknown_key(edgeprune: Edgeprune, small: Small, tmp_path: Path) -> None:
    card = _card(tmp_path)
    card.write_text(card.read_text().replace("rate_hz", "rate_herz"))
    result = edgeprune("train", "--dataset", card, "--out", tmp_path / "result")
    result.failed(2, "EP101", f"{card}:", "did you mean 'rate_hz'?")
