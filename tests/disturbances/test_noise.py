"""Noise at a ratio that is measured from outside, and record 118 as its publisher mixed it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.data import Recording, load_card
from edgeprune.data.noise import NOISES, read_mixed
from edgeprune.data.wfdb_reader import read_wfdb_record
from edgeprune.disturbances import parse_disturbance
from edgeprune.disturbances.disturbance import Surroundings
from edgeprune.disturbances.noise import noise_amplitude, signal_amplitude, stress_test
from edgeprune.errors import DataError
from tests.disturbances.recordings import minute


def wide(recording: Recording) -> Recording:
    return replace(recording, adc=replace(recording.adc, bits=16))


def measured_ratio(clean: Recording, noisy: Recording) -> float:
    """Measure signal against noise in plain Python, as the tools' manual pages say."""
    heights = []
    for beat, label in zip(clean.beats.tolist(), clean.labels.tolist(), strict=True):
        around = [int(value) for value in clean.samples[max(beat - 18, 0) : beat + 19]]
        if label == 0 and len(around) == 37:
            heights.append(max(around) - min(around))
    heights = sorted(heights[:300])
    cut = len(heights) // 20
    signal = sum(heights[cut : len(heights) - cut]) / (len(heights) - 2 * cut)
    added = noisy.samples.astype(float) - clean.samples
    levels = sorted(
        float(np.std(added[start : start + 360])) for start in range(0, len(added) - 359, 360)
    )
    cut = len(levels) // 20
    noise = sum(levels[cut : len(levels) - cut]) / (len(levels) - 2 * cut)
    return 10 * math.log10(signal**2 / 8 / noise**2)


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("decibel", [12, -6])
def test_synthetic_noise_has_the_ratio_asked_for(kind: str, decibel: int) -> None:
    clean = wide(minute())
    disturbance = parse_disturbance(f"{kind}:{decibel}dB")
    for seed in range(3):
        noisy = disturbance.apply(clean, seed).recording
        assert measured_ratio(clean, noisy) == pytest.approx(decibel, abs=0.1)
    assert disturbance.source == "synthetic"
    assert "synthetic" in disturbance.describe()


@pytest.mark.parametrize("kind", NOISES)
def test_recorded_noise_has_the_ratio_asked_for(
    kind: str, shared_data: Callable[[str], Path]
) -> None:
    clean = wide(minute())
    surroundings = Surroundings(shared_data("nstdb"))
    noisy = parse_disturbance(f"{kind}:0dB", surroundings).apply(clean, 1).recording
    assert measured_ratio(clean, noisy) == pytest.approx(0, abs=0.1)


def test_six_decibels_are_half_the_amplitude() -> None:
    clean = wide(minute())
    loud, soft = (
        parse_disturbance(f"electrode-motion:{decibel}dB").apply(clean, 0).recording.samples
        - clean.samples
        for decibel in (-6, 14)
    )
    assert loud.std() / soft.std() == pytest.approx(10, rel=0.01)
    assert np.corrcoef(loud, soft)[0, 1] > 0.999


def test_amplitudes_worked_out_by_hand() -> None:
    samples = np.zeros(4000, np.int16)
    samples[[500, 1500, 2500]] = 100, 200, 900
    samples[2540] = -3000  # More than 50 ms from the beat.
    recording = replace(
        minute(), samples=samples, beats=np.array([5, 500, 1500, 2500, 3999]),
        labels=np.array([0, 0, 0, 2, 0]),
    )  # fmt: skip
    assert signal_amplitude(recording) == 150
    with pytest.raises(DataError, match="no normal beat"):
        signal_amplitude(replace(recording, labels=np.full(5, 2)))

    wave = np.tile(np.array([3, -3], np.int16), 50 * 30)
    wave[:100] = np.tile([500, -500], 50)
    # Thirty seconds of 100 samples, the loudest and one of the softest left out.
    assert noise_amplitude(wave, 100.0) == 3


def test_the_stress_test_holds_what_was_there_when_it_switches() -> None:
    rate = 2.0
    noise = np.random.default_rng(0).normal(size=round(1500 * rate))
    held = stress_test(noise, rate)
    # Sample by sample: a gain that is switched, and an offset that hides the switch.
    gain, offset, expected = 0.0, 0.0, []
    for index, value in enumerate(noise):
        second = index / rate
        if second >= 300 and (second - 300) % 120 == 0:
            gain = 1.0 - gain
            offset = gain * noise[index - 1] - expected[-1]
        expected.append(gain * value - offset)
    np.testing.assert_allclose(held, expected, atol=1e-9)
    assert not held[: round(300 * rate)].any()


@pytest.mark.parametrize(("name", "decibel"), [("118e12", 12), ("118e_6", -6)])
def test_record_118_is_mixed_as_its_publisher_mixed_it(
    shared_data: Callable[[str], Path], name: str, decibel: int
) -> None:
    clean = wide(read_wfdb_record(load_card("mit-bih"), shared_data("mitdb"), "118"))
    published = read_mixed(name, shared_data("nstdb")).astype(np.int64)
    disturbance = parse_disturbance(
        f"electrode-motion:{decibel}dB@nst", Surroundings(shared_data("nstdb"))
    )
    ours = disturbance.apply(clean, 0).recording.samples.astype(np.int64)
    np.testing.assert_array_equal(published[: 300 * 360], clean.samples[: 300 * 360])
    np.testing.assert_array_equal(ours[: 300 * 360], clean.samples[: 300 * 360])
    for start in range(300 * 360, 1740 * 360, 240 * 360):
        stretch = slice(start, start + 120 * 360)
        theirs, own = (each[stretch] - clean.samples[stretch] for each in (published, ours))
        assert abs(10 * np.log10(own.var() / theirs.var())) < 0.1
        assert np.corrcoef(theirs, own)[0, 1] > 0.9999
        # What is switched off stays as an offset, and each level hangs on the one before.
        assert abs(own - theirs).max() < 3 + 0.01 * np.abs(theirs).max()
    assert "MIT-BIH" in disturbance.source
