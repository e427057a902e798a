"""Artefacts of an EEG: how large, where, how often, and in which channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeprune.data.cards import load_card
from edgeprune.data.recordings import Recording
from edgeprune.data.synthetic_eeg import generate_eeg
from edgeprune.disturbances import parse_disturbance
from edgeprune.disturbances.disturbance import apply_to
from edgeprune.errors import ConfigurationError

CARD = load_card("synthetic-eeg")
MICROVOLT = CARD.signal.microvolt_per_count


def still(channels: str = "F7-T7, F8-T8", minutes: int = 5) -> Recording:
    """Return silence, so that only what is added is left."""
    recording = generate_eeg(CARD, "p01-a", 1)
    count = len(channels.split(", "))
    samples = np.zeros((minutes * 60 * 128, count), np.int16)
    return replace(recording, samples=samples, lead=channels)


def added(text: str, recording: Recording) -> np.ndarray:
    found = apply_to(parse_disturbance(text), recording, 3).recording
    assert found.events == recording.events
    return np.asarray(found.samples * MICROVOLT)


def test_blinks_are_as_high_as_said_in_the_front_and_lower_behind() -> None:
    found = added("eye-blink:100uV@4/min", still("Fp1, Cz, O1, unknown"))
    highest = found.max(axis=0)
    # Blinks may overlap: the least of a few peaks is that of one alone.
    peaks = found[1:-1, 0][(found[1:-1, 0] > found[:-2, 0]) & (found[1:-1, 0] >= found[2:, 0])]
    assert np.median(peaks) == pytest.approx(100, abs=1)
    assert highest[0] > 4 * highest[1] > 8 * highest[2] > 0
    assert highest[3] == highest[0]
    assert found.min() >= 0


def test_blinks_of_bipolar_channels_have_the_sign_of_the_difference() -> None:
    found = added("eye-blink:200uV", still("F7-T7, T8-F8"))
    np.testing.assert_allclose(found[:, 0], -found[:, 1], atol=MICROVOLT)
    assert found[:, 0].max() > 50


def test_pops_are_steps_of_one_channel_that_decay() -> None:
    found = added("electrode-pop:200uV@1/min", still("a, b, c"))
    jumps = np.abs(np.diff(found, axis=0))
    steps = np.argwhere(jumps > 150)
    assert 1 <= len(steps) <= 20
    for place, channel in steps.tolist():
        assert np.delete(jumps[place], channel).max() < 5
        later = np.abs(found[min(place + 1 + round(0.3 * 128), len(found) - 1), channel])
        assert later < 120


def test_bursts_have_their_rms_and_frequencies() -> None:
    found = added("emg-burst:40uV@1/min", still(minutes=5))
    alone = np.flatnonzero(found[:, 0])
    assert len(alone)
    assert len(alone) < 0.3 * len(found)
    spectrum = np.square(np.abs(np.fft.rfft(found[:, 0])))
    frequency = np.fft.rfftfreq(len(found), 1 / 128)
    assert spectrum[frequency < 15].sum() < 0.02 * spectrum.sum()
    strongest = found[:, found.std(axis=0).argmax()]
    runs = np.split(strongest, np.flatnonzero(np.diff((strongest != 0).astype(int)) != 0) + 1)
    rms = [np.sqrt(np.square(run).mean()) for run in runs if len(run) > 60 and run.any()]
    assert max(rms) < 60


def test_more_is_more_and_the_rate_is_kept() -> None:
    recording = still()
    for name in ("eye-blink", "emg-burst", "electrode-pop"):
        mild, severe = added(f"{name}:20uV", recording), added(f"{name}:80uV", recording)
        np.testing.assert_allclose(severe, 4 * mild, atol=4 * MICROVOLT)
        often, seldom = parse_disturbance(f"{name}:20uV@30/min"), parse_disturbance(f"{name}:20uV")
        assert often.text.endswith("@30/min")
        assert parse_disturbance(often.text) == often
        assert "SYNTHETIC" in seldom.describe()
        assert seldom.source == "synthetic"
    with pytest.raises(ConfigurationError, match="no choice"):
        parse_disturbance("eye-blink:20uV@often")


def test_volts_that_are_not_known_cannot_be_added() -> None:
    recording = still()
    normalised = replace(recording, adc=replace(recording.adc, unit="rms"))
    with pytest.raises(ConfigurationError, match="volts of this signal are not known"):
        added("eye-blink:20uV", normalised)
