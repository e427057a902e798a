"""Tables with one window a row: a column for each of its samples, and one for its label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.integer_arithmetic import Int64Array
from edgeprune.data.own_files import find_file, reads_files
from edgeprune.data.recordings import Recording
from edgeprune.data.row_windows import recording_of_windows
from edgeprune.data.rows import Rows, Texts, one_patient, texts_of
from edgeprune.data.table_files import (
    CSV_SUFFIXES,
    Columns,
    LoadTable,
    csv_fault,
    csv_line,
    no_number,
)
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Progress

_PART = re.compile(r"(?P<file>.+)-(?P<number>\d+)")


@dataclass(frozen=True)
class _Tables:
    """Tables that were read, each once."""

    card: DatasetCard
    load: LoadTable
    rows: dict[Path, Rows]

    def of(self, path: Path, where: str) -> Rows:
        if path not in self.rows:
            self.rows[path] = window_rows(self.card, path, self.load(path, where, None), where)
        return self.rows[path]


def read_table_windows(
    card: DatasetCard,
    directory: Path | None,
    progress: Progress,
    load: LoadTable,
    suffixes: Sequence[str],
) -> tuple[Recording, ...]:
    """Return the records of a card whose tables hold a window in each row.

    Args:
        card: The data set; its windows are cut out.
        directory: Where the tables lie.
        progress: Told about each record.
        load: Reads a table.
        suffixes: Ends of its files.

    Raises:
        DataError: A file is absent, damaged, or does not fit the card.
        ConfigurationError: No folder is given, or the card does not say what the columns are.
    """
    folder = reads_files(card, directory)
    _check_card(card)
    tables = _Tables(card, load, {})
    by_record: Mapping[str, list[Rows]] = {}
    if card.reader.record:
        files = [
            path
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in suffixes and path.is_file()
        ]
        by_record = _by_record(card, [tables.of(path, path.name) for path in files], folder)
    recordings = []
    with progress.task(f"reading {card.name}", len(card.split.records), "records") as advance:
        for record in card.split.records:
            found = by_record.get(record) or [_of_file(card, record, folder, suffixes, tables)]
            recordings.append(_recording(card, record, found))
            advance(1)
    return tuple(recordings)


def part_of_rows(labels: Texts, parts: int) -> Int64Array:
    """Return which of `parts` each row is dealt to, from 0.

    The rows of each label are cut into stretches of their order: each part has its share of every
    label though a file be sorted by it, and neighbours stay together.

    Args:
        labels: Text of each row [n].
        parts: How many.
    """
    dealt = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        dealt[rows] = (2 * np.arange(len(rows)) + 1) * parts // (2 * len(rows))
    return dealt


def window_rows(card: DatasetCard, path: Path, table: Columns, where: str) -> Rows:
    """Return a table's rows; each column of samples is a channel of them.

    Raises:
        DataError: A column that the card names is absent, or the windows have another length.
    """
    reader = card.reader
    for key in ("label", "patient", "record"):
        name = getattr(reader, key)
        if name and name not in table:
            raise DataError(
                f"there is no column '{name}' among {len(table)} ({few_names(tuple(table))})",
                where=where,
                hint=f"correct reader.{key} in the card",
            )
    samples = _sample_columns(card, tuple(table), where)
    window = card.window
    length = round(window.seconds * card.signal.rate_hz) if window else 0
    if len(samples) != length:
        raise DataError(
            f"{len(samples)} columns hold samples ({few_names(samples)}), the card states windows "
            f"of {length}",
            where=where,
            hint="correct window.seconds, signal.rate_hz or reader.signal of the card",
        )

    def texts(name: str) -> Any:
        return texts_of(table[name]) if name else None

    return Rows(
        path,
        {name: table[name] for name in samples},
        texts(reader.label),
        texts(reader.record),
        texts(reader.patient),
    )


def numbers_of_windows(rows: Rows, where: str) -> npt.NDArray[Any]:
    """Return the windows of some rows, int64 or float64 [n, samples].

    Raises:
        DataError: An entry is no number; the message names its line and column.
    """
    columns = list(rows.channels.values())
    if all(column.dtype.kind in "iu" and column.dtype != np.uint64 for column in columns):
        whole: Int64Array = np.stack(columns, axis=1).astype(np.int64)
        return whole
    values = np.stack([_as_numbers(column) for column in columns], axis=1)
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad.any(axis=1)))
        name = list(rows.channels)[int(np.argmax(bad[row]))]
        raise _fault(rows, row, name, where)
    return values


def place_of(rows: Rows, row: int, where: str) -> str:
    """Return where a row stands in its file: its line, or its number from 1."""
    number = row if rows.numbers is None else int(rows.numbers[row])
    if rows.path.suffix.lower() in CSV_SUFFIXES:
        return f"line {csv_line(rows.path, number, where)}"
    return f"row {number + 1}"


def few_names(names: Sequence[str]) -> str:
    """Return names of columns, the middle ones left out where there are many."""
    shown = names if len(names) <= 8 else (*names[:3], "...", *names[-3:])
    return ", ".join(shown)


def _check_card(card: DatasetCard) -> None:
    where = card.path or card.name
    if not card.reader.label:
        raise ConfigurationError(
            "the card does not say which column holds the labels",
            where=f"{where}, reader.label",
            hint="name it; columns without names are called by their numbers from 1",
        )
    if len(card.signal.channels) != 1:
        raise ConfigurationError(
            f"a row holds a window of one channel, the card names {len(card.signal.channels)}",
            where=f"{where}, signal.channels",
            hint="name one channel, or keep windows of several in an NPZ file",
        )


def _sample_columns(card: DatasetCard, names: Sequence[str], where: str) -> tuple[str, ...]:
    reader = card.reader
    first, _, last = reader.signal.partition("..")
    if reader.signal:
        absent = [name for name in (first, last or first) if name not in names]
        if absent:
            raise DataError(
                f"there is no column '{absent[0]}' among {len(names)} ({few_names(names)})",
                where=where,
                hint='correct reader.signal in the card: "FIRST..LAST" names columns of samples',
            )
        names = names[names.index(first) : names.index(last or first) + 1]
    special = (reader.label, reader.patient, reader.record)
    return tuple(name for name in names if name not in special)


def _by_record(card: DatasetCard, tables: Sequence[Rows], folder: Path) -> Mapping[str, list[Rows]]:
    found: dict[str, list[Rows]] = {}
    for record in card.split.records:
        value = card.reader.found_as.get(record, record)
        for table in tables:
            assert table.record is not None
            rows = np.flatnonzero(table.record == value)
            if len(rows):
                found.setdefault(record, []).append(table.select(rows))
        if record not in found:
            raise DataError(
                f"no row belongs to record {record}",
                where=f"{folder}, column '{card.reader.record}'",
                hint="check reader.record and reader.found_as, or leave it out in the card",
            )
    return found


def _of_file(
    card: DatasetCard, record: str, folder: Path, suffixes: Sequence[str], tables: _Tables
) -> Rows:
    """Return the rows of a record that is a file, or one of the parts of a file."""
    part = _PART.fullmatch(record) if card.reader.parts else None
    name = part["file"] if part else record
    stated = card.reader.found_as.get(record)
    reader = replace(card.reader, found_as={} if stated is None else {name: stated})
    path = find_file(replace(card, reader=reader), folder, name, suffixes)
    rows = tables.of(path, f"record {record}, {path.name}")
    if part is None:
        return rows
    assert rows.label is not None
    own = np.flatnonzero(part_of_rows(rows.label, card.reader.parts) == int(part["number"]) - 1)
    return rows.select(own)


def _recording(card: DatasetCard, record: str, found: Sequence[Rows]) -> Recording:
    where = f"record {record}, {', '.join(rows.path.name for rows in found)}"
    windows, patients, ends = [], set(), [0]
    for rows in found:
        if not len(next(iter(rows.channels.values()))):
            raise DataError("the record has no rows", where=where, hint="leave it out in the card")
        place = f"record {record}, {rows.path.name}"
        windows.append(numbers_of_windows(rows, place))
        patients.add(one_patient(card, record, rows, place))
        ends.append(ends[-1] + len(windows[-1]))
    if len(patients) > 1:
        raise DataError(
            f"the rows are of {len(patients)} patients ({', '.join(sorted(patients)[:3])})",
            where=f"{where}, column '{card.reader.patient}'",
            hint="a record is of one patient: name a column reader.record that tells them apart",
        )

    def place_of_window(number: int) -> str:
        file = next(k for k, end in enumerate(ends[1:]) if number < end)
        return place_of(found[file], number - ends[file], where)

    return recording_of_windows(
        card,
        record,
        where,
        {card.signal.channels[0]: np.concatenate(windows)},
        np.concatenate([rows.label for rows in found if rows.label is not None]),
        patients.pop(),
        place_of_window,
    )


def _as_numbers(column: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    if column.dtype.kind in "iuf":
        return column.astype(np.float64)
    return np.array([_number(value) for value in column.tolist()], np.float64)


def _number(value: Any) -> float:
    try:
        return float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return float("nan")


def _fault(rows: Rows, row: int, name: str, where: str) -> DataError:
    number = row if rows.numbers is None else int(rows.numbers[row])
    if rows.path.suffix.lower() in CSV_SUFFIXES:
        return csv_fault(rows.path, number, name, where)
    return no_number(rows.channels[name][row], f"row {number + 1}", name, where)
