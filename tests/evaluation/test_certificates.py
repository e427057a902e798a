"""Points of the certificate curve against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.evaluation import Bootstrap, Decisions, certificate_point, spread
from edgeprune.evidence import ClassCertificates

DECISIONS = Decisions(
    labels=np.array([0, 0, 1, 1, 0]),
    predictions=np.array([0, 1, 1, 1, 0]),
    records=np.array([0, 0, 1, 1, 2]),
    record_names=("a", "b", "c"),
    patients=("p", "q", "q"),
    class_names=("N", "V", "F"),
)
PROVED = np.array([True, True, False, True, False])


def test_outcomes_are_counted_and_never_merged() -> None:
    point = certificate_point(2, PROVED, DECISIONS, None, Bootstrap())
    assert (point.n, point.proved, point.unknown, point.proved_and_right) == (5, 3, 2, 2)
    assert point.classes == (
        ClassCertificates("N", n=3, proved=2, unknown=1, proved_and_right=1),
        ClassCertificates("V", n=2, proved=1, unknown=1, proved_and_right=1),
        ClassCertificates("F", n=0, proved=0, unknown=0, proved_and_right=0),
    )
    assert point.proved_share.value == 3 / 5
    assert point.proved_and_right_share.value == 2 / 5
    assert point.proved_share.interval is not None
    assert point.proved_share.interval.patients == 2
    assert point.radius_uv is None


def test_the_radius_is_given_at_the_electrodes() -> None:
    point = certificate_point(4, PROVED, DECISIONS, np.array([1.0, 2, 3, 4, 5]), Bootstrap())
    assert point.radius_uv is not None
    assert point.radius_uv.median == 12.0
    assert point.radius_uv.low == pytest.approx(4.8)
    assert point.radius_uv.high == pytest.approx(19.2)
    assert point.radius_uv.n == 5


def test_no_window_has_no_spread() -> None:
    assert spread(np.array([])) is None
