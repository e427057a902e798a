"""The front end of segments: its integers, its limits, and windows that may move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data.cards import DatasetCard, load_card
from edgeprune.data.front_ends import front_end_for
from edgeprune.data.held import hold_windows, join_held, load_held
from edgeprune.data.held_segments import HeldSegments
from edgeprune.data.recordings import SOURCES, Event, Recording
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.data.segments import cut_segments
from edgeprune.data.windows import prepare
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Silent
from edgeprune.targets import Adc
from tests.data.test_segments import CARD


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> DatasetCard:
    path = tmp_path_factory.mktemp("card") / "mine.toml"
    path.write_text(CARD)
    return load_card(path)


def recording(generator: np.random.Generator, samples: int, channels: int) -> npt.NDArray[np.int16]:
    return generator.integers(-32768, 32768, (samples, channels)).astype(np.int16)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    factor=st.integers(1, 4),
    length=st.integers(1, 5),
    channels=st.integers(1, 3),
    gain=st.integers(1, 1 << 13),
    shift=st.integers(0, 29),
)
def test_every_value_is_the_formula(
    seed: int, factor: int, length: int, channels: int, gain: int, shift: int
) -> None:
    front_end = SegmentFrontEnd(factor, length, channels, factor * length, gain, shift)
    samples = recording(np.random.default_rng(seed), 3 * factor * length + 1, channels)
    starts = np.array(
        [0, 1, factor * length, 2 * factor * length, 3 * factor * length + 1], np.int64
    )
    output = front_end.run(samples, starts)
    assert output.valid.tolist() == [True, True, True, True, False]
    assert output.rhythm.shape == (5, 0)
    for window, start in enumerate(starts[:4].tolist()):
        for place in range(length):
            for channel in range(channels):
                first = start + place * factor
                total = sum(int(each) for each in samples[first : first + factor, channel])
                half = (1 << shift) // 2
                value = (total * gain + half) // (1 << shift)
                assert -(2**31) <= total * gain + half < 2**31
                assert output.signal[window, place, channel] == min(max(value, -127), 127)
    # What perturbations move is the same, to the bit.
    held = hold_windows(front_end, Adc(16, 0.5, 16), samples, starts, np.arange(4))
    assert isinstance(held, HeldSegments)
    assert np.array_equal(held.inputs()[0], output.signal[:4])
    assert np.array_equal(held.recorded()[1], samples[1 : 1 + factor * length])
    times = held.places()
    assert np.array_equal(held.at_place(times), np.arange(held.samples))
    window = held.recorded()[0]
    channel = np.arange(held.samples) // factor % channels
    assert np.array_equal(held.raw[0], window[times, channel])


def test_full_scale_becomes_127(card: DatasetCard) -> None:
    front_end = front_end_for(card, card.adc)
    assert isinstance(front_end, SegmentFrontEnd)
    assert front_end.signal_shape == (32, 2)
    # 250 uV are 500 counts of 0.5 uV.
    samples = np.full((32, 2), 500, np.int16)
    samples[:, 1] = -501
    signal = front_end.run(samples, np.array([0])).signal
    assert signal[0, 0].tolist() == [127, -127]
    step = front_end.microvolt_per_lsb(np.array([front_end.gain]), card.adc)
    assert step == pytest.approx([250 / 127], rel=1e-3)
    assert front_end.starts(100).tolist() == [0, 32, 64]


def test_of_a_normalised_signal_a_count_is_a_thousandth_of_its_rms(card: DatasetCard) -> None:
    assert card.window is not None
    normalised = replace(
        card,
        signal=replace(card.signal, unit="rms", microvolt_per_count=1.0),
        window=replace(card.window, full_scale=4.0),
    )
    front_end = front_end_for(normalised, normalised.adc)
    signal = front_end.run(np.full((32, 2), 1000, np.int16), np.array([0])).signal
    assert set(signal.reshape(-1).tolist()) == {32}
    with pytest.raises(ConfigurationError, match="counts uV, the signal of mine is in rms"):
        front_end_for(normalised, Adc(16, 0.5, 16))


@pytest.mark.parametrize(
    ("changes", "adc", "said"),
    [
        ({"factor": 3}, Adc(16, 0.5, 16), "no whole|samples of the window"),
        ({"factor": 4, "step_seconds": 0.125}, Adc(16, 0.5, 16), "do not share sums"),
        ({"seconds": 4096.0}, Adc(16, 0.5, 16), "65536 samples of 2 channels"),
        ({"full_scale": 1e-4}, Adc(16, 0.5, 16), "full scale of 0.0001 uV is not possible"),
        ({}, Adc(10.3, 0.5, 16), "window.seconds is 20.6 samples"),
    ],
)
def test_what_is_not_possible_is_refused(
    card: DatasetCard, changes: dict[str, float], adc: Adc, said: str
) -> None:
    assert card.window is not None
    with pytest.raises(ConfigurationError, match=said):
        front_end_for(replace(card, window=replace(card.window, **changes)), adc)


def test_held_segments_are_kept_as_they_are(card: DatasetCard, tmp_path: Path) -> None:
    front_end = front_end_for(card, card.adc)
    samples = recording(np.random.default_rng(1), 200, 2)
    parts = [
        hold_windows(front_end, card.adc, samples, np.arange(0, 150, 32), np.array(chosen))
        for chosen in ([0, 2], [3])
    ]
    held = join_held(parts)
    held.save(tmp_path / "held.npz")
    again = load_held(tmp_path / "held.npz")
    assert (again.front_end, again.adc) == (front_end, card.adc)
    assert np.array_equal(again.raw, held.raw)
    assert np.array_equal(again.select(np.array([2])).raw, parts[1].raw)
    with pytest.raises(ConfigurationError, match="RR intervals are of beats"):
        held.with_intervals()


def test_a_data_set_of_segments_is_cut_where_its_card_says(card: DatasetCard) -> None:
    columns = 2

    def read(*_: object) -> tuple[Recording, ...]:
        generator = np.random.default_rng(4)
        found = []
        for name in ("a", "b", "c"):
            samples = recording(generator, 100, columns)
            events = (Event(1.0, 4.5, 1),)
            starts, labels = cut_segments(card, len(samples), events)
            found.append(
                Recording(name, name, "x", card.adc, samples, starts, labels, events=events)
            )
        return tuple(found)

    SOURCES.add("in-test-segments", read)
    mine = replace(card, source="in-test-segments")
    front_end = front_end_for(mine, mine.adc)
    dataset = prepare(mine, None, mine.adc, front_end, Silent(), 1)
    assert dataset.test.label.tolist() == [1, 1, 0]
    assert dataset.test.beat.tolist() == [0, 32, 64]
    assert dataset.test.signal.shape == (3, 32, 2)
    assert dataset.test.rhythm.shape == (3, 0)
    columns = 3
    with pytest.raises(DataError, match="has 3 channels, the card names 2"):
        prepare(mine, None, mine.adc, front_end, Silent(), 1)
