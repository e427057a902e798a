"""Scores of events, every patient weighing alike."""

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
    draws = bootstrap.draws(len(patients)).astype(np.float64)
    quantities = {}
    for name in _SCORES:
        scores = [getattr(each, name) for each in patients]
        unit = scores[0].unit
        values = np.array([np.nan if each.value is None else each.value for each in scores])
        defined = ~np.isnan(values)
        number = int(defined.sum())
        if not number:
            note = "undefined: 0/0 in every patient"
            quantities[name] = Quantity(None, unit, where, 0, "patients", note=note)
            continue
        weights = draws[:, defined].sum(axis=1)
        sums = draws[:, defined] @ values[defined]
        means = np.divide(sums, weights, out=np.full(len(sums), np.nan), where=weights > 0)
        interval = bootstrap.interval(means, number)
        mean = float(values[defined].mean())
        note = caution(interval, number)
        quantities[name] = Quantity(mean, unit, where, number, "patients", interval, note)
    return PatientAverage(**quantities)
