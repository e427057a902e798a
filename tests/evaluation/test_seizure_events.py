"""Seizure events by hand, and against a count on masks of 0.1 s."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.evaluation import Bootstrap
from edgeprune.evaluation.seizure_events import (
    SZCORE,
    SeizureAnnotations,
    Span,
    Tally,
    count_events,
    count_samples,
    seizure_scores,
    spans_of,
)
from edgeprune.evidence import SeizureRules, SeizureScores
from edgeprune.evidence.codec import decode, encode

HOUR = 3600.0


def recording(
    reference: list[Span], detected: list[Span], patient: str = "p", seconds: float = HOUR
) -> SeizureAnnotations:
    return SeizureAnnotations(f"r{patient}", patient, seconds, tuple(reference), tuple(detected))


@pytest.mark.parametrize(
    ("reference", "detected", "expected"),
    [
        # Any overlap counts.
        ([(1000, 1060)], [(1059.9, 1070)], Tally(1, 1, 0)),
        ([(1000, 1060)], [], Tally(1, 0, 0)),
        ([], [(1000, 1060)], Tally(0, 0, 1)),
        # 30 s early and 60 s late are allowed, a tenth of a second more is a false alarm too.
        ([(1000, 1060)], [(970, 1120)], Tally(1, 1, 0)),
        ([(1000, 1060)], [(969.9, 1060)], Tally(1, 1, 1)),
        ([(1000, 1060)], [(1000, 1120.1)], Tally(1, 1, 1)),
        # Tolerances find, too.
        ([(1000, 1060)], [(971, 975)], Tally(1, 1, 0)),
        ([(1000, 1060)], [(1121, 1130)], Tally(1, 0, 1)),
        # Nearer than 90 s is one event, 90 s is two.
        ([(1000, 1010), (1099.9, 1110)], [(1000, 1110)], Tally(1, 1, 0)),
        ([(1000, 1010), (1100, 1110)], [], Tally(2, 0, 0)),
        # Two detections 80 s apart are one alarm.
        ([], [(1000, 1010), (1090, 1100)], Tally(0, 0, 1)),
        # 12 minutes are three events, and one detection of the first finds that one alone.
        ([(1000, 1720)], [(1000, 1100)], Tally(3, 1, 0)),
        ([(1000, 1020)], [(1000, 1720)], Tally(1, 1, 3)),
        # A long detection that begins in the seizure: split, the first piece ends too late.
        ([(1000, 1250)], [(1000, 1301)], Tally(1, 1, 0)),
        # Within the recording only.
        ([(3590, 3700)], [(3595, 3800)], Tally(1, 1, 0)),
        ([(0, 10)], [(0, 5)], Tally(1, 1, 0)),
    ],
)
def test_events_by_hand(reference: list[Span], detected: list[Span], expected: Tally) -> None:
    assert count_events(recording(reference, detected)) == expected


def test_a_least_overlap_can_be_asked_for() -> None:
    rules = SeizureRules(0.0, 0.0, 0.5, 0.0, 300.0)
    assert count_events(recording([(100, 200)], [(100, 150)]), rules) == Tally(1, 0, 1)
    assert count_events(recording([(100, 200)], [(100, 151)]), rules) == Tally(1, 1, 0)


def test_samples_by_hand() -> None:
    tally = count_samples(recording([(10, 20), (30, 40)], [(15, 35), (50, 52)]))
    assert tally == Tally(20, 10, 12)


def test_rates_and_scores() -> None:
    recordings = [
        recording([(1000, 1060), (2000, 2060)], [(1000, 1050), (3000, 3010)], "a"),
        recording([(1000, 1060)], [(1000, 1050), (3000, 3010)], "b", 2 * HOUR),
    ]
    scores = seizure_scores("int8", "test", recordings, Bootstrap(seed=1))
    events = scores.events
    assert (events.reference, events.found, events.false_alarms) == (3, 2, 2)
    assert events.sensitivity.value == 2 / 3
    assert events.precision.value == 1 / 2
    assert events.f1.value == 4 / 7
    assert events.false_alarms_per_hour.value == 2 / 3
    assert events.false_alarms_per_day.value == 16
    assert events.false_alarms_per_hour.interval is not None
    assert events.false_alarms_per_hour.interval.low == 1 / 2
    assert events.false_alarms_per_hour.interval.high == 1
    assert scores.hours == 3
    assert scores.records[0].events.sensitivity.value == 1 / 2
    assert scores.records[0].events.sensitivity.interval is None
    assert decode(SeizureScores, encode(scores)) == scores


def test_patients_are_scored_before_they_are_averaged() -> None:
    recordings = [
        recording([(1000, 1060)], [(1000, 1050)], "a"),
        recording([(1000, 1060)], [], "a", 2 * HOUR),
        recording([(1000, 1060)], [(1000, 1050), (3000, 3010)], "b"),
        recording([], [(1000, 1010)], "c", HOUR / 2),
    ]
    scores = seizure_scores("int8", "test", recordings, Bootstrap(seed=1))
    rows = {
        row.patient: (row.record_count, row.hours, row.events.sensitivity.value)
        for row in scores.by_patient
    }
    assert rows == {"a": (2, 3.0, 0.5), "b": (1, 1.0, 1.0), "c": (1, 0.5, None)}
    assert scores.average is not None
    # By patients: (1/2 + 1) / 2 where there is a seizure; 1, 1/2 and 0; 0, 1 and 2 an hour.
    assert scores.average.sensitivity.value == 0.75
    assert scores.average.sensitivity.n == 2
    assert scores.average.precision.value == 0.5
    assert scores.average.false_alarms_per_hour.value == 1.0
    assert scores.events.sensitivity.value == 2 / 3
    interval = scores.average.false_alarms_per_hour.interval
    assert interval is not None
    assert interval.low == 0
    assert interval.high == 2


def test_undefined_is_not_zero() -> None:
    scores = seizure_scores("int8", "test", [recording([], [(1000, 1060)])], Bootstrap())
    assert scores.events.sensitivity.value is None
    assert scores.events.f1.value is None
    assert scores.events.precision.value == 0
    assert scores.events.false_alarms_per_day.value == 24
    silent = seizure_scores("int8", "test", [recording([(5, 9)], [])], Bootstrap()).events
    assert (silent.sensitivity.value, silent.precision.value, silent.f1.value) == (0, None, None)


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        count_events(recording([(10, 5)], []))
    with pytest.raises(ValueError, match="no recording"):
        seizure_scores("int8", "test", [], Bootstrap())


def test_spans_of_a_mask() -> None:
    mask = np.array([1, 1, 0, 0, 1, 0, 1], dtype=bool)
    assert spans_of(mask, 4.0) == ((0.0, 0.5), (1.0, 1.25), (1.5, 1.75))
    assert spans_of(np.zeros(3, bool), 1.0) == ()


Mask = npt.NDArray[np.bool_]


def runs(mask: Mask) -> list[tuple[int, int]]:
    """Return the runs of a mask, one step after the other."""
    found, begin = [], None
    for step, value in enumerate([*mask.tolist(), False]):
        if value and begin is None:
            begin = step
        elif not value and begin is not None:
            found.append((begin, step))
            begin = None
    return found


def events_on_masks(mask: Mask) -> list[tuple[int, int]]:
    """Fill gaps below 900 steps, then cut into pieces of 3,000."""
    filled = mask.copy()
    for begin, end in runs(~mask):
        if begin > 0 and end < len(mask) and end - begin < 900:
            filled[begin:end] = True
    pieces = []
    for begin, end in runs(filled):
        starts = np.arange(begin, end, 3000).tolist()
        pieces += list(zip(starts, [*starts[1:], end], strict=True))
    return pieces


def count_on_masks(reference: Mask, detected: Mask) -> Tally:
    alarms = np.zeros_like(detected)
    pieces = events_on_masks(detected)
    for begin, end in pieces:
        alarms[begin:end] = True
    allowed, found = np.zeros_like(detected), 0
    seizures = events_on_masks(reference)
    for begin, end in seizures:
        wide = slice(max(0, begin - 300), end + 600)
        if alarms[wide].any():
            found += 1
            allowed[wide] = True
    return Tally(len(seizures), found, sum(not allowed[begin:end].all() for begin, end in pieces))


events = st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 5_000)), max_size=5).map(
    lambda found: [(begin / 10, min(begin + length, 20_000) / 10) for begin, length in found]
)


@settings(max_examples=60, deadline=None)
@given(reference=events, detected=events)
def test_as_counted_on_masks(reference: list[Span], detected: list[Span]) -> None:
    masks = []
    for spans in (reference, detected):
        mask = np.zeros(20_000, dtype=bool)
        for begin, end in spans:
            mask[round(10 * begin) : round(10 * end)] = True
        masks.append(mask)
    assert count_events(recording(reference, detected, seconds=2000.0)) == count_on_masks(*masks)


def test_the_rules_are_those_of_szcore() -> None:
    assert SeizureRules(30.0, 60.0, 0.0, 90.0, 300.0) == SZCORE
