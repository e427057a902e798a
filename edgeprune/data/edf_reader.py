"""EDF, EDF+ and BDF files: samples, pauses and annotations.

The samples of these formats are plain integers, so that a header which holds true is all that is
needed to read them. pyEDFlib reads no discontinuous files and only from C; the tests compare every
sample and annotation with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.edf_header import EdfHeader, read_edf_header
from edgeprune.data.own_files import find_file, reads_files
from edgeprune.data.own_records import (
    Channel,
    Note,
    Pause,
    RawRecord,
    Values,
    check_patients,
    hold_through_pauses,
    to_recording,
    wanted_channels,
)
from edgeprune.data.recordings import Recording
from edgeprune.errors import DataError
from edgeprune.late import late
from edgeprune.progress import Progress
from edgeprune.registry import Registry

SUFFIXES = (".edf", ".bdf", ".EDF", ".BDF")
# Onset and duration of EDF+, 2.2.4; more digits than any clock has are damage.
_TIME = re.compile(
    rb"(?P<onset>[+-]\d{1,12}(\.\d{0,12})?)(\x15(?P<seconds>\d{1,12}(\.\d{0,12})?)?)?"
)

NotesOf = Callable[[Path], Sequence[Note]]
# Annotations of data sets that keep them elsewhere: `files.annotator` of the card to the place of
# a `NotesOf` in this room, which is given the EDF file.
ANNOTATORS: Registry[str] = Registry("annotator of EDF files")
ANNOTATORS.add("chb-summary", "seizure_summaries:chb_notes")


@dataclass(frozen=True)
class Annotations:
    """What the annotation signals of a file hold.

    Attributes:
        starts: Where each data record begins, in seconds from the first; empty where the file
            has no annotation signal.
        notes: The annotations, in the order of the file.
    """

    starts: tuple[Fraction, ...] = ()
    notes: tuple[Note, ...] = ()


def read_edf(
    card: DatasetCard,
    directory: Path | None,
    progress: Progress,
    seed: int,
) -> tuple[Recording, ...]:
    """Return the records of a card with the source "edf".

    Args:
        card: The data set.
        directory: The folder that holds the files, at any depth.
        progress: Told about each record.
        seed: Not used.

    Raises:
        DataError: A file is absent, damaged, or does not fit the card.
        ConfigurationError: No folder is given.
    """
    del seed
    folder = reads_files(card, directory)
    notes_of: NotesOf | None = None
    if card.files.annotator:
        home = ANNOTATORS.get(card.files.annotator, where=f"{card.path}, files.annotator")
        notes_of = late("edgeprune.data", home)
    recordings, read = [], []
    with progress.task(f"reading {card.name}", len(card.split.records), "records") as advance:
        for record in card.split.records:
            path = find_file(card, folder, record, SUFFIXES)
            raw = read_edf_record(card, path, record, notes_of)
            recordings.append(to_recording(card, raw))
            read.append(
                RawRecord(raw.name, raw.where, (), patient=raw.patient, subject=raw.subject)
            )
            advance(1)
    check_patients(card, read)
    return tuple(recordings)


def read_edf_record(
    card: DatasetCard, path: Path, record: str, notes_of: NotesOf | None = None
) -> RawRecord:
    """Return the channels of one file that the card asks for, with its annotations.

    Args:
        card: The data set.
        path: The file.
        record: The record's name.
        notes_of: Gives the annotations in place of those in the file.

    Raises:
        DataError: The file is damaged, or lacks a channel.
    """
    where = f"record {record}, {path.name}"
    header = read_edf_header(path, where)
    data = open_records(path, header)
    signals = [place for place, signal in enumerate(header.signals) if not signal.is_annotations]
    signals = _without_twins(card, header, data, signals)
    wanted = wanted_channels(card, [header.signals[place].label for place in signals], where)
    annotations = read_annotations(header, data, where)
    channels = []
    pauses: tuple[Pause, ...] = ()
    for place in wanted:
        signal = header.signals[signals[place]]
        scale, offset = signal.scale(where)
        values: Values = stored_values(header, data, signals[place])
        rate = header.rate_hz(signal)
        if annotations.starts:
            starts = record_starts(header, annotations, signals[place], where)
            positions = (starts[:, None] + np.arange(signal.samples)).ravel()
            if positions[-1] + 1 != len(values):
                values, pauses = hold_through_pauses(values, positions, where)
        channels.append(Channel(signal.label, signal.unit, rate, values, scale, offset))
    return RawRecord(
        record,
        where,
        tuple(channels),
        annotations.notes if notes_of is None else tuple(notes_of(path)),
        # Plain EDF has a free text there, which need not name anybody.
        header.patient_code if header.plus else "",
        header.subject,
        pauses,
    )


def open_records(path: Path, header: EdfHeader) -> npt.NDArray[np.uint8]:
    """Return the data records as bytes [records, bytes of a record], mapped from the file."""
    shape = (header.records, header.record_samples * header.sample_bytes)
    return np.memmap(path, np.uint8, "r", header.header_bytes, shape)


def stored_values(
    header: EdfHeader, data: npt.NDArray[np.uint8], place: int
) -> npt.NDArray[np.int64]:
    """Return the samples of one signal as they are stored, int64 [n]."""
    block = _bytes_of(header, data, place)
    if header.sample_bytes == 2:
        return block.view("<i2").ravel().astype(np.int64)
    parts = block.reshape(-1, 3).astype(np.int64)
    unsigned = parts[:, 0] | parts[:, 1] << 8 | parts[:, 2] << 16
    return (unsigned ^ 1 << 23) - (1 << 23)


def read_annotations(header: EdfHeader, data: npt.NDArray[np.uint8], where: str) -> Annotations:
    """Return the annotations of a file, timed from its first sample.

    Raises:
        DataError: An annotation list is damaged.
    """
    places = [place for place, signal in enumerate(header.signals) if signal.is_annotations]
    starts: list[Fraction] = []
    found: list[tuple[Fraction, Fraction, str]] = []
    blocks = [_bytes_of(header, data, place) for place in places]
    for record in range(header.records if places else 0):
        for number, block in enumerate(blocks):
            lists = [entry for entry in block[record].tobytes().split(b"\0") if entry]
            for position, entry in enumerate(lists):
                onset, seconds, texts = _parse_list(entry, record, where)
                if number == 0 and position == 0:
                    # The first list of a record tells where it begins; its first text is empty.
                    starts.append(onset)
                found += [(onset, seconds, text) for text in texts if text]
            if number == 0 and not lists:
                if header.may_pause:
                    raise _damaged("the record does not say when it begins", record, where)
                starts.append((starts[0] if starts else Fraction(0)) + record * header.duration_s)
    begin = starts[0] if starts else Fraction(0)
    notes = tuple(
        Note(float(onset - begin), float(onset - begin + seconds), text)
        for onset, seconds, text in found
    )
    return Annotations(tuple(start - begin for start in starts), notes)


def record_starts(
    header: EdfHeader, annotations: Annotations, place: int, where: str
) -> npt.NDArray[np.int64]:
    """Return the sample at which each data record begins, int64 [records].

    Raises:
        DataError: Records overlap, or a continuous file has pauses.
    """
    signal = header.signals[place]
    rate = header.rate_hz(signal)
    starts: list[int] = []
    for record, start in enumerate(annotations.starts):
        expected = starts[-1] + signal.samples if starts else 0
        # A clock that is off by less than a sample is none that paused.
        sample = expected if abs(start * rate - expected) < 1 else math.floor(start * rate + 0.5)
        if sample != expected and not header.may_pause:
            raise _damaged(
                f"it begins at {float(start):g} s, {float(expected / rate):g} s are due in a "
                f"continuous file ({header.plus or 'EDF'})",
                record,
                where,
            )
        if sample < expected:
            raise _damaged("it begins before the one before it ends", record, where)
        starts.append(sample)
    return np.array(starts, np.int64)


def _bytes_of(header: EdfHeader, data: npt.NDArray[np.uint8], place: int) -> npt.NDArray[np.uint8]:
    first = sum(signal.samples for signal in header.signals[:place]) * header.sample_bytes
    last = first + header.signals[place].samples * header.sample_bytes
    return np.ascontiguousarray(data[:, first:last])


def _parse_list(
    entry: bytes, record: int, where: str
) -> tuple[Fraction, Fraction, tuple[str, ...]]:
    """Return onset, duration and texts of a "time-stamped annotations list"."""
    head, *texts = entry.split(b"\x14")
    match = _TIME.fullmatch(head)
    if match is None or not texts or texts[-1]:
        raise _damaged(f"an annotation cannot be read: {entry[:40]!r}", record, where)
    try:
        words = tuple(text.decode("utf-8").strip() for text in texts)
    except UnicodeDecodeError:
        words = tuple(text.decode("latin-1").strip() for text in texts)
    seconds = match["seconds"] or b"0"
    return Fraction(match["onset"].decode()), Fraction(seconds.decode()), words


def _without_twins(
    card: DatasetCard,
    header: EdfHeader,
    data: npt.NDArray[np.uint8],
    signals: Sequence[int],
) -> list[int]:
    """Leave out the second of two wanted signals that are the same, label and samples."""
    wanted = {name for channel in card.signal.channels for name in channel.split("|")}
    wanted |= set(card.signal.leads)
    kept: list[int] = []
    for place in signals:
        signal = header.signals[place]
        twins = [other for other in kept if header.signals[other] == signal]
        if signal.label in wanted and any(
            np.array_equal(_bytes_of(header, data, place), _bytes_of(header, data, other))
            for other in twins
        ):
            continue
        kept.append(place)
    return kept


def _damaged(what: str, record: int, where: str) -> DataError:
    return DataError(
        f"data record {record + 1}: {what}",
        where=where,
        hint="export or fetch the file again; a discontinuous file is marked EDF+D",
    )
