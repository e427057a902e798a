"""Attacks on segments: slopes by raw counts, and noise that is smooth in time only."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.raw_slopes import RawSlopes
from edgeprune.attacks.smooth import Smoother, smoothing_kernel
from edgeprune.targets import Adc
from tests.verification.perturbations.test_segments import UV, segments


def test_a_slope_by_the_input_is_one_by_each_of_its_samples() -> None:
    held = segments(factor=2, length=12, channels=2)
    inputs = held.inputs()
    slopes = np.random.default_rng(0).normal(size=inputs[0].shape)
    found = RawSlopes(held).of(held, held.raw, inputs, (slopes,))
    step = held.front_end.gain / 2.0**held.front_end.shift
    inside = np.abs(inputs[0]) < 127
    for window, sample, channel in ((0, 0, 0), (1, 5, 1), (2, 11, 0)):
        place = (sample * 2 + channel) * 2
        wanted = slopes[window, sample, channel] * step * inside[window, sample, channel]
        assert found[window, place : place + 2] == pytest.approx([wanted, wanted])


def test_noise_is_smooth_in_each_channel_by_itself() -> None:
    held = segments(factor=2, length=40, channels=2)
    noise = np.zeros(held.raw.shape)
    # Sample 21 of channel 1.
    noise[:, (10 * 2 + 1) * 2 + 1] = 1.0
    smooth = Smoother(held)
    found = smooth.smooth(noise).reshape(-1, 40, 2, 2)
    assert not found[:, :, 0].any()
    kernel = smoothing_kernel(UV.rate_hz)
    half = len(kernel) // 2
    series = found[0, :, 1].reshape(-1)
    expected = np.zeros(80)
    for place in range(80):
        if abs(place - 21) <= half:
            expected[place] = kernel[place - 21 + half]
    assert series == pytest.approx(expected)
    assert smooth.pull(noise) == pytest.approx(smooth.smooth(noise))


def test_a_ball_of_a_normalised_signal_is_measured_in_its_rms() -> None:
    held = segments(adc=Adc(100.0, 5.0, 12, "rms"))
    ball = Ball.parse("linf:0.02rms")
    assert ball.text == "linf:0.02rms"
    assert ball.radius(held) == 4
    moved = held.raw.copy()
    moved[:, 3] -= 4
    assert ball.contains(held, moved).all()
    assert ball.norm_of(held, moved) == pytest.approx(np.full(3, 0.02))
    assert Ball("linf").norm_of(held, moved) == pytest.approx(np.full(3, 0.02))
