"""Dataset cards: what they promise, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgeprune.data.cards import list_cards, load_card, split_statement
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.files import sha256_file
from edgeprune.resources import resource_folder


def card_text(name: str) -> str:
    return (resource_folder("datasets") / f"{name}.toml").read_text()


def refusal(tmp_path: Path, old: str, new: str, name: str = "mit-bih") -> ConfigurationError:
    text = card_text(name)
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_card(path)
    assert str(path) in caught.value.where
    return caught.value


def test_all_cards_load() -> None:
    assert list_cards() == (
        *("chb-mit", "chb-mit-windows", "eegmmidb"),
        *("mit-bih", "synthetic-ecg", "synthetic-eeg"),
    )
    for name in list_cards():
        card = load_card(name)
        assert card.name == name
        assert (card.class_names == ("N", "S", "V", "F", "Q")) == (card.window is None)
        assert card.licence
        assert card.citation


def test_mit_bih_is_the_published_split() -> None:
    split = load_card("mit-bih").split
    assert len(split.development) == len(split.test) == 22
    assert set(split.left_out) == {"102", "104", "107", "217"}
    assert set(split.validation) < set(split.development)
    assert sorted(split.train + split.validation) == sorted(split.development)
    everything = {*split.records, *split.left_out}
    assert len(everything) == 48


def test_the_anchor_is_the_publishers_list(shared_data: Callable[[str], Path]) -> None:
    card = load_card("mit-bih")
    path = shared_data("mitdb") / card.files.checksums
    assert sha256_file(path) == card.files.checksums_sha256


@pytest.mark.parametrize(
    ("symbols", "label"),
    [("NLRej", 0), ("AaJS", 1), ("VE", 2), ("F", 3), ("/fQ", 4), ('+~|x[]!"', -1), ("?r", None)],
)
def test_labels_follow_aami(symbols: str, label: int | None) -> None:
    card = load_card("mit-bih")
    assert {card.label_of(symbol) for symbol in symbols} == {label}


def test_the_statement_names_the_shared_patient() -> None:
    statement = split_statement(load_card("mit-bih"))
    assert "19 training, 3 validation, 22 test" in statement
    assert "records 201 and 202 are of the same person" in statement
    assert "no patient is on two sides." in split_statement(load_card("synthetic-ecg"))


def test_an_undeclared_shared_patient_is_refused() -> None:
    card = load_card("mit-bih")
    undeclared = replace(card, split=replace(card.split, shared_patients=()))
    with pytest.raises(ConfigurationError, match="'201/202' is in the training and the test"):
        split_statement(undeclared)
    other = replace(card, patients={**card.patients, "101": "x", "100": "x"})
    with pytest.raises(ConfigurationError, match="patient 'x'"):
        split_statement(other)


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    error = refusal(tmp_path, "rate_hz", "rate_hs")
    assert "rate_hs" in error.what
    assert "did you mean 'rate_hz'?" in error.hint
    assert refusal(tmp_path, "licence =", "license =").hint.startswith("did you mean 'licence'?")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('validation = ["114"', 'validation = ["100"', "not a development record"),
        ('test = [\n    "100"', 'test = [\n    "101"', "in development and in test"),
        ('test = [\n    "100"', 'test = [\n    "103"', "named twice"),
        ('test = [\n    "100"', 'test = [\n    "102"', "left out and in use"),
        ('test = [\n    "100"', 'test = [\n    "../100"', "not a plain name"),
        ('validation = ["114", "205", "220"]', "validation = []", "part of the split"),
        ('V = ["V", "E"]', 'V = ["V", "N"]', "two meanings"),
        ("rate_hz = 360", "rate_hz = 0", "not possible"),
        ("rate_hz = 360", 'rate_hz = "fast"', "whole number"),
        ("bits = 11", "bits = 24", "not possible"),
        ("https://physionet.org/files/mitdb/1.0.0/", "file:///etc/", "not a folder"),
        ('extensions = ["hea", "dat", "atr"]', 'extensions = ["../x"]', "not a plain name"),
        ('extensions = ["hea", "dat", "atr"]', "extensions = []", "is missing"),
        ('checksums_sha256 = "8f', 'checksums_sha256 = "XX', "not a SHA-256"),
    ],
)
def test_impossible_cards_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refusal(tmp_path, old, new).what


def test_a_synthetic_card_states_its_length(tmp_path: Path) -> None:
    text = card_text("synthetic-ecg")
    path = tmp_path / "mine.toml"
    path.write_text(text[: text.index("[synthetic_ecg]")])
    with pytest.raises(ConfigurationError, match="table 'synthetic_ecg' is missing"):
        load_card(path)


def test_names_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_card("mit-bhi")
    assert "did you mean 'mit-bih'?" in caught.value.hint
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_card(tmp_path / "none.toml")
