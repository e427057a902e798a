"""EEG data sets: cards against the facts of their publishers, windows as arrays, seizure lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from edgeprune.data.cards import load_card, split_statement
from edgeprune.data.npz_windows import read_npz_windows
from edgeprune.data.recordings import read_recordings
from edgeprune.data.seizure_summaries import chb_notes, parse_seizure_summary
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Silent

# Seizure windows / all windows by patient, as the data's own description counts them.
COUNTS = """01 20/50, 02 8/22, 03 18/45, 04 15/42, 05 25/62, 06 6/16, 07 11/36, 09 17/30, 10 24/47,
13 24/56, 14 7/20, 16 4/9, 17 17/33, 18 12/34, 19 10/28"""


def test_chb_mit_windows_as_described(shared_data: Callable[[str], Path]) -> None:
    card = load_card("chb-mit-windows")
    recordings = read_recordings(card, shared_data("chbmit_windows"), Silent(), 0)
    found = {
        recording.patient[3:]: f"{recording.labels.sum()}/{len(recording.labels)}"
        for recording in recordings
    }
    assert found == dict(line.split() for line in COUNTS.replace("\n", " ").split(", "))
    assert sum(len(recording.labels) for recording in recordings) == 530
    together = np.concatenate([recording.samples for recording in recordings]) / 4000
    assert np.sqrt(np.square(together).mean()) == pytest.approx(1.05, abs=0.1)
    path = shared_data("chbmit_windows") / "patient06_test.npz"
    (recording,) = (each for each in recordings if each.name == path.stem)
    with np.load(path) as content:
        third = content["x"][3]
    cut = recording.samples[recording.beats[3] : recording.beats[3] + 1024] / 4000
    wanted = np.clip(third.T, -32768 / 4000, 32767 / 4000)
    assert np.abs(cut - wanted).max() <= 0.5 / 4000 + 1e-9


def test_windows_that_cannot_be_read(tmp_path: Path) -> None:
    card = load_card("chb-mit-windows")

    def refuse(match: str, **arrays: object) -> None:
        np.savez(tmp_path / "r.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=match) as error:
            read_npz_windows(card, tmp_path, "r")
        assert "r.npz" in error.value.where
        assert error.value.hint

    x, y = np.zeros((3, 2, 1024), np.float32), np.array([0, 1, 0])
    refuse("no array 'y'", x=x)
    refuse("not n x 2 channels x 1024", x=x[:, :1], y=y)
    refuse("2 classes for 3 windows", x=x, y=y[:2])
    refuse("window 1 is of class 7", x=x, y=np.array([0, 7, 0]))
    refuse("y of float64", x=x, y=y + 0.5)
    refuse(
        "window 2 has values that are no numbers", x=np.where([[[0]], [[0]], [[1]]], np.nan, x), y=y
    )
    refuse("cannot be read", x=np.array([{}], dtype=object), y=y)
    (tmp_path / "r.npz").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(DataError, match="cannot be read"):
        read_npz_windows(card, tmp_path, "r")
    with pytest.raises(DataError, match="not there"):
        read_npz_windows(card, tmp_path, "absent")
    with pytest.raises(ConfigurationError, match="no folder is given"):
        read_recordings(card, None, Silent(), 0)


def test_chb_mit_counts_people_and_files() -> None:
    card = load_card("chb-mit")
    listed = {*card.split.records, *card.split.left_out}
    assert len(listed) == 141
    assert len(card.split.records) == 138
    assert "chb07_19" in listed
    assert "chb07_18" not in listed
    cases = {record[:5] for record in listed}
    assert len(cases) == 24
    people = {card.patient(record) for record in card.split.records}
    assert len(people) == 23
    assert card.patient("chb01_03") == card.patient("chb21_19") == "chb01/chb21"
    assert "no patient is on two sides" in split_statement(card)
    files = card.record_files
    assert "chb02/chb02_16+.edf" in files
    assert "chb17/chb17a_03.edf" in files
    assert Counter(Path(file).name.endswith("-summary.txt") for file in files)[True] == 24


def test_eegmmidb_has_105_subjects_on_one_side_each() -> None:
    card = load_card("eegmmidb")
    assert len(card.signal.channels) == 64
    subjects = Counter(card.patient(record) for record in card.split.records)
    assert len(subjects) == 105
    assert set(subjects.values()) == {3}
    assert not {"S088", "S092", "S100", "S104"} & set(subjects)
    assert card.record_files[0] == "S001/S001R04.edf"


SUMMARY = """Data Sampling Rate: 256 Hz
*************************

Channels in EDF Files:
**********************
Channel 1: FP1-F7

File Name: chb01_03.edf
File Start Time: 13:43:04
File End Time: 14:43:04
Number of Seizures in File: 1
Seizure Start Time: 2996 seconds
Seizure End Time: 3036 seconds

File Name: chb06_04.edf
Number of Seizures in File: 2
Seizure 1 Start Time:             327 seconds
Seizure 1 End Time:               347 seconds
Seizure 2 Start Time:             6211 seconds
Seizure 2 End Time:               6231 seconds

File Name: chb01_05.edf
Number of Seizures in File: 0

File Name: chb24_01.edf
Number of Seizures in File: 2
Seizure Start Time: 480 seconds
Seizure End Time: 505 seconds
Seizure Start Time: 2451 seconds
Seizure End Time: 2476 seconds
"""


def test_seizure_lists_in_all_spellings() -> None:
    assert parse_seizure_summary(SUMMARY, "s") == {
        "chb01_03.edf": ((2996.0, 3036.0),),
        "chb06_04.edf": ((327.0, 347.0), (6211.0, 6231.0)),
        "chb01_05.edf": (),
        "chb24_01.edf": ((480.0, 505.0), (2451.0, 2476.0)),
    }


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        (SUMMARY.replace("File: 2", "File: 3", 1), "chb06_04.edf has 3 of seizures"),
        (SUMMARY.replace("Seizure End Time: 3036 seconds", ""), "1 beginnings and 0 ends"),
        (SUMMARY.replace("347", "300"), "ends at 300 s"),
        (SUMMARY.replace("Number of Seizures in File: 0", ""), "no number"),
        ("nothing", "lists no file"),
        ("Seizure Start Time: 5 seconds\n", "before any file"),
    ],
)
def test_seizure_lists_that_contradict_themselves(changed: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        parse_seizure_summary(changed, "chb01-summary.txt")


def test_a_recording_finds_its_seizures(tmp_path: Path) -> None:
    (tmp_path / "chb06-summary.txt").write_text(SUMMARY, encoding="utf-8")
    notes = chb_notes(tmp_path / "chb06_04.edf")
    assert [(note.begin_s, note.end_s, note.text) for note in notes] == [
        (327.0, 347.0, "seizure"),
        (6211.0, 6231.0, "seizure"),
    ]
    with pytest.raises(DataError, match="chb06_05.edf is not in chb06-summary.txt"):
        chb_notes(tmp_path / "chb06_05.edf")
    with pytest.raises(DataError, match="chb17-summary.txt cannot be read"):
        chb_notes(tmp_path / "chb17a_03.edf")


def test_a_recording_of_chb_mit_as_its_publisher_lays_it_out(tmp_path: Path) -> None:
    card = load_card("chb-mit")
    (tmp_path / "chb06").mkdir()
    path = tmp_path / "chb06" / "chb06_04.edf"
    names = ["FP1-F7", "F7-T7", "T7-P7", "F8-T8", "T8-P8", "-", "T8-P8"]
    values = np.random.default_rng(1).integers(-2048, 2048, (len(names), 256 * 60))
    values[6] = values[4]
    writer = pyedflib.EdfWriter(str(path), len(names), file_type=pyedflib.FILETYPE_EDF)
    limits = {"physical_max": 800, "physical_min": -800, "digital_max": 2047, "digital_min": -2048}
    writer.setSignalHeaders(
        [{"label": name, "dimension": "uV", "sample_frequency": 256, **limits} for name in names]
    )
    writer.writeSamples([row.astype(np.int32) for row in values], digital=True)
    writer.close()
    text = SUMMARY.replace("6211", "40").replace("6231", "55").replace("327", "8")
    (tmp_path / "chb06" / "chb06-summary.txt").write_text(text.replace("347", "21"), "utf-8")
    split = replace(card.split, development=("chb06_04",), validation=(), test=())
    (recording,) = read_recordings(replace(card, split=split), tmp_path, Silent(), 0)
    assert recording.patient == "chb06"
    # -2048 is -800 uV and 2047 is 800 uV: 0 is half a step above 0 uV.
    np.testing.assert_array_equal(recording.samples, 2 * values[[1, 3]].T + 1)
    assert [(event.begin_s, event.end_s) for event in recording.events] == [(8, 21), (40, 55)]
    assert np.flatnonzero(recording.labels).tolist() == [2, 3, 4, 10, 11, 12, 13]


def test_imagined_fists_as_pyedflib_reads_them(shared_data: Callable[[str], Path]) -> None:
    card = load_card("eegmmidb")
    split = replace(card.split, development=("S001R04",), validation=(), test=("S001R08",))
    folder = shared_data("eegmmidb")
    for recording in read_recordings(replace(card, split=split), folder, Silent(), 0):
        with pyedflib.EdfReader(str(folder / "S001" / f"{recording.name}.edf")) as reader:
            begins, lengths, texts = reader.readAnnotations()
            signal = reader.readSignal(63, digital=True)
            count = reader.getNSamples()[0]
        assert recording.samples.shape == (count, 64)
        np.testing.assert_array_equal(recording.samples[:, 63], signal)
        wanted = []
        for start in range(0, count - 480 + 1, 160):
            for begin, length, text in zip(begins, lengths, texts, strict=True):
                first, last = round(begin * 160), round((begin + length) * 160)
                if first <= start and start + 480 <= last:
                    wanted.append((start, ("T0", "T1", "T2").index(text)))
        found = zip(recording.beats.tolist(), recording.labels.tolist(), strict=True)
        assert list(found) == wanted
        assert {label for _, label in wanted} == {0, 1, 2}


def test_a_folder_that_is_no_pattern(tmp_path: Path) -> None:
    card = load_card("chb-mit")
    text = Path(card.path).read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('folder = "chb\\\\d\\\\d"', 'folder = "chb("'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no regular expression"):
        load_card(path)
    assert replace(card.files, folder="").path_of("a", "edf") == "a.edf"
