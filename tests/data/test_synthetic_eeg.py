"""Synthetic EEG: reproducible, spectra as promised, seizures where they are said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import welch

from edgeprune.data.cards import load_card
from edgeprune.data.eeg_artefacts import blink_shape, blink_spread, muscle_noise, pop_shape
from edgeprune.data.recordings import Recording, read_recordings
from edgeprune.data.synthetic_eeg import generate_eeg
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Silent

CARD = load_card("synthetic-eeg")


@pytest.fixture(scope="module")
def recordings() -> tuple[Recording, ...]:
    names = CARD.split.records[::3]
    card = replace(
        CARD, split=replace(CARD.split, development=names[:-1], validation=(), test=names[-1:])
    )
    return read_recordings(card, None, Silent(), 3)


def test_one_seizure_a_record_within_it(recordings: tuple[Recording, ...]) -> None:
    for recording in recordings:
        (event,) = recording.events
        assert 20 <= event.end_s - event.begin_s <= 61
        assert 15 <= event.begin_s < event.end_s <= 300 - 15
        assert recording.samples.shape == (300 * 128, 2)
        assert np.abs(recording.samples.astype(int)).max() <= 2048
        # Windows of 4 s side by side, the label that of more than half of it.
        assert recording.beats.tolist() == list(range(0, 300 * 128, 512))
        for start, label in zip(recording.beats / 128, recording.labels, strict=True):
            covered = max(0.0, min(event.end_s, start + 4) - max(event.begin_s, start))
            assert label == (covered >= 2)


def test_the_same_seed_gives_the_same_record() -> None:
    first, again = (generate_eeg(CARD, "p01-a", 5) for _ in range(2))
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.events == again.events
    for other in (generate_eeg(CARD, "p01-a", 6), generate_eeg(CARD, "p01-b", 5)):
        assert not np.array_equal(first.samples, other.samples)


def test_records_of_a_patient_are_alike_in_what_is_the_patients() -> None:
    """The hum is the patient's: without artefacts its line is the same in all three records."""
    assert CARD.synthetic_eeg is not None
    calm = replace(CARD, synthetic_eeg=replace(CARD.synthetic_eeg, artefacts=0.0))

    def lines(record: str) -> int:
        values = generate_eeg(calm, record, 1).samples[:, 0].astype(float)
        frequency, power = welch(values, 128, nperseg=1024)
        high = frequency > 30
        return round(float(frequency[high][power[high].argmax()]))

    for patient in ("p02", "p05"):
        found = {lines(f"{patient}-{part}") for part in "abc"}
        assert len(found) == 1
        assert found <= {50, 60}


def test_the_power_falls_with_the_frequency(recordings: tuple[Recording, ...]) -> None:
    for recording in recordings[::2]:
        frequency, power = welch(recording.samples[:, 0].astype(float), 128, nperseg=1024)
        low, high = (frequency > 0.5) & (frequency < 2), (frequency > 15) & (frequency < 25)
        assert power[low].mean() > 5 * power[high].mean()


def test_seizures_are_rhythmic_and_slow_down(recordings: tuple[Recording, ...]) -> None:
    kinds = set()
    for recording in recordings:
        (event,) = recording.events
        span = slice(int(event.begin_s * 128) + 512, int(event.end_s * 128) - 256)
        values = recording.samples[span].astype(float)
        channel = values.std(axis=0).argmax()
        frequency, power = welch(values[:, channel], 128, nperseg=min(512, len(values)))
        band = (frequency >= 2) & (frequency <= 9)
        peak = frequency[band][power[band].argmax()]
        kinds.add("spike-wave" if peak < 3.6 else "theta")
        outside = np.r_[recording.samples[: span.start - 1024, channel]].astype(float)
        assert values[:, channel].std() > 1.2 * outside.std()
    assert kinds == {"spike-wave", "theta"}


def test_a_card_that_cannot_be_generated() -> None:
    with pytest.raises(ConfigurationError, match="synthetic_eeg"):
        generate_eeg(replace(CARD, synthetic_eeg=None), "p01-a", 0)
    with pytest.raises(ConfigurationError, match="no class for 'seizure'"):
        generate_eeg(replace(CARD, labels={"background": (), "x": ("y",)}), "p01-a", 0)


def test_the_shapes_of_artefacts() -> None:
    blink, pop = blink_shape(256), pop_shape(256)
    assert blink.max() == pytest.approx(1)
    assert blink[0] == 0
    assert abs(blink[-1]) < 1e-12
    assert (blink > 0.5).sum() / 256 == pytest.approx(0.2, abs=0.01)
    assert pop[0] == 1
    assert pop[round(0.3 * 256)] == pytest.approx(np.exp(-1), rel=0.01)
    assert (np.diff(pop) < 0).all()
    assert pop[-1] < 2e-3
    burst = muscle_noise(np.random.default_rng(1), 512, 256)
    frequency, power = welch(burst, 256, nperseg=256)
    assert np.sqrt(np.square(burst).mean()) == pytest.approx(1)
    assert power[frequency < 12].sum() < 0.02 * power.sum()


def test_a_blink_fades_towards_the_back() -> None:
    seen = blink_spread(["Fp1", "Fz", "Cz", "Pz", "O1", "EEG F7-Ref", "Fc5.", "no name"])
    assert list(seen[:5]) == sorted(seen[:5], reverse=True)
    assert seen[0] == 1
    assert seen[-1] == 1
    assert 0 < seen[5] < 1
    assert 0 < seen[6] < 1
    # A bipolar channel sees the difference; upside down, its negative.
    (straight, turned) = blink_spread(["F7-T7", "T7-F7"])
    assert straight == -turned > 0
