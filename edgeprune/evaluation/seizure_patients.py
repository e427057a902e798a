"""Scores by patients, every patient weighing alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeprune.evaluation.bootstrap import Bootstrap, caution
from edgeprune.evidence import PatientAverage, Quantity, SeizureCounts, Where

_SCORES = ("sensitivity", "precision", "f1", "false_alarms_per_hour")


def patient_average(
    patients: Sequence[SeizureCounts], bootstrap: Bootstrap, where: Where
) -> PatientAverage:
    """Return the means over patients, intervals by drawing patients.

    Args:
        patients: Each patient's counts by events.
        bootstrap: How intervals are made.
        where: Where the decisions were made.
    """
    quantities = {}
    for name in _SCORES:
        scores: list[Quantity] = [getattr(each, name) for each in patients]
        values = [each.value for each in scores]
        quantities[name] = mean_of_patients(values, scores[0].unit, where, bootstrap)
    return PatientAverage(**quantities)


def mean_of_patients(
    values: Sequence[float | None], unit: str, where: Where, bootstrap: Bootstrap
) -> Quantity:
    """Return the mean of a score over the patients that have it, with its interval.

    Args:
        values: Each patient's; None where it is undefined.
        unit: Its unit.
        where: Where it was measured.
        bootstrap: How intervals are made.
    """
    numbers = np.array([np.nan if each is None else each for each in values])
    defined = ~np.isnan(numbers)
    count = int(defined.sum())
    if not count:
        return Quantity(None, unit, where, 0, "patients", note="undefined: 0/0 in every patient")
    draws = bootstrap.draws(len(numbers)).astype(np.float64)[:, defined]
    weights, sums = draws.sum(axis=1), draws @ numbers[defined]
    means = np.divide(sums, weights, out=np.full(len(sums), np.nan), where=weights > 0)
    interval = bootstrap.interval(means, count)
    mean = float(numbers[defined].mean())
    return Quantity(mean, unit, where, count, "patients", interval, caution(interval, count))
