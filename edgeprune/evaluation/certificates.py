"""From the outcome of every window at one radius to a point of the certificate curve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeprune.evaluation.bootstrap import Bootstrap
from edgeprune.evaluation.decisions import Decisions
from edgeprune.evaluation.scores import share
from edgeprune.evidence import CertificatePoint, ClassCertificates, Spread

SPREAD_SHARE = 0.9


def certificate_point(
    radius_lsb: int,
    proved: npt.NDArray[np.bool_],
    decisions: Decisions,
    microvolt_per_lsb: npt.NDArray[np.float64] | None,
    bootstrap: Bootstrap,
) -> CertificatePoint:
    """Count the outcomes at one radius, with shares clustered by patient.

    Args:
        radius_lsb: Largest change of a sample, in steps of the signal input.
        proved: Whether the window's decision cannot change; the others are unknown [n].
        decisions: The same windows, as the network decides them.
        microvolt_per_lsb: What a step of the signal input is at the electrodes, per window [n];
            None where the signal has no unit.
        bootstrap: How intervals are made.
    """
    right = proved & (decisions.labels == decisions.predictions)
    patients = [decisions.patients[record] for record in decisions.records]
    classes = tuple(
        ClassCertificates(name, *_outcomes(proved, right, decisions.labels == index))
        for index, name in enumerate(decisions.class_names)
    )
    n, held, unknown, held_right = _outcomes(proved, right, np.ones_like(proved))
    return CertificatePoint(
        radius_lsb=radius_lsb,
        radius_uv=None if microvolt_per_lsb is None else spread(radius_lsb * microvolt_per_lsb),
        n=n,
        proved=held,
        unknown=unknown,
        proved_and_right=held_right,
        proved_share=share(proved, patients, decisions.where, bootstrap),
        proved_and_right_share=share(right, patients, decisions.where, bootstrap),
        classes=classes,
    )


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


def _outcomes(
    proved: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_]
) -> tuple[int, int, int, int]:
    """Count the windows of a mask: all, proved, unknown, proved and right."""
    n, held = int(mask.sum()), int((proved & mask).sum())
    return n, held, n - held, int((right & mask).sum())
