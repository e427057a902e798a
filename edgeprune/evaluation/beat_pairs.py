"""The pairs of beats that EC57 counts: what a detector said of each beat, and of none.

Which annotation is of which class is the data set's card's to say: with de Chazal 2004
(doi:10.1109/TBME.2004.827359), and unlike bxb, MIT-BIH's card puts atrial and junctional escape
beats into N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgeprune.data.episodes import Episodes
from edgeprune.data.recordings import Recording
from edgeprune.errors import ConfigurationError
from edgeprune.evaluation.beat_matching import ALONE, match_beats

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Spans = tuple[tuple[float, float], ...]

CLASSES = ("N", "S", "V", "F", "Q")
ROWS = (*CLASSES, "O", "X")
COLUMNS = ("n", "s", "v", "f", "q", "o", "x")
MATCH_SECONDS = 0.15
LEARNING_SECONDS = 300.0
NO_DECISION = -1
UNCLASSIFIABLE, NOTHING, SHUT_DOWN = 4, 5, 6


@dataclass(frozen=True, eq=False)
class AnnotatedBeats:
    """The reference of one recording.

    Attributes:
        record: Its name.
        patient: Whose it is.
        part: The part of the data that it is in.
        rate_hz: Samples a second.
        samples: Its length.
        beats: Sample numbers of the beats, increasing [n].
        labels: Classes, index into `CLASSES` [n].
        episodes: Flutter, and stretches that cannot be read.
    """

    record: str
    patient: str
    part: str
    rate_hz: float
    samples: int
    beats: Int64Array
    labels: Int64Array
    episodes: Episodes = field(default_factory=Episodes)


@dataclass(frozen=True, eq=False)
class DetectedBeats:
    """What a detector and classifier under test said of one recording.

    Attributes:
        beats: Sample numbers, increasing [m].
        labels: Classes, index into `CLASSES`; `NO_DECISION` for a beat that was found and not
            classified, which counts as unclassifiable (q) [m].
        shutdown: Stretches in seconds in which it said that it could not work.
    """

    beats: Int64Array
    labels: Int64Array
    shutdown: Spans = ()


def reference_of(
    recording: Recording, part: str, class_names: Sequence[str], episodes: Episodes
) -> AnnotatedBeats:
    """Return the reference of a recording.

    Args:
        recording: Its beats and labels.
        part: The part of the data that it is in.
        class_names: Names of the labels' classes.
        episodes: Flutter, and stretches that cannot be read.

    Raises:
        ConfigurationError: A class is none of EC57's.
    """
    return AnnotatedBeats(
        recording.name,
        recording.patient,
        part,
        recording.adc.rate_hz,
        len(recording.samples),
        recording.beats,
        standard_labels(recording.labels, class_names),
        episodes,
    )


def standard_labels(labels: Int64Array, class_names: Sequence[str]) -> Int64Array:
    """Return class numbers as indices into `CLASSES`; `NO_DECISION` stays what it is.

    Args:
        labels: Class numbers in the order of `class_names` [n].
        class_names: Names of the classes, each one of N, S, V, F, Q.

    Raises:
        ConfigurationError: A class is none of these.
    """
    unknown = [name for name in class_names if name not in CLASSES]
    if unknown:
        raise ConfigurationError(
            f"beat-by-beat scores know no class '{unknown[0]}'",
            where="the data set's labels",
            hint=f"EC57 has {', '.join(CLASSES)}: name the classes so, or leave these scores out",
        )
    known = np.array([*(CLASSES.index(name) for name in class_names), NO_DECISION], dtype=np.int64)
    return np.asarray(known[labels])


def count_pairs(reference: AnnotatedBeats, detected: DetectedBeats) -> tuple[Int64Array, int]:
    """Count the pairs of one recording.

    The learning period is left out, and so is all that lies in the reference's flutter: its beats
    are none, and beats found there are neither right nor wrong.

    Returns:
        The pairs [7, 7], rows `ROWS`, columns `COLUMNS`; and how many of the reference's beats got
        no decision, being missed or found and not classified.
    """
    rate = reference.rate_hz
    kept = ~within(reference.beats, reference.episodes.flutter, rate)
    beats, labels = reference.beats[kept], reference.labels[kept]
    matching = match_beats(
        beats, detected.beats, _nearest(MATCH_SECONDS * rate), learning_samples(rate)
    )
    found_as = np.where(detected.labels == NO_DECISION, UNCLASSIFIABLE, detected.labels)
    missed_as = np.where(within(beats, detected.shutdown, rate), SHUT_DOWN, NOTHING)
    partner = matching.reference_partner
    alone = partner == ALONE
    columns = missed_as.copy()
    columns[~alone] = found_as[partner[~alone]]
    extra = matching.test_scored & (matching.test_partner == ALONE)
    extra &= ~within(detected.beats, reference.episodes.flutter, rate)
    extra_rows = np.where(
        within(detected.beats, reference.episodes.unreadable, rate), SHUT_DOWN, NOTHING
    )
    pairs = np.zeros((len(ROWS), len(COLUMNS)), dtype=np.int64)
    scored = matching.reference_scored
    np.add.at(pairs, (labels[scored], columns[scored]), 1)
    np.add.at(pairs, (extra_rows[extra], found_as[extra]), 1)
    undecided = alone.copy()
    undecided[~alone] = detected.labels[partner[~alone]] == NO_DECISION
    return pairs, int((undecided & scored).sum())


def learning_samples(rate_hz: float) -> int:
    """Return the first sample that is scored."""
    return _nearest(LEARNING_SECONDS * rate_hz)


def _nearest(samples: float) -> int:
    """Round as bxb does: half a sample counts as one (38 samples at 250 Hz for 150 ms)."""
    return int(samples + 0.5)


def within(beats: Int64Array, spans: Spans, rate_hz: float) -> BoolArray:
    """Say of each sample number whether it is within a span, both ends included [n]."""
    inside = np.zeros(len(beats), dtype=np.bool_)
    for begin, end in spans:
        inside |= (beats >= round(begin * rate_hz)) & (beats <= _sample(end, rate_hz))
    return inside


def _sample(seconds: float, rate_hz: float) -> float:
    return seconds if np.isinf(seconds) else round(seconds * rate_hz)
