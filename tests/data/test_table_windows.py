"""Tables with one window a row: what is read, how rows are dealt to records, and every fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprune.data import DatasetCard, Recording, read_recordings
from edgeprune.data.cards import SplitCard
from edgeprune.data.survey_windows import samples_among
from edgeprune.data.table_windows import part_of_rows
from edgeprune.errors import EdgepruneError
from edgeprune.progress import Silent
from tests.data.own_data import own_card

LENGTH = 40
ROWS = 12
NAMES = [f"x{number}" for number in range(1, LENGTH + 1)]
WINDOWS = np.random.default_rng(3).integers(-3000, 3000, (ROWS, LENGTH))
LABELS = np.arange(ROWS) % 2
PATIENTS = np.repeat(["a", "b", "c"], 4)


def card_of(source: str, **reader: object) -> DatasetCard:
    """Return a card of one channel, windows of 40 samples, records a, b and c."""
    card = own_card(source, **{"unit": "uV", "label": "y", **reader})
    assert card.window is not None
    return replace(
        card,
        signal=replace(card.signal, rate_hz=LENGTH, channels=("II",)),
        window=replace(card.window, cut_out=True),
        labels={"good": ("0",), "bad": ("1",)},
        not_beats=(),
        split=SplitCard(("a", "b"), ("b",), ("c",)),
    )


def table(*, header: bool = True, patients: bool = True) -> list[str]:
    """Return the lines of a CSV file of windows in microvolts."""
    lines = []
    for number, (window, label) in enumerate(zip(WINDOWS, LABELS, strict=True)):
        own = [PATIENTS[number]] if patients else []
        lines.append(",".join([*own, *(f"{value / 2:.1f}" for value in window), str(label)]))
    names = [*(["who"] if patients else []), *NAMES, "y"]
    return [",".join(names), *lines] if header else lines


def read(card: DatasetCard, folder: Path) -> tuple[Recording, ...]:
    return read_recordings(card, folder, Silent(), 1)


def refusal(card: DatasetCard, folder: Path) -> str:
    with pytest.raises(EdgepruneError) as caught:
        read(card, folder)
    assert caught.value.hint
    return str(caught.value)


def check(recordings: tuple[Recording, ...], rows: dict[str, list[int]]) -> None:
    assert [recording.name for recording in recordings] == list(rows)
    for recording in recordings:
        own = rows[recording.name]
        assert np.array_equal(recording.samples, WINDOWS[own].reshape(-1, 1))
        assert np.array_equal(recording.labels, LABELS[own])
        assert recording.beats.tolist() == [LENGTH * k for k in range(len(own))]


BY_PATIENT = {"a": [0, 1, 2, 3], "b": [4, 5, 6, 7], "c": [8, 9, 10, 11]}


def test_a_column_of_patients_in_two_files(tmp_path: Path) -> None:
    lines = table()
    # Neighbouring rows go to different files; a patient's rows are in both.
    (tmp_path / "even.csv").write_text("\n".join([lines[0], *lines[1::2]]))
    (tmp_path / "odd.csv").write_text("\n\n".join([lines[0], *lines[2::2]]))
    rows = {name: [*own[::2], *own[1::2]] for name, own in BY_PATIENT.items()}
    check(read(card_of("csv", patient="who", record="who"), tmp_path), rows)


def test_other_columns_are_left_alone(tmp_path: Path) -> None:
    lines = table()
    text = "\n".join(["note," + lines[0], *(f"X{n},{line}" for n, line in enumerate(lines[1:]))])
    (tmp_path / "all.csv").write_text(text)
    card = card_of("csv", patient="who", record="who", signal="x1..x40")
    check(read(card, tmp_path), BY_PATIENT)
    assert "no column 'x41'" in refusal(
        replace(card, reader=replace(card.reader, signal="x1..x41")), tmp_path
    )


@pytest.mark.parametrize("names", [None, 0, 1])
def test_a_file_without_names_or_with_numbers(tmp_path: Path, names: int | None) -> None:
    lines = table(header=False, patients=False)
    if names is not None:
        lines.insert(0, ",".join(str(number + names) for number in range(LENGTH + 1)))
    for name, own in BY_PATIENT.items():
        first = lines[:1] if names is not None else []
        body = lines[len(first) :]
        (tmp_path / f"{name}.csv").write_text("\n".join([*first, *(body[k] for k in own)]))
    card = card_of("csv", label=str(LENGTH + (1 if names is None else names)))
    check(read(card, tmp_path), BY_PATIENT)


def test_the_rows_of_one_file_are_dealt_to_parts(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("\n".join(table(header=False, patients=False)))
    parts = {f"all-{k}": [2 * (2 * k - 2), *range(4 * k - 3, 4 * k)] for k in (1, 2, 3)}
    card = replace(
        card_of("csv", label=str(LENGTH + 1), parts=3),
        split=SplitCard(("all-1", "all-2"), ("all-2",), ("all-3",)),
    )
    check(read(card, tmp_path), parts)
    elsewhere = tmp_path / "below" / "other name.csv"
    elsewhere.parent.mkdir()
    (tmp_path / "all.csv").rename(elsewhere)
    assert "the record has no file" in refusal(card, tmp_path)
    found_as = dict.fromkeys(parts, "below/other name.csv")
    check(read(replace(card, reader=replace(card.reader, found_as=found_as)), tmp_path), parts)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(1, 9))
def test_every_part_has_its_share_of_each_label(labels: list[str], parts: int) -> None:
    dealt = part_of_rows(np.array(labels), parts)
    assert dealt.min() >= 0
    assert dealt.max() < parts
    for label in set(labels):
        own = dealt[np.array(labels) == label]
        assert (np.diff(own) >= 0).all()
        shares = np.bincount(own, minlength=parts)
        assert shares.max() - shares.min() <= 1


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {str(number): WINDOWS[:, number] for number in range(LENGTH)}
    columns |= {"y": LABELS, "who": PATIENTS}
    parquet.write_table(pyarrow.table(columns), tmp_path / "all.parquet")
    card = card_of("parquet", patient="who", record="who", unit="count")
    check(read(card, tmp_path), BY_PATIENT)
    texts = ["1" if number != 6 else "?" for number in range(ROWS)]
    parquet.write_table(pyarrow.table(columns | {"7": texts}), tmp_path / "all.parquet")
    message = refusal(card, tmp_path)
    assert "row 7: '?' is not a number" in message
    assert "record b, all.parquet, column '7'" in message


def _entry(line: int, column: int, text: str) -> tuple[int, int, str]:
    return line, column, text


# Column 0 is the patient, 1 to 40 the samples, 41 the label; line 1 has the names.
FAULTS = {
    "line 3: 'abc' is not a number": _entry(3, 5, "abc"),
    "line 7: 'nan' is not a number": _entry(7, 5, "nan"),
    "line 9: 'inf' is not a number": _entry(9, 5, "inf"),
    "line 4: the entry is empty": _entry(4, 5, ""),
    "line 5: 'True' is not a number": _entry(5, 5, "True"),
    "the label '2' of line 6 is not in the card": _entry(6, 41, "2"),
    "line 8 has no label": _entry(8, 41, ""),
    "line 5 has 43 columns, the first line 42": _entry(5, 5, "1,2"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("blank", [False, True])
def test_faults_name_file_line_and_column(tmp_path: Path, fault: str, blank: bool) -> None:
    line, column, text = FAULTS[fault]
    lines = table()
    fields = lines[line - 1].split(",")
    fields[column] = text
    lines[line - 1] = ",".join(fields)
    if blank:
        lines.insert(1, "")
        fault = fault.replace(f"line {line}", f"line {line + 1}")
    (tmp_path / "all.csv").write_text("\n".join(lines))
    message = refusal(card_of("csv", patient="who", record="who"), tmp_path)
    assert fault in message
    assert "all.csv" in message
    if "number" in fault or "entry" in fault:
        assert "column 'x5'" in message


def test_lines_cut_short_and_windows_of_another_length(tmp_path: Path) -> None:
    lines = table()
    lines[6] = lines[6].rsplit(",", 2)[0]
    (tmp_path / "all.csv").write_text("\n".join(lines))
    card = card_of("csv", patient="who", record="who")
    assert "line 7 has 40 columns, the first line 42" in refusal(card, tmp_path)
    (tmp_path / "all.csv").write_text("\n".join(line.replace(",", ",7,", 1) for line in table()))
    assert "41 columns hold samples" in refusal(card, tmp_path)
    two = replace(card, signal=replace(card.signal, channels=("I", "II")))
    assert "a row holds a window of one channel, the card names 2" in refusal(two, tmp_path)
    (tmp_path / "all.csv").write_text("\n".join(table()).replace(",y", ",z"))
    assert "there is no column 'y' among 42" in refusal(card, tmp_path)


@pytest.mark.parametrize(
    ("names", "first", "count"),
    [
        (["id", *(f"X{k}" for k in range(1, 179)), "y"], "X1", 178),
        ([*map(str, range(187)), "label"], "0", 187),
        ([*(f"t_{k:03}" for k in range(99)), "class"], "t_000", 99),
        (["time", *(f"x{k}" for k in range(31))], "", 0),
        ([f"ch{k}" for k in range(64)], "", 0),
        ([f"EEG {k}" for k in range(64)], "", 0),
        (["Fp1", "Fp2", "F3", "F4", *(f"c{2 * k}" for k in range(60))], "", 0),
    ],
)
def test_numbered_columns_are_samples_and_channels_are_not(
    names: list[str], first: str, count: int
) -> None:
    found = samples_among(names)
    assert len(found) == count
    assert found[:1] == ((first,) if first else ())
    assert samples_among(names, "sample") == ()
