"""Which recordings train, validate and test, by rule: within each patient, or patient by patient.

- personalised: one patient's records are split by their order: the first train, then some choose
  epochs, the last are tested. A patient with fewer than three records has the time of each record
  split so, or, where windows were cut out of recordings, each class's windows in their order. That
  tells how a network does on the patients that it was fitted to, and nothing about new ones.
- leave-one-patient-out: all records of one patient, the fold, are tested; one in five of the others
  validates, those behind the fold in the order of the patients; the rest train.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard, Piece
from edgeprune.data.recordings import Event, Recording
from edgeprune.errors import ConfigurationError, DataError, UnknownNameError

PERSONALISED = "personalised"
LEAVE_ONE_OUT = "leave-one-patient-out"
PROTOCOLS = (PERSONALISED, LEAVE_ONE_OUT)
_SIDES = ("train", "validation", "test")
_LEAST_RECORDS = 3
_VALIDATION, _TEST = 0.15, 0.3
_ONE_IN = 5

Int64Array = npt.NDArray[np.int64]


def folds(card: DatasetCard) -> tuple[str, ...]:
    """Return the patients of a data set: the folds of both protocols, in the order of names."""
    return tuple(sorted({card.patient(record) for record in card.split.records}))


def with_protocol(card: DatasetCard, protocol: str, fold: str) -> DatasetCard:
    """Return the card with the parts that a protocol makes of its records.

    Args:
        card: The data set.
        protocol: One of `PROTOCOLS`; empty for the card's own.
        fold: A patient. Personalised, an empty fold means all patients, each split by itself.

    Raises:
        UnknownNameError: There is no such protocol or patient.
        ConfigurationError: A fold is missing or means nothing, or nobody knows the patients.
    """
    protocol = protocol or card.split.protocol
    if not protocol:
        if fold:
            raise ConfigurationError(
                f"the fold '{fold}' belongs to no protocol",
                where="fold",
                hint=f"name one: protocol = {' or '.join(PROTOCOLS)}",
            )
        return card
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS, where="protocol")
    if not card.patients_known:
        raise ConfigurationError(
            f"nobody knows whose the records of {card.name} are",
            where="protocol",
            hint="name each record's patient in [patients], or leave the protocol out",
        )
    patients = folds(card)
    if fold and fold not in patients:
        raise UnknownNameError("fold", fold, patients, where="fold")
    if protocol == PERSONALISED:
        return _personalised(card, (fold,) if fold else patients)
    if not fold:
        raise ConfigurationError(
            "leave-one-patient-out needs the patient to leave out",
            where="fold",
            hint="name a patient (--set fold=NAME), or run all: edgeprune cross-validate",
        )
    return _leave_out(card, patients, fold)


def whole_card(card: DatasetCard) -> DatasetCard:
    """Return the card with whole records where its parts are pieces of them."""
    pieces = card.split.pieces

    def whole(names: tuple[str, ...]) -> tuple[str, ...]:
        records = (pieces[each].record if each in pieces else each for each in names)
        return tuple(dict.fromkeys(records))

    learnt, tested = whole(card.split.development), whole(card.split.test)
    test = tuple(each for each in tested if each not in learnt)
    split = replace(card.split, development=learnt, test=test, validation=(), pieces={})
    return replace(card, split=split)


def cut_pieces(card: DatasetCard, recordings: tuple[Recording, ...]) -> tuple[Recording, ...]:
    """Return the card's records in its order, those that are pieces cut from whole ones.

    Args:
        card: A card whose split has pieces.
        recordings: The records of `whole_card`.

    Raises:
        DataError: A piece has no window.
    """
    by_name = {recording.name: recording for recording in recordings}
    found = []
    for name in card.split.records:
        piece = card.split.pieces.get(name)
        found.append(
            by_name[name] if piece is None else _cut(card, by_name[piece.record], piece, name)
        )
    return tuple(found)


def _leave_out(card: DatasetCard, patients: tuple[str, ...], fold: str) -> DatasetCard:
    if len(patients) < _LEAST_RECORDS:
        raise ConfigurationError(
            f"{len(patients)} patients are too few to leave one out",
            where="protocol",
            hint="one is tested, one validates, one trains: three or more",
        )
    place = patients.index(fold)
    others = patients[place + 1 :] + patients[:place]
    validating = others[: max(1, round(len(others) / _ONE_IN))]
    records = card.split.records
    side = {
        "development": tuple(each for each in records if card.patient(each) != fold),
        "validation": tuple(each for each in records if card.patient(each) in validating),
        "test": tuple(each for each in records if card.patient(each) == fold),
    }
    return _with_split(card, side, LEAVE_ONE_OUT)


def _personalised(card: DatasetCard, patients: tuple[str, ...]) -> DatasetCard:
    sides: dict[str, list[str]] = {side: [] for side in _SIDES}
    pieces: dict[str, Piece] = {}
    for patient in patients:
        own = [each for each in sorted(card.split.records) if card.patient(each) == patient]
        if len(own) >= _LEAST_RECORDS:
            tested = max(1, round(_TEST * len(own)))
            kept = max(1, round(_VALIDATION * len(own)))
            cuts = (0, len(own) - tested - kept, len(own) - tested, len(own))
            for side, first, last in zip(_SIDES, cuts[:-1], cuts[1:], strict=True):
                sides[side] += own[first:last]
            continue
        shares = (0.0, 1 - _TEST - _VALIDATION, 1 - _TEST, 1.0)
        for record in own:
            for side, begin, end in zip(_SIDES, shares[:-1], shares[1:], strict=True):
                name = f"{record}.{side}"
                pieces[name] = Piece(record, begin, end)
                sides[side].append(name)
    parts = {
        "development": (*sides["train"], *sides["validation"]),
        "validation": tuple(sides["validation"]),
        "test": tuple(sides["test"]),
    }
    owners = {name: card.patient(piece.record) for name, piece in pieces.items()}
    made = _with_split(card, parts, PERSONALISED, pieces)
    return replace(made, patients={**card.patients, **owners})


def _with_split(
    card: DatasetCard, parts: dict[str, tuple[str, ...]], protocol: str, pieces: Any = None
) -> DatasetCard:
    apart = {name: why for name, why in card.split.shown_apart.items() if name in parts["test"]}
    split = replace(
        card.split,
        development=parts["development"],
        validation=parts["validation"],
        test=parts["test"],
        protocol=protocol,
        pieces=pieces or {},
        shown_apart=apart,
        shared_patients=(),
    )
    return replace(card, split=split)


def _cut(card: DatasetCard, whole: Recording, piece: Piece, name: str) -> Recording:
    cut_out = card.window is not None and card.window.cut_out
    cut = _choose(whole, piece) if cut_out else _between(card, whole, piece)
    if not len(cut.beats):
        raise DataError(
            f"from {piece.begin:.0%} to {piece.end:.0%} of the record there is no window",
            where=f"record {whole.name}",
            hint="leave the record out, or choose another protocol",
        )
    return replace(cut, name=name)


def _choose(whole: Recording, piece: Piece) -> Recording:
    """Return a share of each class's windows, in their order."""
    length = int(whole.beats[1]) if len(whole.beats) > 1 else len(whole.samples)
    chosen = []
    for label in np.unique(whole.labels):
        rows = np.flatnonzero(whole.labels == label)
        first, last = (round(share * len(rows)) for share in (piece.begin, piece.end))
        chosen.append(rows[first:last])
    rows = np.sort(np.concatenate(chosen))
    places = (whole.beats[rows][:, None] + np.arange(length)).ravel()
    starts = np.arange(len(rows), dtype=np.int64) * length
    return replace(whole, samples=whole.samples[places], beats=starts, labels=whole.labels[rows])


def _between(card: DatasetCard, whole: Recording, piece: Piece) -> Recording:
    """Return a stretch of a record, its ends on the windows' grid where there is one."""
    window, rate = card.window, card.signal.rate_hz
    step = round((window.step_seconds or window.seconds) * rate) if window else 1
    length = round(window.seconds * rate) if window else 1
    total = len(whole.samples)
    first, last = (round(share * total / step) * step for share in (piece.begin, piece.end))
    last = total if piece.end == 1 else min(last, total)
    inside = (whole.beats >= first) & (whole.beats + length <= last)
    begin_s, end_s = first / rate, last / rate
    events = tuple(
        Event(max(each.begin_s, begin_s) - begin_s, min(each.end_s, end_s) - begin_s, each.label)
        for each in whole.events
        if each.end_s > begin_s and each.begin_s < end_s
    )
    return replace(
        whole,
        samples=whole.samples[first:last],
        beats=whole.beats[inside] - first,
        labels=whole.labels[inside],
        events=events,
    )
