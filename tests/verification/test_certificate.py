"""The certificate curve on a network small enough to try every input."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from edgeprune.data.windows import Windows
from edgeprune.errors import ConfigurationError
from edgeprune.network import IntegerNetwork
from edgeprune.verification import certify
from tests.network.builders import dense_network

RADII = (0, 1, 2, 5, 20)


def network() -> IntegerNetwork:
    return dense_network([[3, -2, 1], [-1, 2, 2], [1, 1, -3]], [10, 0, -10], factor=0.25)


def windows(count: int = 40) -> Windows:
    random = np.random.default_rng(5)
    signal = random.integers(-20, 21, (count, 3)).astype(np.int8)
    return Windows(
        signal=signal,
        rhythm=np.zeros((count, 4), np.int8),
        gain=np.ones(count, np.int64),
        label=random.integers(0, 3, count),
        record=np.arange(count) % 2 * 2,
        beat=np.arange(count),
        record_names=("100", "101", "103"),
        patients=("a", "b", "c"),
        class_names=("N", "S", "V"),
        synthetic=True,
    )


def test_what_is_proved_holds_for_every_input() -> None:
    subject = windows()
    curve = certify(network(), subject, RADII[:4])
    decided = network().predict(subject.signal)
    shares = []
    for point in curve.points:
        offsets = np.array(list(product(range(-point.radius_lsb, point.radius_lsb + 1), repeat=3)))
        for window in np.flatnonzero(point.proved):
            moved = (subject.signal[window] + offsets).astype(np.int8)
            assert (network().predict(moved) == decided[window]).all()
        shares.append(point.total.proved)
    assert shares[0] == 40
    assert 0 < shares[2] < 40
    assert shares == sorted(shares, reverse=True)


def test_outcomes_are_counted_by_class_and_record() -> None:
    subject = windows()
    curve = certify(network(), subject, RADII, microvolt_per_lsb=12.5)
    assert curve.network_sha256 == network().sha256
    assert [point.radius_lsb for point in curve.points] == list(RADII)
    assert curve.points[2].radius_microvolt.tolist() == [25.0] * 40
    right = network().predict(subject.signal) == subject.label
    for point in curve.points:
        total = point.total
        assert total.n == 40
        assert total.proved + total.unknown == 40
        assert total.proved_and_right == int((point.proved & right).sum())
        for parts in point.by_class(), point.by_record():
            for field in "n", "proved", "unknown", "proved_and_right":
                assert sum(getattr(part, field) for part in parts) == getattr(total, field)
    assert [part.name for part in curve.points[0].by_class()] == ["N", "S", "V"]
    assert [part.name for part in curve.points[0].by_record()] == ["100", "103"]


def test_a_radius_does_not_depend_on_the_others() -> None:
    subject = windows()
    together = certify(network(), subject, RADII)
    for point in together.points:
        (alone,) = certify(network(), subject, [point.radius_lsb]).points
        np.testing.assert_array_equal(alone.proved, point.proved)


def test_negative_radii_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="negative"):
        certify(network(), windows(), [-1])
