"""Windows: split by patient, nothing lost without a count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.data.cards import load_card
from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.windows import Dataset, prepare
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Silent
from edgeprune.targets import Adc
from tests.data.patients import three_patients
from tests.data.records import small_card, write_record


def prepared(seconds: int = 60, adc: Adc | None = None) -> Dataset:
    card = three_patients(seconds)
    adc = adc or card.adc
    return prepare(card, None, adc, BeatFrontEnd.for_adc(adc), Silent(), 2)


def test_every_beat_is_a_window_or_counted() -> None:
    dataset = prepared()
    parts = (dataset.train, dataset.validation, dataset.test)
    windows = sum(len(part) for part in parts)
    beats = sum(len(recording.beats) for recording in dataset.recordings)
    assert windows + sum(count.excluded for count in dataset.counts) == beats
    for count, recording in zip(dataset.counts, dataset.recordings, strict=True):
        assert (count.record, count.beats) == (recording.name, len(recording.beats))
        assert 1 <= count.excluded <= 3


def test_windows_are_the_front_ends_and_carry_their_origin() -> None:
    dataset = prepared()
    windows = dataset.test
    assert windows.synthetic
    assert windows.class_names == ("N", "S", "V", "F", "Q")
    assert (windows.record_names, windows.patients) == (("p03",), ("p03",))
    assert windows.signal.dtype == windows.rhythm.dtype == np.int8
    assert windows.signal.shape[1:] == dataset.front_end.signal_shape
    (recording,) = [r for r in dataset.recordings if r.name == "p03"]
    output = dataset.front_end.run(recording.samples, recording.beats)
    np.testing.assert_array_equal(windows.signal, output.signal[output.valid])
    np.testing.assert_array_equal(windows.label, recording.labels[output.valid])
    np.testing.assert_array_equal(windows.beat, recording.beats[output.valid])


def test_select_takes_masks_and_indices() -> None:
    windows = prepared().train
    ectopic = windows.select(windows.label > 0)
    assert 0 < len(ectopic) < len(windows)
    assert (ectopic.label > 0).all()
    assert ectopic.record_names == windows.record_names
    np.testing.assert_array_equal(windows.select(np.array([3, 1])).beat, windows.beat[[3, 1]])


def test_another_converter_gives_nearly_the_same_windows() -> None:
    own, other = prepared().test, prepared(adc=Adc(250, 2.0, 16)).test
    assert own.signal.shape == other.signal.shape
    difference = np.abs(own.signal[:, :, 0].astype(int) - other.signal[:, :, 0])
    assert np.median(difference) <= 2
    assert np.abs(own.rhythm[:, :8].astype(int) - other.rhythm[:, :8]).mean() < 1.5


def test_clipping_is_reported() -> None:
    card = three_patients(20)
    low = Adc(360, 5.0, 6)
    dataset = prepare(card, None, low, BeatFrontEnd.for_adc(low), Silent(), 2)
    assert all(count.clipped > 100 for count in dataset.counts)
    assert all(count.clipped == 0 for count in prepared(20).counts)


def test_recorded_windows_are_not_synthetic(tmp_path: Path) -> None:
    for name in ("r1", "r2", "r3"):
        write_record(tmp_path, name)
    card = small_card()
    dataset = prepare(card, tmp_path, card.adc, BeatFrontEnd.for_adc(card.adc), Silent(), 0)
    assert not dataset.train.synthetic
    assert "1 training, 1 validation, 1 test" in dataset.disjointness


def test_a_split_patient_is_refused_before_anything_is_read() -> None:
    card = replace(three_patients(), patients={"p01": "same", "p03": "same"})
    with pytest.raises(ConfigurationError, match="'same'"):
        prepare(card, None, card.adc, BeatFrontEnd.for_adc(card.adc), Silent(), 0)


def test_a_part_without_windows_is_refused() -> None:
    card = three_patients(1)
    with pytest.raises(DataError, match="has no windows"):
        prepare(card, None, card.adc, BeatFrontEnd.for_adc(card.adc), Silent(), 0)


def test_mit_bih_windows(shared_data: Callable[[str], Path]) -> None:
    card = load_card("mit-bih")
    front_end = BeatFrontEnd.for_adc(card.adc)
    dataset = prepare(card, shared_data("mitdb"), card.adc, front_end, Silent(), 0)
    assert len(dataset.train) + len(dataset.validation) == 51_021 - sum(
        count.excluded for count in dataset.counts[:22]
    )
    assert np.bincount(dataset.test.label, minlength=5).tolist() == [44232, 1836, 3221, 388, 7]
    assert all(count.excluded <= 2 and count.clipped == 0 for count in dataset.counts)
    assert not set(dataset.train.patients) & set(dataset.validation.patients)
    assert set(dataset.train.patients) & set(dataset.test.patients) == {"201/202"}
    assert "201 and 202" in dataset.disjointness
