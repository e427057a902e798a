"""Looking at EDF, BDF and WFDB files."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from edgeprune.data.edf_header import read_edf_header
from edgeprune.data.edf_reader import open_records, read_annotations, record_starts, stored_values
from edgeprune.data.own_records import MICROVOLT, Note
from edgeprune.data.survey import (
    FoundRecord,
    Hints,
    Survey,
    count_texts,
    describe_values,
    fault_of,
    names_of_files,
)
from edgeprune.data.wfdb_annotations import parse_annotations
from edgeprune.data.wfdb_header import read_header
from edgeprune.data.wfdb_reader import check_sample_files, read_all_samples
from edgeprune.data.wfdb_segments import rhythm_notes
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Progress

_WFDB_PATIENT = re.compile(
    r"\b(?:patient|subject)\s*(?:id|number|no\.?|name)?\s*[:=]\s*(\S.*)", re.IGNORECASE
)
# Files that stand beside a WFDB header and hold no annotations.
_NO_ANNOTATIONS = ("hea", "dat", "txt", "md5", "xws", "csv", "html", "pdf")


def survey_edf(folder: Path, files: tuple[Path, ...], hints: Hints, progress: Progress) -> Survey:
    """Look at EDF and BDF files: header, annotations and every voltage."""
    _refuse_hints(hints)
    names = names_of_files(folder, files)
    records = []
    with progress.task("looking at the files", len(files), "files") as advance:
        for path in files:
            name, found_as = names[path]
            parent = path.parent.relative_to(folder).as_posix()
            try:
                records.append(look_at_edf(path, name, found_as, parent))
            except DataError as error:
                records.append(FoundRecord(name, found_as, parent, fault=fault_of(error)))
            advance(1)
    return Survey("edf", folder, tuple(records))


def _refuse_hints(hints: Hints) -> None:
    """Refuse what contradicts, or repeats, what these files say themselves."""
    said = {
        "--unit": hints.unit,
        "--rate": hints.rate_hz,
        "--label": hints.label,
        "--row": hints.row,
    }
    given = [flag for flag, value in said.items() if value]
    if given:
        raise ConfigurationError(
            f"{given[0]} is for files that do not say it; EDF and WFDB files do",
            where=given[0],
            hint="leave it out",
        )


def look_at_edf(path: Path, name: str, found_as: str, parent: str) -> FoundRecord:
    """Return what an EDF or BDF file holds.

    Args:
        path: The file.
        name: The record's name.
        found_as: Where it lies, if the name hides that.
        parent: Its folder, below the one that was named.

    Raises:
        DataError: It is damaged, or holds no voltage.
    """
    where = path.name
    header = read_edf_header(path, where)
    data = open_records(path, header)
    annotations = read_annotations(header, data, where)
    voltages = [
        place
        for place, signal in enumerate(header.signals)
        if not signal.is_annotations and signal.unit.lower() in MICROVOLT
    ]
    if not voltages:
        units = sorted({signal.unit or "none" for signal in header.signals})
        raise DataError(
            f"no signal is a voltage (units: {', '.join(units)})",
            where=where,
            hint="leave the file out, or state uV, mV or V in its header",
        )
    rates = Counter(header.rate_hz(header.signals[place]) for place in voltages)
    rate = max(rates, key=lambda each: (rates[each], each))
    channels = []
    labels = Counter(header.signals[place].label for place in voltages)
    samples = 0
    for place in voltages:
        signal = header.signals[place]
        if header.rate_hz(signal) != rate or labels[signal.label] > 1:
            continue
        scale, offset = signal.scale(where)
        values = stored_values(header, data, place)
        samples = len(values)
        if annotations.starts:
            samples = int(record_starts(header, annotations, place, where)[-1]) + signal.samples
        channels.append(describe_values(signal.label, signal.unit, values, scale, offset))
    if not channels:
        raise DataError(
            "every channel's name occurs twice", where=where, hint="rename the channels"
        )
    return FoundRecord(
        name,
        found_as,
        parent,
        rate,
        samples,
        tuple(channels),
        count_texts(annotations.notes),
        header.patient_code if header.plus else "",
    )


def survey_wfdb(folder: Path, files: tuple[Path, ...], hints: Hints, progress: Progress) -> Survey:
    """Look at records in WFDB format: header, annotations and samples."""
    _refuse_hints(hints)
    beside = Counter(
        path.suffix[1:]
        for header in files
        for path in header.parent.glob(f"{header.stem}.*")
        if path.suffix[1:].lower() not in _NO_ANNOTATIONS
    )
    annotator = "atr" if "atr" in beside else next((kind for kind, _ in beside.most_common(1)), "")
    names = names_of_files(folder, files)
    records = []
    with progress.task("looking at the files", len(files), "files") as advance:
        for path in files:
            below = path.relative_to(folder)
            blank = FoundRecord(
                names[path][0],
                "" if below.as_posix() == f"{names[path][0]}.hea" else below.as_posix(),
                below.parent.as_posix(),
            )
            try:
                records.append(look_at_wfdb(path, annotator, blank))
            except DataError as error:
                records.append(replace(blank, fault=fault_of(error)))
            advance(1)
    return Survey("wfdb", folder, tuple(records), annotator=annotator)


def look_at_wfdb(path: Path, annotator: str, blank: FoundRecord) -> FoundRecord:
    """Return what a record in WFDB format holds.

    Args:
        path: Its header.
        annotator: Extension of its annotation file.
        blank: Its name and place.

    Raises:
        DataError: It is damaged, or has no annotations.
    """
    name = path.stem
    header = read_header(path, name)
    check_sample_files(header, path.parent, name)
    beside = path.with_suffix(f".{annotator}")
    if not annotator or not beside.is_file():
        raise DataError(
            f"it has no annotations ({beside.name})", where=name, hint="put them beside the header"
        )
    try:
        annotations = parse_annotations(beside.read_bytes())
    except (ValueError, OSError) as error:
        raise DataError(
            f"its annotations cannot be read: {error}", where=name, hint="fetch them again"
        ) from error
    channels = []
    leads = Counter(line.lead for line in header.signals)
    samples = read_all_samples(path.parent, name, header)
    for place, line in enumerate(header.signals):
        if leads[line.lead] > 1:
            continue
        values = samples[:, place]
        scale = Fraction(str(line.microvolt_per_count))
        offset = -line.baseline * scale
        channels.append(describe_values(line.lead, "uV", values, scale, offset))
    rate = Fraction(str(header.rate_hz))
    notes = [
        Note(float(sample / rate), float(sample / rate), symbol, sample)
        for sample, symbol in zip(annotations.samples, annotations.symbols, strict=True)
    ]
    said = (_WFDB_PATIENT.search(comment) for comment in header.comments)
    return replace(
        blank,
        rate_hz=rate,
        samples=header.length,
        channels=tuple(channels),
        texts=count_texts(notes),
        rhythms=count_texts(rhythm_notes(annotations, header)),
        patient=next((match[1].strip() for match in said if match), ""),
        bits=int(np.max([line.bits for line in header.signals])),
    )
