"""Records out of rows: what CSV, Parquet and NPZ files have in common.

A row is one sample of all channels. Labels stand beside the samples, in a file of events, or both;
whose a row is, which record it belongs to and when it was taken may be columns too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.integer_arithmetic import Int64Array
from edgeprune.data.own_records import (
    Channel,
    Note,
    RawRecord,
    hold_through_pauses,
    wanted_channels,
)
from edgeprune.errors import ConfigurationError, DataError

Texts = npt.NDArray[np.str_]
# How far the rate of a column of times may be from the card's before the card is wrong.
_RATE_TOLERANCE = 1e-3
_EVENT_COLUMNS = "begin_s with end_s or duration_s, or sample; and label"


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one file, or those of one record.

    Attributes:
        path: The file.
        channels: Name to its numbers [n].
        label: Text of each row, "" for none, [n]; None where no column was asked for.
        record: Which record each row belongs to; likewise.
        patient: Whose each row is; likewise.
        seconds: When each row was taken, float [n]; likewise.
        first_row: Row number, as a reader of the file counts, of the first row.
        numbers: Number of each row in its file, from 0; None where they follow each other.
    """

    path: Path
    channels: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    label: Texts | None = None
    record: Texts | None = None
    patient: Texts | None = None
    seconds: npt.NDArray[np.float64] | None = None
    first_row: int = 1
    numbers: Int64Array | None = None

    def select(self, rows: Int64Array) -> Rows:
        """Return some of the rows."""

        def of(column: Any) -> Any:
            return None if column is None else column[rows]

        return Rows(
            self.path,
            {name: column[rows] for name, column in self.channels.items()},
            of(self.label),
            of(self.record),
            of(self.patient),
            of(self.seconds),
            self.first_row + (int(rows[0]) if len(rows) else 0),
            rows if self.numbers is None else self.numbers[rows],
        )


def rows_by_record(card: DatasetCard, tables: Sequence[Rows], folder: Path) -> Mapping[str, Rows]:
    """Return the rows of each record in use, by the column `reader.record`.

    Raises:
        DataError: A record has no rows, or rows in two files.
    """
    names = {card.reader.found_as.get(name, name): name for name in card.split.records}
    found: dict[str, Rows] = {}
    for table in tables:
        if table.record is None:
            continue
        values, numbers = np.unique(table.record, return_inverse=True)
        for number, value in enumerate(values):
            name = names.get(str(value))
            if name is None:
                continue
            if name in found:
                raise DataError(
                    f"record {name} has rows in {found[name].path.name} and {table.path.name}",
                    where=f"{folder}, column '{card.reader.record}'",
                    hint="name the records apart, or put their rows into one file",
                )
            found[name] = table.select(np.flatnonzero(numbers == number))
    absent = [name for name in card.split.records if name not in found]
    if absent:
        raise DataError(
            f"no row belongs to record {absent[0]}",
            where=f"{folder}, column '{card.reader.record}'",
            hint="check reader.record and reader.found_as, or leave the record out in the card",
        )
    return found


def to_raw_record(card: DatasetCard, record: str, rows: Rows, notes: Sequence[Note]) -> RawRecord:
    """Return the record that some rows hold.

    Args:
        card: The data set: rate, unit, what the columns are.
        record: The record's name.
        rows: Its rows, in the order of time.
        notes: Events from elsewhere, which join those of the rows.

    Raises:
        DataError: A number is missing, the times do not fit the rate, or the patient changes.
        ConfigurationError: The card does not state the unit.
    """
    where = f"record {record}, {rows.path.name}"
    if not len(next(iter(rows.channels.values()), ())):
        raise DataError("the record has no rows", where=where, hint="leave it out in the card")
    patient = one_patient(card, record, rows, where)
    names = tuple(rows.channels)
    chosen = [names[place] for place in wanted_channels(card, names, where)]
    numbers = [numbers_of(rows.channels[name], name, rows, where) for name in chosen]
    positions = np.arange(len(numbers[0]), dtype=np.int64)
    if rows.seconds is not None:
        positions = _positions(card, rows, where)
    held = [hold_through_pauses(column, positions, where) for column in numbers]
    unit = unit_of(card)
    rate = Fraction(card.signal.rate_hz)
    return RawRecord(
        record,
        where,
        tuple(
            Channel(name, unit, rate, values)
            for name, (values, _) in zip(chosen, held, strict=True)
        ),
        (*notes_of_rows(card, rows, positions), *notes),
        patient,
        pauses=held[0][1],
    )


def unit_of(card: DatasetCard) -> str:
    """Return the unit of files that do not state one.

    Raises:
        ConfigurationError: The card does not either.
    """
    if not card.reader.unit:
        raise ConfigurationError(
            "the files do not say what their numbers are, and the card does not either",
            where=f"{card.path or card.name}, reader.unit",
            hint='state "uV", "mV", "V", or "count" for counts of signal.microvolt_per_count',
        )
    return card.reader.unit


def one_patient(card: DatasetCard, record: str, rows: Rows, where: str) -> str:
    """Return whose the rows are.

    Raises:
        DataError: They are of several patients, or of another than the card says.
    """
    if rows.patient is None:
        return ""
    names = np.unique(rows.patient)
    if len(names) > 1:
        raise DataError(
            f"the rows are of {len(names)} patients ({', '.join(names[:3])})",
            where=f"{where}, column '{card.reader.patient}'",
            hint="a record is of one patient: name a column reader.record that tells them apart",
        )
    patient = str(names[0])
    if card.patients_known and patient != card.patient(record):
        raise DataError(
            f"the file says patient '{patient}', the card '{card.patient(record)}'",
            where=f"{where}, column '{card.reader.patient}'",
            hint=f'write {record} = "{patient}" into [patients] of the card',
        )
    return patient


def numbers_of(column: npt.NDArray[Any], name: str, rows: Rows, where: str) -> npt.NDArray[Any]:
    """Return a column as numbers, int64 or float64.

    Raises:
        DataError: A row has no number there.
    """
    if column.dtype.kind in "iu" and column.dtype != np.uint64:
        return column.astype(np.int64)
    try:
        numbers = column.astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.array([_float(value) for value in column.tolist()])
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        row = int(bad[0])
        raise DataError(
            f"row {rows.first_row + row}: '{column[row]}' is not a number",
            where=f"{where}, column '{name}'",
            hint="fill the gap, cut the record there, or choose another channel in the card",
        )
    return numbers


def notes_of_rows(card: DatasetCard, rows: Rows, positions: Int64Array) -> tuple[Note, ...]:
    """Return the labels beside the samples: of beats each, of segments one a stretch."""
    if rows.label is None:
        return ()
    rate = card.signal.rate_hz
    labels = rows.label
    if card.window is None:
        marked = np.flatnonzero(labels != "")
        places = positions[marked].tolist()
        return tuple(
            Note(place / rate, place / rate, str(text), place)
            for place, text in zip(places, labels[marked], strict=True)
        )
    changes = np.flatnonzero((labels[1:] != labels[:-1]) | (np.diff(positions) > 1)) + 1
    starts, ends = [0, *changes.tolist()], [*changes.tolist(), len(labels)]
    return tuple(
        Note(int(positions[a]) / rate, (int(positions[b - 1]) + 1) / rate, str(labels[a]))
        for a, b in zip(starts, ends, strict=True)
        if labels[a]
    )


def notes_of_events(
    events: Mapping[str, npt.NDArray[Any]], rate_hz: int, where: str
) -> tuple[Note, ...]:
    """Return what a file of events lists.

    Args:
        events: Its columns.
        rate_hz: Samples a second of the record.
        where: The file, for messages.

    Raises:
        DataError: A column is missing or a row makes no sense.
    """
    known = Rows(Path(where), events)
    timed = "begin_s" in events and ("end_s" in events or "duration_s" in events)
    if "label" not in events or not (timed or "sample" in events):
        raise DataError(
            f"the columns are {', '.join(events) or 'none'}",
            where=where,
            hint=f"a file of events has the columns {_EVENT_COLUMNS}",
        )
    labels = texts_of(events["label"])
    if "sample" in events:
        samples = numbers_of(events["sample"], "sample", known, where)
        if np.any(samples != np.floor(samples)) or np.any(np.abs(samples) > 1 << 53):
            raise DataError(
                "a sample number is not whole", where=where, hint="samples count from 0"
            )
        return tuple(
            Note(int(sample) / rate_hz, int(sample) / rate_hz, text, int(sample))
            for sample, text in zip(samples, labels.tolist(), strict=True)
        )
    begins = numbers_of(events["begin_s"], "begin_s", known, where)
    if "end_s" in events:
        ends = numbers_of(events["end_s"], "end_s", known, where)
    else:
        ends = begins + numbers_of(events["duration_s"], "duration_s", known, where)
    wrong = np.flatnonzero((begins < 0) | (ends < begins))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"row {row + 1}: the event goes from {begins[row]:g} to {ends[row]:g} s",
            where=where,
            hint="seconds count from the record's first sample, and an event ends after it begins",
        )
    return tuple(
        Note(float(begin), float(end), text)
        for begin, end, text in zip(begins, ends, labels.tolist(), strict=True)
    )


def texts_of(column: npt.NDArray[Any]) -> Texts:
    """Return labels or names as texts: "" where there is none, 1.0 as "1"."""

    def text(value: Any) -> str:
        if value is None or (isinstance(value, float) and not np.isfinite(value)):
            return ""
        if isinstance(value, float) and value == int(value):
            return str(int(value))
        if isinstance(value, bytes):
            return value.decode("utf-8", errors="replace").strip()
        return str(value).strip()

    values, numbers = _unique(column)
    return np.array([text(value) for value in values], np.str_)[numbers]


def seconds_of(column: npt.NDArray[Any], name: str, rows: Rows, where: str) -> Any:
    """Return a column of times in seconds from its first; "..._ms" and "..._us" are divided.

    Raises:
        DataError: A row has no time.
    """
    if column.dtype.kind == "M":
        return (column - column[:1]) / np.timedelta64(1, "s")
    divisor = next(
        (size for end, size in (("_ms", 1e3), ("_us", 1e6)) if name.lower().endswith(end)), 1.0
    )
    if re.search(r"\[ms\]|\(ms\)", name.lower()):
        divisor = 1e3
    numbers = numbers_of(column, name, rows, where)
    return (numbers - numbers[:1]) / divisor


def _positions(card: DatasetCard, rows: Rows, where: str) -> Int64Array:
    """Return the sample number of each row, from its time."""
    assert rows.seconds is not None
    place = f"{where}, column '{card.reader.time}'"
    seconds, rate = rows.seconds - rows.seconds[0], card.signal.rate_hz
    steps = np.diff(seconds)
    if len(steps) and np.any(steps <= 0):
        row = int(np.argmax(steps <= 0)) + 1
        raise DataError(
            f"row {rows.first_row + row}: the time does not go on",
            where=place,
            hint="sort the rows by time and name what else tells records apart (reader.record)",
        )
    # Times written with few digits have a coarse median; where nothing is missing, the mean is
    # better.
    usual = float(np.median(steps)) if len(steps) else 1 / rate
    unbroken = float(steps.max(initial=0)) < 1.5 * usual
    if unbroken and len(steps):
        usual = float(seconds[-1]) / len(steps)
    if abs(1 / (usual * rate) - 1) > _RATE_TOLERANCE + 1 / len(seconds):
        raise DataError(
            f"the times tell {1 / usual:.6g} samples a second, the card states {rate}",
            where=place,
            hint="correct signal.rate_hz, or leave reader.time out if the column is no time in s",
        )
    positions: Int64Array = np.rint(seconds * rate).astype(np.int64)
    if unbroken and np.abs(positions - np.arange(len(positions))).max() <= 1:
        return np.arange(len(positions), dtype=np.int64)
    twice = np.flatnonzero(np.diff(positions) < 1)
    if len(twice):
        raise DataError(
            f"row {rows.first_row + int(twice[0]) + 1}: two rows fall on one sample",
            where=place,
            hint=f"resample the record to {rate} samples a second",
        )
    return positions


def _unique(column: npt.NDArray[Any]) -> tuple[list[Any], Int64Array]:
    """Return distinct values, of any kind, and the number of each row's."""
    places: dict[Any, int] = {}
    numbers = np.empty(len(column), np.int64)
    for row, value in enumerate(column.tolist()):
        key = "" if isinstance(value, float) and math.isnan(value) else value
        numbers[row] = places.setdefault(key, len(places))
    return list(places), numbers


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
