"""The front end's specification against the same steps written out beat by beat."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.integer_arithmetic import integer_log
from edgeprune.data.synthetic import generate_record
from edgeprune.errors import ConfigurationError
from edgeprune.targets import Adc
from tests.data.patients import three_patients

FRONT_END = BeatFrontEnd.for_adc(Adc(360, 5.0, 11))


def log32(value: int) -> int:
    """Count octaves by halving, then the 32nds by comparing."""
    octave = 0
    while value >> (octave + 1):
        octave += 1
    return 32 * octave + ((value - (1 << octave)) * 32 >> octave)


def clip(value: int, limit: int) -> int:
    return max(-limit, min(limit, value))


def clip16(value: int) -> int:
    return max(-32768, min(32767, value))


def quantile(values: list[int], eighths: int) -> int:
    return sorted(values)[(len(values) - 1) * eighths // 8]


def conditioned(samples: list[int], beat: int) -> list[int]:
    def sample(index: int) -> int:
        return samples[min(max(index, 0), len(samples) - 1)]

    def decimated(step: int) -> int:
        return sum(sample(beat + 3 * step + offset) for offset in range(-3, 3))

    steps = [decimated(step) for step in range(-48 - 63, 48 + 63)]
    window = []
    for place in range(96):
        # Weights 1, 2 .. 64 .. 2, 1 around the sample.
        baseline = sum((64 - abs(lag)) * steps[place + 63 + lag] for lag in range(-63, 64))
        window.append(clip16((4096 * steps[place + 63] - baseline + 2048) // 4096))
    return window


def energy(values: list[int]) -> int:
    return log32(sum(value * value for value in values) // 256 + 1)


def plain(samples: list[int], beats: list[int]) -> list[tuple[list[int], list[int]]]:
    """Return the two inputs of every beat but the last: [length * channels], [features]."""
    gaps = [min(max(b - a, 36), 2047) for a, b in pairwise(beats)]
    before, after = [gaps[0], *gaps], gaps
    intervals: deque[int] = deque(maxlen=64)
    changes: deque[int] = deque(maxlen=64)
    template, updates, results = conditioned(samples, beats[0]), 0, []
    for index, beat in enumerate(beats[:-1]):
        rr, following, window = before[index], after[index], conditioned(samples, beat)
        changes.append(abs(rr - intervals[-1]) if intervals else 0)
        intervals.append(rr)
        upper, median = quantile([*intervals], 7), quantile([*intervals][-32:], 4)
        recent = [before[max(index - lag, 0)] for lag in (4, 3, 2, 1, 0)]
        features = [log32(value) - log32(upper) for value in (*recent, following)]
        features += [log32(rr) - log32(median), log32(following) - log32(median)]
        for count, eighths in ((32, 2), (32, 4), (16, 3), (64, 2)):
            change = quantile([*changes][-count:], eighths)
            features.append(log32(16 * change + 16) - log32(upper))
        for count in (32, 64):
            last = [*changes][-count:]
            features.append(log32(16 * sum(last) // len(last) + 16) - log32(upper))
        features.append(log32(upper) - log32(288))
        difference = [clip16(a - b) for a, b in zip(window, template, strict=True)]
        expected = energy(template[36:62])
        features.append((energy(difference[36:62]) - expected) // 2)
        features.append((energy(difference[14:38]) - expected) // 2 + 64)
        features.append(energy(window[36:62]) - expected)
        gain = (64 << 14) // max(200, *(abs(value) for value in template[36:62]))
        signal = [
            clip((value * gain + 8192) // 16384, 127)
            for pair in zip(window, difference, strict=True)
            for value in pair
        ]
        results.append((signal, [clip(value, 127) for value in features]))
        if 8 * rr >= 7 * median and 8 * following >= 7 * median and 4 * rr <= 5 * median:
            updates = min(updates + 1, 4)
            half = 1 << (updates - 1)
            template = [
                value + ((change + half) >> updates)
                for value, change in zip(template, difference, strict=True)
            ]
    return results


def assert_plain(samples: np.ndarray, beats: np.ndarray) -> None:
    output = FRONT_END.run(samples, beats)
    expected = plain(samples.tolist(), beats.tolist())
    for index, (signal, rhythm) in enumerate(expected):
        assert output.signal[index].reshape(-1).tolist() == signal
        assert output.rhythm[index].tolist() == rhythm


def test_a_synthetic_record_is_the_plain_form() -> None:
    recording = generate_record(three_patients(60), "p01", 4)
    assert_plain(recording.samples, recording.beats)


@settings(max_examples=15, deadline=None)
@given(
    gaps=st.lists(st.integers(1, 3000), min_size=2, max_size=12),
    limits=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_record_is_the_plain_form(gaps: list[int], limits: bool, seed: int) -> None:
    beats = np.cumsum(gaps).astype(np.int64)
    generator = np.random.default_rng(seed)
    count = int(beats[-1]) + 10
    samples = generator.integers(-32768, 32768, count)
    if limits:
        samples = np.where(samples < 0, -32768, 32767)
    assert_plain(samples.astype(np.int16), beats)


def test_the_ends_of_a_recording() -> None:
    samples = np.arange(-2000, 2000).astype(np.int16)
    _, after = FRONT_END.reach
    beats = np.array([5, 1000, 3999 - after, 3999 - after + 1])
    assert FRONT_END.run(samples, beats).valid.tolist() == [True, True, True, False]
    alone = np.array([4000 - FRONT_END.rr_most - after - 2])
    assert FRONT_END.run(samples, alone).valid.tolist() == [True]
    assert FRONT_END.run(samples, alone + 1).valid.tolist() == [False]
    assert FRONT_END.run(samples, np.zeros(0, np.int64)).signal.shape == (0, 96, 2)


def test_a_constant_offset_and_a_slow_drift_vanish() -> None:
    recording = generate_record(three_patients(30), "p02", 4)
    original = FRONT_END.run(recording.samples, recording.beats)
    shifted = FRONT_END.run(recording.samples + np.int16(5000), recording.beats)
    np.testing.assert_array_equal(original.signal, shifted.signal)
    drift = np.arange(len(recording.samples)) // 8
    drifting = FRONT_END.run((recording.samples + drift).astype(np.int16), recording.beats)
    inner = slice(1, -1)
    difference = original.signal[inner].astype(int) - drifting.signal[inner]
    assert np.abs(difference).max() <= 2


def test_the_template_is_the_scale() -> None:
    """A regular rhythm of equal beats peaks at 64, whatever its size; nothing is left over."""
    for height in (300, 3000, 30000):
        samples = np.zeros(25_000, np.int64)
        beats = np.arange(600, 24_500, 300)
        for beat in beats:
            samples[beat - 15 : beat + 16] += np.rint(height * np.hanning(31)).astype(np.int64)
        output = FRONT_END.run(samples.astype(np.int16), beats)
        steady = output.signal[60:-5].astype(int)
        assert set(np.abs(steady[:, :, 0]).max(axis=1)) <= {63, 64, 65}
        assert np.abs(steady[:, :, 1]).max() <= 1
        assert set(output.rhythm[5:-5, :8].reshape(-1).tolist()) == {0}


@given(st.integers(1, 2**40))
def test_integer_log_is_a_floor_of_the_logarithm(value: int) -> None:
    assert integer_log(np.array([value]))[0] == log32(value)
    assert -1 <= integer_log(np.array([value]))[0] / 32 - np.log2(value) + 1 / 32 <= 0.05


@pytest.mark.parametrize("rate", [96, 150, 192, 250, 256, 360, 500, 512, 1000, 1024, 1050])
def test_usual_converters_are_taken(rate: float) -> None:
    front_end = BeatFrontEnd.for_adc(Adc(rate, 1.0, 16))
    assert 0.8 <= rate / (120 * front_end.factor) <= 1.25
    # What the device's 32-bit sums rely on.
    assert front_end.factor <= 7
    assert front_end.amplitude_least >= 16


@pytest.mark.parametrize("rate", [50, 95, 160, 191, 1051, 2000])
def test_other_converters_are_refused(rate: float) -> None:
    with pytest.raises(ConfigurationError, match="cannot take"):
        BeatFrontEnd.for_adc(Adc(rate, 1.0, 16))
