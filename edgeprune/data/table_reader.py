"""CSV and Parquet files: a row is a sample, or a window; its columns are named on the card."""

from __future__ import annotations

from collections.abc import Sequence
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
from edgeprune.data.table_files import (
    CSV_SUFFIXES,
    PARQUET_SUFFIXES,
    Columns,
    LoadTable,
    load_any_csv,
    load_csv,
    load_parquet,
)
from edgeprune.data.table_windows import read_table_windows
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Progress


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
    if card.window is not None and card.window.cut_out:
        whole = load_any_csv if load is load_csv else load
        return read_table_windows(card, directory, progress, whole, suffixes)
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
