"""WFDB records in folders below, and segments out of their rhythms."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.data import DatasetCard, Recording, read_recordings
from edgeprune.data.cards import SignalCard, SplitCard, WindowCard
from edgeprune.data.own_files import data_files
from edgeprune.data.reader_card import ReaderCard
from edgeprune.errors import DataError
from edgeprune.progress import Silent
from tests.data.records import SECONDS, small_card, write_record

RATE = 360
# Seconds at which rhythms begin, and which; "" names none.
CHANGES = ((2.0, "(N"), (20.0, "(AFIB"), (35.5, "(N"), (50.0, ""))
RECORDS = {"a": "p1/r1.hea", "b": "p2/deep/r1.hea", "c": "p3/r2.hea"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three records in folders, two of them of one name."""
    import wfdb

    for place in RECORDS.values():
        path = tmp_path / "data" / place
        path.parent.mkdir(parents=True)
        write_record(path.parent, path.stem)
        told = wfdb.rdann(str(path.with_suffix("")), "atr")
        samples, symbols = told.sample[1:].tolist(), told.symbol[1:]
        rows = [*zip(samples, symbols, [""] * len(samples), strict=True)]
        rows += [(round(second * RATE) + 1, "+", text) for second, text in CHANGES]
        rows.sort()
        columns = [list(column) for column in zip(*rows, strict=True)]
        wfdb.wrann(
            path.stem,
            "atr",
            np.array(columns[0]),
            columns[1],
            aux_note=columns[2],
            fs=RATE,
            write_dir=str(path.parent),
        )
    return tmp_path / "data"


def card_of(kind: str) -> DatasetCard:
    """Return a card of the three records, of their beats or of segments of two seconds."""
    card = replace(
        small_card(),
        split=SplitCard(("a", "b"), ("b",), ("c",)),
        reader=ReaderCard(found_as=RECORDS),
    )
    if kind == "beats":
        return card
    return replace(
        card,
        signal=SignalCard(RATE, 5.0, 16, channels=("MLII", "V5")),
        window=WindowCard(2.0, 1000.0),
        labels={"N": ("(N",), "AFIB": ("(AFIB",)},
        not_beats=(),
    )


def read(card: DatasetCard, folder: Path) -> tuple[Recording, ...]:
    return read_recordings(card, folder, Silent(), 1)


def refusal(card: DatasetCard, folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(card, folder)
    assert caught.value.hint
    return str(caught.value)


def test_beats_of_records_in_folders(folder: Path, tmp_path: Path) -> None:
    for recording in read(card_of("beats"), folder):
        place = Path(RECORDS[recording.name])
        expected = write_record(tmp_path, place.stem)
        assert np.array_equal(recording.samples, expected.samples)
        assert np.array_equal(recording.beats, expected.beats)
        assert np.array_equal(recording.labels, expected.labels)
    # a change of any of their files is a change of the data
    found = {path.relative_to(folder).as_posix() for path in data_files(card_of("beats"), folder)}
    ends = ("hea", "dat", "atr")
    assert found == {place[:-3] + end for place in RECORDS.values() for end in ends}
    outside = replace(card_of("beats"), reader=ReaderCard(found_as={**RECORDS, "a": "../r1.hea"}))
    assert "leaves the folder" in refusal(outside, folder)


def test_rhythms_label_segments(folder: Path) -> None:
    for recording in read(card_of("segments"), folder):
        told = [(event.begin_s, event.end_s, event.label) for event in recording.events]
        begins = [second + 1 / RATE for second, _ in CHANGES]
        expected = [(begins[0], begins[1], 0), (begins[1], begins[2], 1), (begins[2], begins[3], 0)]
        assert np.allclose(told, expected)
        # Windows of 2 s: none before 2 s; that from 34 s is three quarters AFIB.
        seconds = recording.beats / RATE
        assert seconds.tolist() == list(range(2, 50, 2))
        assert seconds[recording.labels == 1].tolist() == list(range(20, 36, 2))
        assert recording.samples.shape == (SECONDS * RATE, 2)
        own = write_record(folder, recording.name)
        if recording.name == "a":
            own = write_record(folder, "r1")
            assert np.array_equal(recording.samples[:, 0], own.samples)


def test_the_last_rhythm_lasts_to_the_end(folder: Path) -> None:
    import wfdb

    home = folder / "p1"
    wfdb.wrann(
        "r1", "atr", np.array([10, 3600]), ["+", "+"], aux_note=["(N", "(AFIB"], write_dir=str(home)
    )
    first = read(card_of("segments"), folder)[0]
    assert first.events[-1].end_s == SECONDS
    unknown = replace(card_of("segments"), labels={"N": ("(N",), "VT": ("(VT",)})
    message = refusal(unknown, folder)
    assert "the annotation '(AFIB' at 10 s is not in the card" in message
    assert "record a, p1/r1.hea" in message


HEADER_FAULTS: dict[str, tuple[Callable[[str], str], str, str]] = {
    "another lead": (lambda text: text.replace("V5", "V2"), "V5", "record b"),
    "another rate": (lambda text: text.replace(" 2 360 ", " 2 250 "), "MLII", "250 samples"),
    "unlike rates": (
        lambda text: re.sub(r" 212 (.*V5)", r" 212x2 \1", text),
        "lead V5 has 2 samples a frame",
        "unlike rates",
    ),
}


@pytest.mark.parametrize("fault", HEADER_FAULTS)
@pytest.mark.parametrize("kind", ["beats", "segments"])
def test_what_one_record_has_otherwise_is_told(folder: Path, fault: str, kind: str) -> None:
    change, lead, words = HEADER_FAULTS[fault]
    path = folder / RECORDS["b"]
    changed = change(path.read_text())
    assert changed != path.read_text()
    annotations = path.with_suffix(".atr")
    if fault == "another rate":
        # Without its own statement of a rate.
        annotations.write_bytes(
            re.sub(rb"resolution: 360", b"resolution: 250", annotations.read_bytes())
        )
    path.write_text(changed)
    if fault == "another lead" and kind == "beats":
        assert len(read(card_of(kind), folder)) == 3
        return
    message = refusal(card_of(kind), folder)
    assert lead in message
    assert words in message
    assert RECORDS["b"] in message if fault != "unlike rates" else "r1.hea" in message
