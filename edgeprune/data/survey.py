"""What a folder of a user's own recordings holds, found by looking at every file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.own_records import MICROVOLT, Note
from edgeprune.data.reader_card import ReaderCard
from edgeprune.errors import ConfigurationError, DataError, EdgepruneError
from edgeprune.late import late
from edgeprune.progress import Progress

# Amplitudes beyond this share of the samples are taken for artefacts.
_TYPICAL = 99.5
_MOST_QUANTUM_VALUES = 200_000


@dataclass(frozen=True)
class Hints:
    """What the user says where the files do not.

    Attributes:
        unit: Unit of the numbers.
        rate_hz: Samples a second; 0 where it is not said.
        label: Column or array of the labels.
        patient: How to tell patients apart: a column or array, "record" where every record is of
            another patient, "folder" where every folder is, or a regular expression for the
            record's name, whose first group is the patient.
        kind: "beats" or "segments".
        row: What a row of a table is, "sample" or "window"; empty to go by the columns' names.
    """

    unit: str = ""
    rate_hz: int = 0
    label: str = ""
    patient: str = ""
    kind: str = ""
    row: str = ""


class UnansweredError(ConfigurationError):
    """The files leave something open that nobody may guess.

    Args:
        key: The hint that would answer it.
        question: What to ask a person.
    """

    def __init__(self, key: str, question: str, what: str, *, where: str, hint: str) -> None:
        super().__init__(what, where=where, hint=hint)
        self.key = key
        self.question = question


@dataclass(frozen=True)
class FoundChannel:
    """A channel of one record.

    Attributes:
        label: Its name.
        unit: Its unit; empty where the file does not say.
        step: What one stored count is in that unit; None where the numbers are no counts.
        low: Smallest value, in the unit.
        high: Largest value.
        middle: Median.
        typical: Distance from the median that 99.5 % of the samples keep.
        rms: Root mean square of the distances from the median.
    """

    label: str
    unit: str
    step: Fraction | None
    low: float
    high: float
    middle: float
    typical: float
    rms: float = 0.0


@dataclass(frozen=True)
class FoundText:
    """How often an annotation occurs in a record.

    Attributes:
        count: How often.
        seconds: How long in all; 0 for marks without duration.
        longest: Seconds of the longest.
    """

    count: int
    seconds: float
    longest: float = 0.0


@dataclass(frozen=True)
class FoundRecord:
    """One record.

    Attributes:
        name: A plain name for the card.
        found_as: Its file below the folder, or its name in the data, where that is another.
        folder: The folder that it lies in, below the one that was named.
        rate_hz: Samples a second.
        samples: Samples of a channel.
        channels: Its channels of that rate.
        texts: Its annotations.
        patient: Whom the data name; empty where they name nobody.
        fault: Why it cannot be used; empty where it can.
        bits: Width of the converter, where the file says.
        names_patient: `patient` is a name of the user's, not one out of a file's header.
        rhythms: Its stretches of rhythm, of WFDB records beside marks of beats.
    """

    name: str
    found_as: str = ""
    folder: str = ""
    rate_hz: Fraction = Fraction(0)
    samples: int = 0
    channels: tuple[FoundChannel, ...] = ()
    texts: Mapping[str, FoundText] = field(default_factory=dict)
    patient: str = ""
    fault: str = ""
    bits: int = 16
    names_patient: bool = False
    rhythms: Mapping[str, FoundText] = field(default_factory=dict)


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        source: Name of the reader.
        folder: The folder.
        records: The records, in the order of their names.
        reader: What the reader needs to know.
        annotator: Extension of the annotation files of WFDB.
        windows: Samples of the windows that the files hold; 0 where they hold recordings.
        remarks: What a person should know of the choices made.
    """

    source: str
    folder: Path
    records: tuple[FoundRecord, ...]
    reader: ReaderCard = field(default_factory=ReaderCard)
    annotator: str = ""
    windows: int = 0
    remarks: tuple[str, ...] = ()


Surveyor = Callable[[Path, tuple[Path, ...], Hints, Progress], Survey]
# Ends of files, in lower case, to the reader's name and the place of its surveyor in this room.
_KINDS: Mapping[str, tuple[str, str]] = {
    ".edf": ("EDF", "survey_files:survey_edf"),
    ".bdf": ("EDF", "survey_files:survey_edf"),
    ".hea": ("WFDB", "survey_files:survey_wfdb"),
    ".csv": ("CSV", "survey_tables:survey_csv"),
    ".tsv": ("CSV", "survey_tables:survey_csv"),
    ".parquet": ("Parquet", "survey_tables:survey_parquet"),
    ".pq": ("Parquet", "survey_tables:survey_parquet"),
    ".npz": ("NPZ", "survey_arrays:survey_npz"),
}


def survey(folder: Path, hints: Hints, progress: Progress) -> Survey:
    """Look at every file of a folder.

    Args:
        folder: The folder; files may lie in folders below it.
        hints: What the user says.
        progress: Told about each file.

    Raises:
        DataError: There is no such folder, nothing in it can be read, or no record is usable.
        UnansweredError: The files leave open what nobody may guess.
    """
    if not folder.is_dir():
        raise DataError(
            "there is no such folder",
            where=str(folder),
            hint="name the folder that holds the recordings",
        )
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        kind = _KINDS.get(path.suffix.lower())
        if kind is not None and path.is_file():
            found.setdefault(kind, []).append(path)
    if not found:
        raise DataError(
            "no file here is of a kind that edgeprune reads",
            where=str(folder),
            hint=f"known: {', '.join(sorted(_KINDS))}",
        )
    # Tables often accompany other recordings: they are data only where nothing else is.
    tables = [kind for kind in found if kind[0] != "CSV"]
    kind = max(tables or found, key=lambda each: len(found[each]))
    surveyor: Surveyor = late("edgeprune.data", kind[1])
    result = surveyor(folder, tuple(found[kind]), hints, progress)
    usable = [record for record in result.records if not record.fault]
    if not usable:
        first = result.records[0] if result.records else None
        raise DataError(
            f"none of {len(found[kind])} {kind[0]} files can be used"
            + (f"; the first: {first.fault}" if first else ""),
            where=f"{folder}{f', {first.found_as or first.name}' if first else ''}",
            hint="mend the files, or point --data at another folder",
        )
    return result


def describe_values(
    label: str, unit: str, values: npt.NDArray[Any], scale: Fraction, offset: Fraction
) -> FoundChannel:
    """Return what a channel's stored values are like in its unit."""
    middle = float(np.median(values))
    typical = float(np.percentile(np.abs(values - middle), _TYPICAL))
    ends = [float(values.min()), float(values.max())]
    low, high = sorted(float(scale) * end + float(offset) for end in ends)
    step = abs(scale) if np.issubdtype(values.dtype, np.integer) else quantum(values)
    return FoundChannel(
        label,
        unit,
        step,
        low,
        high,
        float(scale) * middle + float(offset),
        abs(float(scale)) * typical,
        abs(float(scale)) * float(np.sqrt(np.mean(np.square(values - middle)))),
    )


def quantum(values: npt.NDArray[Any]) -> Fraction | None:
    """Return the step that all values are multiples of, where they were written from counts."""
    distinct = np.unique(np.abs(values[:_MOST_QUANTUM_VALUES]))
    gaps = np.diff(distinct)
    gaps = gaps[gaps > 1e-9 * max(float(distinct[-1]), 1e-30)]
    if not len(gaps):
        return None
    step = Fraction(f"{float(gaps.min()):.4g}")
    counts = distinct / float(step)
    near = np.abs(counts - np.rint(counts)).max() < 0.05 and counts.max() < 1 << 20
    return step if near else None


def count_texts(notes: Iterable[Note]) -> Mapping[str, FoundText]:
    """Return how often each annotation occurs, and for how long."""
    counts: Counter[str] = Counter()
    lengths: dict[str, list[float]] = {}
    for note in notes:
        counts[note.text] += 1
        lengths.setdefault(note.text, []).append(max(note.end_s - note.begin_s, 0.0))
    return {
        text: FoundText(count, sum(lengths[text]), max(lengths[text]))
        for text, count in counts.items()
    }


def plain_names(originals: Iterable[str]) -> Mapping[str, str]:
    """Return a plain and unique name for each of some names: letters, digits, "_", "-", "."."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for original in originals:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", original).strip("_.-") or "record"
        plain, number = name, 1
        while plain in taken:
            number += 1
            plain = f"{name}-{number}"
        taken.add(plain)
        names[original] = plain
    return names


def names_of_files(folder: Path, files: Iterable[Path]) -> Mapping[Path, tuple[str, str]]:
    """Return each file's record name, and where it lies below the folder if the name hides that.

    The name is the file's own without its end, or with its folders where two files are called so.
    """
    listed = tuple(files)
    stems = Counter(path.stem for path in listed)
    originals = {
        path: path.stem
        if stems[path.stem] == 1
        else path.relative_to(folder).with_suffix("").as_posix()
        for path in listed
    }
    plain = plain_names(originals.values())
    return {
        path: (
            plain[original],
            "" if plain[original] == path.stem else path.relative_to(folder).as_posix(),
        )
        for path, original in originals.items()
    }


def unit_in_name(name: str) -> str:
    """Return the unit that a column's name ends in: "ECG [mV]", "II_uV"; empty without one."""
    match = re.search(r"(?:[\[(]\s*|[_\s])([^\W\d_]+)\s*[\])]?\s*$", name)
    unit = match[1] if match else ""
    return unit if unit.lower() in MICROVOLT else ""


def fault_of(error: EdgepruneError) -> str:
    """Return why a file cannot be used, in one line."""
    return " ".join(error.what.split())
