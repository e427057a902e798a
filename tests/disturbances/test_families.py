"""What each family does to a recording, measured from outside."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data import Recording
from edgeprune.disturbances import DISTURBANCES, parse_disturbance, parse_family
from edgeprune.disturbances.clock import interpolate
from edgeprune.errors import ConfigurationError, UnknownNameError
from tests.disturbances.recordings import minute

MOVES_BEATS = {"qrs-jitter", "missed-beats", "extra-beats", "clock-drift"}
DETECTOR = {"qrs-jitter", "missed-beats", "extra-beats"}


def changed(text: str, recording: Recording | None = None, seed: int = 3) -> Recording:
    return parse_disturbance(text).apply(recording or minute(), seed).recording


def flat(level: int, seconds: int = 60) -> Recording:
    recording = minute()
    return replace(recording, samples=np.full(360 * seconds, level, np.int16))


@pytest.mark.parametrize("family", DISTURBANCES.names())
def test_what_holds_for_every_family(family: str) -> None:
    clean = minute()
    grid = parse_family(family)
    distances = []
    for disturbance in grid:
        found = disturbance.apply(clean, 3)
        again = pickle.loads(pickle.dumps(disturbance)).apply(clean, 3)
        after = found.recording
        np.testing.assert_array_equal(after.samples, again.recording.samples)
        np.testing.assert_array_equal(after.beats, again.recording.beats)
        assert after.samples.dtype == np.int16
        assert after.samples.min() >= -1024
        assert after.samples.max() <= 1023
        assert len(found.origin) == len(after.beats) == len(after.labels)
        assert (np.diff(after.beats) > 0).all()
        assert after.beats.min() >= 0
        assert after.beats.max() < len(after.samples)
        real = found.origin >= 0
        np.testing.assert_array_equal(after.labels[real], clean.labels[found.origin[real]])
        if family not in MOVES_BEATS:
            np.testing.assert_array_equal(after.beats, clean.beats)
        if family != "clock-drift":
            assert len(after.samples) == len(clean.samples)
            difference = after.samples.astype(float) - clean.samples
            distances.append(float(np.square(difference).sum()))
        assert parse_disturbance(disturbance.text) == disturbance
        assert f"{disturbance.severity:g}" in disturbance.describe() or disturbance.severity == 100
    if family in DETECTOR:
        assert set(distances) == {0.0}
    else:
        assert distances == sorted(distances)


@pytest.mark.parametrize("family", sorted(set(DISTURBANCES) - {"saturation", "resolution"}))
def test_draws_are_of_the_seed_and_the_record(family: str) -> None:
    disturbance = parse_family(family)[2]
    found = [
        disturbance.apply(replace(minute(), name=name), seed).recording
        for name, seed in (("a", 0), ("a", 1), ("b", 0), ("c", 0), ("d", 0), ("e", 0), ("f", 0))
    ]
    kinds = {(each.samples.tobytes(), each.beats.tobytes()) for each in found}
    assert len(kinds) > 1


@pytest.mark.parametrize(("text", "hertz"), [("mains-hum:300uV", 50), ("mains-hum:300uV@60Hz", 60)])
def test_hum_has_its_frequency_and_amplitude(text: str, hertz: int) -> None:
    hum = changed(text, flat(0)).samples * 5.0
    power = np.abs(np.fft.rfft(hum)) ** 2
    frequency = np.fft.rfftfreq(len(hum), 1 / 360)
    assert power[np.abs(frequency - hertz) < 1].sum() > 0.99 * power.sum()
    assert np.sqrt(2) * hum.std() == pytest.approx(300, rel=0.01)


def test_losses_are_as_long_and_as_many_as_said() -> None:
    rail = changed("lead-off:100ms", flat(7, 600)).samples
    lost = rail != 7
    starts = np.flatnonzero(np.diff(lost.astype(int), prepend=0) == 1)
    ends = np.flatnonzero(np.diff(lost.astype(int), append=0) == -1)
    assert 70 <= len(starts) <= 130
    assert set(np.unique(rail[lost])) == {-1024, 1023}
    assert np.median(ends - starts + 1) == 36
    twice = changed("lead-off:100ms@20/min", flat(7, 600)).samples
    assert 1.6 < (twice != 7).sum() / lost.sum() < 2.4

    ramp = replace(flat(0), samples=np.arange(-1000, 1000, dtype=np.int16))
    frozen = changed("drop-out:100ms@100/min", ramp).samples
    held = np.diff(frozen.astype(int)) == 0
    assert held.any()
    assert (frozen <= ramp.samples).all()


def test_converter_faults_in_numbers_worked_out_by_hand() -> None:
    samples = np.array([-1024, -300, -5, -3, 0, 4, 5, 12, 300, 1023], np.int16)
    recording = replace(minute(), samples=samples)
    # 1000 uV are 200 counts; 8 of 11 bits are steps of 8 counts, halves upwards.
    assert changed("saturation:1000uV", recording).samples.tolist() == [
        *(-200, -200, -5, -3, 0, 4, 5, 12, 200, 200),
    ]
    assert changed("resolution:8bit", recording).samples.tolist() == [
        *(-1024, -296, -8, 0, 0, 8, 8, 16, 304, 1023),
    ]
    shifted = changed("offset-error:1000uV", recording).samples.tolist()
    assert shifted in (
        [-1024, -500, -205, -203, -200, -196, -195, -188, 100, 823],
        [-824, -100, 195, 197, 200, 204, 205, 212, 500, 1023],
    )
    wrong = changed("gain-error:50%", recording).samples.tolist()
    assert wrong in (
        [-512, -150, -2, -2, 0, 2, 2, 6, 150, 512],
        [-1024, -450, -8, -4, 0, 6, 8, 18, 450, 1023],
    )
    assert changed("polarity-swap:100%", recording).samples.tolist() == [
        *(1023, 300, 5, 3, 0, -4, -5, -12, -300, -1023),
    ]


def test_a_swap_takes_its_share_of_the_time() -> None:
    swapped = changed("polarity-swap:25%", flat(5, 1200)).samples
    assert (swapped == -5).sum() == 5 * 60 * 360


def test_a_wrong_clock_moves_waves_and_beats_together() -> None:
    times = np.arange(360 * 60)
    beats = np.arange(400, 21000, 300)
    waves = sum(500 * np.exp(-(((times - beat) / 40) ** 2)) for beat in beats)
    clean = replace(minute(), samples=np.rint(waves).astype(np.int16), beats=beats)
    clean = replace(clean, labels=np.zeros(len(beats), np.int64))
    after = changed("clock-drift:5%", clean)
    rate = len(after.samples) / len(clean.samples)
    assert abs(rate - 1) == pytest.approx(0.05, abs=1e-4)
    np.testing.assert_allclose(np.diff(after.beats), 300 * rate, atol=1)
    around = after.samples[after.beats[:, None] + np.arange(-50, 51)]
    assert abs(around.argmax(axis=1) - 50).max() <= 2
    widths = (around > 250).sum(axis=1)
    assert widths.mean() == pytest.approx(rate * 80 * np.sqrt(np.log(2)), rel=0.03)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(-3, 3), st.integers(-30, 30), st.integers(-100, 100)),
    st.lists(st.floats(1, 8), min_size=1, max_size=5),
)
def test_interpolation_is_exact_for_parabolas(
    polynomial: tuple[int, int, int], times: list[float]
) -> None:
    samples = np.polyval(polynomial, np.arange(10)).astype(np.int16)
    expected = np.polyval(polynomial, times)
    np.testing.assert_allclose(interpolate(samples, np.array(times)), expected, atol=1e-9)
    np.testing.assert_array_equal(interpolate(samples, np.arange(10.0)), samples)


def test_sampling_jitter_errs_by_slope_times_time() -> None:
    ramp = replace(flat(0), samples=(np.arange(2000) - 1000).astype(np.int16))
    error = (changed("sampling-jitter:10ms", ramp).samples - ramp.samples)[20:-20]
    assert error.std() == pytest.approx(3.6, rel=0.05)


def test_what_the_detector_does_wrong() -> None:
    clean = minute()
    long = replace(
        clean,
        samples=np.zeros(360 * 3000, np.int16),
        beats=np.arange(300, 360 * 3000 - 300, 300),
        labels=np.zeros(3598, np.int64),
    )
    moved = parse_disturbance("qrs-jitter:20ms").apply(long, 1)
    shift = moved.recording.beats - long.beats[moved.origin]
    assert set(np.unique(shift)) == set(range(-7, 8))
    assert abs(shift.mean()) < 0.3

    missed = parse_disturbance("missed-beats:10%").apply(long, 1)
    assert len(missed.origin) == pytest.approx(0.9 * len(long.beats), rel=0.02)
    np.testing.assert_array_equal(missed.recording.beats, long.beats[missed.origin])
    fewer = parse_disturbance("missed-beats:5%").apply(long, 1)
    assert set(missed.origin) < set(fewer.origin)

    extra = parse_disturbance("extra-beats:10%").apply(long, 1)
    false = extra.origin < 0
    assert false.sum() == pytest.approx(0.1 * len(long.beats), rel=0.15)
    np.testing.assert_array_equal(extra.recording.beats[~false], long.beats)
    assert set(extra.recording.labels[false]) == {-1}


def test_beats_that_jitter_past_each_other_keep_their_labels() -> None:
    crowded = replace(minute(), beats=np.array([500, 501, 502, 900]), labels=np.array([0, 1, 2, 0]))
    found = parse_disturbance("qrs-jitter:200ms").apply(crowded, 5)
    assert (np.diff(found.recording.beats) > 0).all()
    np.testing.assert_array_equal(found.recording.labels, crowded.labels[found.origin])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("electrode-motion", "no severity"),
        ("electrode-motion:6", "is in dB, not in none"),
        ("electrode-motion:6uV", "is in dB, not in uV"),
        ("gain-error:-5%", "is 0 to 100 %"),
        ("mains-hum:5uV@55Hz", "no choice '@55Hz'"),
        ("saturation:5uV@x", "no choice '@x'"),
        ("drop-out:5ms@often", "no choice '@often'"),
        ("muscle-noise:6dB@now", "no choice '@now'"),
    ],
)
def test_what_cannot_be_used_says_why(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_disturbance(text)


def test_an_unknown_family_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse_disturbance("electrod-motion:6dB")
    assert "electrode-motion" in caught.value.hint
