"""`edgeprune init --data`: what it finds in a folder, what it asks, and that the card works."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeprune.config import load_config
from edgeprune.data import DatasetCard, load_card, read_recordings
from edgeprune.data.proposed_split import split_of
from edgeprune.pipeline.build import open_context
from edgeprune.pipeline.learn import data_stage, windows_of
from edgeprune.progress import Silent
from tests.cli.conftest import Edgeprune
from tests.data.own_data import (
    CHANNELS,
    RATE,
    SECONDS,
    own_counts,
    write_csv,
    write_edf,
)

NAMES = [f"rec {number}" for number in range(8)]


def written(folder: Path, data: Path) -> DatasetCard:
    """Return the card that was written, after reading all records by it."""
    card = load_card(folder / "mine.toml")
    config = load_config(folder / "edgeprune.toml", {})
    assert config.dataset == str(folder / "mine.toml")
    assert config.data_dir == str(data)
    recordings = read_recordings(card, data, Silent(), 1)
    assert len(recordings) == len(card.split.records)
    for recording in recordings:
        assert len(recording.beats)
        assert recording.samples.any()
    return card


def write_edf_of(path: Path, patient: str) -> None:
    write_edf(path, own_counts(path.stem))
    content = path.read_bytes()
    path.write_bytes(content[:8] + patient.encode().ljust(80) + content[88:])


def test_edf_files_of_four_people(edgeprune: Edgeprune, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number, name in enumerate(NAMES):
        write_edf_of(data / f"{name}.edf", f"MCH-{number // 2} F 02-MAY-1951 Jane_Doe")
    (data / "cut short.edf").write_bytes((data / "rec 0.edf").read_bytes()[:5000])
    result = edgeprune("init", tmp_path, "--data", data, "--json")
    assert result.code == 0, result.out
    assert "cut short" in result.json["left_out"]["cut_short"]
    assert not result.json["warnings"]
    card = written(tmp_path, data)
    assert card.signal.channels == CHANNELS
    assert (card.signal.rate_hz, card.signal.microvolt_per_count) == (RATE, 0.5)
    assert card.labels == {"none": (), "seizure": ("seizure",), "artefact": ("artefact",)}
    assert card.patients_known
    # the four people are told apart, and by nothing that names them
    assert set(card.patients.values()) == {"p01", "p02", "p03", "p04"}
    assert "Jane" not in (tmp_path / "mine.toml").read_text()
    assert card.patients["rec_6"] == card.patients["rec_7"]
    again = edgeprune("init", tmp_path, "--data", data)
    again.failed(2, "EP101", "mine.toml" if again.code == 0 else "edgeprune.toml", "--force")


def test_tables_without_patients_or_unit(edgeprune: Edgeprune, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(4):
        folder = data / f"ward{number}"
        folder.mkdir(parents=True)
        write_csv(folder / f"S{number}R1.csv", own_counts(f"S{number}R1"))
    edgeprune("init", tmp_path, "--data", data).failed(2, "EP101", "--unit uV")
    result = edgeprune("init", tmp_path, "--data", data, "--unit", "mV")
    assert result.code == 0, result.out
    assert "NOBODY KNOWS WHOSE THE RECORDS ARE" in result.out
    card = written(tmp_path, data)
    assert not card.patients_known
    assert "patients_known = false" in (tmp_path / "mine.toml").read_text()
    assert card.signal.microvolt_per_count == 0.5
    for rule, patient in ((r"(S\d)R", "S1"), ("folder", "ward1"), ("record", "S1R1")):
        flags = ("--unit", "mV", "--patient", rule, "--force")
        result = edgeprune("init", tmp_path, "--data", data, *flags)
        assert result.code == 0, result.out
        card = written(tmp_path, data)
        assert card.patients_known
        assert card.patient("S1R1") == patient
    flags = ("--unit", "mV", "--patient", "T(.)", "--force")
    edgeprune("init", tmp_path, "--data", data, *flags).failed(2, "EP101", "finds no patient")


def test_a_person_is_asked_what_the_files_leave_open(
    edgeprune: Edgeprune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        rows = [f"{a},{b},{'x' if k < 256 else ''}" for k, (a, b) in enumerate(own_counts("r1"))]
        (data / f"P{number}_a.csv").write_text("\n".join(["one,two,label", *rows]))
    answers = {"How many samples": 128, "Unit of the signal": "count", "Whose are": "(P.)_"}
    asked = []

    def prompt(question: str, **_: object) -> object:
        (start,) = [each for each in answers if question.startswith(each)]
        asked.append(start)
        return answers[start]

    monkeypatch.setattr("edgeprune.cli.init.is_terminal", lambda _: True)
    monkeypatch.setattr("typer.prompt", prompt)
    assert edgeprune("init", tmp_path, "--data", data, "--quiet").code == 0
    assert asked == list(answers)
    card = written(tmp_path, data)
    assert card.reader.unit == "count"
    assert card.patients == {f"P{number}_a": f"P{number}" for number in range(3)}


def test_one_npz_of_windows(edgeprune: Edgeprune, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    windows = np.concatenate([own_counts(f"{k}").reshape(SECONDS, RATE, 2) for k in range(5)])
    np.savez(
        data / "all.npz",
        X=windows.transpose(0, 2, 1) * 0.25,
        y=np.tile(np.arange(SECONDS) % 3, 5),
        subject=np.repeat(np.arange(5), SECONDS),
        fs=RATE,
    )
    result = edgeprune("init", tmp_path, "--data", data, "--unit", "uV")
    assert result.code == 0, result.out
    card = written(tmp_path, data)
    assert card.window is not None
    assert card.window.cut_out
    assert card.window.seconds == 1.0
    assert card.class_names == ("0", "1", "2")
    assert card.patients_known
    assert len(card.split.test) == 1


def test_beats_in_a_table(edgeprune: Edgeprune, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        counts = own_counts(str(number))
        labels = np.full(len(counts), "")
        labels[np.arange(60, len(counts), 100)] = "N"
        labels[np.arange(160, len(counts), 500)] = "V"
        rows = [f"p{number},{a},{label}" for (a, _), label in zip(counts, labels, strict=True)]
        (data / f"{number}.csv").write_text("\n".join(["Patient ID,II [uV],beat", *rows]))
    flags = ("--rate", RATE)
    result = edgeprune("init", tmp_path, "--data", data, *map(str, flags))
    assert result.code == 0, result.out
    card = written(tmp_path, data)
    assert card.window is None
    assert card.signal.leads == ("II [uV]",)
    assert card.class_names == ("N", "S", "V", "F", "Q")
    assert sorted({card.patient(name) for name in card.split.records}) == ["p0", "p1", "p2"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--dataset", "mit-bih", "--data", "."), "leave them out"),
        (("--unit", "mV"), "name their folder with --data"),
        (("--rate", "5"), "name their folder with --data"),
        (("--data", "edf", "--unit", "mV"), "leave it out"),
        (("--data", "nowhere"), "there is no such folder"),
        (("--data", "."), "no file here is of a kind"),
    ],
)
def test_what_cannot_be_is_said(
    edgeprune: Edgeprune,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "edf" in flags:
        (tmp_path / "edf").mkdir()
        write_edf(tmp_path / "edf" / "r1.edf", own_counts("r1"))
    result = edgeprune("init", tmp_path, *flags)
    assert result.code == 2
    assert words in result.out + result.err
    assert not (tmp_path / "edgeprune.toml").exists()


def test_real_wfdb_records_are_proposed_as_their_card_has_them(
    edgeprune: Edgeprune, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for record in ("100", "101", "103"):
        for path in shared_data("mitdb").glob(f"{record}.*"):
            shutil.copy(path, data / path.name)
    assert edgeprune("init", tmp_path, "--data", data, "--patient", "record").code == 0
    card, known = written(tmp_path, data), load_card("mit-bih")
    assert card.labels == known.labels
    assert card.signal == known.signal
    assert card.patients_known


def test_the_split_does_not_depend_on_the_order_and_covers_the_classes() -> None:
    patients = {f"r{number}": f"p{number // 2}" for number in range(40)}
    texts = {f"r{number}": ("a", "b") if number % 6 < 2 else ("a",) for number in range(40)}
    parts = split_of(patients, texts, 1)
    backwards = split_of(dict(reversed(patients.items())), texts, 1)
    assert [set(part) for part in parts] == [set(part) for part in backwards]
    sides = [{patients[record] for record in part} for part in parts]
    assert [len(side) for side in sides] == [12, 3, 5]
    assert len(set().union(*sides)) == 20
    for part in parts:
        assert {text for record in part for text in texts[record]} == {"a", "b"}
    assert split_of(patients, texts, 2) != parts


def test_init_finds_records_in_folders_and_rhythms(
    edgeprune: Edgeprune, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    data = tmp_path / "data"
    for number, record in enumerate(("201", "202", "203", "219")):
        home = data / f"patient{number}"
        home.mkdir(parents=True)
        for path in shared_data("mitdb").glob(f"{record}.*"):
            shutil.copy(path, home / path.name)
    flags = ("--kind", "segments", "--patient", "folder")
    result = edgeprune("init", tmp_path, "--data", data, *flags)
    assert result.code == 0, result.out
    card = load_card(tmp_path / "mine.toml")
    assert set(card.split.records) == {"201", "202", "203", "219"}
    assert {"N", "AFIB"} <= set(card.class_names)
    assert card.signal.channels == ("MLII", "V1")
    assert card.patient("203") == "patient2"
    config = load_config(tmp_path / "edgeprune.toml", {"target": "host"})
    context = open_context(config, tmp_path / "out", Silent())
    windows = windows_of(data_stage(context), "test")
    assert windows.signal.shape[2] == 2
    assert len(windows) > 100
    assert edgeprune("init", tmp_path, "--data", data, "--force").code == 0
    beats = load_card(tmp_path / "mine.toml")
    assert beats.window is None
    assert beats.labels == load_card("mit-bih").labels
    assert (
        sum(len(recording.beats) for recording in read_recordings(beats, data, Silent(), 1)) > 9000
    )
