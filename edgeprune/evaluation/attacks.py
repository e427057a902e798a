"""From what attacks found of every window to the records of the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.result import AttackResult
from edgeprune.evaluation.bootstrap import Bootstrap, caution
from edgeprune.evaluation.certificates import spread
from edgeprune.evaluation.decisions import Decisions, sum_by_patient
from edgeprune.evaluation.scores import share
from edgeprune.evidence import (
    AttackCounts,
    AttackOutcome,
    BallAttacks,
    Interval,
    MinimumNorm,
    Quantity,
)

WORST = "worst of all"

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def attack_outcome(
    attack: str,
    decisions: Decisions,
    turned: Bools,
    bootstrap: Bootstrap,
    queries: npt.NDArray[np.int64] | None = None,
) -> AttackOutcome:
    """Count what became of the windows under one attack, with shares clustered by patient.

    Args:
        attack: The attack's name.
        decisions: What the network decides without any change [n].
        turned: Whether a change was found that turns the decision [n]; only windows decided
            rightly count.
        bootstrap: How intervals are made.
        queries: Decisions asked of the network for each window [n].
    """
    right = decisions.labels == decisions.predictions
    turned = turned & right
    patients = np.array([decisions.patients[record] for record in decisions.records], dtype=np.str_)

    def counted(name: str, mask: Bools) -> AttackCounts:
        return AttackCounts(
            name,
            int(mask.sum()),
            right=int((mask & right).sum()),
            turned=int((mask & turned).sum()),
        )

    def of_class(name: str, mask: Bools) -> AttackCounts:
        # An interval for every class of every attack would cost more than it says.
        if attack != WORST:
            return counted(name, mask)
        held = share((right & ~turned)[mask], patients[mask].tolist(), decisions.where, bootstrap)
        return replace(counted(name, mask), right_under_attack=held)

    asked = None if queries is None or not queries.any() else spread(queries[right].astype(float))
    return AttackOutcome(
        attack=attack,
        counts=counted("all", np.ones(len(right), np.bool_)),
        right_under_attack=share(right & ~turned, patients.tolist(), decisions.where, bootstrap),
        success=success_share(decisions, turned, bootstrap),
        classes=tuple(
            of_class(name, decisions.labels == index)
            for index, name in enumerate(decisions.class_names)
        ),
        records=tuple(
            counted(decisions.record_names[index], decisions.records == index)
            for index in np.unique(decisions.records).tolist()
        ),
        queries=asked,
    )


def success_share(decisions: Decisions, turned: Bools, bootstrap: Bootstrap) -> Quantity:
    """Return the share of the windows decided rightly that were turned [n]."""
    right = decisions.labels == decisions.predictions
    patients = [decisions.patients[record] for record in decisions.records[right]]
    return share(turned[right], patients, decisions.where, bootstrap, "windows decided rightly")


def ball_attacks(
    ball: Ball,
    results: Sequence[AttackResult],
    turned: Bools,
    decisions: Decisions,
    bootstrap: Bootstrap,
) -> BallAttacks:
    """Describe all attacks within one ball.

    Args:
        ball: The ball.
        results: The attacks that were made within it; those that seek the least change count where
            they stay within its size.
        turned: Windows that any change within the ball turned [n].
        decisions: What the network decides without any change.
        bootstrap: How intervals are made.
    """

    def told(result: AttackResult) -> AttackOutcome:
        within = result.success & (result.size <= ball.size)
        return attack_outcome(result.attack, decisions, within, bootstrap, result.queries)

    return BallAttacks(
        text=ball.text,
        description=ball.describe(),
        norm=ball.norm,
        size=float(ball.size),
        unit=unit_of(ball),
        attacks=tuple(map(told, results)),
        worst=attack_outcome(WORST, decisions, turned, bootstrap),
    )


def unit_of(ball: Ball) -> str:
    """Return the unit of a ball's size in words."""
    return ball.unit or "samples"


def minimum_norm(
    result: AttackResult, ball: Ball, decisions: Decisions, bootstrap: Bootstrap
) -> MinimumNorm:
    """Describe an attack that sought the least change."""
    outcome = attack_outcome(result.attack, decisions, result.success, bootstrap)
    return MinimumNorm(
        attack=result.attack,
        norm=result.norm,
        unit=unit_of(ball),
        counts=outcome.counts,
        size=spread(result.size[result.success]),
        median=_median(result, unit_of(ball), decisions, bootstrap),
        classes=outcome.classes,
    )


def _median(
    result: AttackResult, unit: str, decisions: Decisions, bootstrap: Bootstrap
) -> Quantity:
    """Return the median size of windows decided rightly; those not turned lie beyond all sizes."""
    right = decisions.labels == decisions.predictions
    sizes = np.where(result.success, result.size, np.inf)[right]
    patients = [decisions.patients[record] for record in decisions.records[right]]
    undefined = Quantity(
        None,
        unit,
        decisions.where,
        len(sizes),
        "windows decided rightly",
        note="undefined: fewer than half of the windows were turned",
    )
    if len(sizes) == 0:
        return replace(undefined, note="undefined: no window was decided rightly")
    order = np.argsort(sizes, kind="stable")
    places = np.zeros((len(sizes), len(sizes)), np.int64)
    places[order, np.arange(len(sizes))] = 1
    by_patient = sum_by_patient(places, patients)
    value = _lower_medians(by_patient.sum(axis=0, keepdims=True), sizes[order])[0]
    if np.isinf(value):
        return undefined
    interval = _interval(
        _lower_medians(bootstrap.resample(by_patient), sizes[order]), bootstrap, len(by_patient)
    )
    note = caution(interval, len(by_patient))
    return replace(undefined, value=float(value), interval=interval, note=note)


def _lower_medians(weights: npt.NDArray[np.int64], sizes: Floats) -> Floats:
    """Return the lower median of sorted sizes [n] under each row of weights [..., n]."""
    reached = np.cumsum(weights, axis=-1) * 2 >= weights.sum(axis=-1, keepdims=True)
    return np.asarray(sizes[reached.argmax(axis=-1)])


def _interval(medians: Floats, bootstrap: Bootstrap, patients: int) -> Interval | None:
    """Return the interval of medians; none where its upper end lies beyond all sizes."""
    if np.isinf(medians).mean() >= (1 - bootstrap.level) / 2:
        return None
    finite = medians[np.isfinite(medians)]
    return bootstrap.interval(np.where(np.isinf(medians), finite.max(), medians), patients)
