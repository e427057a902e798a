"""Looking at tables with one window a row: which columns are samples, and whose the rows are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.own_records import COUNT, MICROVOLT, RMS
from edgeprune.data.reader_card import ReaderCard
from edgeprune.data.rows import Rows, texts_of
from edgeprune.data.survey import (
    FoundRecord,
    FoundText,
    Hints,
    Survey,
    UnansweredError,
    describe_values,
    fault_of,
    names_of_files,
    plain_names,
)
from edgeprune.data.table_files import Columns, LoadTable, column_names
from edgeprune.data.table_windows import few_names, numbers_of_windows, part_of_rows
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Progress

# As many samples as the shortest window has that a table is taken for.
_LEAST_SAMPLES = 32
# Files of which each may be a record of its own; the rows of fewer are dealt to parts.
_LEAST_FILES = 3
_PARTS = 20
# Distinct whole numbers that labels may be.
_MOST_LABELS = 64
_CHANNEL_WORDS = re.compile(r"ch|chan|channel|eeg|ecg|ekg|emg|lead|electrode|sensor|e")


@dataclass(frozen=True)
class _Found:
    """Windows of one record, from one file."""

    name: str
    found_as: str
    folder: str
    patient: str
    labels: npt.NDArray[np.str_]
    windows: npt.NDArray[Any]


def samples_among(names: Sequence[str], row: str = "") -> tuple[str, ...]:
    """Return the columns that hold the samples of a window, if a row seems to hold one.

    That is so where at least 32 columns in a row are numbered one by one, as "x1", "x2", or have
    no names at all, and are not called channels.

    Args:
        names: The columns.
        row: "sample" or "window" where the user says what a row is.
    """
    if row == "sample":
        return ()
    best: tuple[str, ...] = ()
    run: list[str] = []
    before: tuple[str, int] | None = None
    for name in names:
        match = re.fullmatch(r"(.*?)(\d{1,9})", name, re.DOTALL)
        this = (match[1], int(match[2])) if match else None
        follows = this and before and this == (before[0], before[1] + 1)
        run = [*run, name] if follows else [name] if this else []
        before = this
        if len(run) > len(best):
            best = tuple(run)
    word = re.sub(r"[^a-z]", "", re.sub(r"\d+$", "", best[0]).lower()) if best else ""
    if len(best) < _LEAST_SAMPLES or (_CHANNEL_WORDS.fullmatch(word) and row != "window"):
        return ()
    return best


def holds_windows(path: Path, hints: Hints, usual_time: Sequence[str]) -> bool:
    """Return whether a row of a table seems to be a window; see `samples_among`.

    Args:
        path: The table.
        hints: What the user says.
        usual_time: Names, in small letters and digits, of columns of times, which samples have.

    Raises:
        DataError: The table's names cannot be read.
    """
    if hints.row == "window":
        return True
    names = column_names(path, path.name)
    timed = any(re.sub(r"[^a-z0-9]", "", name.lower()) in usual_time for name in names)
    return not timed and bool(samples_among(names, hints.row))


def survey_table_windows(
    source: str,
    folder: Path,
    files: Sequence[Path],
    hints: Hints,
    usual: Mapping[str, Sequence[str]],
    load: LoadTable,
    progress: Progress,
) -> Survey:
    """Look at tables whose rows are windows.

    Args:
        source: Name of the reader.
        folder: The folder.
        files: The tables.
        hints: What the user says.
        usual: Names by which columns are known, by what they hold.
        load: Reads a table.
        progress: Told about each file.

    Raises:
        ConfigurationError: A hint fits nothing.
        UnansweredError: Rate, unit or the column of labels are open.
    """
    names = names_of_files(folder, files)
    parts = _PARTS if len(files) < _LEAST_FILES else 0
    reader: ReaderCard | None = None
    columns: tuple[str, ...] = ()
    remark = ""
    found: list[_Found] = []
    faults: list[FoundRecord] = []
    with progress.task("looking at the files", len(files), "files") as advance:
        for path in files:
            advance(1)
            parent = path.parent.relative_to(folder).as_posix()
            try:
                table = load(path, path.name, None)
                if reader is None:
                    reader, remark = _choose(table, hints, usual, path)
                    columns = tuple(table)
                    reader = replace(reader, parts=0 if reader.record else parts)
                    _check_patient(hints, reader)
                if tuple(table) != columns:
                    raise DataError(
                        f"its columns are others than in the first file ({len(table)}, there "
                        f"{len(columns)})"
                    )
                rows = _rows(table, reader, path)
                found += _records_of(rows, reader, *names[path], parent)
            except (UnansweredError, ConfigurationError):
                raise
            except DataError as error:
                faults.append(FoundRecord(*names[path], parent, fault=fault_of(error)))
    if reader is None:
        return Survey(source, folder, tuple(faults))
    if not hints.rate_hz:
        raise UnansweredError(
            "rate_hz",
            "How many samples a second",
            "a row is a window, and the files do not say how many samples a second it has",
            where=files[0].name,
            hint="state it with --rate",
        )
    if not hints.unit:
        raise unit_is_open(files[0].name)
    reader = replace(reader, unit=check_unit(hints.unit))
    length = found[0].windows.shape[1] if found else 0
    return Survey(
        source,
        folder,
        (*_described(found, reader, Fraction(hints.rate_hz)), *faults),
        reader,
        windows=length,
        remarks=(remark, *_of_parts(reader)),
    )


def texts_of_windows(labels: npt.NDArray[np.str_], seconds: float) -> Mapping[str, FoundText]:
    """Return how often each label occurs among windows of so many seconds."""
    texts, counts = np.unique(labels, return_counts=True)
    return {
        str(text): FoundText(int(number), float(number * seconds), seconds)
        for text, number in zip(texts, counts, strict=True)
        if text
    }


def unit_is_open(where: str) -> UnansweredError:
    """Return the error of files that do not state their unit."""
    return UnansweredError(
        "unit",
        "Unit of the signal (uV, mV, V, count, or rms where it was normalised)",
        "the files do not say what unit their numbers are in",
        where=where,
        hint="state it with --unit uV, mV, V, count for the converter's counts, or rms where the "
        "signal was normalised and nobody knows its volts",
    )


def check_unit(unit: str) -> str:
    """Return a unit of a signal.

    Raises:
        ConfigurationError: It is none.
    """
    if unit.lower() not in MICROVOLT and unit not in (COUNT, RMS):
        raise ConfigurationError(
            f"'{unit}' is no unit of a signal",
            where="--unit",
            hint="known: uV, mV, V, nV, count for the converter's counts, rms where the signal was "
            "normalised",
        )
    return unit


def _choose(
    table: Columns, hints: Hints, usual: Mapping[str, Sequence[str]], path: Path
) -> tuple[ReaderCard, str]:
    """Return which column is what, and what to tell of that."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in table}

    def known(kind: str) -> str:
        return next((plain[name] for name in usual[kind] if name in plain), "")

    if hints.label and hints.label not in table:
        raise ConfigurationError(
            f"there is no column '{hints.label}' ({few_names(tuple(table))})",
            where=f"--label, {path.name}",
            hint="name one of these; columns without names are called by their numbers from 1",
        )
    patient = hints.patient if hints.patient in table else known("patient")
    record = known("record") or patient
    samples = samples_among(tuple(table), hints.row)
    if not samples:
        special = (hints.label or known("label"), patient, record)
        samples = tuple(
            name
            for name, column in table.items()
            if name not in special and column.dtype.kind in "iuf"
        )
    label, how = hints.label or known("label"), "by its name"
    if hints.label:
        how = "as --label says"
    if not label:
        label, how = _label_at_an_end(table, samples, path), "by its few whole numbers"
    own = tuple(name for name in samples if name not in (label, patient, record))
    if not own:
        raise DataError("it has no columns of samples", where=path.name)
    others = [name for name in table if name not in (*own, label, patient, record)]
    reader = ReaderCard(
        label=label,
        patient=patient,
        record=record,
        signal=f"{own[0]}..{own[-1]}" if others else "",
    )
    said = (
        f"A row was taken for a window of {len(own)} samples, columns '{own[0]}' to '{own[-1]}'; "
        f"its label is column '{label}', found {how}."
    )
    if patient:
        said += f" Whose it is says column '{patient}'."
    if others:
        said += f" Not read: {few_names(others)}."
    return reader, said


def _label_at_an_end(table: Columns, samples: Sequence[str], path: Path) -> str:
    """Return the first or last column of samples if it alone looks like labels."""
    ends = [name for name in (samples[0], samples[-1]) if _like_labels(table[name])]
    if len(ends) == 1:
        return ends[0]
    raise UnansweredError(
        "label",
        "Which column holds the labels",
        "no column looks like labels" if not ends else "more than one column looks like labels",
        where=f"{path.name}: {len(table)} columns ({few_names(tuple(table))})",
        hint="name it with --label; columns without names are called by their numbers from 1",
    )


def _like_labels(column: npt.NDArray[Any]) -> bool:
    if column.dtype.kind == "O":
        return False
    distinct = np.unique(column)
    whole = bool(np.isfinite(distinct).all() and (distinct == np.floor(distinct)).all())
    return whole and 2 <= len(distinct) <= min(_MOST_LABELS, max(2, len(column) // 2))


def _check_patient(hints: Hints, reader: ReaderCard) -> None:
    if hints.patient == "record" and reader.parts:
        raise ConfigurationError(
            "each row is a window and no column tells records: the parts of a file are no patients",
            where="--patient record",
            hint="add a column of patients and name it with --patient, or leave it out",
        )


def _rows(table: Columns, reader: ReaderCard, path: Path) -> Rows:
    first, _, last = reader.signal.partition("..")
    names = list(table)
    if reader.signal:
        names = names[names.index(first) : names.index(last) + 1]
    special = (reader.label, reader.patient, reader.record)
    labels = texts_of(table[reader.label])
    return Rows(
        path,
        {name: table[name] for name in names if name not in special},
        labels,
        texts_of(table[reader.record]) if reader.record else None,
        texts_of(table[reader.patient]) if reader.patient else None,
    )


def _records_of(
    rows: Rows, reader: ReaderCard, name: str, found_as: str, parent: str
) -> list[_Found]:
    """Return the windows of each record of a file."""
    windows = numbers_of_windows(rows, rows.path.name)
    labels = rows.label
    assert labels is not None
    if rows.record is not None:
        groups = [(str(value), rows.record == value) for value in np.unique(rows.record)]
    elif reader.parts:
        dealt = part_of_rows(labels, reader.parts)
        groups = [(f"{name}-{part + 1:02}", dealt == part) for part in np.unique(dealt)]
    else:
        groups = [(name, np.ones(len(labels), np.bool_))]
    found = []
    for value, own in groups:
        patients = [] if rows.patient is None else np.unique(rows.patient[own]).tolist()
        if len(patients) > 1:
            raise DataError(
                f"the rows of record '{value}' are of {len(patients)} patients",
                where=rows.path.name,
            )
        patient = patients[0] if patients else ""
        found.append(_Found(value, found_as, parent, patient, labels[own], windows[own]))
    return found


def _described(found: Sequence[_Found], reader: ReaderCard, rate: Fraction) -> list[FoundRecord]:
    values = tuple(dict.fromkeys(each.name for each in found))
    plain = plain_names(values)
    records = []
    for value in values:
        own = [each for each in found if each.name == value]
        windows = np.concatenate([each.windows for each in own])
        labels = np.concatenate([each.labels for each in own])
        patients = {each.patient for each in own}
        name = plain[value]
        found_as = "" if name == value else value
        records.append(
            FoundRecord(
                name,
                found_as if reader.record else own[0].found_as,
                own[0].folder,
                rate,
                windows.size,
                (
                    describe_values(
                        "channel-1", reader.unit, windows.reshape(-1), Fraction(1), Fraction(0)
                    ),
                ),
                texts_of_windows(labels, windows.shape[1] / float(rate)),
                own[0].patient,
                f"its rows are of {len(patients)} patients" if len(patients) > 1 else "",
                names_patient=bool(reader.patient),
            )
        )
    return records


def _of_parts(reader: ReaderCard) -> tuple[str, ...]:
    if not reader.parts:
        return ()
    return (
        f"No column tells records: the rows of each file were dealt to {reader.parts} parts, each "
        "label's in their order.",
    )
