"""From what verification found of every window to the records of the evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.evaluation.bootstrap import Bootstrap
from edgeprune.evaluation.decisions import Decisions
from edgeprune.evaluation.scores import share
from edgeprune.evidence import (
    MethodCounts,
    OutcomeCounts,
    PerturbationCertificates,
    Quantity,
    Spread,
)

SPREAD_SHARE = 0.9
PROVED, FALSIFIED, UNKNOWN, TIMEOUT = OUTCOMES = ("proved", "falsified", "unknown", "timeout")
_SIMPLE = re.compile(r"(\w+):([\d.]+(?:e[+-]?\d+)?)(\D\w*|%)?")
_IN_MICROVOLT = {"uV": 1.0, "mV": 1000.0}

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Found:
    """What was found of the windows under one perturbation.

    Attributes:
        text: The perturbation as it is written.
        description: The same in plain words.
        outcomes: One of `OUTCOMES` for each window [n].
        methods: What settled it, or was tried last [n].
        decisions: The same windows, as the network decides them without any change.
        seconds: Processor time of each window [n]; None where it is not to be told.
    """

    text: str
    description: str
    outcomes: Sequence[str]
    methods: Sequence[str]
    decisions: Decisions
    seconds: npt.NDArray[np.float64] | None = None


def perturbation_certificates(found: Found, bootstrap: Bootstrap) -> PerturbationCertificates:
    """Count the outcomes under one perturbation, with shares clustered by patient.

    Raises:
        ValueError: An outcome is none.
    """
    decisions = found.decisions
    outcomes = np.array(found.outcomes, dtype=np.str_)
    if not np.isin(outcomes, OUTCOMES).all():
        raise ValueError(f"outcomes are {', '.join(OUTCOMES)}")
    right = decisions.labels == decisions.predictions
    patients = [decisions.patients[record] for record in decisions.records]

    def shared(hits: Bools) -> Quantity:
        return share(hits, patients, decisions.where, bootstrap)

    def counted(name: str, mask: Bools) -> OutcomeCounts:
        counts = {each: int(((outcomes == each) & mask).sum()) for each in OUTCOMES}
        return OutcomeCounts(
            name,
            int(mask.sum()),
            proved=counts[PROVED],
            falsified=counts[FALSIFIED],
            unknown=counts[UNKNOWN],
            timeout=counts[TIMEOUT],
            proved_and_right=int((mask & right & (outcomes == PROVED)).sum()),
            right_unless_attacked=int((mask & right & (outcomes != FALSIFIED)).sum()),
        )

    family, radius, unit = radius_of(found.text)
    return PerturbationCertificates(
        text=found.text,
        description=found.description,
        family=family,
        radius=radius,
        unit=unit,
        outcomes=counted("all", np.ones(len(outcomes), np.bool_)),
        proved_share=shared(outcomes == PROVED),
        proved_and_right_share=shared(right & (outcomes == PROVED)),
        attack_limit=shared(right & (outcomes != FALSIFIED)),
        classes=tuple(
            counted(name, decisions.labels == index)
            for index, name in enumerate(decisions.class_names)
        ),
        records=tuple(
            counted(decisions.record_names[index], decisions.records == index)
            for index in np.unique(decisions.records).tolist()
        ),
        methods=tuple(_methods(found)),
    )


def right_share(decisions: Decisions, bootstrap: Bootstrap) -> Quantity:
    """Return the share of windows decided rightly, its interval clustered by patient."""
    patients = [decisions.patients[record] for record in decisions.records]
    return share(decisions.labels == decisions.predictions, patients, decisions.where, bootstrap)


def radius_of(text: str) -> tuple[str, float | None, str]:
    """Return family, radius and unit of a perturbation that one number describes.

    Voltages are given in uV. What has several numbers or parts has no radius.
    """
    match = _SIMPLE.fullmatch(text)
    if match is None:
        return re.split(r"[:+]", text, maxsplit=1)[0], None, ""
    family, number, unit = match[1], float(match[2]), match[3] or "1"
    if unit in _IN_MICROVOLT:
        return family, number * _IN_MICROVOLT[unit], "uV"
    return family, number, unit


def _methods(found: Found) -> Iterator[MethodCounts]:
    methods = np.array(found.methods, dtype=np.str_)
    for method in dict.fromkeys(found.methods):
        mask = methods == method
        times = None if found.seconds is None else spread(1000 * found.seconds[mask])
        yield MethodCounts(str(method), int(mask.sum()), times)


def spread(values: npt.NDArray[np.float64]) -> Spread | None:
    """Describe values that differ from window to window by their median and middle range.

    Args:
        values: One value a window [n].

    Returns:
        None where there is no window.
    """
    if len(values) == 0:
        return None
    tail = (1 - SPREAD_SHARE) / 2
    low, median, high = np.quantile(values, [tail, 0.5, 1 - tail])
    return Spread(float(median), float(low), float(high), SPREAD_SHARE, len(values))
