"""Scores against a count of every single window, written without a matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprune.evaluation import Decisions, metrics


def by_hand(labels: list[int], predictions: list[int], classes: int) -> dict[str, list[float]]:
    """Score by enumerating windows; NaN where a denominator is 0."""
    pairs = list(zip(labels, predictions, strict=True))
    scores: dict[str, list[float]] = {"sensitivity": [], "precision": [], "f1": []}
    for name in range(classes):
        true = sum(1 for label, guess in pairs if label == name and guess == name)
        missed = sum(1 for label, guess in pairs if label == name and guess != name)
        false = sum(1 for label, guess in pairs if label != name and guess == name)
        for score, above, below in (
            ("sensitivity", true, true + missed),
            ("precision", true, true + false),
            ("f1", 2 * true, 2 * true + missed + false),
        ):
            scores[score].append(above / below if below else math.nan)
    present = [name for name in range(classes) if name in labels]
    scores["macro_f1"] = [
        sum(scores["f1"][name] for name in present) / len(present) if present else math.nan
    ]
    scores["accuracy"] = [
        sum(1 for label, guess in pairs if label == guess) / len(pairs) if pairs else math.nan
    ]
    return scores


def decide(labels: list[int], predictions: list[int], classes: int) -> Decisions:
    return Decisions(
        np.array(labels, dtype=np.int64),
        np.array(predictions, dtype=np.int64),
        np.zeros(len(labels), dtype=np.int64),
        ("r",),
        ("p",),
        tuple("NSVFQ"[:classes]),
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40))
def test_scores_equal_a_count_by_hand(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    confusion = decide(labels, predictions, 4).confusion_by_record()[0]
    for name, expected in by_hand(labels, predictions, 4).items():
        found = np.atleast_1d(getattr(metrics, name)(confusion))
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=name)


def test_a_textbook_matrix() -> None:
    confusion = np.array([[90, 10, 0], [5, 15, 0], [0, 0, 0]])
    assert metrics.sensitivity(confusion)[:2].tolist() == [0.9, 0.75]
    assert metrics.precision(confusion)[:2].tolist() == [90 / 95, 0.6]
    assert math.isnan(metrics.sensitivity(confusion)[2])
    assert math.isnan(metrics.f1(confusion)[2])
    assert metrics.accuracy(confusion) == 105 / 120
    assert metrics.macro_f1(confusion) == pytest.approx((180 / 195 + 30 / 45) / 2)


def test_a_class_that_is_only_predicted_has_f1_zero_but_no_part_in_the_mean() -> None:
    confusion = np.array([[8, 2], [0, 0]])
    assert metrics.f1(confusion).tolist() == [16 / 18, 0.0]
    assert metrics.macro_f1(confusion) == 16 / 18
