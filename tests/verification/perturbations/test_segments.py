"""Sets of segments: boxes by trying all, members that stay inside, and what is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from edgeprune.data.held_segments import HeldSegments, hold_segments
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.errors import ConfigurationError
from edgeprune.targets import Adc
from edgeprune.verification.perturbations import parse_perturbation

UV = Adc(100.0, 1.0, 12)


def segments(
    factor: int = 2, length: int = 12, channels: int = 2, adc: Adc = UV, count: int = 3
) -> HeldSegments:
    front_end = SegmentFrontEnd(factor, length, channels, factor * length, 3001, 15)
    generator = np.random.default_rng(7)
    samples = generator.normal(0, 300, (count * factor * length, channels)).astype(np.int16)
    samples[:3] = 2047
    return hold_segments(front_end, adc, samples, front_end.starts(len(samples)))


@pytest.mark.parametrize("factor", [1, 2])
def test_the_box_of_linf_is_exactly_what_can_be(factor: int) -> None:
    held = segments(factor, length=2, channels=1)
    sets = parse_perturbation("linf:2uV").input_sets(held)
    low, high = np.full(held.inputs()[0].shape, 127), np.full(held.inputs()[0].shape, -127)
    for change in product(range(-2, 3), repeat=2 * factor):
        raw = np.clip(held.raw + np.array(change), *held.count_range).astype(np.int16)
        (signal,) = held.inputs(raw)
        low, high = np.minimum(low, signal), np.maximum(high, signal)
    assert np.array_equal(sets.low[0], low)
    assert np.array_equal(sets.high[0], high)
    assert sets.correlated is None


@pytest.mark.parametrize(
    "text",
    [
        *("linf:9uV", "l2:40uV", "l0:3", "gain:8%", "offset:30uV", "wander:60uV@4Hz"),
        *("hum:40uV@50/60Hz", "drift:3%", "gain:5%+linf:4uV", "linf:2lsb", "l2:6lsb"),
    ],
)
def test_members_lie_in_their_sets(text: str) -> None:
    held = segments()
    set_ = parse_perturbation(text)
    place = set_.place(held)
    sets = set_.input_sets(held)
    generator = np.random.default_rng(3)
    members = [set_.random(held, generator) for _ in range(4)]
    size = 12 * 2
    members += [set_.vertex(held, generator.normal(size=(3, size))) for _ in range(4)]
    for raw in members:
        assert set_.contains(held, raw).all()
        inputs = place.inputs(raw)
        assert sets.contains(inputs).all()
        if sets.correlated is None:
            continue
        # The linear description holds along any direction too.
        for _ in range(8):
            direction = generator.normal(size=(1, inputs[0][0].size))
            moved = inputs[0].reshape(3, -1).astype(float)
            centre = sets.correlated.centre[:, :, 0]
            slack = sets.correlated.slack[:, :, 0]
            most = sets.correlated.support(direction)[:, 0] + np.abs(direction) @ slack.T
            assert ((moved - centre) @ direction[0] <= most[0] + 1e-6).all()


def test_drift_reads_each_channel_by_itself() -> None:
    held = segments(factor=2, length=12, channels=2, count=1)
    drift = parse_perturbation("drift:10%").parts[0]
    change = drift.at(held, np.array([[0.1]]))
    recorded = held.recorded()[0].astype(float)
    times = np.clip(np.arange(24) * 1.1, 0, 23)
    for channel in range(2):
        wanted = np.interp(times, np.arange(24), recorded[:, channel]) - recorded[:, channel]
        own = np.arange(held.samples) // 2 % 2 == channel
        assert change[0, own] == pytest.approx(wanted)


def test_what_has_no_meaning_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="RR intervals are of beats"):
        parse_perturbation("rr:8ms").input_sets(segments())
    for text in ("flat:50ms", "band:50ms"):
        with pytest.raises(ConfigurationError, match="is of one lead"):
            parse_perturbation(text).input_sets(segments())
    parse_perturbation("flat:50ms").input_sets(segments(channels=1))


def test_volts_and_shares_of_the_rms_are_not_mixed_up() -> None:
    normalised = segments(adc=Adc(100.0, 5.0, 12, "rms"))
    with pytest.raises(ConfigurationError, match="this one was normalised"):
        parse_perturbation("linf:20uV").input_sets(normalised)
    with pytest.raises(ConfigurationError, match="this one is in uV"):
        parse_perturbation("linf:0.02rms").input_sets(segments())
    # 0.02 of the RMS are 20 thousandths: 4 counts of 5.
    change = parse_perturbation("linf:0.02rms").parts[0].best(normalised, np.ones((3, 48)))
    assert set(change.reshape(-1).tolist()) == {4.0}
