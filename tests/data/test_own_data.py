"""Own data: every format gives back what was written, or says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data import DatasetCard, Recording, read_recordings
from edgeprune.data.own_records import scaled
from edgeprune.errors import ConfigurationError, DataError, EdgepruneError
from edgeprune.progress import Silent
from tests.data.own_data import (
    CHANNELS,
    RATE,
    RECORDS,
    SECONDS,
    own_card,
    own_counts,
    own_labels,
    write_csv,
    write_edf,
)


def read(card: DatasetCard, folder: Path) -> tuple[Recording, ...]:
    return read_recordings(card, folder, Silent(), 1)


def refusal(card: DatasetCard, folder: Path) -> str:
    with pytest.raises(EdgepruneError) as caught:
        read(card, folder)
    assert caught.value.where
    assert caught.value.hint
    return str(caught.value)


def check(recordings: tuple[Recording, ...]) -> None:
    """Every format holds the same three records."""
    assert [recording.name for recording in recordings] == list(RECORDS)
    for recording in recordings:
        assert recording.samples.dtype == np.int16
        assert np.array_equal(recording.samples, own_counts(recording.name))
        # seconds 2 to 4.5 are a seizure: its last window is covered by half
        assert recording.beats.tolist() == [RATE * k for k in range(SECONDS)]
        assert np.flatnonzero(recording.labels).tolist() == [2, 3, 4]


@pytest.mark.parametrize("bdf", [False, True])
def test_edf_and_bdf(tmp_path: Path, bdf: bool) -> None:
    for record in RECORDS:
        write_edf(tmp_path / f"{record}.{'bdf' if bdf else 'edf'}", own_counts(record), bdf=bdf)
    recordings = read(own_card("edf"), tmp_path)
    check(recordings)
    assert [(e.begin_s, e.end_s, e.label) for e in recordings[0].events] == [(2.0, 4.5, 1)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv(tmp_path: Path, separator: str) -> None:
    for record in RECORDS:
        write_csv(tmp_path / f"{record}.csv", own_counts(record), separator=separator)
    check(read(own_card("csv", unit="mV", label="label", time="time"), tmp_path))


def test_a_table_of_all_records_and_a_file_of_events(tmp_path: Path) -> None:
    lines = ["Patient;T8-P8;Fp1"]
    for record in RECORDS:
        lines += [f"the {record};{b};{a}" for a, b in own_counts(record)]
        (tmp_path / f"{record}_events.csv").write_text(
            "begin_s,duration_s,label\n2,2.5,seizure\n8,1,artefact\n"
        )
    (tmp_path / "all.csv").write_text("\n".join(lines))
    found_as = {record: f"the {record}" for record in RECORDS}
    settings = {"unit": "count", "record": "Patient", "events": "_events.csv"}
    card = own_card("csv", **settings, found_as=found_as)
    check(read(card, tmp_path))
    (tmp_path / "r2_events.csv").unlink()
    assert "r2_events.csv" in refusal(card, tmp_path)


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for record in RECORDS:
        volts = own_counts(record) * 0.5e-6
        columns = {name: volts[:, place] for place, name in enumerate(CHANNELS)}
        columns |= {"label": own_labels(), "who": np.full(len(volts), record)}
        parquet.write_table(pyarrow.table(columns), tmp_path / f"{record}.parquet")
    card = own_card("parquet", unit="V", label="label", patient="who")
    check(read(card, tmp_path))
    other = replace(card, patients={"r2": "somebody"})
    assert "the file says patient 'r2', the card 'somebody'" in refusal(other, tmp_path)
    (tmp_path / "r3.parquet").write_bytes(b"PAR1")
    assert "cannot be read as Parquet" in refusal(card, tmp_path)


def test_npz_of_samples(tmp_path: Path) -> None:
    for record in RECORDS:
        np.savez(tmp_path / f"{record}.npz", signal=own_counts(record) / 2, labels=own_labels())
    check(read(own_card("npz", unit="uV", label="labels"), tmp_path))


@pytest.mark.parametrize("channels_first", [False, True])
def test_npz_of_windows(tmp_path: Path, channels_first: bool) -> None:
    windows = [own_counts(record).reshape(SECONDS, RATE, 2) for record in RECORDS]
    labels = np.isin(np.arange(SECONDS), [2, 3, 4]).astype(int)
    array = np.concatenate(windows)
    np.savez(
        tmp_path / "all.npz",
        x=array.transpose(0, 2, 1) if channels_first else array,
        y=np.tile(labels, 3),
        patient=np.repeat(RECORDS, SECONDS),
    )
    card = own_card("npz", unit="count", signal="x", label="y", record="patient")
    assert card.window is not None
    card = replace(
        card,
        labels={"none": ("0",), "seizure": ("1",)},
        window=replace(card.window, cut_out=True),
    )
    check(read(card, tmp_path))
    unknown = replace(card, labels={"none": ("0",), "seizure": ("2",)})
    assert "the label '1' of window 2" in refusal(unknown, tmp_path)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "r1.npz", signal=np.array([{}], dtype=object), labels=np.array([1]))
    assert "cannot be read as NPZ" in refusal(own_card("npz", unit="uV", label="labels"), tmp_path)


@settings(max_examples=40)
@given(
    values=st.lists(st.integers(-(1 << 31), 1 << 31), min_size=1, max_size=20),
    scale=st.fractions(max_denominator=10**6),
    offset=st.fractions(max_denominator=10**6),
)
def test_scaling_is_exact(values: list[int], scale: Fraction, offset: Fraction) -> None:
    expected = [(2 * (value * scale + offset) + 1) // 2 for value in values]
    bound = 1 << 62
    held = [min(max(int(value), -bound), bound) for value in expected]
    assert scaled(np.array(values), scale, offset).tolist() == held


def test_a_discontinuous_file_keeps_its_times(tmp_path: Path) -> None:
    for record in RECORDS:
        write_edf(tmp_path / f"{record}.edf", own_counts(record))
    path = tmp_path / "r1.edf"
    content = path.read_bytes().replace(b"EDF+C", b"EDF+D", 1)
    for second in range(11, 5, -1):
        # seconds 6 to 11 are moved by three: 9 to 14
        old, new = f"+{second}\x14\x14".encode(), f"+{second + 3}\x14\x14".encode()
        if len(old) < len(new):
            old += b"\0"
        assert content.count(old) == 1
        content = content.replace(old, new)
    path.write_bytes(content)
    first = read(own_card("edf"), tmp_path)[0]
    counts = own_counts("r1")
    assert np.array_equal(first.samples[: 6 * RATE], counts[: 6 * RATE])
    assert np.array_equal(first.samples[9 * RATE :], counts[6 * RATE :])
    assert (first.samples[6 * RATE : 9 * RATE] == counts[6 * RATE - 1]).all()
    assert first.beats.tolist() == [RATE * k for k in range(15) if not 6 <= k < 9]
    path.write_bytes(content.replace(b"EDF+D", b"EDF+C", 1))
    assert "data record 7: it begins at 9 s, 6 s are due" in refusal(own_card("edf"), tmp_path)


EDF_FAULTS = {
    "cut short": lambda content: content[:-100],
    "longer than its header says": lambda content: content + bytes(7),
    "never closed": lambda content: content[:236] + b"-1      " + content[244:],
    "no EDF or BDF": lambda content: b"RIFF" + content[4:],
    "is 'few', which is not a whole number": lambda content: (
        content[:252] + b"few " + content[256:]
    ),
    "the unit 'kg' is not a voltage": lambda content: content.replace(b"uV", b"kg", 1),
    "no unit is stated": lambda content: content.replace(b"uV", b"  ", 1),
    "there is no channel T8-P8": lambda content: content.replace(b"T8-P8", b"T9-P9", 1),
    "more than one channel Fp1": lambda content: content.replace(b"T8-P8", b"Fp1  ", 1),
    "'seizuri' at 2 s is not in the card": lambda content: content.replace(b"seizure", b"seizuri"),
    "an annotation cannot be read": lambda content: content.replace(b"+2\x15", b"x2\x15"),
}


@pytest.mark.parametrize("fault", EDF_FAULTS)
def test_damaged_edf_is_refused(tmp_path: Path, fault: str) -> None:
    write_edf(tmp_path / "r1.edf", own_counts("r1"))
    content = (tmp_path / "r1.edf").read_bytes()
    damaged = EDF_FAULTS[fault](content)
    assert damaged != content
    (tmp_path / "r1.edf").write_bytes(damaged)
    card = own_card("edf")
    if "channel Fp1" in fault:
        card = replace(card, signal=replace(card.signal, channels=("Fp1",)))
    message = refusal(card, tmp_path)
    assert fault in message
    assert "record r1, r1.edf" in message


def test_signals_beyond_the_bits_are_refused_unless_the_offset_goes(tmp_path: Path) -> None:
    for record in RECORDS:
        write_edf(tmp_path / f"{record}.bdf", own_counts(record) + 100_000, bdf=True)
    card = own_card("edf")
    assert "beyond the 16 bits" in refusal(card, tmp_path)
    card = replace(card, reader=replace(card.reader, remove_offset=True))
    for recording in read(card, tmp_path):
        counts = own_counts(recording.name)
        centred = counts - np.median(counts, axis=0).astype(int)
        assert np.array_equal(recording.samples, centred)


CSV_FAULTS = {
    "row 2: 'x' is not a number": ("0,1,2,\n", "0,x,2,\n"),
    "row 3: 'nan' is not a number": ("0.5,3,4,\n", "0.5,,4,\n"),
    "cannot be read as CSV": ("0.5,3,4,\n", "0.5,3,4,,,9\n"),
    "there is no channel T8-P8": ("T8-P8", "T8-P9"),
    "two columns are called 'Fp1'": ("T8-P8", "Fp1"),
    "there is no column 'label'": (",label", ",labels"),
    "the time does not go on": ("1.5,", "0.5,"),
    "the times tell 1 samples a second": ("0.5,3", "1,3"),
    "the first line does not name the columns": ("time,Fp1,T8-P8,label\n", "1,2,3,4\n"),
}


@pytest.mark.parametrize("fault", CSV_FAULTS)
def test_faulty_tables_are_refused(tmp_path: Path, fault: str) -> None:
    text = "time,Fp1,T8-P8,label\n0,1,2,\n0.5,3,4,\n1,5,6,\n1.5,7,8,\n"
    if "times tell" in fault:
        text = text.replace("\n1,5", "\n2,5").replace("1.5,7", "3,7")
    old, new = CSV_FAULTS[fault]
    assert old in text
    (tmp_path / "r1.csv").write_text(text.replace(old, new))
    card = own_card("csv", unit="uV", label="label", time="time")
    assert fault in refusal(replace(card, signal=replace(card.signal, rate_hz=2)), tmp_path)


def test_a_missing_unit_or_file_says_what_to_do(tmp_path: Path) -> None:
    write_csv(tmp_path / "r1.csv", own_counts("r1"))
    with pytest.raises(ConfigurationError, match="do not say what their numbers are"):
        read(own_card("csv", label="label"), tmp_path)
    (tmp_path / "r1.csv").unlink()
    assert "put r1.csv into the folder" in refusal(own_card("csv", label="label"), tmp_path)


def test_one_person_under_two_names_is_found(tmp_path: Path) -> None:
    for record in RECORDS:
        path = tmp_path / f"{record}.edf"
        write_edf(path, own_counts(record))
        content = path.read_bytes()
        code = b"MCH-7 F X X" if record != "r2" else b"MCH-8 M X X"
        path.write_bytes(content[:8] + code.ljust(80) + content[88:])
    with pytest.raises(DataError, match="r1 and r3 name the same patient 'MCH-7'"):
        read(own_card("edf"), tmp_path)


def test_fixtures_read_as_pyedflib_reads_them(shared_data: Callable[[str], Path]) -> None:
    import pyedflib

    from edgeprune.data.edf_header import read_edf_header
    from edgeprune.data.edf_reader import open_records, read_annotations, stored_values

    files = sorted(shared_data("edf_fixtures").glob("*.edf"))
    files += sorted((shared_data("eegmmidb") / "S001").glob("*R01*.edf"))
    assert len(files) == 8
    for path in files:
        header = read_edf_header(path, path.name)
        data = open_records(path, header)
        notes = read_annotations(header, data, path.name).notes
        with pyedflib.EdfReader(str(path)) as reference:
            onsets, durations, texts = reference.readAnnotations()
            signals = [
                place for place, signal in enumerate(header.signals) if not signal.is_annotations
            ]
            assert len(signals) == reference.signals_in_file
            for number, place in enumerate(signals[:6]):
                signal = header.signals[place]
                scale, offset = signal.scale(path.name)
                values = stored_values(header, data, place)
                assert signal.label == reference.getLabel(number)
                assert np.array_equal(values, reference.readSignal(number, digital=True))
                volts = values * float(scale) + float(offset)
                assert np.allclose(volts, reference.readSignal(number), rtol=1e-12)
                assert float(header.rate_hz(signal)) == reference.getSampleFrequency(number)
        assert [note.text for note in notes] == list(texts)
        assert np.allclose([note.begin_s for note in notes], onsets, atol=1e-6)
        seconds = [note.end_s - note.begin_s for note in notes]
        assert np.allclose(seconds, np.maximum(durations, 0), atol=1e-6)
