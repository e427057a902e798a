"""What a network decided about labelled windows, and whose windows they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeprune.evidence import Where

if TYPE_CHECKING:
    from edgeprune.data.windows import Windows

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Decisions:
    """Decisions of one network on one part of the data.

    Attributes:
        labels: Reference class of each window, index into `class_names` [n].
        predictions: Decided class of each window [n].
        records: Recording of each window, index into `record_names` [n].
        record_names: Names of the recordings.
        patients: Patient of each recording.
        class_names: Names of the classes.
        where: Where the decisions were made.
    """

    labels: Integers
    predictions: Integers
    records: Integers
    record_names: tuple[str, ...]
    patients: tuple[str, ...]
    class_names: tuple[str, ...]
    where: Where = Where.HOST

    def __post_init__(self) -> None:
        if not len(self.labels) == len(self.predictions) == len(self.records):
            raise ValueError("labels, predictions and records differ in length")
        if len(self.patients) != len(self.record_names):
            raise ValueError("every recording needs its patient")
        for name, values, limit in (
            ("labels", self.labels, len(self.class_names)),
            ("predictions", self.predictions, len(self.class_names)),
            ("records", self.records, len(self.record_names)),
        ):
            if len(values) and not (values.min() >= 0 and values.max() < limit):
                raise ValueError(f"{name} must be within 0..{limit - 1}")

    def select(self, mask: npt.NDArray[np.bool_]) -> Decisions:
        """Return the decisions where `mask` [n] holds; recordings keep their index."""
        return Decisions(
            self.labels[mask],
            self.predictions[mask],
            self.records[mask],
            self.record_names,
            self.patients,
            self.class_names,
            self.where,
        )

    def without(self, records: Sequence[str]) -> Decisions:
        """Return the decisions with the named recordings left out; unknown names are ignored."""
        kept = np.array([name not in records for name in self.record_names], dtype=bool)
        return self.select(kept[self.records])

    def confusion_by_record(self) -> Integers:
        """Count windows per recording, reference class and decided class [records, K, K]."""
        classes = len(self.class_names)
        cells = (self.records * classes + self.labels) * classes + self.predictions
        counts = np.bincount(cells, minlength=len(self.record_names) * classes * classes)
        return counts.astype(np.int64).reshape(len(self.record_names), classes, classes)

    def confusion_by_patient(self) -> Integers:
        """Count windows per patient that has any, reference and decided class [patients, K, K]."""
        return sum_by_patient(self.confusion_by_record(), self.patients)


def decisions_of(windows: Windows, predictions: Integers) -> Decisions:
    """Return what a network decided of windows, for scoring."""
    return Decisions(
        windows.label,
        predictions.astype(np.int64),
        windows.record,
        windows.record_names,
        windows.patients,
        windows.class_names,
    )


def sum_by_patient(by_record: Integers, patients: Sequence[str]) -> Integers:
    """Add up the rows of each patient, leaving out patients without a count.

    Args:
        by_record: Counts per recording [records, ...].
        patients: Patient of each recording.

    Returns:
        Counts per patient [patients, ...], patients in the order of their names.
    """
    names = sorted(set(patients))
    position = np.array([names.index(patient) for patient in patients], dtype=np.int64)
    by_patient = np.zeros((len(names), *by_record.shape[1:]), dtype=np.int64)
    np.add.at(by_patient, position, by_record)
    kept = by_patient.any(axis=tuple(range(1, by_patient.ndim)))
    return np.asarray(by_patient[kept])
