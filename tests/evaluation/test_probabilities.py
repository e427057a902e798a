"""Probability scores against scikit-learn, and against resampled windows one by one."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeprune.evaluation import Bootstrap, Decisions, probability_scores
from edgeprune.evaluation.probabilities import equal_mass, log_softmax
from edgeprune.evidence import ClassProbabilities, ProbabilityScores
from edgeprune.evidence.codec import decode, encode

CLASSES = ("N", "S", "V")


def case(
    windows: int = 600, patients: int = 5, seed: int = 1, steps: float = 4.0
) -> tuple[Decisions, NDArray[np.float64]]:
    """Logits in coarse steps, as an int8 network has them: many ties; classes of few patients."""
    random = np.random.default_rng(seed)
    records = random.integers(0, patients, windows)
    labels = random.choice(3, windows, p=[0.8, 0.08, 0.12])
    labels[(labels == 1) & (records < 2)] = 0
    logits = random.normal(size=(windows, 3)) + 2.0 * np.eye(3)[labels]
    logits = np.rint(logits * steps) / steps
    names = tuple(f"r{index}" for index in range(patients))
    owners = tuple(f"p{index}" for index in range(patients))
    decisions = Decisions(labels, logits.argmax(axis=1), records, names, owners, CLASSES)
    return decisions, logits


def scores_of(
    decisions: Decisions, logits: NDArray[np.float64], bootstrap: Bootstrap | None = None
) -> ProbabilityScores:
    return probability_scores("int8", "test", decisions, logits, bootstrap or Bootstrap(), "test")


def calibration_error(
    confidence: NDArray[np.float64], hits: NDArray[np.bool_], edges: NDArray[np.float64]
) -> float:
    """Go through the bins one by one, as Guo et al. write it."""
    total = 0.0
    for low, high in pairwise(edges):
        mask = (confidence > low + 1e-11) & (confidence <= high + 1e-11)
        if mask.any():
            total += mask.mean() * abs(hits[mask].mean() - confidence[mask].mean())
    return total


def by_hand(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> dict[str, float]:
    """Every score of some windows from scikit-learn or from its definition."""
    from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = {}
    for index, name in enumerate(CLASSES):
        own = labels == index
        if not own.any():
            continue
        # The last digits of a softmax would tell windows apart whose logits are the same.
        rounded = np.round(probability[:, index], 12)
        found[f"auroc {name}"] = roc_auc_score(own, rounded)
        found[f"auprc {name}"] = average_precision_score(own, rounded)
        found[f"brier {name}"] = float(((probability[:, index] - own) ** 2).mean())
        found[f"calibration_error {name}"] = calibration_error(
            probability[:, index], own, np.linspace(0, 1, 16)
        )
    decided = logits.argmax(axis=1)
    top, right = probability.max(axis=1), decided == labels
    found["calibration_error"] = calibration_error(top, right, np.linspace(0, 1, 16))
    found["brier"] = float(((probability - np.eye(3)[labels]) ** 2).sum(axis=1).mean())
    found["negative_log_likelihood"] = log_loss(labels, probability, labels=[0, 1, 2])
    for metric in ("auroc", "auprc"):
        defined = [value for name, value in found.items() if name.startswith(metric)]
        found[f"macro_{metric}"] = float(np.mean(defined))
    return found


def values(scores: ProbabilityScores) -> dict[str, float | None]:
    found = {}
    for row in scores.classes:
        for name in ("auroc", "auprc", "brier", "calibration_error"):
            found[f"{name} {row.name}"] = getattr(row, name).value
    names = ("calibration_error", "brier", "negative_log_likelihood", "macro_auroc", "macro_auprc")
    return found | {name: getattr(scores, name).value for name in names}


def test_as_scikit_learn_and_the_definitions_have_it() -> None:
    decisions, logits = case()
    assert values(scores_of(decisions, logits)) == pytest.approx(
        by_hand(decisions.labels, logits), abs=1e-12
    )


def test_intervals_are_those_of_windows_drawn_again_patient_by_patient() -> None:
    decisions, logits = case(windows=300, patients=4)
    bootstrap = Bootstrap(seed=3, resamples=40)
    drawn: dict[str, list[float]] = {}
    for draw in bootstrap.draws(4):
        rows = np.concatenate(
            [
                np.flatnonzero(decisions.records == index)
                for index in range(4)
                for _ in range(draw[index])
            ]
        )
        for name, value in by_hand(decisions.labels[rows], logits[rows]).items():
            drawn.setdefault(name, []).append(value)
    scores = scores_of(decisions, logits, bootstrap)
    rows_of = {row.name: row for row in scores.classes}
    for name in ("auroc V", "auprc S", "brier V", "calibration_error N", "macro_auroc"):
        metric, _, class_name = name.partition(" ")
        interval = getattr(rows_of.get(class_name, scores), metric).interval
        expected = np.quantile(drawn[name], [0.025, 0.975])
        assert [interval.low, interval.high] == pytest.approx(expected.tolist(), abs=1e-12)
    interval = scores.calibration_error.interval
    assert interval is not None
    expected = np.quantile(drawn["calibration_error"], [0.025, 0.975])
    assert [interval.low, interval.high] == pytest.approx(expected.tolist(), abs=1e-12)


def test_bins_of_equal_mass() -> None:
    decisions, logits = case(steps=1e6)
    probability = np.exp(log_softmax(logits))
    edges = equal_mass(probability.max(axis=1))
    counts = np.histogram(probability.max(axis=1), edges)[0]
    assert len(counts) == 15
    assert counts.max() - counts.min() <= 2
    found = scores_of(decisions, logits).calibration_error_equal_mass.value
    right = decisions.predictions == decisions.labels
    assert found == pytest.approx(calibration_error(probability.max(axis=1), right, edges))


def test_reliability_adds_up() -> None:
    decisions, logits = case()
    scores = scores_of(decisions, logits)
    assert sum(row.n for row in scores.reliability) == len(decisions.labels)
    total = sum(row.n * abs((row.confidence or 0) - (row.right or 0)) for row in scores.reliability)
    assert total / len(decisions.labels) == pytest.approx(scores.calibration_error.value)


def test_a_class_without_windows_is_undefined() -> None:
    decisions, logits = case()
    kept = decisions.labels != 1
    scores = scores_of(decisions.select(kept), logits[kept])
    absent: ClassProbabilities = scores.classes[1]
    assert (absent.n, absent.auroc.value, absent.auprc.value) == (0, None, None)
    assert "0/0" in absent.auroc.note
    assert scores.macro_classes == ("N", "V")
    assert scores.macro_auroc.value is not None
    assert decode(ProbabilityScores, encode(scores)) == scores


def test_one_patient_has_no_interval() -> None:
    decisions, logits = case(patients=1)
    scores = scores_of(decisions, logits)
    assert scores.brier.interval is None
    assert "one patient" in scores.brier.note


def test_intervals_take_no_time() -> None:
    decisions, logits = case(windows=50_000, patients=22, steps=8.0)
    start = time.process_time()
    scores_of(decisions, logits)
    assert time.process_time() - start < 10


def test_logits_of_other_windows_are_refused() -> None:
    decisions, logits = case()
    with pytest.raises(ValueError, match="shape"):
        scores_of(decisions, logits[1:])
