"""What a monitor refuses and what that leaves: coverage against error, clustered by patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edgeprune.evaluation.bootstrap import Bootstrap
from edgeprune.evaluation.decisions import Decisions
from edgeprune.evaluation.scores import share
from edgeprune.evidence import Quantity
from edgeprune.evidence.monitor import (
    MonitoredWindows,
    MonitorPoint,
    ReasonCounts,
    RefusedClass,
)
from edgeprune.monitor import Reason, Reasons

ASKED = (1.0, 0.99, 0.98, 0.95, 0.9, 0.8)

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


def monitored_windows(
    name: str,
    decisions: Decisions,
    reasons: Reasons,
    bootstrap: Bootstrap,
    *,
    margin: Integers | None = None,
    asked: Sequence[float] = ASKED,
) -> MonitoredWindows:
    """Score a monitor on one set of windows.

    Args:
        name: What the windows are.
        decisions: What the network decides of them, were none refused.
        reasons: `Reason` bits, uint8 [n]; 0 where the decision stands.
        bootstrap: How intervals are made.
        margin: By how much the largest logit exceeds the second [n], for the curve of error against
            coverage; None for no curve.
        asked: Coverages of the points of that curve.
    """
    patients = [decisions.patients[record] for record in decisions.records]
    wrong = decisions.labels != decisions.predictions
    kept = reasons == 0

    def shared(hits: Bools, among: Bools) -> Quantity:
        chosen = [
            patient for patient, inside in zip(patients, among.tolist(), strict=True) if inside
        ]
        return share(hits[among], chosen, decisions.where, bootstrap)

    everything = np.ones_like(kept)
    return MonitoredWindows(
        name=name,
        n=len(kept),
        coverage=shared(kept, everything),
        error_of_all=shared(wrong, everything),
        error=shared(wrong, kept),
        refused_of_wrong=shared(~kept, wrong),
        reasons=tuple(_reasons(reasons, wrong)),
        classes=tuple(
            RefusedClass(
                class_name,
                int(of_class.sum()),
                int((of_class & ~kept).sum()),
                shared(~kept, of_class),
                shared(~wrong, of_class & kept),
                shared(~wrong & kept, of_class),
            )
            for class_name, of_class in (
                (each, decisions.labels == number)
                for number, each in enumerate(decisions.class_names)
            )
            if of_class.any()
        ),
        curve=()
        if margin is None
        else tuple(
            MonitorPoint(
                wanted, float(surest.mean()) if len(surest) else 0.0, shared(wrong, surest)
            )
            for wanted, surest in _surest(reasons, margin, asked)
        ),
    )


def _reasons(reasons: Reasons, wrong: Bools) -> Iterator[ReasonCounts]:
    for reason in Reason:
        found = (reasons & reason) != 0
        yield ReasonCounts(
            reason.words,
            int(found.sum()),
            int((reasons == reason).sum()),
            int((found & wrong).sum()),
        )


def _surest(
    reasons: Reasons, margin: Integers, asked: Sequence[float]
) -> Iterator[tuple[float, Bools]]:
    """Yield the least set of surest windows that is at least each share asked for.

    Windows that are saturated or flat come last; the others in the order of their margins, those of
    equal margin together. The limits of the margin and of the unusual score play no part.
    """
    rank = np.where((reasons & np.uint8(Reason.SATURATED | Reason.FLAT)) == 0, margin, -1)
    ordered = np.sort(rank)[::-1]
    for wanted in asked:
        number = min(max(int(np.ceil(wanted * len(rank) - 1e-9)), 1), len(rank))
        yield wanted, rank >= (ordered[number - 1] if len(rank) else 0)
