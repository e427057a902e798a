"""Synthetic patients: reproducible, different from each other, and plausible."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from edgeprune.data.cards import load_card
from edgeprune.data.recordings import Recording, read_recordings
from edgeprune.data.synthetic import generate_record
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Silent
from tests.data.patients import three_patients


@pytest.fixture(scope="module")
def recordings() -> tuple[Recording, ...]:
    return read_recordings(load_card("synthetic-ecg"), None, Silent(), 0)


def test_the_whole_data_set_takes_seconds() -> None:
    start = time.process_time()
    read_recordings(load_card("synthetic-ecg"), None, Silent(), 1)
    assert time.process_time() - start < 20


def test_every_part_has_every_generated_class(recordings: tuple[Recording, ...]) -> None:
    split = load_card("synthetic-ecg").split
    by_name = {recording.name: recording for recording in recordings}
    for names in (split.train, split.validation, split.test):
        labels = np.concatenate([by_name[name].labels for name in names])
        counts = np.bincount(labels, minlength=5)
        assert counts[:4].min() >= 10
        assert counts[4] == 0


def test_the_same_seed_gives_the_same_bytes() -> None:
    card = three_patients(20)
    first, again = (generate_record(card, "p01", 5) for _ in range(2))
    np.testing.assert_array_equal(first.samples, again.samples)
    np.testing.assert_array_equal(first.beats, again.beats)
    for other in (generate_record(card, "p01", 6), generate_record(card, "p02", 5)):
        assert not np.array_equal(first.samples, other.samples)


def test_a_record_does_not_depend_on_the_others() -> None:
    card = three_patients(20)
    (alone, *_) = read_recordings(card, None, Silent(), 5)
    np.testing.assert_array_equal(alone.samples, generate_record(card, "p01", 5).samples)


def test_samples_fit_the_converter_and_beats_the_record(
    recordings: tuple[Recording, ...],
) -> None:
    for recording in recordings:
        assert len(recording.samples) == 300 * 360
        assert np.abs(recording.samples.astype(int)).max() < 1024
        assert (np.diff(recording.beats) > 0.2 * 360).all()
        assert 0 <= recording.beats[0] <= recording.beats[-1] < len(recording.samples)
        assert 40 < 60 * len(recording.beats) / 300 < 120


def test_beats_are_where_the_signal_peaks(recordings: tuple[Recording, ...]) -> None:
    distances = []
    for recording in recordings:
        samples = recording.samples.astype(int)
        for beat in recording.beats[2:-2]:
            window = np.abs(samples[beat - 40 : beat + 41] - np.median(samples[beat - 90 :][:180]))
            distances.append(abs(int(window.argmax()) - 40))
    assert np.median(distances) <= 2
    assert np.quantile(distances, 0.95) <= 6


def test_premature_beats_have_their_pauses(recordings: tuple[Recording, ...]) -> None:
    """Narrow: early, no full pause. Wide: early, full pause. Fusion: hardly early."""
    early: dict[int, list[float]] = {1: [], 2: [], 3: []}
    both: dict[int, list[float]] = {1: [], 2: [], 3: []}
    for recording in recordings:
        gaps = np.diff(recording.beats).astype(float)
        usual = float(np.median(gaps))
        for index in range(3, len(gaps) - 2):
            label = int(recording.labels[index])
            if label and not recording.labels[index - 2 : index + 3].sum() - label:
                early[label].append(gaps[index - 1] / usual)
                both[label].append((gaps[index - 1] + gaps[index]) / usual)
    assert np.mean(early[1]) < 0.8
    assert np.mean(early[2]) < 0.75
    assert np.mean(early[3]) > 0.9
    assert np.mean(both[1]) < 1.9
    assert abs(np.mean(both[2]) - 2) < 0.1
    assert abs(np.mean(both[3]) - 2) < 0.1


def test_wide_beats_are_wide(recordings: tuple[Recording, ...]) -> None:
    def width(recording: Recording, beat: int) -> int:
        window = recording.samples[beat - 60 : beat + 61].astype(int)
        deviation = np.abs(window - np.median(window))
        return int((deviation > deviation[55:66].max() / 2).sum())

    wide, narrow = [], []
    for recording in recordings:
        inside = (recording.beats > 100) & (recording.beats < len(recording.samples) - 100)
        for beat, label in zip(recording.beats[inside], recording.labels[inside], strict=True):
            (wide if label == 2 else narrow).append(width(recording, int(beat)))
    assert np.median(wide) > 1.6 * np.median(narrow)


def test_labels_that_lack_a_kind_of_beat() -> None:
    card = three_patients(20)
    labels = {name: symbols for name, symbols in card.labels.items() if name != "N"}
    with pytest.raises(ConfigurationError, match="lack a kind of beat"):
        generate_record(replace(card, labels=labels), "p01", 0)
    with pytest.raises(ConfigurationError, match="synthetic_ecg"):
        generate_record(replace(card, synthetic_ecg=None), "p01", 0)
