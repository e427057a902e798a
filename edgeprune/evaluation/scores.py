"""From decisions to the records of evidence.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeprune.evaluation import metrics
from edgeprune.evaluation.bootstrap import Bootstrap, caution
from edgeprune.evaluation.decisions import Decisions, sum_by_patient
from edgeprune.evidence import (
    ClassPerformance,
    ConfusionMatrix,
    ModelPerformance,
    Quantity,
    RecordPerformance,
    Scores,
    ScoresWithout,
    StageComparison,
    Where,
)


@dataclass(frozen=True)
class LeftOut:
    """Recordings that the scores are also given without.

    Attributes:
        records: Their names.
        reason: Why they are named.
    """

    records: tuple[str, ...]
    reason: str


def evaluate(
    stage: str,
    split: str,
    decisions: Decisions,
    bootstrap: Bootstrap,
    left_out: Sequence[LeftOut] = (),
) -> ModelPerformance:
    """Score the decisions of one stage over all recordings, per recording, and with some left out.

    Args:
        stage: The stage of the network, e.g. "int8 as flashed".
        split: The part of the data, e.g. "test".
        decisions: What the network decided.
        bootstrap: How intervals are made.
        left_out: Recordings that the scores are also given without; a set that holds none of the
            recordings at hand is skipped.
    """
    by_record = decisions.confusion_by_record()
    return ModelPerformance(
        stage=stage,
        split=split,
        scores=score(decisions, bootstrap),
        records=tuple(
            RecordPerformance(
                record=record,
                patient=patient,
                accuracy=_share(metrics.accuracy(confusion), confusion.sum(), decisions.where),
                classes=_classes(confusion, decisions),
            )
            for record, patient, confusion in zip(
                decisions.record_names, decisions.patients, by_record, strict=True
            )
            if confusion.any()
        ),
        without=tuple(
            ScoresWithout(
                records=group.records,
                reason=group.reason,
                scores=score(decisions.without(group.records), bootstrap),
            )
            for group in left_out
            if set(group.records) & set(decisions.record_names)
        ),
    )


def score(decisions: Decisions, bootstrap: Bootstrap) -> Scores:
    """Compute all scores of a set of decisions, with intervals clustered by patient."""
    by_record = decisions.confusion_by_record()
    by_patient = sum_by_patient(by_record, decisions.patients)
    total = by_patient.sum(axis=0)
    resampled = bootstrap.resample(by_patient)
    present = tuple(
        name for name, n in zip(decisions.class_names, total.sum(axis=1), strict=True) if n
    )
    n = int(total.sum())
    everyone = by_patient.any(axis=(1, 2))

    def overall(value: metrics.Values, values: metrics.Values) -> Quantity:
        return _with_interval(_share(value, n, decisions.where), values, everyone, bootstrap)

    return Scores(
        accuracy=overall(metrics.accuracy(total), metrics.accuracy(resampled)),
        macro_f1=overall(metrics.macro_f1(total), metrics.macro_f1(resampled)),
        macro_f1_classes=present,
        classes=_classes_with_intervals(by_patient, resampled, decisions, bootstrap),
        confusion=ConfusionMatrix(
            decisions.class_names, tuple(tuple(int(count) for count in row) for row in total)
        ),
        patients=len(by_patient),
        records=int(by_record.any(axis=(1, 2)).sum()),
    )


def compare(
    before_stage: str,
    before: Decisions,
    after_stage: str,
    after: Decisions,
    bootstrap: Bootstrap,
) -> StageComparison:
    """Compare two stages on the same windows; the same resamples are drawn for both.

    Raises:
        ValueError: The stages were not run on the same windows.
    """
    if not (
        np.array_equal(before.labels, after.labels)
        and np.array_equal(before.records, after.records)
        and before.patients == after.patients
    ):
        raise ValueError("two stages can only be compared on the same windows")
    first, second = before.confusion_by_patient(), after.confusion_by_patient()
    resampled = bootstrap.resample(np.stack([first, second], axis=1))

    def change(metric: _Metric) -> Quantity:
        value = metric(second.sum(axis=0)) - metric(first.sum(axis=0))
        values = metric(resampled[:, 1]) - metric(resampled[:, 0])
        quantity = _share(value, len(after.labels), after.where)
        return _with_interval(quantity, values, first.any(axis=(1, 2)), bootstrap)

    return StageComparison(
        before=before_stage,
        after=after_stage,
        agreement=share(
            before.predictions == after.predictions,
            [after.patients[record] for record in after.records],
            after.where,
            bootstrap,
        ),
        macro_f1_change=change(metrics.macro_f1),
        accuracy_change=change(metrics.accuracy),
    )


def share(
    hits: npt.NDArray[np.bool_],
    patients: Sequence[str],
    where: Where,
    bootstrap: Bootstrap,
    n_of: str = "windows",
) -> Quantity:
    """Return the share of windows for which something holds, its interval clustered by patient.

    Args:
        hits: Whether it holds, per window [n].
        patients: Patient of each window.
        where: Where it was measured.
        bootstrap: How intervals are made.
        n_of: What a window is called.
    """
    counts = np.stack([hits, np.ones_like(hits)], axis=1).astype(np.int64)
    by_patient = sum_by_patient(counts, patients) if len(hits) else counts
    hit, n = by_patient.sum(axis=0)
    resampled = bootstrap.resample(by_patient)
    values = metrics.divide(resampled[:, 0], resampled[:, 1])
    quantity = _share(metrics.divide(hit, n), n, where, n_of)
    return _with_interval(quantity, values, by_patient.any(axis=1), bootstrap)


class _Metric(Protocol):
    def __call__(self, confusion: metrics.Counts) -> metrics.Values: ...


def _classes(confusion: metrics.Counts, decisions: Decisions) -> tuple[ClassPerformance, ...]:
    """Score every class of one confusion matrix [K, K], without intervals."""
    n, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    sensitivity, precision, f1 = (metric(confusion) for metric in _PER_CLASS)
    return tuple(
        ClassPerformance(
            name=name,
            n=int(n[index]),
            predicted=int(predicted[index]),
            sensitivity=_share(sensitivity[index], n[index], decisions.where),
            precision=_share(precision[index], predicted[index], decisions.where),
            f1=_share(f1[index], n[index], decisions.where),
        )
        for index, name in enumerate(decisions.class_names)
    )


def _classes_with_intervals(
    by_patient: metrics.Counts,
    resampled: metrics.Counts,
    decisions: Decisions,
    bootstrap: Bootstrap,
) -> tuple[ClassPerformance, ...]:
    plain = _classes(by_patient.sum(axis=0), decisions)
    sensitivity, precision, f1 = (metric(resampled) for metric in _PER_CLASS)
    of_class, in_class = by_patient.any(axis=2), by_patient.any(axis=1)
    return tuple(
        replace(
            row,
            sensitivity=_with_interval(
                row.sensitivity, sensitivity[:, index], of_class[:, index], bootstrap
            ),
            precision=_with_interval(
                row.precision, precision[:, index], in_class[:, index], bootstrap
            ),
            f1=_with_interval(
                row.f1, f1[:, index], of_class[:, index] | in_class[:, index], bootstrap
            ),
        )
        for index, row in enumerate(plain)
    )


def _share(value: metrics.Values, n: int, where: Where, n_of: str = "windows") -> Quantity:
    undefined = math.isnan(value)
    return Quantity(
        value=None if undefined else float(value),
        unit="1",
        where=where,
        n=int(n),
        n_of=n_of,
        note="undefined: 0/0" if undefined else "",
    )


def _with_interval(
    quantity: Quantity,
    values: metrics.Values,
    carriers: npt.NDArray[np.bool_],
    bootstrap: Bootstrap,
) -> Quantity:
    """Add the interval from a score's values in the resamples, and what is to be said about it.

    Args:
        quantity: The score.
        values: The score in every resample [resamples].
        carriers: Which patients it draws on [patients].
        bootstrap: How intervals are made.
    """
    if quantity.value is None:
        return quantity
    patients = int(carriers.sum())
    interval = bootstrap.interval(values, patients)
    return replace(quantity, interval=interval, note=caution(interval, patients))


_PER_CLASS: tuple[_Metric, ...] = (metrics.sensitivity, metrics.precision, metrics.f1)
