"""The same beats cut anew from disturbed recordings, and decided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.data import load_card
from edgeprune.disturbances import (
    LOST,
    Disturbance,
    decide_disturbed,
    disturbed_windows,
    other_windows,
    parse_disturbance,
)
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.executor import Executor
from edgeprune.progress import Silent
from tests.certified_beats import beats, network
from tests.data.patients import three_patients
from tests.disturbances.recordings import ADC, FRONT_END, minute, windows_of

RECORDINGS = (minute("r1"), minute("r2"))
EVERY = windows_of(*RECORDINGS)
CHOSEN = EVERY.select(np.random.default_rng(0).permutation(len(EVERY))[:25])


def test_nothing_disturbs_nothing() -> None:
    cut = disturbed_windows(RECORDINGS[::-1], CHOSEN, FRONT_END, None, 0)
    assert cut.present.all()
    for name in ("signal", "rhythm", "gain", "label", "record", "beat"):
        np.testing.assert_array_equal(getattr(cut.windows, name), getattr(CHOSEN, name))


@pytest.mark.parametrize("text", ["muscle-noise:0dB", "clock-drift:5%", "extra-beats:10%"])
def test_windows_are_those_of_the_whole_disturbed_recording(text: str) -> None:
    disturbance = parse_disturbance(text)
    cut = disturbed_windows(RECORDINGS, CHOSEN, FRONT_END, disturbance, 4)
    for row in range(len(CHOSEN)):
        recording = RECORDINGS[CHOSEN.record[row]]
        disturbed = disturbance.apply(recording, 4)
        output = FRONT_END.run(disturbed.recording.samples, disturbed.recording.beats)
        index = recording.beats.tolist().index(CHOSEN.beat[row])
        now = disturbed.origin.tolist().index(index)
        assert cut.present[row] == output.valid[now]
        if cut.present[row]:
            np.testing.assert_array_equal(cut.windows.signal[row], output.signal[now])
            np.testing.assert_array_equal(cut.windows.rhythm[row], output.rhythm[now])
            assert cut.windows.gain[row] == output.gain[now]
            assert cut.windows.beat[row] == disturbed.recording.beats[now]
    np.testing.assert_array_equal(cut.windows.label, CHOSEN.label)


def test_a_missed_beat_is_counted_and_not_dropped() -> None:
    disturbance = parse_disturbance("missed-beats:20%")
    cut = disturbed_windows(RECORDINGS, EVERY, FRONT_END, disturbance, 1)
    assert len(cut.windows) == len(EVERY)
    for row in range(len(EVERY)):
        recording = RECORDINGS[EVERY.record[row]]
        kept = disturbance.apply(recording, 1).recording.beats
        if EVERY.beat[row] not in kept:
            assert not cut.present[row]
            assert not cut.windows.signal[row].any()
    assert 0.1 < (~cut.present).mean() < 0.3


def test_all_beats_missed_leaves_no_window() -> None:
    cut = disturbed_windows(RECORDINGS, EVERY, FRONT_END, parse_disturbance("missed-beats:100%"), 1)
    assert not cut.present.any()


def test_decisions_are_those_of_the_network_however_the_work_is_done(tmp_path: Path) -> None:
    small = network(beats(8))
    tried: list[Disturbance | None] = [None, parse_disturbance("missed-beats:20%")]
    plain = decide_disturbed(small, RECORDINGS, CHOSEN, FRONT_END, tried, 2)
    for each, disturbance in zip(plain, tried, strict=True):
        cut = disturbed_windows(RECORDINGS, CHOSEN, FRONT_END, disturbance, 2)
        expected = small.predict(*(cut.windows.signal, cut.windows.rhythm)[: len(small.inputs)])
        np.testing.assert_array_equal(each.predictions, np.where(cut.present, expected, LOST))
        assert not each.logits[~cut.present].any()
    kept = Executor(1, None, tmp_path)
    for _ in range(2):
        again = decide_disturbed(small, RECORDINGS, CHOSEN, FRONT_END, tried, 2, kept)
        for first, second in zip(plain, again, strict=True):
            np.testing.assert_array_equal(first.logits, second.logits)
            np.testing.assert_array_equal(first.present, second.present)


def test_recordings_that_do_not_belong_are_refused() -> None:
    with pytest.raises(DataError, match="'r2' are not given"):
        disturbed_windows(RECORDINGS[:1], EVERY, FRONT_END, None, 0)
    moved = replace(CHOSEN, beat=CHOSEN.beat + 1)
    with pytest.raises(DataError, match="none of its recording"):
        disturbed_windows(RECORDINGS, moved, FRONT_END, None, 0)


def test_another_data_set_comes_at_the_networks_converter() -> None:
    card = three_patients(20)
    other = other_windows(
        card, None, replace(ADC, rate_hz=250.0), FRONT_END, card.class_names, Silent(), 0
    )
    assert len(other)
    assert other.record_names == ("p03",)
    with pytest.raises(ConfigurationError, match="has the classes N, S, V, F, Q, the network N, V"):
        other_windows(load_card("mit-bih"), None, ADC, FRONT_END, ("N", "V"), Silent(), 0)
