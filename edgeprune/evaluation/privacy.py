"""Withholds from evidence whatever belongs to one patient or recording.

How well a network does on one patient tells whether it was trained on that patient (membership
inference, Shokri et al. 2017, arXiv:1610.05820; of health data, Homer et al. 2008,
doi:10.1371/journal.pgen.1000167), and so does a list of who is in which part. Totals over many
patients, their intervals and the counts of patients stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from edgeprune.evidence import DataEvidence, Evidence, SubgroupChange

# Fields that hold rows about one recording or patient each, or their names; and scores without
# some recordings, whose difference to all tells those recordings' own.
_WITHHELD_FIELDS = frozenset({"records", "patients", "record_names", "without", "shared_patients"})
# A list of records with one of these fields is about one recording or patient each.
_OWNER_FIELDS = frozenset({"record", "patient"})
WHY = (
    "withheld (--privacy), because scores of one patient, and lists of whose recordings were used, "
    "tell who was among the training data"
)
_WORD = re.compile(r"[\w/.-]+")


def withhold(evidence: Evidence) -> Evidence:
    """Return the evidence without anything that belongs to one patient or recording.

    Emptied are, however deep: every list of rows about one recording or patient each (rows of
    performance, certificates, attacks and beat-by-beat scores; windows to be drawn), every list of
    names of recordings or patients, and the scores without named recordings. Groups by sex or age
    go where one of them is a single patient: with the others' sum, all tell of that one. Notes on
    the data that name a recording or patient are left out. `limits` says which fields it was, and
    why.

    Files beside the evidence are not its business: certificates hold the windows of patients.
    """
    emptied: set[str] = set()
    data = evidence.data
    stripped: Evidence = _strip(evidence, "", emptied)
    if data is not None and stripped.data is not None:
        notes = tuple(_unnamed(data))
        if notes != data.notes:
            emptied.add("data.notes")
            stripped = replace(stripped, data=replace(stripped.data, notes=notes))
    if not emptied:
        return evidence
    return replace(stripped, limits=(*stripped.limits, f"{', '.join(sorted(emptied))}: {WHY}."))


def _strip(record: Any, path: str, emptied: set[str]) -> Any:
    """Empty what is withheld of a record, noting the fields' paths in `emptied`."""
    if isinstance(record, tuple):
        return tuple(_strip(item, path, emptied) for item in record)
    if not is_dataclass(record) or isinstance(record, type):
        return record
    changes: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        place = f"{path}.{field.name}" if path else field.name
        if isinstance(value, tuple) and value and _is_owned(field.name, value[0]):
            emptied.add(place)
            changes[field.name] = ()
        elif isinstance(value, tuple) and value and isinstance(value[0], SubgroupChange):
            alone = {group.kind for group in value if group.patients < 2}
            changes[field.name] = tuple(group for group in value if group.kind not in alone)
            emptied |= {f"{place} by {kind}" for kind in alone}
        else:
            changes[field.name] = _strip(value, place, emptied)
    return replace(record, **changes)


def _is_owned(name: str, item: object) -> bool:
    if name in _WITHHELD_FIELDS:
        return True
    owned = is_dataclass(item) and {field.name for field in fields(item)}
    return bool(owned and owned & _OWNER_FIELDS)


def _unnamed(data: DataEvidence) -> Iterator[str]:
    """Yield the notes that name no recording and no patient."""
    names = {name for split in data.splits for name in (*split.records, *split.patients)}
    names |= {name for exclusion in data.excluded for name in exclusion.records}
    for note in data.notes:
        words = {word.strip(".,;:") for word in _WORD.findall(note)}
        if not words & names:
            yield note
