"""Looking at CSV and Parquet files: which column is what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data.own_records import Note
from edgeprune.data.reader_card import ReaderCard
from edgeprune.data.rows import Rows, notes_of_events, numbers_of, seconds_of, texts_of
from edgeprune.data.survey import (
    FoundRecord,
    FoundText,
    Hints,
    Survey,
    UnansweredError,
    count_texts,
    describe_values,
    fault_of,
    names_of_files,
    plain_names,
    unit_in_name,
)
from edgeprune.data.survey_windows import (
    check_unit,
    holds_windows,
    survey_table_windows,
    unit_is_open,
)
from edgeprune.data.table_files import Columns, LoadTable, load_any_csv, load_csv, load_parquet
from edgeprune.data.table_reader import as_times
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Progress

USUAL_NAMES = {
    "patient": ("patient", "patientid", "subject", "subjectid", "pid", "participant"),
    "record": ("record", "recordid", "recording", "recordingid", "session", "file", "filename"),
    "time": ("time", "times", "t", "seconds", "timestamp", "datetime", "timems", "timeus"),
    "label": ("label", "labels", "class", "target", "annotation", "event", "y", "state", "beat"),
}
_ROW_NUMBERS = ("", "sample", "sampleindex", "index", "i", "n", "row", "unnamed0")
_EVENT_COLUMNS = {"begin_s", "end_s", "duration_s", "sample", "label"}
_RATE_OF_TIMES = 0.005


def survey_csv(folder: Path, files: tuple[Path, ...], hints: Hints, progress: Progress) -> Survey:
    """Look at CSV files."""
    return _survey_tables("csv", folder, files, hints, progress, load_csv)


def survey_parquet(
    folder: Path, files: tuple[Path, ...], hints: Hints, progress: Progress
) -> Survey:
    """Look at Parquet files."""
    beside = tuple(path for path in sorted(folder.rglob("*.csv")) if path.is_file())
    return _survey_tables("parquet", folder, (*files, *beside), hints, progress, load_parquet)


def _survey_tables(
    source: str,
    folder: Path,
    files: tuple[Path, ...],
    hints: Hints,
    progress: Progress,
    load: LoadTable,
) -> Survey:
    faults: dict[Path, str] = {}
    events: dict[Path, Columns] = {}
    chosen: ReaderCard | None = None
    records: list[FoundRecord] = []
    names = names_of_files(folder, files)
    tables = [path for path in files if source == "csv" or path.suffix.lower() != ".csv"]
    if _first_holds_windows(tables, hints):
        whole = load_any_csv if source == "csv" else load
        return survey_table_windows(source, folder, tables, hints, USUAL_NAMES, whole, progress)
    with progress.task("looking at the files", len(files), "files") as advance:
        looked: list[tuple[Path, list[tuple[str, Rows]]]] = []
        for path in files:
            advance(1)
            try:
                reads = load_csv if path.suffix.lower() == ".csv" else load
                table = reads(path, path.name, None)
                if "label" in table and set(table) <= _EVENT_COLUMNS:
                    events[path] = table
                    continue
                if source == "parquet" and reads is load_csv:
                    continue
                reader = _choose(table, hints, path)
                chosen = chosen or reader
                if reader != chosen:
                    raise DataError("its columns are others than in the first file")
                looked.append((path, _split_rows(table, reader, path)))
            except DataError as error:
                faults[path] = fault_of(error)
    chosen = chosen or ReaderCard()
    if events:
        chosen = replace(chosen, label="", events=_events_end(events, looked))
    if looked and not (chosen.label or chosen.events):
        raise UnansweredError(
            "label",
            "Which column holds the labels",
            "no column looks like labels, and no file lists events",
            where=f"{looked[0][0].name}",
            hint="name the column with --label, or put RECORD_events.csv beside each file (columns "
            "begin_s, duration_s or end_s, label)",
        )
    for path, parts in looked:
        for value, rows in parts:
            name, found_as = names[path]
            if chosen.record:
                name = plain_names([value])[value]
                found_as = "" if name == value else value
            parent = path.parent.relative_to(folder).as_posix()
            blank = FoundRecord(name, found_as, parent)
            records.append(_look_at(path, blank, value, rows, chosen, hints, events))
    records += [FoundRecord(*names[path], fault=fault) for path, fault in faults.items()]
    usable = next((record for record in records if not record.fault), None)
    unit = _unit(hints, usable)
    return Survey(
        source,
        folder,
        tuple(sorted(records, key=lambda record: record.name)),
        replace(chosen, unit=unit),
        remarks=remarks_of(chosen),
    )


def _first_holds_windows(files: Sequence[Path], hints: Hints) -> bool:
    """Return whether the first table that can be read has a window in each row."""
    for path in files:
        try:
            return holds_windows(path, hints, USUAL_NAMES["time"])
        except DataError:
            # Reported with the other files' faults.
            continue
    return False


def _choose(table: Columns, hints: Hints, path: Path) -> ReaderCard:
    """Return which column is what: as the user says, else by the usual names."""
    names = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in table}

    def usual(kind: str) -> str:
        return next((names[name] for name in USUAL_NAMES[kind] if name in names), "")

    if hints.label and hints.label not in table:
        raise ConfigurationError(
            f"there is no column '{hints.label}' (there are {', '.join(table)})",
            where=f"--label, {path.name}",
            hint="name one of these",
        )
    patient = hints.patient if hints.patient in table else usual("patient")
    return ReaderCard(
        label=hints.label or usual("label"),
        patient=patient,
        record=usual("record"),
        time=usual("time"),
    )


def _split_rows(table: Columns, reader: ReaderCard, path: Path) -> list[tuple[str, Rows]]:
    """Return the rows of each record of a table, under the record's name in it."""
    special = (reader.label, reader.patient, reader.record, reader.time)
    channels = {
        name: column
        for name, column in table.items()
        if name not in special
        and column.dtype.kind in "iuf"
        and re.sub(r"[^a-z0-9]", "", name.lower()) not in _ROW_NUMBERS
    }
    if not channels:
        raise DataError("it has no column of numbers that could be a channel", where=path.name)
    rows = Rows(path, channels, first_row=2 if path.suffix.lower() == ".csv" else 1)
    seconds = None
    if reader.time:
        times = as_times(table[reader.time], path.name, reader.time)
        seconds = seconds_of(times, reader.time, rows, path.name)
    rows = replace(
        rows,
        label=texts_of(table[reader.label]) if reader.label else None,
        patient=texts_of(table[reader.patient]) if reader.patient else None,
        seconds=seconds,
    )
    if not reader.record:
        return [(path.stem, rows)]
    values, numbers = np.unique(texts_of(table[reader.record]), return_inverse=True)
    return [
        (str(value), rows.select(np.flatnonzero(numbers == number)))
        for number, value in enumerate(values)
    ]


def _look_at(
    path: Path,
    blank: FoundRecord,
    value: str,
    rows: Rows,
    reader: ReaderCard,
    hints: Hints,
    events: Mapping[Path, Columns],
) -> FoundRecord:
    try:
        rate = _rate(rows, hints, path)
        patients = [] if rows.patient is None else np.unique(rows.patient).tolist()
        if len(patients) > 1:
            raise DataError(f"its rows are of {len(patients)} patients: no column tells records")
        channels = []
        for label, column in rows.channels.items():
            numbers = numbers_of(column, label, rows, path.name)
            unit = unit_in_name(label) or hints.unit
            channels.append(describe_values(label, unit, numbers, Fraction(1), Fraction(0)))
        notes: tuple[Note, ...] = ()
        if reader.events:
            beside = path.with_name(f"{value}{reader.events}")
            if beside not in events:
                raise DataError(f"its file of events is missing ({beside.name})")
            notes = notes_of_events(events[beside], int(rate), beside.name)
            texts = count_texts(notes)
        else:
            assert rows.label is not None
            texts = texts_of_rows(rows.label, float(rate))
        samples = len(next(iter(rows.channels.values())))
    except DataError as error:
        return replace(blank, fault=fault_of(error))
    return replace(
        blank,
        rate_hz=rate,
        samples=samples,
        channels=tuple(channels),
        texts=texts,
        patient=str(patients[0]) if len(patients) else "",
        names_patient=bool(reader.patient),
    )


def texts_of_rows(labels: npt.NDArray[np.str_], rate_hz: float) -> Mapping[str, FoundText]:
    """Return stretches of labels; texts that stand in single rows only are marks."""
    starts = np.concatenate([[0], np.flatnonzero(labels[1:] != labels[:-1]) + 1])
    lengths = np.diff(np.append(starts, len(labels)))
    texts = {}
    for text in sorted(set(labels[starts].tolist()) - {""}):
        runs = lengths[labels[starts] == text]
        single = bool((runs == 1).all())
        seconds = 0.0 if single else float(runs.sum()) / rate_hz
        texts[text] = FoundText(len(runs), seconds, 0.0 if single else float(runs.max()) / rate_hz)
    return texts


def _rate(rows: Rows, hints: Hints, path: Path) -> Fraction:
    if hints.rate_hz:
        return Fraction(hints.rate_hz)
    if rows.seconds is None or len(rows.seconds) < 2:
        raise rate_is_open(path.name)
    steps = np.diff(rows.seconds)
    usual = float(np.median(steps))
    if usual > 0 and float(steps.max()) < 1.5 * usual:
        usual = float(rows.seconds[-1] - rows.seconds[0]) / len(steps)
    rate = 1 / usual if usual > 0 else 0.0
    whole = round(rate)
    if whole < 1 or abs(rate / whole - 1) > _RATE_OF_TIMES:
        raise DataError(f"its times tell {rate:.6g} samples a second, which is no whole number")
    return Fraction(whole)


def rate_is_open(where: str) -> UnansweredError:
    """Return the error of files that do not state their rate."""
    return UnansweredError(
        "rate_hz",
        "How many samples a second",
        "the files do not say how many samples a second they have",
        where=where,
        hint="state it with --rate, or add a column time in seconds",
    )


def _unit(hints: Hints, record: FoundRecord | None) -> str:
    if hints.unit:
        return check_unit(hints.unit)
    units = {channel.unit for channel in record.channels} if record else set()
    if len(units) == 1 and "" not in units:
        return units.pop()
    if record is None:
        return ""
    raise unit_is_open(
        f"record {record.name}: {', '.join(channel.label for channel in record.channels)}"
    )


def _events_end(
    events: Mapping[Path, Columns],
    looked: Sequence[tuple[Path, list[tuple[str, Rows]]]],
) -> str:
    names = [value for _, parts in looked for value, _ in parts]
    ends = Counter(
        path.name[len(name) :]
        for path in events
        for name in names
        if path.name.startswith(name) and len(path.name) > len(name)
    )
    if not ends:
        raise DataError(
            "files of events belong to no record",
            where=next(iter(events)).name,
            hint="call them RECORD_events.csv, where RECORD is the name of the record's file",
        )
    return max(ends, key=lambda end: (ends[end], -len(end)))


def remarks_of(reader: ReaderCard) -> tuple[str, ...]:
    """Return one sentence on what was taken for what."""
    said = {
        "label": reader.label,
        "patient": reader.patient,
        "record": reader.record,
        "time": reader.time,
    }
    taken = ", ".join(f"{kind} = '{name}'" for kind, name in said.items() if name)
    return (f"Columns were taken by their names: {taken}.",) if taken else ()
