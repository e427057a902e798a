"""Held beats: the front end's own arithmetic for one window, and nothing of the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data import load_card
from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.held_front_end import HeldBeats, centred, conditioning_matrix, hold, join
from edgeprune.data.synthetic import generate_record
from edgeprune.data.wfdb_reader import read_wfdb_record
from edgeprune.targets import Adc
from tests.data.patients import three_patients

ADC = Adc(360, 5.0, 11)
FRONT_END = BeatFrontEnd.for_adc(ADC)
RECORDING = generate_record(three_patients(60), "p03", 3)
USUAL = FRONT_END.run(RECORDING.samples, RECORDING.beats)
BEATS = np.flatnonzero(USUAL.valid)
HELD = hold(FRONT_END, ADC, RECORDING.samples, RECORDING.beats, BEATS)


def assert_same_inputs(held: HeldBeats, samples: np.ndarray, beats: np.ndarray) -> None:
    output = held.front_end.run(samples, beats)
    signal, rhythm = held.inputs()
    np.testing.assert_array_equal(signal, output.signal[output.valid])
    np.testing.assert_array_equal(rhythm, output.rhythm[output.valid])
    np.testing.assert_array_equal(held.gain, output.gain[output.valid])


def test_unchanged_samples_give_what_the_front_end_gives() -> None:
    assert_same_inputs(HELD, RECORDING.samples, RECORDING.beats)
    assert HELD.raw.shape == (len(BEATS), 669)
    np.testing.assert_array_equal(
        HELD.raw[:, HELD.beat_at], RECORDING.samples[RECORDING.beats[BEATS]]
    )


@settings(max_examples=20, deadline=None)
@given(
    rate=st.sampled_from([120, 250, 360, 1000]),
    seed=st.integers(0, 2**32 - 1),
    extreme=st.booleans(),
)
def test_any_record_of_any_converter(rate: int, seed: int, extreme: bool) -> None:
    """Sixteen-bit noise reaches the clips of the conditioned counts and of the inputs."""
    front_end = BeatFrontEnd.for_adc(Adc(rate, 1.0, 16))
    generator = np.random.default_rng(seed)
    beats = np.cumsum(generator.integers(1, 2 * rate, 12))
    samples = generator.integers(-32768, 32768, beats[-1] + 12 * rate)
    if extreme:
        samples = np.where(samples < 0, -32768, 32767)
    samples = samples.astype(np.int16)
    valid = front_end.run(samples, beats).valid
    held = hold(front_end, Adc(rate, 1.0, 16), samples, beats, valid)
    assert_same_inputs(held, samples, beats)


def test_a_change_of_the_window_alone_is_what_the_front_end_sees() -> None:
    """The last beat of a recording that ends with it: its samples reach no memory before it.

    The beats before it are far enough away that its window overlaps none of theirs.
    """
    generator = np.random.default_rng(7)
    before, after = FRONT_END.reach
    for limit in (40, 2000, 30_000):
        samples = np.cumsum(generator.integers(-9, 10, 9000)) + generator.integers(-9, 10, 9000)
        beats = np.array([700, 1000, 1400, 1700, 2100, 3200])
        held = hold(FRONT_END, ADC, samples.astype(np.int16), beats, np.array([5]))
        changed = samples.copy()
        window = slice(3200 - before, 3200 + after + 1)
        changed[window] += generator.integers(-limit, limit + 1, before + after + 1)
        changed = np.clip(changed, -32768, 32767).astype(np.int16)
        output = FRONT_END.run(changed, beats)
        signal, rhythm = held.inputs(changed[None, window])
        np.testing.assert_array_equal(signal[0], output.signal[5])
        np.testing.assert_array_equal(rhythm[0], output.rhythm[5])


def test_the_matrix_is_the_conditioning() -> None:
    matrix = conditioning_matrix(FRONT_END)
    assert matrix.shape == (669, 96)
    assert not matrix.sum(axis=0).any()
    blocks = matrix.reshape(223, 3, 96)
    assert (blocks == blocks[:, :1]).all()
    counts = HELD.raw.astype(np.int64)
    np.testing.assert_array_equal(counts @ matrix, centred(FRONT_END, counts))
    rounded = (counts @ matrix + 2048) >> 12
    conditioned = FRONT_END.condition(RECORDING.samples, RECORDING.beats)[BEATS]
    np.testing.assert_array_equal(rounded, conditioned)


def test_the_intervals_are_the_recordings() -> None:
    gaps = np.diff(RECORDING.beats)
    row = HELD.rr[20]
    assert len(row) == 66
    np.testing.assert_array_equal(row[-22:-1], np.concatenate([gaps[:1], gaps[:20]]))
    assert row[-1] == gaps[20]
    assert not row[:-22].any()


@settings(max_examples=20, deadline=None)
@given(
    gaps=st.lists(st.integers(1, 2500), min_size=2, max_size=90),
    before=st.integers(36, 2047),
    after=st.integers(36, 2047),
)
def test_moved_intervals_are_those_of_a_recording_with_other_beats(
    gaps: list[int], before: int, after: int
) -> None:
    """Moving this beat's intervals is what another recording's last beats would have had."""
    beats = np.cumsum([*gaps, 400, 300])
    rows, _ = FRONT_END.interval_rows(*FRONT_END.intervals(beats))
    held = hold(FRONT_END, ADC, np.zeros(beats[-1] + 4000, np.int16), beats, np.arange(len(beats)))
    around = held.rr[:, -2:]
    np.testing.assert_array_equal(held.interval_features(around), rows)
    last = len(beats) - 2
    moved = beats.copy()
    moved[last:] = beats[last - 1] + before, beats[last - 1] + before + after
    other, _ = FRONT_END.interval_rows(*FRONT_END.intervals(moved))
    one = held.select(np.array([last])).with_intervals()
    raw = one.raw.copy()
    raw[0, -2:] = before, after
    _, rhythm = one.inputs(raw)
    np.testing.assert_array_equal(rhythm[0, : FRONT_END.interval_features], other[last])


def test_saved_selected_and_joined(tmp_path: Path) -> None:
    HELD.save(tmp_path / "held.npz")
    loaded = HeldBeats.load(tmp_path / "held.npz")
    assert (loaded.front_end, loaded.adc) == (FRONT_END, ADC)
    mask = np.arange(len(HELD)) % 3 == 0
    again = join([loaded.select(mask), loaded.select(~mask)])
    order = np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)])
    for one, other in zip(again.inputs(), HELD.select(order).inputs(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.rr, HELD.rr[order])


def test_real_recordings(shared_data: Callable[[str], Path]) -> None:
    for record in ("208", "232"):
        recording = read_wfdb_record(load_card("mit-bih"), shared_data("mitdb"), record)
        valid = FRONT_END.run(recording.samples, recording.beats).valid
        held = hold(FRONT_END, ADC, recording.samples, recording.beats, valid)
        assert_same_inputs(held, recording.samples, recording.beats)
