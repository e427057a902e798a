"""Seizures as events: from decisions about windows to SzCORE's scores, or why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.data import DatasetCard, Recording, Windows
from edgeprune.evaluation import Bootstrap, SeizureAnnotations, seizure_scores
from edgeprune.evidence import SeizureScores

Int64Array = npt.NDArray[np.int64]
EVENT = 1
_WHAT = "events and false alarms an hour by SzCORE"
_AS_DECIDED = (
    "A detection is every stretch that windows decided as events cover: decisions are neither "
    "smoothed nor joined but by the rules above."
)


@dataclass(frozen=True)
class EventScores:
    """Scores of events.

    Attributes:
        scores: One a stage; none where the data have no events to score.
        not_tested: Why there are none, in words; empty where the question does not arise.
    """

    scores: tuple[SeizureScores, ...] = ()
    not_tested: tuple[str, ...] = ()


def why_no_events(card: DatasetCard) -> str:
    """Return why events of a data set cannot be scored; empty where they can."""
    if card.window is None:
        return "the data set is one of beats"
    if card.window.cut_out:
        return "not possible: windows carry no times"
    if len(card.labels) != 2 or next(iter(card.labels.values())):
        return "the data set has no two classes 'no event' and 'event'"
    return ""


def events_note(card: DatasetCard) -> tuple[str, ...]:
    """Return why events were not scored, as a line of a report; nothing where they were."""
    reason = why_no_events(card)
    return (f"{_WHAT}: {reason}",) if reason and card.window is not None else ()


def event_scores(
    card: DatasetCard,
    recordings: Sequence[Recording],
    windows: Windows,
    decided: Sequence[tuple[str, Int64Array]],
    bootstrap: Bootstrap,
    part: str = "test",
) -> EventScores:
    """Score each stage's decisions about all windows of recordings by events and by seconds.

    Args:
        card: The data set.
        recordings: The recordings of the windows, at the device's converter.
        windows: Their windows.
        decided: Each stage of the network and the class it decides for each window [n].
        bootstrap: How intervals are made.
        part: The part of the data.
    """
    if why_no_events(card):
        return EventScores(not_tested=events_note(card))
    scores = tuple(
        seizure_scores(
            stage,
            part,
            annotated(card, recordings, windows, predictions),
            bootstrap,
            notes=(_AS_DECIDED, what_they_are_not(card)),
        )
        for stage, predictions in decided
    )
    return EventScores(scores)


def annotated(
    card: DatasetCard, recordings: Sequence[Recording], windows: Windows, predictions: Int64Array
) -> tuple[SeizureAnnotations, ...]:
    """Return each recording's events and the stretches that windows decided as events cover."""
    window = card.window
    assert window is not None
    by_name = {recording.name: recording for recording in recordings}
    found = []
    for number, name in enumerate(windows.record_names):
        recording = by_name.get(name)
        if recording is None:
            continue
        rate = recording.adc.rate_hz
        alarms = windows.beat[(windows.record == number) & (predictions == EVENT)] / rate
        reference = (each for each in recording.events if each.label == EVENT)
        found.append(
            SeizureAnnotations(
                name,
                recording.patient,
                len(recording.samples) / rate,
                tuple((each.begin_s, each.end_s) for each in reference),
                tuple((begin, begin + window.seconds) for begin in alarms.tolist()),
            )
        )
    return tuple(found)


def what_they_are_not(card: DatasetCard) -> str:
    """Return what a reader of scores of EEG must hear first; empty for data sets of beats."""
    if card.window is None:
        return ""
    parts = []
    if card.synthetic:
        parts.append("no patient was measured: they say that the tools work, and nothing else")
    if card.split.protocol == "personalised":
        parts.append(
            "every patient trained and is tested: they say nothing about new patients, on whom "
            "detectors do far worse (SzCORE's challenge of 2025: an event F1 of 32 % at best)"
        )
    elif not card.synthetic:
        parts.append("few patients of one hospital: they are no estimate for others")
    if card.window.cut_out:
        parts.append(
            "windows were cut out and balanced by their publisher: they say nothing about false "
            "alarms an hour, about whole seizures, or about how rare seizures are"
        )
    else:
        parts.append(_limits(card))
    return f"These figures are not clinical performance: {'; '.join(filter(None, parts))}."


def _limits(card: DatasetCard) -> str:
    if why_no_events(card) or card.synthetic:
        return ""
    return (
        "false alarms an hour are those of the recordings chosen: where each has a seizure, they "
        "say little about days without one"
    )
