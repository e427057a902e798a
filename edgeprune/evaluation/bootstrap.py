"""Intervals that know that the beats of one patient are not independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.evidence import Interval

FEW_PATIENTS = 10


@dataclass(frozen=True)
class Bootstrap:
    """Percentile bootstrap that draws whole patients with replacement.

    Equal settings and an equal number of patients draw equal resamples, so that two stages measured
    on the same windows can be compared resample by resample.

    Attributes:
        seed: Seed of the draws.
        resamples: Number of draws.
        level: Nominal coverage of the intervals.
    """

    seed: int = 0
    resamples: int = 2000
    level: float = 0.95

    def resample(self, by_patient: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the total counts of every resample.

        Args:
            by_patient: Counts per patient [patients, ...].

        Returns:
            Totals [resamples, ...].
        """
        patients = len(by_patient)
        if patients == 0:
            return np.zeros((self.resamples, *by_patient.shape[1:]), dtype=np.int64)
        totals: npt.NDArray[np.int64] = self.draws(patients) @ by_patient.reshape(patients, -1)
        return totals.reshape(self.resamples, *by_patient.shape[1:])

    def draws(self, patients: int) -> npt.NDArray[np.int64]:
        """Return how often each patient is in each resample [resamples, patients].

        What `resample` adds up; for scores that are no ratio of counts.

        Args:
            patients: Their number, 1 or more.
        """
        return np.random.default_rng(self.seed).multinomial(
            patients, np.full(patients, 1 / patients), size=self.resamples
        )

    def interval(self, values: npt.NDArray[np.float64], patients: int) -> Interval | None:
        """Return the interval of a score from its values in the resamples.

        Args:
            values: The score in every resample [resamples], NaN where it is undefined there.
            patients: Patients that the score draws on.

        Returns:
            None where fewer than two patients carry the score: nothing can be said.
        """
        defined = values[~np.isnan(values)]
        if patients < 2 or len(defined) == 0:
            return None
        tail = (1 - self.level) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        method = f"percentile bootstrap over patients, {self.resamples} resamples"
        return Interval(float(low), float(high), self.level, method, patients)


def caution(interval: Interval | None, patients: int) -> str:
    """Return what a reader must know about an interval, or nothing."""
    if patients < 2:
        return "one patient: no interval" if patients else "no patient: no interval"
    if interval is not None and interval.low == interval.high:
        return "all patients alike: the interval cannot show its true width"
    if patients < FEW_PATIENTS:
        return f"only {patients} patients: the interval is rough"
    return ""
