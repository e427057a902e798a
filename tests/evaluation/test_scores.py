"""The records that evaluation fills: intervals, undefined scores, left-out recordings, pairs."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from edgeprune.evaluation import Bootstrap, Decisions, LeftOut, compare, evaluate, score, share
from edgeprune.evaluation.decisions import sum_by_patient
from edgeprune.evidence import Where

CLASSES = ("N", "S", "V")


def decisions(
    seed: int, patients: int = 12, windows: int = 3000, skill: float = 0.9, guess_seed: int = 7
) -> Decisions:
    """Windows of patients of unequal difficulty; the last patient has two recordings."""
    random = np.random.default_rng(seed)
    names = tuple(f"r{index:02d}" for index in range(patients + 1))
    owners = tuple(f"p{min(index, patients - 1):02d}" for index in range(patients + 1))
    records = random.integers(0, patients + 1, windows)
    labels = random.choice(3, windows, p=[0.8, 0.05, 0.15])
    guesses = np.random.default_rng(guess_seed)
    right = guesses.random(windows) < skill - 0.3 * (records == 3)
    predictions = np.where(right, labels, guesses.integers(0, 3, windows))
    return Decisions(labels, predictions, records, names, owners, CLASSES)


def test_bootstrap_equals_the_enumeration_of_every_resample() -> None:
    by_patient = np.array([[9, 10], [5, 10], [1, 10]])
    exact = [
        sum(by_patient[index, 0] for index in drawn) / sum(by_patient[index, 1] for index in drawn)
        for drawn in itertools.product(range(3), repeat=3)
    ]
    totals = Bootstrap(seed=1, resamples=200_000).resample(by_patient)
    found = totals[:, 0] / totals[:, 1]
    assert set(found.round(9)) == set(np.round(exact, 9))
    assert found.mean() == pytest.approx(np.mean(exact), abs=2e-3)
    assert found.std() == pytest.approx(np.std(exact), rel=1e-2)


def test_intervals_follow_patients_and_not_beats() -> None:
    """Ten patients all right, ten all wrong: the interval is as wide as 20 coin throws make it."""
    patients = [f"p{index:02d}" for index in range(20) for _ in range(1000)]
    hits = np.arange(20).repeat(1000) % 2 == 0
    quantity = share(hits, patients, Where.HOST, Bootstrap())
    assert quantity.value == 0.5
    assert quantity.n == 20_000
    assert quantity.interval is not None
    assert quantity.interval.patients == 20
    assert quantity.interval.low == pytest.approx(0.5 - 1.96 * 0.5 / 20**0.5, abs=0.04)
    assert quantity.interval.high == pytest.approx(0.5 + 1.96 * 0.5 / 20**0.5, abs=0.04)


def test_same_seed_same_intervals_and_fast_enough() -> None:
    subject = decisions(1, patients=44, windows=50_000)
    start = time.perf_counter()
    first = score(subject, Bootstrap(seed=3))
    assert time.perf_counter() - start < 1.0
    assert first == score(subject, Bootstrap(seed=3))
    assert first != score(subject, Bootstrap(seed=4))


def test_intervals_enclose_their_scores() -> None:
    scores = score(decisions(2), Bootstrap())
    assert scores.patients == 12
    assert scores.records == 13
    quantities = [scores.accuracy, scores.macro_f1]
    quantities += [getattr(row, name) for row in scores.classes for name in ("sensitivity", "f1")]
    for quantity in quantities:
        assert quantity.interval is not None
        assert quantity.value is not None
        assert quantity.interval.low < quantity.value < quantity.interval.high


def test_undefined_is_not_zero() -> None:
    subject = Decisions(
        np.array([0, 0, 0]),
        np.array([0, 2, 0]),
        np.array([0, 1, 1]),
        ("a", "b"),
        ("a", "b"),
        CLASSES,
    )
    scores = score(subject, Bootstrap())
    absent = scores.classes[1]
    assert (absent.n, absent.sensitivity.value, absent.precision.value) == (0, None, None)
    assert absent.sensitivity.note == "undefined: 0/0"
    only_predicted = scores.classes[2]
    assert only_predicted.sensitivity.value is None
    assert only_predicted.precision.value == 0.0
    assert scores.macro_f1_classes == ("N",)
    assert scores.macro_f1.value == scores.classes[0].f1.value


@pytest.mark.parametrize(
    ("patients", "note"),
    [
        (1, "one patient: no interval"),
        (4, "only 4 patients: the interval is rough"),
        (12, ""),
    ],
)
def test_few_patients_are_said_so(patients: int, note: str) -> None:
    accuracy = score(decisions(3, patients=patients), Bootstrap()).accuracy
    assert accuracy.note == note
    assert (accuracy.interval is None) == (patients == 1)


def test_no_spread_between_patients_is_said_so() -> None:
    subject = decisions(4)
    perfect = Decisions(
        subject.labels,
        subject.labels,
        subject.records,
        subject.record_names,
        subject.patients,
        CLASSES,
    )
    assert "alike" in score(perfect, Bootstrap()).accuracy.note


def test_an_empty_selection_is_undefined_throughout() -> None:
    subject = decisions(5).select(np.zeros(3000, dtype=bool))
    scores = score(subject, Bootstrap())
    assert scores.accuracy.value is None
    assert scores.macro_f1.value is None
    assert scores.patients == 0


def test_evaluate_lists_records_and_leaves_some_out() -> None:
    subject = decisions(6)
    result = evaluate(
        "float",
        "test",
        subject,
        Bootstrap(),
        left_out=(LeftOut(("r03",), "hard"), LeftOut(("absent",), "never recorded")),
    )
    assert [row.record for row in result.records] == list(subject.record_names)
    hard = result.records[3]
    of_hard = subject.records == 3
    assert hard.accuracy.n == of_hard.sum()
    assert hard.accuracy.value == (subject.labels == subject.predictions)[of_hard].mean()
    assert len(result.without) == 1
    rest = ~of_hard
    assert result.without[0].scores == score(subject.select(rest), Bootstrap())
    assert result.without[0].scores.accuracy.value > result.scores.accuracy.value  # type: ignore[operator]


def test_comparison_is_paired() -> None:
    before, after = decisions(8, skill=0.95), decisions(8, skill=0.93)
    comparison = compare("float", before, "int8", after, Bootstrap())
    alike = before.predictions == after.predictions
    assert comparison.agreement.value == alike.mean()
    change, interval = comparison.accuracy_change.value, comparison.accuracy_change.interval
    assert change is not None
    assert interval is not None
    alone = score(before, Bootstrap()).accuracy.interval
    assert alone is not None
    assert interval.high - interval.low < alone.high - alone.low
    same = compare("float", before, "float", before, Bootstrap())
    assert same.macro_f1_change.value == 0.0
    assert same.macro_f1_change.interval is not None
    assert same.macro_f1_change.interval.low == same.macro_f1_change.interval.high == 0.0


def test_stages_on_other_windows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same windows"):
        compare("a", decisions(1), "b", decisions(2), Bootstrap())


def test_rows_of_one_patient_are_added() -> None:
    rows = np.array([[1, 2], [10, 20], [0, 0], [100, 200]])
    assert sum_by_patient(rows, ["b", "a", "c", "b"]).tolist() == [[10, 20], [101, 202]]


@pytest.mark.parametrize("field", ["labels", "predictions", "records"])
def test_indices_out_of_range_are_refused(field: str) -> None:
    arrays = {name: np.array([0]) for name in ("labels", "predictions", "records")}
    arrays[field] = np.array([5])
    with pytest.raises(ValueError, match=field):
        Decisions(**arrays, record_names=("r",), patients=("p",), class_names=CLASSES)
