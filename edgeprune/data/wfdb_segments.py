"""Segments out of WFDB records: rhythms from one annotation of a change to the next."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from edgeprune.data.cards import DatasetCard
from edgeprune.data.own_records import Channel, Note, RawRecord, to_recording, wanted_channels
from edgeprune.data.recordings import Recording
from edgeprune.data.subjects import read_subject
from edgeprune.data.wfdb_annotations import Annotations
from edgeprune.data.wfdb_header import Header, read_header
from edgeprune.data.wfdb_reader import (
    check_sample_files,
    check_sums,
    header_path,
    read_all_samples,
    read_annotations,
)

_CHANGE_OF_RHYTHM = "+"


def read_wfdb_segments(card: DatasetCard, directory: Path, record: str) -> Recording:
    """Return the segments of one record.

    Args:
        card: The data set: channels, windows, and which rhythms ("(AFIB") are of which class.
        directory: Where the data set lies.
        record: The record's name.

    Raises:
        DataError: A file is absent, cut short or damaged; a channel is absent; rate, range or a
            rhythm does not fit the card.
    """
    path = header_path(card, directory, record)
    header = read_header(path, path.stem)
    file = card.path_of(record, "hea")
    where = f"record {record}, {file}"
    chosen = wanted_channels(card, [line.lead for line in header.signals], where)
    check_sample_files(header, path.parent, record, file)
    annotations = read_annotations(card, path, record, header)
    samples = read_all_samples(path.parent, path.stem, header)
    check_sums(card, directory, record)
    rate = Fraction(str(header.rate_hz))
    channels = []
    for place in chosen:
        line = header.signals[place]
        scale = Fraction(str(line.microvolt_per_count))
        offset = -line.baseline * scale
        channels.append(Channel(line.lead, "uV", rate, samples[:, place], scale, offset))
    notes = rhythm_notes(annotations, header)
    subject = read_subject(header.comments)
    raw = RawRecord(record, where, tuple(channels), notes, subject=subject)
    return to_recording(card, raw)


def rhythm_notes(annotations: Annotations, header: Header) -> tuple[Note, ...]:
    """Return the rhythms of a record, each from where it begins to where the next one does.

    A rhythm begins at an annotation "+" whose auxiliary text names it, as "(AFIB", and lasts until
    the next annotation "+" or the record's end
    (https://archive.physionet.org/physiobank/annotations.shtml).

    Args:
        annotations: Of the whole record.
        header: Of the same record.
    """
    rate = header.rate_hz
    changes = [
        (sample, text)
        for sample, symbol, text in zip(
            annotations.samples, annotations.symbols, annotations.texts, strict=True
        )
        if symbol == _CHANGE_OF_RHYTHM
    ]
    ends = [*(sample for sample, _ in changes[1:]), header.length]
    return tuple(
        Note(begin / rate, min(end, header.length) / rate, text)
        for (begin, text), end in zip(changes, ends, strict=True)
        if text and begin < min(end, header.length)
    )
