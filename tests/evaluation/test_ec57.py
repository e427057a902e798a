"""EC57's counts and statistics: as bxb has them, by hand, and MIT-BIH's published numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.data import load_card
from edgeprune.data.episodes import Episodes, episodes_of, read_episodes
from edgeprune.data.wfdb_annotations import Annotations, parse_annotations
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.evaluation import (
    AnnotatedBeats,
    Bootstrap,
    Decisions,
    DetectedBeats,
    classified_windows,
    ec57_scores,
    standard_labels,
)
from edgeprune.evaluation.beat_pairs import NO_DECISION, count_pairs
from edgeprune.evaluation.ec57 import statistics_of
from edgeprune.evidence import BeatScores
from edgeprune.evidence.codec import decode, encode
from tests.evaluation.beat_cases import made_up

RATE = 360
N, S, V, F, Q = range(5)
# (seed, gap, jitter, rate) of `made_up`, and what WFDB 10.7's own bxb -S counts of it.
BXB = [
    (
        (1, 300, 40, 360),
        """373 5 18 3 5 16 8 / 10 70 2 3 1 2 2 / 14 3 138 6 0 5 3 / 5 1 2 62 1 3 2
        / 5 4 1 2 84 2 2 / 33 9 11 3 3 0 0 / 4 0 1 1 0 0 0""",
    ),
    (
        (2, 300, 90, 360),
        """238 1 9 2 1 192 10 / 3 41 0 0 0 38 2 / 6 0 82 2 3 70 3 / 1 1 1 37 0 32 2
        / 2 0 3 0 50 28 2 / 191 41 75 36 29 0 0 / 3 0 3 0 0 0 0""",
    ),
    (
        (3, 70, 50, 360),
        """242 12 24 14 13 36 37 / 16 43 4 2 1 4 7 / 21 2 93 4 2 18 20 / 8 0 4 38 4 7 8
        / 11 1 2 2 36 10 4 / 36 11 15 7 11 0 0 / 11 2 6 3 3 0 0""",
    ),
    (
        (4, 60, 30, 250),
        """285 7 11 9 3 19 37 / 5 56 3 1 3 5 8 / 20 7 110 3 4 8 5 / 10 1 2 48 3 4 8
        / 1 3 1 3 74 4 6 / 40 6 14 10 3 0 0 / 12 0 4 2 3 0 0""",
    ),
    (
        (5, 110, 60, 250),
        """231 8 16 8 7 122 16 / 6 49 1 1 1 30 4 / 16 4 89 3 2 56 9 / 6 0 5 39 2 30 1
        / 6 0 1 3 41 20 3 / 130 26 57 33 21 0 0 / 6 1 0 3 1 0 0""",
    ),
]
PRINTED = {
    "qrs_sensitivity": 94.79,
    "qrs_predictivity": 92.64,
    "veb_sensitivity": 81.66,
    "veb_predictivity": 81.18,
    "sveb_sensitivity": 77.78,
    "sveb_predictivity": 79.55,
}


def beats(*found: tuple[float, int], record: str = "r", patient: str = "p") -> AnnotatedBeats:
    """Beats at seconds after the learning period."""
    samples = np.array([round((300 + at) * RATE) for at, _ in found], np.int64)
    labels = np.array([label for _, label in found], np.int64)
    return AnnotatedBeats(record, patient, "test", RATE, 400 * RATE, samples, labels)


def detected(*found: tuple[float, int]) -> DetectedBeats:
    reference = beats(*found)
    return DetectedBeats(reference.beats, reference.labels)


def cells(reference: AnnotatedBeats, answer: DetectedBeats) -> dict[str, int]:
    """Return the cells that are not 0, named as the standard names them."""
    counts, _ = count_pairs(reference, answer)
    return {
        f"{row}{column}": int(count)
        for row, line in zip("NSVFQOX", counts, strict=True)
        for column, count in zip("nsvfqox", line, strict=True)
        if count
    }


@pytest.mark.parametrize(("case", "table"), BXB, ids=lambda value: str(value)[:14])
def test_the_same_counts_as_bxb(case: tuple[int, int, int, int], table: str) -> None:
    seed, gap, jitter, rate = case
    counts, _ = count_pairs(*made_up(seed, gap, jitter, rate=rate))
    expected = [[int(count) for count in row.split()] for row in table.split("/")]
    assert counts.tolist() == expected


def test_the_statistics_that_bxb_prints_for_the_first_case() -> None:
    counts, _ = count_pairs(*made_up(1, 300, 40))
    found = {name: round(100 * float(value), 2) for name, value in statistics_of(counts).items()}
    del found["veb_false_positive_rate"], found["sveb_false_positive_rate"]
    assert found == PRINTED


def test_each_beat_falls_into_its_cell() -> None:
    reference = beats((1, N), (2, S), (3, V), (4, F), (5, Q), (6, N), (7, N), (8, N))
    answer = detected((1.1, N), (2, V), (3, V), (4, V), (5, S), (6, F), (7.2, N), (8, NO_DECISION))
    assert cells(reference, answer) == {
        **{"Nn": 1, "Sv": 1, "Vv": 1, "Fv": 1, "Qs": 1, "Nf": 1},
        **{"No": 1, "On": 1, "Nq": 1},
    }
    assert count_pairs(reference, answer)[1] == 2


def test_no_class_is_punished_for_fusion_called_ventricular() -> None:
    """F and Q called v, and Q called s, count neither for nor against; F called s counts."""
    reference = beats((1, V), (2, S), (3, N), (4, N))
    answer = detected((1, V), (2, S), (3, V), (4, S))
    before = statistics_of(count_pairs(reference, answer)[0])
    reference = beats((1, V), (2, S), (3, N), (4, N), (5, F), (6, Q), (7, Q))
    answer = detected((1, V), (2, S), (3, V), (4, S), (5, V), (6, V), (7, S))
    after = statistics_of(count_pairs(reference, answer)[0])
    assert before["veb_predictivity"] == after["veb_predictivity"] == 1 / 2
    assert before["sveb_predictivity"] == after["sveb_predictivity"] == 1 / 2
    assert before["veb_false_positive_rate"] == 1 / 3
    assert after["veb_false_positive_rate"] == 1 / 4
    assert before["sveb_false_positive_rate"] == 1 / 3
    assert after["sveb_false_positive_rate"] == 1 / 5
    called_s = statistics_of(count_pairs(beats((1, S), (2, F)), detected((1, S), (2, S)))[0])
    assert called_s["sveb_predictivity"] == 1 / 2


def test_flutter_is_no_beats_and_hides_false_ones() -> None:
    spans = Episodes(flutter=((310.0, 320.0),))
    reference = replace(beats((1, N), (12, V), (15, V), (30, N)), episodes=spans)
    answer = detected((1, N), (11, V), (15, N), (25, V), (30, N))
    assert cells(reference, answer) == {"Nn": 2, "Ov": 1}
    scores = ec57_scores("int8", "test", [reference], [answer], Bootstrap(resamples=10))
    (record,) = scores.records
    assert (record.in_flutter, record.flutter_seconds) == (2, 10.0)
    assert record.annotated == (2, 0, 2, 0, 0)


def test_shutdown_is_counted_apart_and_still_missed() -> None:
    reference = beats((1, N), (12, V), (15, N), (30, N))
    answer = replace(detected((1, N), (40, S)), shutdown=((290.0, 320.0),))
    assert cells(reference, answer) == {"Nn": 1, "Vx": 1, "Nx": 1, "No": 1, "Os": 1}
    scores = ec57_scores("int8", "test", [reference], [answer], Bootstrap(resamples=10))
    assert scores.shutdown.seconds == 20.0
    assert (scores.shutdown.beats, scores.shutdown.classes) == (2, (1, 0, 1, 0, 0))
    assert scores.gross.qrs_sensitivity.value == 1 / 4
    unread = replace(reference, episodes=Episodes(unreadable=((335.0, 345.0),)))
    assert cells(unread, answer)["Xs"] == 1


def test_nothing_of_the_learning_period_is_scored() -> None:
    reference = beats((-250, N), (-100, V), (-1, N), (1, N))
    answer = detected((-250, V), (-1, S), (1, N))
    assert cells(reference, answer) == {"Nn": 1}
    scores = ec57_scores("int8", "test", [reference], [answer], Bootstrap(resamples=10))
    assert scores.records[0].in_learning == 3
    assert sum(scores.annotated) == 4


def scored() -> BeatScores:
    references = [
        beats((1, V), (2, V), (3, N), record="a", patient="p"),
        beats((1, V), (2, N), record="b", patient="p"),
        beats((1, N), (2, N), record="c", patient="q"),
    ]
    answers = [
        detected((1, V), (2, N), (3, N)),
        detected((1, V), (2, V)),
        detected((1, N), (2, N)),
    ]
    return ec57_scores("int8", "test", references, answers, Bootstrap(seed=2))


def test_gross_weighs_beats_and_average_weighs_recordings() -> None:
    scores = scored()
    assert scores.gross.veb_sensitivity.value == 2 / 3
    assert scores.average.veb_sensitivity.value == (1 / 2 + 1) / 2
    assert scores.average.veb_sensitivity.n == 2
    assert scores.gross.veb_predictivity.value == 2 / 3
    assert scores.average.veb_predictivity.value == (1 + 1 / 2) / 2
    assert scores.records[2].statistics.veb_sensitivity.value is None
    assert "0/0" in scores.gross.sveb_sensitivity.note
    assert (scores.patients, scores.record_count) == (2, 3)


def test_intervals_are_of_patients_as_an_enumeration_has_them() -> None:
    """Patients p (2 beats wrong of 5) and q (none of 2): three equally likely kinds of draw."""
    interval = scored().gross.veb_false_positive_rate.interval
    assert interval is not None
    assert interval.patients == 2
    # p alone: 1 of the 2 beats that are no VEB is called one; q alone: 0 of 2; both: 1 of 4.
    assert (interval.low, interval.high) == (0.0, 0.5)
    assert scored().gross.veb_sensitivity.interval is None


def test_evidence_carries_it() -> None:
    scores = scored()
    assert decode(BeatScores, encode(scores)) == scores


def test_beats_without_a_window_are_missed() -> None:
    reference = beats((1, N), (2, V), (3, S))
    windows = Decisions(
        np.array([2, 1]), np.array([1, 1]), np.array([0, 0]), ("r",), ("p",), ("N", "V", "S")
    )
    (answer,) = classified_windows(windows, reference.beats[[2, 1]])
    assert answer.beats.tolist() == reference.beats[1:].tolist()
    assert cells(reference, answer) == {"No": 1, "Vv": 1, "Sv": 1}


def test_other_classes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no class 'AF'"):
        standard_labels(np.array([0]), ("N", "AF"))
    with pytest.raises(ValueError, match="no recording"):
        ec57_scores("int8", "test", [], [], Bootstrap())


def test_episodes_begin_and_end_where_annotations_say() -> None:
    read = Annotations(
        (10, 20, 30, 40, 50, 60, 70),
        ("[", "~", "]", "~", "~", "~", "["),
        None,
        (0, -1, 0, 0x31, 0x10, 0x33, 0),
    )
    episodes = episodes_of(read, 10)
    assert episodes.flutter == ((1.0, 3.0), (7.0, float("inf")))
    assert episodes.unreadable == ((2.0, 5.0), (6.0, float("inf")))


def test_damaged_annotations_are_an_error(tmp_path: Path) -> None:
    assert read_episodes(load_card("synthetic-ecg"), None, "s01") == Episodes()
    (tmp_path / "100.atr").write_bytes(b"\x01")
    with pytest.raises(DataError, match="cannot be read"):
        read_episodes(load_card("mit-bih"), tmp_path, "100")


@pytest.fixture(scope="module")
def mit_bih(shared_data: Callable[[str], Path]) -> dict[str, list[AnnotatedBeats]]:
    """Return all non-paced recordings' reference, DS1 and DS2."""
    folder, card = shared_data("mitdb"), load_card("mit-bih")
    parts: dict[str, list[AnnotatedBeats]] = {"DS1": [], "DS2": []}
    for part, names in zip(parts, (card.split.development, card.split.test), strict=True):
        for name in names:
            read = parse_annotations((folder / f"{name}.atr").read_bytes())
            labels = np.array([card.label_of(symbol) for symbol in read.symbols])
            kept = labels >= 0
            parts[part].append(
                AnnotatedBeats(
                    name,
                    card.patient(name),
                    part,
                    RATE,
                    650_000,
                    np.array(read.samples)[kept],
                    labels[kept],
                    episodes_of(read, RATE),
                )
            )
    return parts


def test_published_beat_counts_and_a_perfect_detector(
    mit_bih: dict[str, list[AnnotatedBeats]],
) -> None:
    published = {"DS1": (45866, 944, 3788, 415, 8), "DS2": (44259, 1837, 3221, 388, 7)}
    every = []
    for part, references in mit_bih.items():
        perfect = [DetectedBeats(each.beats, each.labels) for each in references]
        scores = ec57_scores("reference", part, references, perfect, Bootstrap(resamples=20))
        assert scores.annotated == published[part]
        counts = np.array(scores.pairs.counts)
        assert counts.sum() == np.trace(counts)
        left = sum(record.in_learning + record.in_flutter for record in scores.records)
        assert counts.sum() == sum(published[part]) - left
        assert scores.average.sveb_predictivity.value == 1.0
        every += scores.records
    assert len(every) == 44
    (flutter,) = (record for record in every if record.flutter_seconds)
    assert flutter.record == "207"
