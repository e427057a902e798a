"""Whose the records are, and who trains, validates and tests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from edgeprune.data.cards import SplitCard
from edgeprune.data.survey import FoundRecord, Hints
from edgeprune.errors import ConfigurationError

_PARTS = (0.60, 0.15, 0.25)
_ORDERS = 200


def patients_of(
    records: Sequence[FoundRecord], hints: Hints, reasons: dict[str, str]
) -> tuple[Mapping[str, str], bool, list[str]]:
    """Return whose the records are: as the user says, else as the data do; nobody guesses.

    Args:
        records: The records.
        hints: What the user says.
        reasons: Is told where the patients are from.

    Returns:
        Record to patient, whether the patients are known, and warnings.

    Raises:
        ConfigurationError: What the user says fits no record's name.
    """
    rule = hints.patient
    if rule == "record":
        reasons["patients"] = "each record is of another patient, as --patient record says"
        return {record.name: record.name for record in records}, True, []
    if rule == "folder":
        reasons["patients"] = "each folder is of another patient, as --patient folder says"
        return {record.name: record.folder for record in records}, True, []
    if all(record.patient for record in records):
        if all(record.names_patient for record in records):
            reasons["patients"] = "from the column or array of patients"
            return {record.name: record.patient for record in records}, True, []
        codes = sorted({record.patient for record in records})
        # What a header calls a patient may be a name: the card says p01 instead.
        width = max(2, len(str(len(codes))))
        short = {code: f"p{number:0{width}}" for number, code in enumerate(codes, 1)}
        reasons["patients"] = "from the files' headers; their names are replaced by numbers"
        return {record.name: short[record.patient] for record in records}, True, []
    if rule:
        return _by_pattern(records, rule, reasons), True, []
    warning = (
        "NOBODY KNOWS WHOSE THE RECORDS ARE: no file names a patient. The split is by record, and "
        "one person may be on both sides of it."
    )
    reasons["patients_known"] = (
        f"{warning} If each record is of another patient, or names tell them apart, say so: "
        "write [patients] and true here, or run init again with --patient record, --patient "
        "folder, or a regular expression for the name"
    )
    return {record.name: record.name for record in records}, False, [warning]


def _by_pattern(
    records: Sequence[FoundRecord], rule: str, reasons: dict[str, str]
) -> Mapping[str, str]:
    hint = "e.g. --patient '(S[0-9]+)R': what the parentheses match is the patient"
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise ConfigurationError(
            f"'{rule}' is no column and no regular expression: {error}",
            where="--patient",
            hint=hint,
        ) from error
    found = {}
    for record in records:
        match = pattern.search(record.name)
        if match is None or not pattern.groups or not match[1]:
            raise ConfigurationError(
                f"'{rule}' finds no patient in the record's name '{record.name}'",
                where="--patient",
                hint=hint,
            )
        found[record.name] = match[1]
    reasons["patients"] = f"what {rule!r} finds in the records' names"
    return found


def propose_split(
    records: Sequence[FoundRecord],
    patients: Mapping[str, str],
    labels: Mapping[str, tuple[str, ...]],
    seed: int,
    known: bool,
    reasons: dict[str, str],
) -> SplitCard:
    """Return the parts of a card.

    Args:
        records: The records.
        patients: Record to patient.
        labels: Class to annotation texts.
        seed: Decides the order of the patients.
        known: Whether the patients are known.
        reasons: Is told how the parts came about.
    """
    of_text = {text: name for name, texts in labels.items() for text in texts}
    classes = {
        record.name: tuple(sorted({of_text[text] for text in record.texts if text in of_text}))
        for record in records
    }
    whose = dict(patients)
    shared: tuple[str, ...] = ()
    if len(set(patients.values())) < 3:
        shared = tuple(sorted(set(patients.values())))
        whose = {name: name for name in patients}
        reasons["split.shared_patients"] = (
            "FEWER THAN THREE PATIENTS: they are on both sides, so that no figure says how well "
            "new patients fare"
        )
    train, validation, test = split_of(whose, classes, seed)
    word = "patients" if known and not shared else "records"
    reasons["split"] = (
        f"60, 15 and 25 % of the {word}, in an order by a hash of seed {seed} and their names"
    )
    if shared:
        sides = [{patients[name] for name in part} for part in (train, validation, test)]
        shared = tuple(name for name in shared if sum(name in side for side in sides) > 1)
    return SplitCard(train + validation, validation, test, shared_patients=shared)


def split_of(
    patients: Mapping[str, str], texts: Mapping[str, Sequence[str]], seed: int
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return records to train, validate and test on: 60, 15 and 25 % of the patients.

    Patients are ordered by a hash of the seed and their names; of 200 orders the first is taken in
    which every class that can be in every part is, else the one with the fewest gaps.

    Args:
        patients: Record to patient.
        texts: Record to the classes that occur in it.
        seed: The seed.
    """
    names = sorted(set(patients.values()))
    tested = max(1, round(_PARTS[2] * len(names)))
    validated = max(1, round(_PARTS[1] * len(names)))
    best: tuple[int, list[str]] | None = None
    classes = {each for found in texts.values() for each in found}
    own = {
        name: {each for record in patients if patients[record] == name for each in texts[record]}
        for name in names
    }
    for attempt in range(_ORDERS):
        order = sorted(
            names,
            key=lambda name: hashlib.sha256(f"{seed}/{attempt}/{name}".encode()).digest(),
        )
        ends = (order[:tested], order[tested : tested + validated], order[tested + validated :])
        gaps = sum(len(classes - set().union(*(own[name] for name in part))) for part in ends)
        if best is None or gaps < best[0]:
            best = (gaps, order)
        if not gaps:
            break
    assert best is not None
    place = {name: number for number, name in enumerate(best[1])}

    def records(low: int, high: int) -> tuple[str, ...]:
        return tuple(record for record in patients if low <= place[patients[record]] < high)

    return (
        records(tested + validated, len(names)),
        records(tested, tested + validated),
        records(0, tested),
    )
