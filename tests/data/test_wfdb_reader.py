"""Records in WFDB format: MIT-BIH against its published counts, and every way to be damaged."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeprune.data import DatasetCard, Recording, load_card, read_recordings
from edgeprune.data.wfdb_reader import read_wfdb_record
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Silent
from tests.data.records import small_card, write_record

SharedData = Callable[[str], Path]
# shared/data/SOURCES.md, from the publisher's tables: N, S, V, F, Q.
DS1 = (45866, 944, 3788, 415, 8)
DS2 = (44259, 1837, 3221, 388, 7)
ALL = (
    75052 + 8075 + 7259 + 16 + 229,
    2546 + 150 + 83 + 2,
    7130 + 106,
    803,
    7028 + 982 + 33,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three good records; tests copy it before they damage it."""
    path = tmp_path_factory.mktemp("records")
    for record in ("r1", "r2", "r3"):
        write_record(path, record)
    return path


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "own"))


def counts(recordings: list[Recording]) -> tuple[int, ...]:
    return tuple(int(sum((r.labels == label).sum() for r in recordings)) for label in range(5))


def unpack_212(content: bytes) -> np.ndarray:
    """Decode format 212 from its definition: pairs of 12-bit two's complements in 3 bytes."""
    low, middle, high = np.frombuffer(content, np.uint8).reshape(-1, 3).astype(np.int64).T
    pairs = np.stack([low | (middle & 15) << 8, high | (middle >> 4) << 8], axis=1)
    return np.where(pairs >= 2048, pairs - 4096, pairs)


# ---- the real data set


@pytest.fixture(scope="module")
def mit_bih(shared_data: SharedData) -> dict[str, Recording]:
    """All 48 records; the four that the card leaves out with the lead that they have."""
    folder = shared_data("mitdb")
    card = load_card("mit-bih")
    recordings = {r.name: r for r in read_recordings(card, folder, Silent(), 0)}
    wider = replace(card, signal=replace(card.signal, leads=("MLII", "V5")))
    for record in card.split.left_out:
        recordings[record] = read_wfdb_record(wider, folder, record)
    return recordings


def test_published_counts(mit_bih: dict[str, Recording]) -> None:
    split = load_card("mit-bih").split
    assert counts([mit_bih[record] for record in split.development]) == DS1
    assert counts([mit_bih[record] for record in split.test]) == DS2
    assert counts(list(mit_bih.values())) == ALL
    assert sum(ALL) == 109_494
    assert counts([mit_bih["100"]]) == (2239, 33, 1, 0, 0)


def test_the_lead_is_found_by_name(mit_bih: dict[str, Recording], shared_data: SharedData) -> None:
    for record, channel in (("114", 1), ("100", 0)):
        stored = unpack_212((shared_data("mitdb") / f"{record}.dat").read_bytes())
        assert mit_bih[record].lead == "MLII"
        np.testing.assert_array_equal(mit_bih[record].samples, stored[:, channel] - 1024)
    for record in ("102", "104"):
        with pytest.raises(DataError, match="no lead MLII") as caught:
            read_wfdb_record(load_card("mit-bih"), shared_data("mitdb"), record)
        assert record in caught.value.where


def test_patients(mit_bih: dict[str, Recording]) -> None:
    assert mit_bih["201"].patient == mit_bih["202"].patient
    assert len({recording.patient for recording in mit_bih.values()}) == 47


def test_annotations_of_another_real_record(shared_data: SharedData, tmp_path: Path) -> None:
    source = shared_data("mitdb")
    for name, taken in (("100.hea", "100.hea"), ("100.dat", "100.dat"), ("100.atr", "103.atr")):
        shutil.copyfile(source / taken, tmp_path / name)
    with pytest.raises(DataError, match="of another record") as caught:
        read_wfdb_record(load_card("mit-bih"), tmp_path, "100")
    assert caught.value.where == "record 100, 100.atr"
    shutil.copyfile(source / "SHA256SUMS.txt", tmp_path / "SHA256SUMS.txt")
    with pytest.raises(DataError, match=r"publisher's 103\.atr under another name"):
        read_wfdb_record(load_card("mit-bih"), tmp_path, "100")


# ---- small records


def test_what_was_written_is_read(folder: Path, tmp_path: Path) -> None:
    written = write_record(tmp_path, "r2")
    read = {r.name: r for r in read_recordings(small_card(), folder, Silent(), 0)}
    assert list(read) == ["r1", "r2", "r3"]
    assert (read["r2"].lead, read["r2"].adc, read["r2"].patient) == ("MLII", written.adc, "r2")
    np.testing.assert_array_equal(read["r2"].samples, written.samples)
    np.testing.assert_array_equal(read["r2"].beats, written.beats)
    np.testing.assert_array_equal(read["r2"].labels, written.labels)


def test_no_folder_was_given() -> None:
    with pytest.raises(ConfigurationError, match="no folder is given") as caught:
        read_recordings(load_card("mit-bih"), None, Silent(), 0)
    assert "datasets fetch mit-bih" in caught.value.hint


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(folder: Path, card: DatasetCard, what: str, file: str) -> DataError:
    with pytest.raises(DataError, match=what) as caught:
        read_wfdb_record(card, folder, "r1")
    assert "r1" in caught.value.where
    assert file in caught.value.where
    assert caught.value.hint
    return caught.value


def test_files_cut_short_or_too_long(own: Path) -> None:
    whole = (own / "r1.dat").read_bytes()
    (own / "r1.dat").write_bytes(whole[:-1])
    refused(own, small_card(), "cut short: 64799 of 64800 bytes", "r1.dat")
    (own / "r1.dat").write_bytes(b"")
    refused(own, small_card(), "cut short", "r1.dat")
    (own / "r1.dat").write_bytes(whole + b"\0\0\0")
    refused(own, small_card(), "longer than its header says", "r1.dat")


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_annotations_cut_short(own: Path, lost: int) -> None:
    (own / "r1.atr").write_bytes((own / "r1.atr").read_bytes()[:-lost])
    refused(own, small_card(), "annotations are cut short", "r1.atr")


def test_a_header_that_names_a_missing_file(own: Path) -> None:
    change(own / "r1.hea", "r1.dat", "other.dat")
    error = refused(own, small_card(), r"names the file 'other\.dat'", "r1.hea")
    assert "other.dat" in error.hint


@pytest.mark.parametrize(("file", "what"), [("hea", "header is missing"), ("atr", "missing")])
def test_absent_files(own: Path, file: str, what: str) -> None:
    (own / f"r1.{file}").unlink()
    refused(own, small_card(), what, f"r1.{file}")


def test_annotations_of_another_record(own: Path) -> None:
    shutil.copyfile(own / "r2.atr", own / "r1.atr")
    refused(own, small_card(), "these annotations are of another record", "r1.atr")


def test_annotations_beyond_the_end(own: Path) -> None:
    import wfdb

    wfdb.wrann("r1", "atr", np.array([100, 90_000]), ["N", "N"], fs=360, write_dir=str(own))
    refused(own, small_card(), "lies outside the signal of 21600 samples", "r1.atr")


def test_an_unknown_annotation(own: Path) -> None:
    import wfdb

    wfdb.wrann("r1", "atr", np.array([100, 400]), ["N", "n"], fs=360, write_dir=str(own))
    error = refused(own, small_card(), "annotation 'n' at sample 400 is unknown", "r1.atr")
    assert "not_beats" in error.hint


def test_annotations_that_count_other_samples(own: Path) -> None:
    import wfdb

    wfdb.wrann("r1", "atr", np.array([100, 400]), ["N", "N"], fs=250, write_dir=str(own))
    refused(own, small_card(), "count 250 samples a second, the signal has 360", "r1.atr")


def test_a_lead_that_is_absent(own: Path) -> None:
    change(own / "r1.hea", "MLII", "II")
    refused(own, small_card(), r"no lead MLII \(it has V5, II\)", "r1.hea")


def test_a_flipped_bit(own: Path) -> None:
    content = bytearray((own / "r1.dat").read_bytes())
    content[999] ^= 1
    (own / "r1.dat").write_bytes(content)
    refused(own, small_card(), r"do not match the checksum in r1\.hea", "r1.dat")


@pytest.mark.parametrize("extension", ["hea", "dat", "atr"])
def test_a_file_that_differs_from_the_published_one(own: Path, extension: str) -> None:
    card = small_card()
    card = replace(card, files=replace(card.files, checksums="SUMS"))
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in own.iterdir()}
    (own / "SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    read_wfdb_record(card, own, "r1")
    change(own / "SUMS", sums[f"r1.{extension}"], "0" * 64)
    refused(own, card, "differs from the publisher's file", f"r1.{extension}")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("r1 2 360", "r9 2 360", "belongs to record 'r9'"),
        ("r1 2 360", "r1/3 2 360", "several segments"),
        ("r1 2 360", "r1 3 360", "describes 2 signals, not 3"),
        ("r1 2 360", "r1 0 360", "no signals, no samples or no rate"),
        ("r1 2 360", "r1 two 360", "first line cannot be read"),
        ("r1 2 360", "r1 2 250", "states 250 samples a second"),
        ("212 200", "212 100", "states 360 samples a second, 10 uV a count"),
        ("212 200", "212 0", "never calibrated"),
        ("212 200", "212 200/mmHg", "not a voltage"),
        ("212 200", "311 200", "format 311 is not supported"),
        ("212 200", "16 200", "cut short"),
        ("212 200 11 1024", "212 200 11", "signal's line cannot be read"),
        ("212 200 11 1024", "212 200 11 100", "exceed the 11 bits"),
    ],
)
def test_headers_that_contradict(own: Path, old: str, new: str, what: str) -> None:
    change(own / "r1.hea", old, new)
    refused(own, small_card(), re.escape(what), "r1.")


def test_headers_that_are_no_headers(own: Path) -> None:
    for content in (b"", b"# only a comment\n", b"\xff\xfe\x00", b"\n\n\n"):
        (own / "r1.hea").write_bytes(content)
        refused(own, small_card(), "header", "r1.hea")
    (own / "r1.hea").unlink()
    (own / "r1.hea").mkdir()
    refused(own, small_card(), "header cannot be read", "r1.hea")


def mutate(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    for kind, place, piece in edits:
        at = int(place * len(content))
        end = at + len(piece) if kind == "overwrite" else at
        if kind == "cut":
            content = content[:at]
        elif kind == "remove":
            content = content[:at] + content[at + len(piece) :]
        else:
            content = content[:at] + piece + content[end:]
    return content


PIECES = st.one_of(
    st.binary(min_size=1, max_size=6),
    st.sampled_from([b"-", b" ", b"\n", b"0", b"9" * 15, b"1e9", b"/", b"(", b"\0\0", b"\0\xec"]),
)


@settings(max_examples=200, deadline=5000, suppress_health_check=[HealthCheck.too_slow])
@given(
    file=st.sampled_from(["hea", "atr", "atr", "dat"]),
    edits=st.lists(
        st.tuples(
            st.sampled_from(["overwrite", "overwrite", "insert", "remove", "cut"]),
            st.floats(0, 1),
            PIECES,
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_no_damage_is_worse_than_a_data_error(
    folder: Path, file: str, edits: list[tuple[str, float, bytes]]
) -> None:
    path = folder / f"r3.{file}"
    good = path.read_bytes()
    try:
        path.write_bytes(mutate(good, edits))
        recording = read_wfdb_record(small_card(), folder, "r3")
    except DataError as error:
        complete = "r3" in error.where and error.hint
        assert complete, error  # noqa: PT017 both outcomes are right
    else:
        assert recording.samples.dtype == np.int16
        assert len(recording.beats) == len(recording.labels)
        assert np.all(np.diff(recording.beats) > 0)
        assert np.all((recording.beats >= 0) & (recording.beats < len(recording.samples)))
        assert np.all((recording.labels >= 0) & (recording.labels < 5))
    finally:
        path.write_bytes(good)
