"""Seizures scored by events and by samples, in the rules of SzCORE.

Dan et al. 2024, "SzCORE: seizure community open-source research evaluation framework"
(doi:10.1111/epi.18113). Events are counted in steps of 0.1 s, samples at 1 Hz, as there. An event
needs a recording that goes on: windows cut out of recordings (such as published CHB-MIT windows)
can be scored one by one only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edgeprune.evaluation import metrics
from edgeprune.evaluation.bootstrap import Bootstrap, caution
from edgeprune.evaluation.decisions import sum_by_patient
from edgeprune.evaluation.seizure_patients import patient_average
from edgeprune.evidence import (
    PatientSeizures,
    Quantity,
    RecordSeizures,
    SeizureCounts,
    SeizureRules,
    SeizureScores,
    Where,
)

Int64Array = npt.NDArray[np.int64]
Span = tuple[float, float]
Event = tuple[int, int]

SZCORE = SeizureRules(
    before_seconds=30.0,
    after_seconds=60.0,
    minimum_overlap=0.0,
    merge_seconds=90.0,
    longest_seconds=300.0,
)
EVENT_RATE_HZ, SAMPLE_RATE_HZ = 10, 1
_SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class SeizureAnnotations:
    """One recording with its seizures, and what a detector said of it.

    Attributes:
        record: Its name.
        patient: Whose it is.
        seconds: Its length.
        reference: Seizures, each from its begin to its end in seconds.
        detected: Detections, likewise.
    """

    record: str
    patient: str
    seconds: float
    reference: tuple[Span, ...]
    detected: tuple[Span, ...]


@dataclass(frozen=True)
class Tally:
    """Counts of one recording.

    Attributes:
        reference: Events or samples of the reference.
        found: How many of them were found.
        false_alarms: Events or samples of the test that are none.
    """

    reference: int
    found: int
    false_alarms: int


def spans_of(seizure: npt.NDArray[np.bool_], rate_hz: float) -> tuple[Span, ...]:
    """Return the stretches in which a mask holds, in seconds.

    Args:
        seizure: Whether there is a seizure, step by step [n].
        rate_hz: Steps a second.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seizure, [False]]).astype(np.int8)))
    return tuple(
        (begin / rate_hz, end / rate_hz)
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    )


def count_events(annotations: SeizureAnnotations, rules: SeizureRules = SZCORE) -> Tally:
    """Count the events of one recording.

    A seizure is found if detections cover more than the minimum overlap of it and its tolerances.
    A detection is a false alarm if any of it lies outside the found seizures and their tolerances.

    Raises:
        ValueError: An event ends before it begins.
    """
    length = round(annotations.seconds * EVENT_RATE_HZ)
    reference = _events(annotations.reference, length, rules)
    detected = _events(annotations.detected, length, rules)
    before, after = (
        round(seconds * EVENT_RATE_HZ) for seconds in (rules.before_seconds, rules.after_seconds)
    )
    found = []
    for begin, end in reference:
        wide = max(0, begin - before), min(length, end + after)
        covered = sum(_overlap(wide, event) for event in detected)
        if covered / (wide[1] - wide[0]) > rules.minimum_overlap + 1e-6:
            found.append(wide)
    allowed = _merged(found, 1)
    alarms = sum(
        sum(_overlap(event, each) for each in allowed) < event[1] - event[0] for event in detected
    )
    return Tally(len(reference), len(found), alarms)


def count_samples(annotations: SeizureAnnotations) -> Tally:
    """Count the samples of one recording, at 1 Hz and without tolerances."""
    length = round(annotations.seconds * SAMPLE_RATE_HZ)
    reference, detected = (
        _mask(spans, length) for spans in (annotations.reference, annotations.detected)
    )
    return Tally(
        int(reference.sum()), int((reference & detected).sum()), int((detected & ~reference).sum())
    )


def seizure_scores(
    stage: str,
    part: str,
    recordings: Sequence[SeizureAnnotations],
    bootstrap: Bootstrap,
    *,
    rules: SeizureRules = SZCORE,
    where: Where = Where.HOST,
    notes: Sequence[str] = (),
) -> SeizureScores:
    """Score recordings by events and by samples.

    Args:
        stage: The stage of the network, e.g. "int8 as flashed".
        part: The part of the data.
        recordings: One or more.
        bootstrap: How intervals are made.
        rules: What counts as a detection.
        where: Where the decisions were made.
        notes: What a reader must know beside it.

    Raises:
        ValueError: No recording, or an event ends before it begins.
    """
    if not recordings:
        raise ValueError("no recording to score")
    events = [count_events(each, rules) for each in recordings]
    samples = [count_samples(each) for each in recordings]
    lengths = [round(each.seconds) for each in recordings]
    patients = [each.patient for each in recordings]
    owners = []
    for patient in sorted(set(patients)):
        own = [index for index, each in enumerate(recordings) if each.patient == patient]
        chosen = [lengths[index] for index in own]
        names = [patient] * len(own)
        owners.append(
            PatientSeizures(
                patient,
                len(own),
                sum(recordings[index].seconds for index in own) / _SECONDS_AN_HOUR,
                _counts([events[index] for index in own], chosen, names, None, where),
                _counts([samples[index] for index in own], chosen, names, None, where),
            )
        )
    rows = tuple(
        RecordSeizures(
            each.record,
            each.patient,
            each.seconds / _SECONDS_AN_HOUR,
            _counts([events[index]], [lengths[index]], [each.patient], None, where),
            _counts([samples[index]], [lengths[index]], [each.patient], None, where),
        )
        for index, each in enumerate(recordings)
    )
    return SeizureScores(
        stage=stage,
        part=part,
        rules=rules,
        sample_rate_hz=float(SAMPLE_RATE_HZ),
        events=_counts(events, lengths, patients, bootstrap, where),
        samples=_counts(samples, lengths, patients, bootstrap, where),
        hours=sum(each.seconds for each in recordings) / _SECONDS_AN_HOUR,
        patients=len(set(patients)),
        record_count=len(recordings),
        average=patient_average([owner.events for owner in owners], bootstrap, where),
        by_patient=tuple(owners),
        records=rows,
        notes=tuple(notes),
    )


def _counts(
    tallies: Sequence[Tally],
    seconds: Sequence[int],
    patients: Sequence[str],
    bootstrap: Bootstrap | None,
    where: Where,
) -> SeizureCounts:
    """Add up recordings and score the sum; no intervals without a bootstrap."""
    by_record = np.array(
        [
            (tally.reference, tally.found, tally.false_alarms, length)
            for tally, length in zip(tallies, seconds, strict=True)
        ],
        dtype=np.int64,
    )
    by_patient = sum_by_patient(by_record, patients)
    total = by_record.sum(axis=0)
    values = _scores(total)
    resampled = _scores(bootstrap.resample(by_patient)) if bootstrap else {}
    carriers = {
        "sensitivity": by_patient[:, 0] > 0,
        "precision": by_patient[:, 1:3].any(axis=1),
        "f1": by_patient[:, :3].any(axis=1),
    }
    quantities = {}
    for name, value in values.items():
        unit, n, n_of = _ABOUT[name]
        count = int(total[n].sum())
        if np.isnan(value):
            quantities[name] = Quantity(None, unit, where, count, n_of, note="undefined: 0/0")
            continue
        interval, note = None, ""
        if bootstrap:
            owners = int(carriers.get(name, np.ones(len(by_patient), np.bool_)).sum())
            interval = bootstrap.interval(np.asarray(resampled[name], np.float64), owners)
            note = caution(interval, owners)
        quantities[name] = Quantity(float(value), unit, where, count, n_of, interval, note)
    return SeizureCounts(int(total[0]), int(total[1]), int(total[2]), **quantities)


def _scores(counts: Int64Array) -> dict[str, metrics.Values]:
    """Score counts [..., 4] of reference, found, false alarms and seconds."""
    reference, found, alarms, seconds = np.moveaxis(counts, -1, 0)
    f1 = metrics.divide(2 * found, reference + found + alarms)
    undefined = (reference == 0) | (found + alarms == 0)
    return {
        "sensitivity": metrics.divide(found, reference),
        "precision": metrics.divide(found, found + alarms),
        "f1": np.where(undefined, np.nan, f1),
        "false_alarms_per_hour": metrics.divide(_SECONDS_AN_HOUR * alarms, seconds),
        "false_alarms_per_day": metrics.divide(24 * _SECONDS_AN_HOUR * alarms, seconds),
    }


# Unit, the columns of the counts that make up the sample size, and what they are.
_ABOUT = {
    "sensitivity": ("1", [0], "of the reference"),
    "precision": ("1", [1, 2], "found and false"),
    "f1": ("1", [0], "of the reference"),
    "false_alarms_per_hour": ("1/h", [3], "seconds"),
    "false_alarms_per_day": ("1/day", [3], "seconds"),
}


def _events(spans: Iterable[Span], length: int, rules: SeizureRules) -> list[Event]:
    """Return events in steps of `EVENT_RATE_HZ`: within the recording, merged, then split."""
    merge, longest = (
        round(seconds * EVENT_RATE_HZ) for seconds in (rules.merge_seconds, rules.longest_seconds)
    )
    merged = _merged(_steps(spans, length, EVENT_RATE_HZ), max(merge, 1))
    return [piece for event in merged for piece in _pieces(event, longest)]


def _steps(spans: Iterable[Span], length: int, rate_hz: int) -> Iterator[Event]:
    for begin, end in spans:
        if end < begin:
            raise ValueError(f"an event from {begin} s to {end} s ends before it begins")
        first, last = max(round(begin * rate_hz), 0), min(round(end * rate_hz), length)
        if first < last:
            yield first, last


def _merged(events: Iterable[Event], gap: int) -> list[Event]:
    """Join events that are less than `gap` steps apart."""
    joined: list[Event] = []
    for begin, end in sorted(events):
        if joined and begin - joined[-1][1] < gap:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return joined


def _pieces(event: Event, longest: int) -> Iterator[Event]:
    cuts = [*range(event[0], event[1], longest), event[1]]
    yield from pairwise(cuts)


def _overlap(first: Event, second: Event) -> int:
    return max(0, min(first[1], second[1]) - max(first[0], second[0]))


def _mask(spans: Iterable[Span], length: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(length, dtype=np.bool_)
    for begin, end in _steps(spans, length, SAMPLE_RATE_HZ):
        mask[begin:end] = True
    return mask
