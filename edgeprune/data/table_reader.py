"""CSV and Parquet files: a row is a sample, its columns are named on the card."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.own_files import find_file, reads_files
from edgeprune.data.own_records import Note, to_recording
from edgeprune.data.recordings import Recording
from edgeprune.data.rows import (
    Rows,
    notes_of_events,
    rows_by_record,
    seconds_of,
    texts_of,
    to_raw_record,
)
from edgeprune.errors import ConfigurationError, DataError, MissingToolError
from edgeprune.progress import Progress

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")

Columns = dict[str, npt.NDArray[Any]]
LoadTable = Callable[[Path, str, Sequence[str] | None], Columns]


def read_csv(
    card: DatasetCard, directory: Path | None, progress: Progress, seed: int
) -> tuple[Recording, ...]:
    """Return the records of a card with the source "csv".

    Raises:
        DataError: A file is absent, damaged, or does not fit the card.
        ConfigurationError: No folder is given, or the card does not say what the columns are.
    """
    del seed
    return _read(card, directory, progress, load_csv, CSV_SUFFIXES)


def read_parquet(
    card: DatasetCard, directory: Path | None, progress: Progress, seed: int
) -> tuple[Recording, ...]:
    """Return the records of a card with the source "parquet".

    Raises:
        DataError: A file is absent, damaged, or does not fit the card.
        ConfigurationError: No folder is given, or the card does not say what the columns are.
        MissingToolError: pyarrow is not installed.
    """
    del seed
    return _read(card, directory, progress, load_parquet, PARQUET_SUFFIXES)


def _read(
    card: DatasetCard,
    directory: Path | None,
    progress: Progress,
    load: LoadTable,
    suffixes: Sequence[str],
) -> tuple[Recording, ...]:
    folder = reads_files(card, directory)
    reader = card.reader
    if not (reader.label or reader.events):
        raise ConfigurationError(
            "the card does not say where the labels are",
            where=f"{card.path or card.name}, [reader]",
            hint="name a column of labels (reader.label) or files of events (reader.events)",
        )
    recordings = []
    tables = {}
    if reader.record:
        files = table_files(folder, suffixes, reader.events)
        loaded = [_rows(card, path, load(path, path.name, None), path.name) for path in files]
        tables = dict(rows_by_record(card, loaded, folder))
    with progress.task(f"reading {card.name}", len(card.split.records), "records") as advance:
        for record in card.split.records:
            rows = tables.get(record)
            if rows is None:
                path = find_file(card, folder, record, suffixes)
                where = f"record {record}, {path.name}"
                rows = _rows(card, path, load(path, where, None), where)
            notes = _events(card, record, rows.path, load) if reader.events else ()
            recordings.append(to_recording(card, to_raw_record(card, record, rows, notes)))
            advance(1)
    return tuple(recordings)


def table_files(folder: Path, suffixes: Sequence[str], events: str) -> tuple[Path, ...]:
    """Return the tables below a folder, without files of events, in the order of their names."""
    return tuple(
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not (events and path.name.endswith(events))
    )


def load_csv(path: Path, where: str, columns: Sequence[str] | None) -> Columns:
    """Return the columns of a CSV file: numbers where all rows have one, else objects.

    Commas, semicolons (then with decimal commas, if there are any) and tabulators are told apart by
    the first line.

    Args:
        path: The file, in UTF-8, with names in its first line.
        where: Record and file, for messages.
        columns: Only these; None for all.

    Raises:
        DataError: It is no such table.
    """
    import pandas

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first, second = file.readline(1 << 20), file.readline(1 << 20)
        separator = max(",;\t", key=first.count)
        names = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
        _check_names(names, where)
        with warnings.catch_warnings():
            # Rows longer than the first line would only be warned of, and cut.
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            table = pandas.read_csv(
                path,
                sep=separator,
                decimal="," if separator == ";" and "," in second else ".",
                encoding="utf-8-sig",
                header=0,
                names=names,
                index_col=False,
                usecols=columns,
                keep_default_na=False,
                na_values=[""],
                skipinitialspace=True,
                low_memory=False,
            )
    except (OSError, ValueError, csv.Error, pandas.errors.ParserWarning) as error:
        raise DataError(
            f"the file cannot be read as CSV: {error}",
            where=where,
            hint="it is a table in UTF-8 with the names of its columns in the first line",
        ) from error
    return {name: table[name].to_numpy() for name in table.columns}


def load_parquet(path: Path, where: str, columns: Sequence[str] | None) -> Columns:
    """Return the columns of a Parquet file.

    Args:
        path: The file.
        where: Record and file, for messages.
        columns: Only these; None for all.

    Raises:
        DataError: It is no such table.
        MissingToolError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingToolError(
            f"Parquet files need pyarrow, which cannot be imported ({error})",
            where=where,
            hint="pip install 'edgeprune[parquet]'",
        ) from error
    try:
        table = pyarrow.parquet.read_table(
            path, columns=None if columns is None else list(columns), use_threads=False
        )
        _check_names(table.column_names, where)
        return {name: table[name].to_numpy() for name in table.column_names}
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        raise DataError(
            f"the file cannot be read as Parquet: {error}",
            where=where,
            hint="export it again; columns are plain numbers and texts",
        ) from error


def _check_names(names: Sequence[str], where: str) -> None:
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise DataError(
            f"two columns are called '{twice[0]}'", where=where, hint="rename one of them"
        )
    if not names or all(_is_number(name) for name in names):
        raise DataError(
            "the first line does not name the columns",
            where=where,
            hint="write the names of the columns into the first line",
        )


def _rows(card: DatasetCard, path: Path, table: Columns, where: str) -> Rows:
    reader = card.reader
    special = (reader.label, reader.patient, reader.record, reader.time)
    for key, name in zip(("label", "patient", "record", "time"), special, strict=True):
        if name and name not in table:
            raise DataError(
                f"there is no column '{name}' (there are {', '.join(table)})",
                where=where,
                hint=f"correct reader.{key} in the card",
            )
    rows = Rows(
        path,
        {name: column for name, column in table.items() if name not in special},
        first_row=2 if path.suffix.lower() in CSV_SUFFIXES else 1,
    )

    def texts(name: str) -> Any:
        return texts_of(table[name]) if name else None

    seconds = None
    if reader.time:
        seconds = seconds_of(
            as_times(table[reader.time], where, reader.time), reader.time, rows, where
        )
    return Rows(
        path,
        rows.channels,
        texts(reader.label),
        texts(reader.record),
        texts(reader.patient),
        seconds,
        rows.first_row,
    )


def as_times(column: npt.NDArray[Any], where: str, name: str) -> npt.NDArray[Any]:
    """Return times as numbers, or as datetime64 where they are dates."""
    if column.dtype.kind != "O":
        return column
    import pandas

    try:
        dates = pandas.to_datetime(pandas.Series(column), utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise DataError(
            f"a time cannot be read: {error}",
            where=f"{where}, column '{name}'",
            hint="write seconds as numbers, or dates as 2024-05-01T12:00:00.004",
        ) from error
    return np.asarray(dates.dt.tz_localize(None), dtype="datetime64[ns]")


def _events(card: DatasetCard, record: str, path: Path, load: LoadTable) -> tuple[Note, ...]:
    beside = path.with_name(
        f"{path.stem if not card.reader.record else record}{card.reader.events}"
    )
    where = f"record {record}, {beside.name}"
    if not beside.is_file():
        raise DataError(
            "the record's file of events is missing",
            where=where,
            hint="put it beside the record's file; a record without events has one with the "
            "names of its columns alone",
        )
    load = load_csv if beside.suffix.lower() in CSV_SUFFIXES else load_parquet
    return notes_of_events(load(beside, where, None), card.signal.rate_hz, where)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
