"""Windows of fixed length: how cards state them, and which label the events give them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data.cards import DatasetCard, load_card, split_statement
from edgeprune.data.recordings import Event
from edgeprune.data.segments import choose_channels, cut_segments, event_of
from edgeprune.errors import ConfigurationError, DataError

CARD = """\
name = "mine"
title = "Mine"
source = "edf"
synthetic = false
origin = "here"
licence = "none"
citation = "none"
text = "none"
epochs = 1
not_beats = ["lights off"]

[labels]
background = []
seizure = ["seizure"]
artefact = ["blink", "muscle"]

[signal]
rate_hz = 16
microvolt_per_count = 0.5
bits = 16
channels = ["T7-P7|T3-P3", "T8-P8"]

[window]
seconds = 2.0
full_scale = 250.0
overlap = 0.5

[split]
development = ["a", "b"]
validation = ["b"]
test = ["c"]
"""


def card_of(tmp_path: Path, old: str = "", new: str = "") -> DatasetCard:
    assert old in CARD
    path = tmp_path / "mine.toml"
    path.write_text(CARD.replace(old, new, 1))
    return load_card(path)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> DatasetCard:
    return card_of(tmp_path_factory.mktemp("card"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[window]\nseconds = 2.0\nfull_scale = 250.0\noverlap = 0.5\n", "", "'window' is missing"),
        ('channels = ["T7-P7|T3-P3", "T8-P8"]', "", "each channel once"),
        ('"T8-P8"]', '"T3-P3"]', "each channel once"),
        ("bits = 16", 'bits = 16\nleads = ["MLII"]', "not of signal.leads"),
        ("bits = 16", 'bits = 16\nunit = "mV"', "signal.unit 'mV'"),
        ("overlap = 0.5", "overlap = 1.5", "overlap"),
        ("seconds = 2.0", "seconds = 2.03", "no whole number of samples"),
        ("full_scale = 250.0", "full_scale = 0.0", "not possible"),
        ('seizure = ["seizure"]', "seizure = []", "no annotation texts"),
        ('test = ["c"]', 'test = ["c"]\nprotocol = "by eye"', "protocol 'by eye'"),
        ('test = ["c"]', "test = []", "part of the split"),
    ],
)
def test_impossible_cards_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        card_of(tmp_path, old, new)


def test_unknown_patients_are_said_aloud(card: DatasetCard) -> None:
    assert "NOBODY KNOWS" in split_statement(replace(card, patients_known=False))


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(0, 200),
    step=st.sampled_from([0.0, 0.5, 2.0]),
    overlap=st.sampled_from([0.25, 0.5, 1.0]),
    background=st.booleans(),
    events=st.lists(
        st.tuples(st.integers(-20, 210), st.integers(0, 60), st.integers(1, 2)), max_size=4
    ),
)
def test_labels_are_those_of_counting_samples(
    card: DatasetCard,
    samples: int,
    step: float,
    overlap: float,
    background: bool,
    events: list[tuple[int, int, int]],
) -> None:
    window = card.window
    assert window is not None
    labels = {"background": () if background else ("quiet",)} | dict(list(card.labels.items())[1:])
    changed = replace(
        card, labels=labels, window=replace(window, step_seconds=step, overlap=overlap)
    )
    marked = [Event(first / 16, (first + long) / 16, label) for first, long, label in events]
    expected = []
    for start in range(0, samples - 31, round((step or 2.0) * 16)):
        shares = dict.fromkeys((0, 1, 2), 0)
        for place in range(start, start + 32):
            for label in (1, 2):
                shares[label] += any(
                    first <= place < first + long for first, long, own in events if own == label
                )
        label = max(shares, key=lambda one: (shares[one], -one))
        if shares[label] >= overlap * 32:
            expected.append((start, label))
        elif background:
            expected.append((start, 0))
    starts, found = cut_segments(changed, samples, marked)
    assert list(zip(starts.tolist(), found.tolist(), strict=True)) == expected
    assert starts.dtype == found.dtype == np.int64


def test_texts_become_events_or_are_refused(card: DatasetCard) -> None:
    assert event_of(card, 1.0, 2.0, "muscle", "x.edf") == Event(1.0, 2.0, 2)
    assert event_of(card, 1.0, 2.0, "lights off", "x.edf") is None
    with pytest.raises(DataError, match="'sleep' at 1 s"):
        event_of(card, 1.0, 2.0, "sleep", "x.edf")


def test_channels_are_chosen_by_name(card: DatasetCard) -> None:
    assert choose_channels(card.signal, ["T8-P8", "ECG", "T3-P3"], "x.edf") == (2, 0)
    with pytest.raises(DataError, match="no channel T7-P7 or T3-P3"):
        choose_channels(card.signal, ["T8-P8"], "x.edf")
    with pytest.raises(DataError, match="more than one channel T8-P8"):
        choose_channels(card.signal, ["T8-P8", "T7-P7", "T8-P8"], "x.edf")


def test_a_card_of_beats_is_not_cut() -> None:
    with pytest.raises(ConfigurationError, match="no windows to cut"):
        cut_segments(load_card("synthetic-ecg"), 1000, ())
