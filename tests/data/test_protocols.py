"""Protocols: who is tested, who trains, and that nothing is on two sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.data.cards import load_card, split_statement
from edgeprune.data.protocols import LEAVE_ONE_OUT, PERSONALISED, folds, with_protocol
from edgeprune.data.recordings import read_recordings
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.progress import Silent

CARD = load_card("synthetic-eeg")


@pytest.mark.parametrize("name", ["synthetic-eeg", "chb-mit", "chb-mit-windows", "mit-bih"])
def test_every_patient_is_left_out_once_and_validates_as_often_as_any(name: str) -> None:
    card = load_card(name)
    tested, validating = Counter[str](), Counter[str]()
    for fold in folds(card):
        split = with_protocol(card, LEAVE_ONE_OUT, fold).split
        sides = [
            {card.patient(record) for record in part}
            for part in (split.train, split.validation, split.test)
        ]
        assert sides[2] == {fold}
        assert not (sides[0] & sides[1])
        assert not (sides[0] & sides[2])
        assert not (sides[1] & sides[2])
        assert sorted(split.records) == sorted(card.split.records)
        assert "no patient is on two sides" in split_statement(
            with_protocol(card, LEAVE_ONE_OUT, fold)
        )
        tested.update(sides[2])
        validating.update(sides[1])
    assert set(tested.values()) == {1}
    assert len(set(validating.values())) == 1
    assert set(validating) == set(folds(card))


def test_two_cases_of_one_person_are_left_out_together() -> None:
    split = with_protocol(load_card("chb-mit"), LEAVE_ONE_OUT, "chb01/chb21").split
    assert {record[:5] for record in split.test} == {"chb01", "chb21"}


def test_a_patient_of_many_records_is_split_in_their_order() -> None:
    card = with_protocol(load_card("chb-mit"), PERSONALISED, "chb12")
    split = card.split
    assert list(split.records) == sorted(split.records)
    assert {card.patient(record) for record in split.records} == {"chb12"}
    assert len(split.test) == 3
    assert not split.pieces
    assert "nothing here is about new patients" in split_statement(card)
    everyone = with_protocol(load_card("chb-mit"), PERSONALISED, "").split
    assert set(everyone.records) == set(load_card("chb-mit").split.records)


def test_windows_of_a_single_file_are_split_class_by_class(
    shared_data: Callable[[str], Path],
) -> None:
    folder = shared_data("chbmit_windows")
    whole = load_card("chb-mit-windows")
    card = with_protocol(whole, PERSONALISED, "chb05")
    parts = read_recordings(card, folder, Silent(), 0)
    assert [part.name for part in parts] == list(card.split.records)
    assert card.record_files == ("patient05_test.npz",)
    # 37 and 25 windows: 55 %, 15 % and 30 % of each.
    assert [np.bincount(part.labels).tolist() for part in parts] == [[20, 14], [6, 4], [11, 7]]
    (full,) = (
        each for each in read_recordings(whole, folder, Silent(), 0) if each.patient == "chb05"
    )
    known = {full.samples[start : start + 1024].tobytes() for start in full.beats}
    seen = [part.samples[start : start + 1024].tobytes() for part in parts for start in part.beats]
    assert sorted(seen) == sorted(known)


def test_the_time_of_a_single_record_is_split() -> None:
    names = CARD.split.records
    one = replace(CARD, patients={name: name for name in names})
    card = with_protocol(one, PERSONALISED, names[0])
    train, validation, test = read_recordings(card, None, Silent(), 2)
    (whole,) = read_recordings(
        replace(one, split=replace(one.split, development=names[:1], validation=(), test=())),
        None,
        Silent(),
        2,
    )
    joined = np.concatenate([part.samples for part in (train, validation, test)])
    np.testing.assert_array_equal(joined, whole.samples)
    np.testing.assert_array_equal(
        np.concatenate([part.labels for part in (train, validation, test)]), whole.labels
    )
    assert sum(
        event.end_s - event.begin_s for part in (train, validation, test) for event in part.events
    ) == pytest.approx(whole.events[0].end_s - whole.events[0].begin_s)


def test_protocols_that_cannot_be() -> None:
    with pytest.raises(UnknownNameError, match="protocol"):
        with_protocol(CARD, "leave-one-out", "p01")
    with pytest.raises(UnknownNameError, match="fold"):
        with_protocol(CARD, LEAVE_ONE_OUT, "p99")
    with pytest.raises(ConfigurationError, match="needs the patient") as error:
        with_protocol(CARD, LEAVE_ONE_OUT, "")
    assert "cross-validate" in error.value.hint
    with pytest.raises(ConfigurationError, match="belongs to no protocol"):
        with_protocol(CARD, "", "p01")
    with pytest.raises(ConfigurationError, match="nobody knows"):
        with_protocol(replace(CARD, patients_known=False), PERSONALISED, "p01")
    assert with_protocol(CARD, "", "") is CARD
