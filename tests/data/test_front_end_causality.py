"""What a beat's inputs may depend on: its window, what lies before, and the next beat's time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.synthetic import generate_record
from edgeprune.targets import Adc
from tests.data.patients import three_patients

FRONT_END = BeatFrontEnd.for_adc(Adc(360, 5.0, 11))
RECORDING = generate_record(three_patients(60), "p03", 3)
USUAL = FRONT_END.run(RECORDING.samples, RECORDING.beats)
beats = st.integers(3, len(RECORDING.beats) - 4)


def assert_same_until(samples: np.ndarray, positions: np.ndarray, index: int) -> None:
    """Beats up to `index` have the inputs that they had in the unchanged recording."""
    output = FRONT_END.run(samples, positions)
    np.testing.assert_array_equal(output.signal[: index + 1], USUAL.signal[: index + 1])
    np.testing.assert_array_equal(output.rhythm[: index + 1], USUAL.rhythm[: index + 1])


@settings(max_examples=25, deadline=None)
@given(index=beats, seed=st.integers(0, 2**32 - 1))
def test_samples_after_the_window_do_not_matter(index: int, seed: int) -> None:
    samples = RECORDING.samples.copy()
    end = int(RECORDING.beats[index]) + FRONT_END.reach[1] + 1
    noise = np.random.default_rng(seed).integers(-32768, 32768, len(samples) - end)
    samples[end:] = noise.astype(np.int16)
    assert_same_until(samples, RECORDING.beats, index)


@settings(max_examples=25, deadline=None)
@given(index=beats, seed=st.integers(0, 2**32 - 1))
def test_beats_after_the_next_do_not_matter(index: int, seed: int) -> None:
    known = RECORDING.beats[: index + 2]
    rest = np.random.default_rng(seed).choice(len(RECORDING.samples) - known[-1] - 1, 5, False)
    later = np.sort(rest) + known[-1] + 1
    assert_same_until(RECORDING.samples, np.concatenate([known, later]), index)
    assert_same_until(RECORDING.samples, np.append(known, later[-1]), index)


def test_the_reach_is_tight() -> None:
    """One sample inside the reach matters, at both ends; one outside does not."""
    before, after = FRONT_END.reach
    quiet = np.zeros(4000, np.int16)
    position = np.array([2000, 2300])
    usual = FRONT_END.condition(quiet, position)[0]
    for place, matters in (
        (2000 - before, True),
        (2000 - before - 1, False),
        (2000 + after, True),
        (2000 + after + 1, False),
    ):
        samples = quiet.copy()
        samples[place] = 32767
        changed = FRONT_END.condition(samples, position)[0]
        assert np.array_equal(changed, usual) != matters, place


def test_interval_rows_are_the_leading_features() -> None:
    before, after = FRONT_END.intervals(RECORDING.beats)
    rows, _ = FRONT_END.interval_rows(before, after)
    assert rows.shape[1] == FRONT_END.interval_features == FRONT_END.rhythm_features - 3
    np.testing.assert_array_equal(rows, USUAL.rhythm[:, : FRONT_END.interval_features])
    assert len(FRONT_END.rhythm_names) == FRONT_END.rhythm_features
