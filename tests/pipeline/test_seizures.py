"""From decisions about windows to events: times, and what cannot be said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeprune.data.cards import DatasetCard, load_card
from edgeprune.data.recordings import Event, Recording
from edgeprune.data.windows import Windows
from edgeprune.evaluation import Bootstrap
from edgeprune.pipeline.seizures import annotated, event_scores, what_they_are_not

CARD = load_card("synthetic-eeg")


def windows_of(recordings: list[Recording]) -> Windows:
    count = [len(recording.beats) for recording in recordings]
    total = sum(count)
    return Windows(
        signal=np.zeros((total, 1, 2), np.int8),
        rhythm=np.zeros((total, 0), np.int8),
        gain=np.ones(total, np.int64),
        label=np.concatenate([recording.labels for recording in recordings]),
        record=np.repeat(np.arange(len(recordings)), count),
        beat=np.concatenate([recording.beats for recording in recordings]),
        record_names=tuple(recording.name for recording in recordings),
        patients=tuple(recording.patient for recording in recordings),
        class_names=CARD.class_names,
        synthetic=True,
    )


def recording(name: str, patient: str, seconds: int, *events: Event) -> Recording:
    starts = np.arange(0, seconds * 128, 512)
    return Recording(
        name,
        patient,
        "F7-T7, F8-T8",
        CARD.adc,
        np.zeros((seconds * 128, 2), np.int16),
        starts,
        np.zeros(len(starts), np.int64),
        events=events,
    )


def test_windows_become_stretches_of_time() -> None:
    recordings = [
        recording("a", "p", 400, Event(100.0, 130.0, 1)),
        recording("b", "q", 800, Event(8.0, 9.0, 1)),
    ]
    windows = windows_of(recordings)
    decided = np.zeros(len(windows), np.int64)
    decided[[25, 26]] = 1  # of a: 100 s to 108 s
    decided[100 + 150] = 1  # of b: 600 s to 604 s
    first, second = annotated(CARD, recordings, windows, decided)
    assert (first.patient, first.seconds, first.reference) == ("p", 400.0, ((100.0, 130.0),))
    assert first.detected == ((100.0, 104.0), (104.0, 108.0))
    assert second.detected == ((600.0, 604.0),)
    made = event_scores(CARD, recordings, windows, [("int8", decided)], Bootstrap(seed=1))
    (scores,) = made.scores
    assert not made.not_tested
    counts = scores.events
    assert (counts.reference, counts.found, counts.false_alarms) == (2, 1, 1)
    assert counts.false_alarms_per_hour.value == 3.0
    assert scores.hours == pytest.approx(1200 / 3600)
    assert [row.patient for row in scores.by_patient] == ["p", "q"]


def test_windows_without_times_have_no_events() -> None:
    card = load_card("chb-mit-windows")
    recordings = [recording("a", "p", 40)]
    windows = windows_of(recordings)
    made = event_scores(card, recordings, windows, [("int8", windows.label)], Bootstrap())
    assert not made.scores
    assert made.not_tested == (
        "events and false alarms an hour by SzCORE: not possible: windows carry no times",
    )
    assert "say nothing about false alarms an hour" in what_they_are_not(card)


def test_what_figures_are_not_is_said_by_protocol() -> None:
    def said(card: DatasetCard, protocol: str) -> str:
        return what_they_are_not(replace(card, split=replace(card.split, protocol=protocol)))

    assert what_they_are_not(load_card("mit-bih")) == ""
    assert "no patient was measured" in said(CARD, "")
    assert "nothing about new patients" in said(load_card("chb-mit"), "personalised")
    assert "no estimate for others" in said(load_card("chb-mit"), "leave-one-patient-out")
    made = event_scores(
        load_card("eegmmidb"), [], windows_of([recording("a", "p", 8)]), [], Bootstrap()
    )
    assert "no two classes" in made.not_tested[0]
    beats = event_scores(
        load_card("mit-bih"), [], windows_of([recording("a", "p", 8)]), [], Bootstrap()
    )
    assert beats.scores == beats.not_tested == ()
