"""Bringing a recording to a device's converter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprune.data.recordings import Recording, read_recordings, to_adc
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.progress import Silent
from edgeprune.targets import Adc
from tests.data.patients import three_patients
from tests.data.records import small_card, write_record

OWN = Adc(360, 5.0, 11)


def recording_of(samples: np.ndarray, beats: tuple[int, ...] = (100, 500)) -> Recording:
    labels = np.zeros(len(beats), np.int64)
    return Recording("r", "p", "MLII", OWN, samples.astype(np.int16), np.array(beats), labels)


def sine(rate: float, frequency: float, seconds: float, microvolts: float) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return microvolts * np.sin(2 * np.pi * frequency * time)


def test_the_same_converter_changes_nothing() -> None:
    recording = recording_of(sine(360, 5, 4, 1000) / 5)
    conversion = to_adc(recording, Adc(360, 5.0, 11))
    assert conversion.identical
    assert conversion.clipped == 0
    np.testing.assert_array_equal(conversion.recording.samples, recording.samples)


@pytest.mark.parametrize(("rate", "microvolts"), [(250, 2.0), (500, 5.0), (1000, 1.0), (128, 4.0)])
def test_a_sine_stays_the_same_sine(rate: float, microvolts: float) -> None:
    recording = recording_of(np.rint(sine(360, 5, 10, 2000) / 5))
    adc = Adc(rate, microvolts, 16)
    conversion = to_adc(recording, adc)
    converted = conversion.recording
    assert not conversion.identical
    assert converted.adc == adc
    assert len(converted.samples) == 10 * rate
    expected = sine(rate, 5, 10, 2000)
    middle = slice(int(rate), int(9 * rate))
    error = converted.samples[middle] * microvolts - expected[middle]
    assert np.abs(error).max() < 15


def test_beats_move_with_the_samples() -> None:
    samples = np.zeros(7200)
    beats = tuple(range(200, 7000, 333))
    for beat in beats:
        samples[beat - 20 : beat + 21] += 800 * np.hanning(41)
    converted = to_adc(recording_of(samples, beats), Adc(500, 5.0, 12)).recording
    for beat, original in zip(converted.beats, beats, strict=True):
        assert abs(beat - original * 500 / 360) <= 0.5
        window = converted.samples[beat - 10 : beat + 11]
        assert abs(int(window.argmax()) - 10) <= 1


def test_a_level_is_kept_to_the_ends() -> None:
    converted = to_adc(recording_of(np.full(3600, 700.0)), Adc(250, 5.0, 11)).recording
    assert set(np.unique(converted.samples)) == {700}


def test_clipping_is_counted() -> None:
    samples = np.zeros(1000)
    samples[10:17] = 600
    samples[20:22] = -600
    conversion = to_adc(recording_of(samples), Adc(360, 5.0, 10))
    assert conversion.clipped == 9
    assert not conversion.identical
    assert conversion.recording.samples.max() == 511
    assert conversion.recording.samples.min() == -512


def test_files_need_a_folder() -> None:
    with pytest.raises(ConfigurationError, match="no folder is given") as caught:
        read_recordings(small_card(), None, Silent(), 0)
    assert "datasets fetch" in caught.value.hint


def test_records_come_in_the_order_of_the_split(tmp_path: Path) -> None:
    for name in ("r1", "r2", "r3"):
        write_record(tmp_path, name)
    recordings = read_recordings(small_card(), tmp_path, Silent(), 0)
    assert [recording.name for recording in recordings] == ["r1", "r2", "r3"]


def test_an_unknown_source_lists_the_known_ones() -> None:
    from dataclasses import replace

    with pytest.raises(UnknownNameError, match="edf"):
        read_recordings(replace(three_patients(), source="matlab"), None, Silent(), 0)
