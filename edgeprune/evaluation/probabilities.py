"""AUROC, AUPRC, calibration error, Brier score and likelihood, with intervals over patients.

A resample of patients is a weight a patient. Every score here is computed from parts that are made
once for each patient (or pair of patients), so that 2,000 resamples cost little and are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.evaluation import metrics
from edgeprune.evaluation.bootstrap import Bootstrap, caution
from edgeprune.evaluation.decisions import Decisions
from edgeprune.evidence import ClassProbabilities, ConfidenceBin, ProbabilityScores, Quantity

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

BINS = 15
INTEGER_SOURCE = "softmax of the integer network's logits times their step"
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class _Values:
    """A score of the whole sample, and of each resample [resamples]."""

    value: float
    resampled: FloatArray


@dataclass(frozen=True, eq=False)
class _Sample:
    """Windows, whose they are, and the resamples of these.

    Attributes:
        patient: Patient of each window, 0 to `patients` - 1 [n].
        patients: Patients that have a window.
        weights: How often a patient is in the sample itself (once), then in each resample
            [1 + resamples, patients].
    """

    patient: Int64Array
    patients: int
    weights: FloatArray

    def sums(self, values: npt.NDArray[np.generic]) -> FloatArray:
        """Add values up in each resample [n] -> [1 + resamples]."""
        by_patient = np.bincount(self.patient, values.astype(np.float64), self.patients)
        return np.asarray(self.weights @ by_patient)

    def means(self, values: npt.NDArray[np.generic]) -> _Values:
        """Average values in each resample."""
        return _split(_divide(self.sums(values), self.sums(np.ones(len(values)))))

    def carriers(self, mask: BoolArray) -> int:
        """Return how many patients have a window in a mask [n]."""
        return len(np.unique(self.patient[mask]))


def probability_scores(
    stage: str,
    part: str,
    decisions: Decisions,
    logits: npt.NDArray[np.floating[Any]],
    bootstrap: Bootstrap,
    source: str,
) -> ProbabilityScores:
    """Score the probabilities that a network gives, as the softmax of its logits.

    Args:
        stage: The stage of the network, e.g. "int8 as flashed".
        part: The part of the data.
        decisions: What was decided of the windows; one window or more.
        logits: Logits in natural units: those of an integer network times their step [n, K].
        bootstrap: How intervals are made; patients are drawn.
        source: What the probabilities were made from, in words.

    Raises:
        ValueError: No windows, or logits that are not theirs.
    """
    labels, classes = decisions.labels, len(decisions.class_names)
    if not len(labels) or logits.shape != (len(labels), classes):
        raise ValueError(f"logits are of shape {logits.shape}, expected {(len(labels), classes)}")
    log_probabilities = log_softmax(logits)
    probabilities = np.exp(log_probabilities)
    sample = _sample(decisions, bootstrap)
    rows = np.arange(len(labels))
    confidence = probabilities[rows, decisions.predictions]
    right = labels == decisions.predictions
    everyone = np.ones(len(labels), dtype=np.bool_)

    def quantity(values: _Values, mask: BoolArray = everyone) -> Quantity:
        return _quantity(values, decisions, int(mask.sum()), sample.carriers(mask), bootstrap)

    present = [index for index in range(classes) if (labels == index).any()]
    odds = log_odds(logits)
    scored = [
        _class_scores(sample, labels == index, probabilities[:, index], odds[:, index])
        for index in range(classes)
    ]
    one_hot = labels[:, None] == np.arange(classes)
    return ProbabilityScores(
        stage=stage,
        part=part,
        source=source,
        classes=tuple(
            ClassProbabilities(
                name=name,
                n=int(one_hot[:, index].sum()),
                auroc=quantity(of_class.auroc, one_hot[:, index]),
                auprc=quantity(of_class.auprc, one_hot[:, index]),
                prevalence=float(one_hot[:, index].mean()),
                calibration_error=quantity(of_class.width),
                calibration_error_equal_mass=quantity(of_class.mass),
                brier=quantity(of_class.brier),
            )
            for index, (name, of_class) in enumerate(
                zip(decisions.class_names, scored, strict=True)
            )
        ),
        macro_auroc=quantity(_mean([scored[index].auroc for index in present])),
        macro_auprc=quantity(_mean([scored[index].auprc for index in present])),
        macro_classes=tuple(decisions.class_names[index] for index in present),
        calibration_error=quantity(_calibration_error(sample, confidence, right, _WIDTHS)),
        calibration_error_equal_mass=quantity(
            _calibration_error(sample, confidence, right, equal_mass(confidence))
        ),
        classwise_calibration_error=quantity(_mean([each.width for each in scored])),
        brier=quantity(sample.means(((probabilities - one_hot) ** 2).sum(axis=1))),
        negative_log_likelihood=quantity(sample.means(-log_probabilities[rows, labels])),
        bins=BINS,
        reliability=tuple(_reliability(confidence, right)),
        patients=sample.patients,
    )


def calibration_error(decisions: Decisions, logits: npt.NDArray[np.floating[Any]]) -> float:
    """Return the calibration error of the decided class's probability, bins of equal width.

    Args:
        decisions: What was decided of the windows.
        logits: Logits in natural units [n, K].

    Returns:
        The error as in `probability_scores`, without an interval; NaN without windows.
    """
    probabilities = np.exp(log_softmax(logits))
    confidence = probabilities[np.arange(len(logits)), decisions.predictions]
    bins = _bin_of(confidence, _WIDTHS)
    gaps = np.bincount(bins, confidence - (decisions.labels == decisions.predictions), BINS)
    return float(np.abs(gaps).sum() / len(bins)) if len(bins) else float("nan")


def calibration_change(
    before: Decisions,
    before_logits: npt.NDArray[np.floating[Any]],
    after: Decisions,
    after_logits: npt.NDArray[np.floating[Any]],
    bootstrap: Bootstrap,
) -> Quantity:
    """Return the second network's calibration error less the first's, on the same windows.

    Of the decided class's probability, bins of equal width, as in `probability_scores`; the same
    resamples of patients are drawn for both.

    Args:
        before: What the first network decided; one window or more.
        before_logits: Its logits in natural units [n, K].
        after: What the second decided of the same windows.
        after_logits: Its logits in natural units [n, K].
        bootstrap: How intervals are made; patients are drawn.
    """
    sample = _sample(before, bootstrap)

    def error(decisions: Decisions, logits: npt.NDArray[np.floating[Any]]) -> _Values:
        probabilities = np.exp(log_softmax(logits))
        confidence = probabilities[np.arange(len(logits)), decisions.predictions]
        return _calibration_error(
            sample, confidence, decisions.labels == decisions.predictions, _WIDTHS
        )

    first, second = error(before, before_logits), error(after, after_logits)
    change = _Values(second.value - first.value, second.resampled - first.resampled)
    return _quantity(change, after, len(after.labels), sample.patients, bootstrap)


def log_softmax(logits: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Return the logarithm of the softmax of each row [n, K]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def log_odds(logits: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Return log p/(1 - p) of each class's softmax [n, K], to 9 decimals.

    It has the order of p. Unlike p it does not end at 1, and the decimals keep windows equal whose
    integer logits are, which the last digit of a sum would tell apart.
    """
    values = logits.astype(np.float64)
    classes = values.shape[1]
    columns = []
    for index in range(classes):
        others = np.delete(values, index, axis=1)
        largest = others.max(axis=1)
        rest = largest + np.log(np.exp(others - largest[:, None]).sum(axis=1))
        columns.append(np.round(values[:, index] - rest, 9))
    return np.stack(columns, axis=1)


def equal_mass(values: FloatArray) -> FloatArray:
    """Return the ends of bins with equally many values, as far as ties allow [bins + 1]."""
    inner = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return np.asarray(np.unique(np.concatenate([[0.0], inner, [1.0]])))


@dataclass(frozen=True, eq=False)
class _ClassScores:
    auroc: _Values
    auprc: _Values
    width: _Values
    mass: _Values
    brier: _Values


def _class_scores(
    sample: _Sample, is_class: BoolArray, probability: FloatArray, odds: FloatArray
) -> _ClassScores:
    return _ClassScores(
        _auroc(sample, is_class, odds),
        _auprc(sample, is_class, odds),
        _calibration_error(sample, probability, is_class, _WIDTHS),
        _calibration_error(sample, probability, is_class, equal_mass(probability)),
        sample.means((probability - is_class) ** 2),
    )


def _auroc(sample: _Sample, is_class: BoolArray, score: FloatArray) -> _Values:
    """Mann and Whitney's U between every two patients, weighted: exact for each resample."""
    positives = [score[is_class & (sample.patient == each)] for each in range(sample.patients)]
    wins = np.zeros((sample.patients, sample.patients))
    for other in range(sample.patients):
        negatives = np.sort(score[~is_class & (sample.patient == other)])
        for own, values in enumerate(positives):
            below = np.searchsorted(negatives, values, side="left")
            not_above = np.searchsorted(negatives, values, side="right")
            wins[own, other] = (below.sum() + not_above.sum()) / 2
    total = np.einsum("rp,pq,rq->r", sample.weights, wins, sample.weights, optimize=True)
    return _split(_divide(total, sample.sums(is_class) * sample.sums(~is_class)))


def _auprc(sample: _Sample, is_class: BoolArray, score: FloatArray) -> _Values:
    """Average precision over the distinct scores of the class, from counts above each of them."""
    if not is_class.any():
        undefined = np.full(len(sample.weights), np.nan)
        return _split(undefined)
    thresholds = np.unique(score[is_class])[::-1]
    # Index of the highest threshold that a window reaches; those that reach none are dropped.
    reached = np.searchsorted(-thresholds, -score, side="left")
    shape = (sample.patients, len(thresholds))

    def counts(mask: BoolArray) -> FloatArray:
        mask = mask & (reached < len(thresholds))
        cells = sample.patient[mask] * len(thresholds) + reached[mask]
        return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    own = counts(is_class)
    own_above = own.cumsum(axis=1)
    all_above = counts(np.ones_like(is_class)).cumsum(axis=1)
    totals = []
    for begin in range(0, len(sample.weights), _CHUNK):
        weights = sample.weights[begin : begin + _CHUNK]
        precision = _divide(weights @ own_above, weights @ all_above)
        gained = weights @ own
        totals.append(np.where(gained > 0, gained * np.nan_to_num(precision), 0.0).sum(axis=1))
    return _split(_divide(np.concatenate(totals), sample.sums(is_class)))


def _calibration_error(
    sample: _Sample, confidence: FloatArray, hits: BoolArray, edges: FloatArray
) -> _Values:
    """Guo et al. 2017 (arXiv:1706.04599), equation 3; the bins stay the same in all resamples."""
    bins = _bin_of(confidence, edges)
    gaps = np.stack(
        [sample.sums(np.where(bins == each, confidence - hits, 0.0)) for each in np.unique(bins)]
    )
    return _split(_divide(np.abs(gaps).sum(axis=0), sample.sums(np.ones(len(bins)))))


def _reliability(confidence: FloatArray, right: BoolArray) -> Iterator[ConfidenceBin]:
    bins = _bin_of(confidence, _WIDTHS)
    for index, (low, high) in enumerate(pairwise(_WIDTHS)):
        mask = bins == index
        yield ConfidenceBin(
            float(low),
            float(high),
            int(mask.sum()),
            float(confidence[mask].mean()) if mask.any() else None,
            float(right[mask].mean()) if mask.any() else None,
        )


def _bin_of(values: FloatArray, edges: FloatArray) -> Int64Array:
    """Return the bin of each value; a bin has its upper end, the first has its lower one too.

    To 12 decimals, so that a probability of 1/3 is where it belongs.
    """
    bins = np.searchsorted(np.round(edges, 12), np.round(values, 12), side="left") - 1
    return np.asarray(np.clip(bins, 0, len(edges) - 2))


def _sample(decisions: Decisions, bootstrap: Bootstrap) -> _Sample:
    names = sorted({decisions.patients[record] for record in np.unique(decisions.records)})
    index = {name: position for position, name in enumerate(names)}
    owner = np.array([index.get(name, 0) for name in decisions.patients], dtype=np.int64)
    weights = np.concatenate([np.ones((1, len(names))), bootstrap.draws(len(names))])
    return _Sample(owner[decisions.records], len(names), weights.astype(np.float64))


def _mean(values: Sequence[_Values]) -> _Values:
    """Average scores, leaving out of a resample what is undefined there."""
    stacked = np.stack([np.append(each.value, each.resampled) for each in values])
    defined = ~np.isnan(stacked)
    return _split(_divide(np.where(defined, stacked, 0.0).sum(axis=0), defined.sum(axis=0)))


def _split(values: FloatArray) -> _Values:
    return _Values(float(values[0]), values[1:])


def _divide(numerator: FloatArray, denominator: npt.NDArray[np.generic]) -> FloatArray:
    return np.asarray(metrics.divide(numerator, np.asarray(denominator)), dtype=np.float64)


def _quantity(
    values: _Values, decisions: Decisions, n: int, carriers: int, bootstrap: Bootstrap
) -> Quantity:
    if np.isnan(values.value):
        return Quantity(None, "1", decisions.where, n=n, n_of="windows", note="undefined: 0/0")
    interval = bootstrap.interval(values.resampled, carriers)
    return Quantity(
        values.value,
        "1",
        decisions.where,
        n=n,
        n_of="windows",
        interval=interval,
        note=caution(interval, carriers),
    )


_WIDTHS = np.linspace(0.0, 1.0, BINS + 1)
