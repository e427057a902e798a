"""Records in WFDB format, with every check that the files allow; wfdb decodes the samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeprune.data.cards import DatasetCard, Published
from edgeprune.data.checksums import published_sums
from edgeprune.data.recordings import Int16Array, Int64Array, Recording
from edgeprune.data.subjects import read_subject
from edgeprune.data.wfdb_annotations import Annotations, parse_annotations
from edgeprune.data.wfdb_header import Header, SignalLine, read_header
from edgeprune.errors import DataError
from edgeprune.files import sha256_file
from edgeprune.targets import Adc

# Of all 48 x 48 pairings of MIT-BIH's signals and annotations, the 48 true ones have at least
# 0.99 of their beats on steep slopes, the others at most 0.55; by chance it is one half.
_BEATS_ON_SLOPES = 0.75
_BEATS_TO_JUDGE = 30
_SLOPE_SECONDS = 8 / 360
_REACH_SECONDS = 0.05


def read_wfdb_record(card: DatasetCard, directory: Path, record: str) -> Recording:
    """Return one record of a data set in WFDB format.

    Args:
        card: The data set: leads, converter, meaning of the annotations.
        directory: Where the record's files lie.
        record: The record's name.

    Raises:
        DataError: A file is absent, cut short, damaged or of another record; the lead is absent;
            the header contradicts the samples or the card; an annotation is unknown.
    """
    path, file = header_path(card, directory, record), card.path_of(record, "hea")
    header = read_header(path, path.stem)
    check_sample_files(header, path.parent, record, file)
    channel = _channel(card, header, record, file)
    line = header.signals[channel]
    adc = _converter(card, header, line, record, file)
    counts = read_samples(path.parent, path.stem, channel, header)
    positions, labels = _read_beats(card, path, record, header)
    check_sums(card, directory, record)
    samples = _centred(counts, line, record)
    recording = Recording(
        record,
        card.patient(record),
        line.lead,
        adc,
        samples,
        positions,
        labels,
        read_subject(header.comments),
    )
    _check_plausible(recording, card.files.annotator)
    return recording


def header_path(card: DatasetCard, directory: Path, record: str) -> Path:
    """Return where a record's header lies.

    Raises:
        DataError: The card names a place outside of the folder.
    """
    place = card.path_of(record, "hea")
    if Path(place).is_absolute() or ".." in Path(place).parts:
        raise DataError(
            f"'{place}' leaves the folder of the data",
            where=f"{card.path or card.name}, reader.found_as.{record}",
            hint="give a path below the folder",
        )
    return directory / place


def _error(what: str, record: str, file: str, hint: str = "") -> DataError:
    return DataError(
        what,
        where=f"record {record}, {file}",
        hint=hint or f"fetch {file} again from its publisher",
    )


def check_sample_files(header: Header, directory: Path, record: str, file: str = "") -> None:
    """Refuse sample files that are absent or not as long as the header says.

    Args:
        header: The record's header.
        directory: Where the header lies.
        record: The record's name.
        file: The header's file, for messages; empty for the record's name.

    Raises:
        DataError: As it says.
    """
    for name in sorted({signal.file for signal in header.signals}):
        path = directory / name
        if not path.is_file():
            raise _error(
                f"the header names the file '{name}', which does not exist",
                record,
                file or f"{record}.hea",
                f"put {name} into {directory}, or fetch the header again",
            )
        actual, expected = path.stat().st_size, header.file_bytes(name)
        if actual != expected:
            state = "cut short" if actual < expected else "longer than its header says"
            raise _error(f"{name} is {state}: {actual} of {expected} bytes", record, name)


def _channel(card: DatasetCard, header: Header, record: str, file: str) -> int:
    leads = [signal.lead for signal in header.signals]
    for lead in card.signal.leads:
        if leads.count(lead) == 1:
            return leads.index(lead)
    wanted = " or ".join(card.signal.leads)
    raise _error(
        f"the record has no lead {wanted} (it has {', '.join(leads)})",
        record,
        file,
        "leave the record out in the card (split.left_out), or name one of its leads there",
    )


def _converter(card: DatasetCard, header: Header, line: SignalLine, record: str, file: str) -> Adc:
    stated = (header.rate_hz, line.microvolt_per_count, line.bits)
    expected = (card.signal.rate_hz, card.signal.microvolt_per_count, card.signal.bits)
    if stated != expected:
        names = ("samples a second", "uV a count", "bits")
        told = ", ".join(f"{own:g} {name}" for own, name in zip(stated, names, strict=True))
        wanted = ", ".join(f"{own:g} {name}" for own, name in zip(expected, names, strict=True))
        raise _error(
            f"the header states {told} of lead {line.lead}; the card of {card.name} states "
            f"{wanted}",
            record,
            file,
            "leave the record out in the card (split.left_out), or convert it to the others' rate "
            "and gain",
        )
    return card.adc


def read_samples(directory: Path, record: str, channel: int, header: Header) -> Int64Array:
    """Return the counts of one signal [n] as they are stored.

    Raises:
        DataError: The file is damaged or not the one that the header describes.
    """
    selected: Int64Array = read_all_samples(directory, record, header)[:, channel]
    return selected


def read_all_samples(directory: Path, record: str, header: Header) -> Int64Array:
    """Return the counts of all signals [n, signals] as they are stored.

    Raises:
        DataError: A file is damaged or not the one that the header describes.
    """
    first = header.signals[0].file
    wfdb_record = _through_wfdb("rdrecord", record, first, str(directory / record), physical=False)
    signals = wfdb_record.d_signal
    if signals is None or signals.shape != (header.length, len(header.signals)):
        raise _error("the file does not hold the samples that its header states", record, first)
    for number, signal in enumerate(header.signals):
        counts = signals[:, number].astype(np.int64)
        if int(counts[0]) != signal.first or int(counts.sum()) & 0xFFFF != signal.checksum:
            raise _error(
                f"the samples of lead {signal.lead} do not match the checksum in {record}.hea",
                record,
                signal.file,
                f"fetch {signal.file} and {record}.hea again from their publisher",
            )
    whole: Int64Array = signals.astype(np.int64)
    return whole


def read_annotations(card: DatasetCard, beside: Path, record: str, header: Header) -> Annotations:
    """Return the annotations of a record.

    Args:
        card: The data set, which says which annotations.
        beside: The record's header.
        record: The record's name.
        header: What it says.

    Raises:
        DataError: They are missing, damaged, or of another rate than the signal.
    """
    path = beside.with_name(f"{beside.stem}.{card.files.annotator}")
    file = path.name
    if not path.is_file():
        raise _error("the annotations are missing", record, file, f"put {file} into {path.parent}")
    try:
        annotations = parse_annotations(path.read_bytes())
    except ValueError as error:
        raise _error(f"the annotations are cut short or damaged: {error}", record, file) from error
    except OSError as error:
        raise _error(f"the annotations cannot be read: {error}", record, file) from error
    if annotations.rate_hz not in (None, header.rate_hz):
        raise _error(
            f"the annotations count {annotations.rate_hz:g} samples a second, the signal has "
            f"{header.rate_hz:g}",
            record,
            file,
        )
    return annotations


def _read_beats(
    card: DatasetCard, beside: Path, record: str, header: Header
) -> tuple[Int64Array, Int64Array]:
    annotations = read_annotations(card, beside, record, header)
    file = f"{beside.stem}.{card.files.annotator}"
    positions, labels = [], []
    last = -1
    for sample, symbol in zip(annotations.samples, annotations.symbols, strict=True):
        label = card.label_of(symbol)
        if label is None:
            raise _error(
                f"the annotation '{symbol}' at sample {sample} is unknown to the card",
                record,
                file,
                f"add it to a class of [labels] or to not_beats in {card.path or 'the card'}",
            )
        if label < 0:
            continue
        if not last < sample < header.length:
            raise _error(
                f"the beat at sample {sample} lies outside the signal of {header.length} samples"
                if sample > last
                else f"the beat at sample {sample} does not come after the one at {last}",
                record,
                file,
                f"{file} belongs to another record or is damaged: fetch it again",
            )
        last = sample
        positions.append(sample)
        labels.append(label)
    return np.array(positions, np.int64), np.array(labels, np.int64)


def check_sums(card: Published, directory: Path, record: str) -> None:
    """Compare a record's files with the publisher's sums, as far as the folder has these.

    Raises:
        DataError: A file differs.
    """
    sums = published_sums(card, directory)
    for extension in card.files.extensions:
        name = card.files.path_of(record, extension)
        if name not in sums:
            continue
        actual = sha256_file(directory / name)
        if sums[name] == actual:
            continue
        twin = next((other for other, known in sums.items() if known == actual), None)
        raise _error(
            f"{name} is the publisher's {twin} under another name"
            if twin
            else f"{name} differs from the publisher's file (SHA-256)",
            record,
            name,
        )


def _centred(counts: Int64Array, line: SignalLine, record: str) -> Int16Array:
    centred = counts - line.baseline
    low, high = -(1 << (line.bits - 1)), (1 << (line.bits - 1)) - 1
    if centred.min() < low or centred.max() > high:
        raise _error(
            f"the samples exceed the {line.bits} bits around {line.baseline} of the header",
            record,
            line.file,
        )
    return centred.astype(np.int16)


def _check_plausible(recording: Recording, annotator: str) -> None:
    """Refuse annotations whose beats lie no more often on steep slopes than chance would."""
    if len(recording.beats) < _BEATS_TO_JUDGE:
        return
    rate = recording.adc.rate_hz
    step, reach = max(1, round(_SLOPE_SECONDS * rate)), max(1, round(_REACH_SECONDS * rate))
    samples = recording.samples.astype(np.int64)
    slopes = np.abs(samples[step:] - samples[:-step])

    def steepest(centres: Int64Array) -> Int64Array:
        around = centres[:, None] - step // 2 + np.arange(-reach, reach + 1)
        steepest_slopes: Int64Array = slopes[np.clip(around, 0, len(slopes) - 1)].max(axis=1)
        return steepest_slopes

    anywhere = np.arange(reach, len(samples), 4 * reach)
    share = np.mean(steepest(recording.beats) > np.median(steepest(anywhere)))
    if share < _BEATS_ON_SLOPES:
        raise _error(
            f"only {share:.0%} of the annotated beats lie on steep slopes of the signal, where "
            "chance alone gives 50 %: these annotations are of another record",
            recording.name,
            f"{recording.name}.{annotator}",
            "check that signal and annotations are of the same record, or fetch both again",
        )


def _through_wfdb(function: str, record: str, file: str, *arguments: Any, **options: Any) -> Any:
    """Call wfdb; whatever it throws at a damaged file becomes a DataError."""
    import wfdb

    try:
        return getattr(wfdb, function)(*arguments, **options)
    except Exception as error:
        raise _error(f"the file cannot be read as WFDB ({error})", record, file) from error
