"""Decisions of all folds: each patient, then their mean; intervals by drawing patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeprune.evaluation import metrics
from edgeprune.evaluation.bootstrap import Bootstrap
from edgeprune.evaluation.decisions import Decisions
from edgeprune.evaluation.scores import score
from edgeprune.evaluation.seizure_patients import mean_of_patients
from edgeprune.evidence import SeizureScores, Where
from edgeprune.evidence.cross_validation import FoldPatient, FoldStage


def join_decisions(parts: Sequence[Decisions]) -> Decisions:
    """Return the decisions of several folds as those of one data set.

    Raises:
        ValueError: The folds have other classes.
    """
    if len({part.class_names for part in parts}) != 1:
        raise ValueError("the folds have other classes")
    offsets = np.cumsum([0, *(len(part.record_names) for part in parts)])
    return Decisions(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.predictions for part in parts]),
        np.concatenate([part.records + at for part, at in zip(parts, offsets, strict=False)]),
        tuple(name for part in parts for name in part.record_names),
        tuple(patient for part in parts for patient in part.patients),
        parts[0].class_names,
        parts[0].where,
    )


def fold_stage(
    stage: str, decisions: Decisions, bootstrap: Bootstrap, seizures: SeizureScores | None = None
) -> FoldStage:
    """Score one stage of the network over all folds.

    Args:
        stage: The stage of the network.
        decisions: Of all folds.
        bootstrap: How intervals are made.
        seizures: Scores of the same decisions by events.
    """
    by_record = decisions.confusion_by_record()
    rows = []
    for patient in sorted(set(decisions.patients)):
        own = np.array([each == patient for each in decisions.patients])
        confusion = by_record[own].sum(axis=0)
        if not confusion.any():
            continue
        found = metrics.sensitivity(confusion)
        rows.append(
            FoldPatient(
                patient,
                int(confusion.sum()),
                tuple(int(count) for count in confusion.sum(axis=1)),
                tuple(None if np.isnan(each) else float(each) for each in found),
                float(metrics.accuracy(confusion)),
            )
        )
    recalls = tuple(
        mean_of_patients([row.recalls[number] for row in rows], "1", Where.HOST, bootstrap)
        for number in range(len(decisions.class_names))
    )
    accuracy = mean_of_patients([row.accuracy for row in rows], "1", Where.HOST, bootstrap)
    return FoldStage(stage, tuple(rows), recalls, accuracy, score(decisions, bootstrap), seizures)
