"""From decisions on disturbed recordings to curves of the scores against severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgeprune.data.windows import Windows
from edgeprune.disturbances import LOST, THREAT_MODEL, Disturbance, DisturbedDecisions
from edgeprune.evaluation.bootstrap import Bootstrap
from edgeprune.evaluation.decisions import Decisions
from edgeprune.evaluation.scores import score
from edgeprune.evidence.disturbances import DisturbanceCurve, DisturbanceEvidence, SeverityPoint
from edgeprune.evidence.performance import Scores
from edgeprune.evidence.quantity import Where

NO_WINDOW = "no window"
SYNTHETIC = "synthetic"


def disturbed_decisions(
    windows: Windows, found: DisturbedDecisions, where: Where = Where.HOST
) -> Decisions:
    """Return decisions for scoring; beats without a window are decided for a class of their own.

    Args:
        windows: The undisturbed windows of the beats.
        found: What became of them.
        where: Where they were decided.
    """
    lost = bool((~found.present).any())
    return Decisions(
        windows.label,
        np.where(found.predictions == LOST, len(windows.class_names), found.predictions),
        windows.record,
        windows.record_names,
        windows.patients,
        (*windows.class_names, NO_WINDOW) if lost else windows.class_names,
        where,
    )


def score_disturbed(
    windows: Windows,
    found: DisturbedDecisions,
    bootstrap: Bootstrap,
    where: Where = Where.HOST,
) -> Scores:
    """Score decisions on disturbed recordings, per class, with intervals clustered by patient.

    A beat without a window counts as not found: it lowers its class's sensitivity and no class's
    precision. Where there are such beats the confusion matrix has a column for them.
    """
    scores = score(disturbed_decisions(windows, found, where), bootstrap)
    return replace(scores, classes=scores.classes[: len(windows.class_names)])


def severity_point(
    disturbance: Disturbance,
    windows: Windows,
    found: DisturbedDecisions,
    undisturbed: DisturbedDecisions,
    bootstrap: Bootstrap,
    where: Where = Where.HOST,
) -> SeverityPoint:
    """Return one point of a curve; equal draws of patients serve all points."""
    return SeverityPoint(
        text=disturbance.text,
        description=disturbance.describe(),
        severity=disturbance.severity,
        unit=disturbance.unit,
        windows=len(windows),
        scores=score_disturbed(windows, found, bootstrap, where),
        agreement=float(np.mean(found.predictions == undisturbed.predictions)),
        lost=int((~found.present).sum()),
    )


def disturbance_curves(
    windows: Windows,
    disturbances: Sequence[Disturbance],
    found: Sequence[DisturbedDecisions],
    undisturbed: DisturbedDecisions,
    bootstrap: Bootstrap,
    where: Where = Where.HOST,
) -> tuple[DisturbanceCurve, ...]:
    """Return one curve a family, in the order in which the families first occur.

    Args:
        windows: The undisturbed windows of the beats.
        disturbances: What was tried; families may come in any order.
        found: What became of the beats under each.
        undisturbed: The same beats without any disturbance.
        bootstrap: How intervals are made.
        where: Where they were decided.
    """
    grouped: dict[str, list[tuple[Disturbance, DisturbedDecisions]]] = {}
    for disturbance, decisions in zip(disturbances, found, strict=True):
        grouped.setdefault(disturbance.family, []).append((disturbance, decisions))
    curves = []
    for family, members in grouped.items():
        first = members[0][0]
        points = [
            severity_point(disturbance, windows, decisions, undisturbed, bootstrap, where)
            for disturbance, decisions in members
        ]
        grid = first.severities
        points.sort(key=lambda point: point.severity, reverse=grid[0] > grid[-1])
        curves.append(
            DisturbanceCurve(
                name=family,
                title=first.title,
                source=first.source or "made by rule",
                synthetic=first.source == SYNTHETIC,
                points=tuple(points),
                severity_is=first.severity_is,
            )
        )
    return tuple(curves)


def disturbance_evidence(
    stage: str,
    choice: str,
    windows: Windows,
    disturbances: Sequence[Disturbance],
    found: Sequence[DisturbedDecisions],
    undisturbed: DisturbedDecisions,
    bootstrap: Bootstrap,
) -> DisturbanceEvidence:
    """Return all that was found under disturbances.

    Args:
        stage: "float", "pruned float" or "int8 as flashed".
        choice: Which windows were decided and how they were chosen, in words.
        windows: The undisturbed windows of the beats.
        disturbances: What was tried.
        found: What became of the beats under each.
        undisturbed: The same beats without any disturbance.
        bootstrap: How intervals are made.
    """
    return DisturbanceEvidence(
        threat_model=THREAT_MODEL,
        stage=stage,
        windows=choice,
        undisturbed=score_disturbed(windows, undisturbed, bootstrap),
        curves=disturbance_curves(windows, disturbances, found, undisturbed, bootstrap),
    )
