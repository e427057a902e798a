"""The seizure lists of CHB-MIT: one `chbNN-summary.txt` a patient.

The same facts are written in two ways there: "Seizure Start Time: 2996 seconds" and "Seizure 1
Start Time:             130 seconds". Files without a seizure say so. The case added later (chb24)
has no start times of its files; times within a file are all that is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeprune.data.own_records import Note
from edgeprune.errors import DataError

SEIZURE = "seizure"
Span = tuple[float, float]
_FILE = re.compile(r"File Name\s*:\s*(\S+)", re.IGNORECASE)
_NUMBER = re.compile(r"Number of Seizures in File\s*:\s*(\d+)", re.IGNORECASE)
_TIME = re.compile(
    r"Seizure\s*(?P<number>\d+)?\s*(?P<which>Start|End)\s*Time\s*:\s*(?P<seconds>\d+(\.\d+)?)\s*sec",
    re.IGNORECASE,
)


def chb_notes(path: Path) -> tuple[Note, ...]:
    """Return the seizures of one recording of CHB-MIT, from the summary beside it.

    Args:
        path: The EDF file; the summary of its folder is named by the letters and digits that the
            file's name begins with, "chb17" of "chb17a_03.edf".

    Raises:
        DataError: The summary is absent or contradicts itself, or does not list the recording.
    """
    case = re.match(r"[A-Za-z]+\d+", path.name)
    name = f"{case[0] if case else path.stem}-summary.txt"
    try:
        text = (path.parent / name).read_text(encoding="latin-1")
    except OSError as error:
        raise DataError(
            f"{name} cannot be read: {error.strerror}",
            where=path.name,
            hint="it lies beside the recording: edgeprune datasets fetch chb-mit DIR",
        ) from error
    listed = parse_seizure_summary(text, name)
    if path.name not in listed:
        raise DataError(
            f"{path.name} is not in {name}",
            where=name,
            hint="leave the recording out (split.left_out), or fetch the summary again",
        )
    return tuple(Note(begin, end, SEIZURE) for begin, end in listed[path.name])


@dataclass
class _Entry:
    where: str
    told: int | None = None
    begins: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)


def parse_seizure_summary(text: str, where: str) -> Mapping[str, tuple[Span, ...]]:
    """Return the seizures of every file that a summary lists.

    Args:
        text: The summary.
        where: Its name, for messages.

    Returns:
        File name, as listed, to its seizures: begin and end in seconds from the file's start.

    Raises:
        DataError: A file has another number of seizures than the summary says, or one ends before
            it begins; nothing is listed.
    """
    entries: dict[str, _Entry] = {}
    entry = None
    for number, line in enumerate(text.splitlines(), 1):
        if match := _FILE.match(line.strip()):
            entry = entries.setdefault(match[1], _Entry(f"{where}, line {number}"))
        elif match := _NUMBER.match(line.strip()):
            if entry is None:
                raise _fault(
                    "a number of seizures comes before any file", f"{where}, line {number}"
                )
            entry.told = int(match[1])
        elif match := _TIME.match(line.strip()):
            if entry is None:
                raise _fault("a seizure comes before any file", f"{where}, line {number}")
            times = entry.begins if match["which"].lower() == "start" else entry.ends
            times.append(float(match["seconds"]))
    if not entries:
        raise _fault("it lists no file", where)
    return {name: _spans(name, each) for name, each in entries.items()}


def _spans(name: str, entry: _Entry) -> tuple[Span, ...]:
    spans = tuple(zip(entry.begins, entry.ends, strict=False))
    if entry.told is None or not entry.told == len(entry.begins) == len(entry.ends):
        told = "no number" if entry.told is None else f"{entry.told}"
        raise _fault(
            f"{name} has {told} of seizures by its line, {len(entry.begins)} beginnings and "
            f"{len(entry.ends)} ends",
            entry.where,
        )
    for begin, end in spans:
        if end <= begin:
            raise _fault(f"a seizure of {name} from {begin:g} s ends at {end:g} s", entry.where)
    return spans


def _fault(what: str, where: str) -> DataError:
    return DataError(what, where=where, hint="fetch the summary again from its publisher")
