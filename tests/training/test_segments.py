"""Training on segments: what augmentation changes, and what training takes a perturbation to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.errors import ConfigurationError
from edgeprune.targets import Adc
from edgeprune.training.changes import training_spec
from edgeprune.training.segment_changes import perturbed
from edgeprune.training.segments import SegmentAugmentation
from edgeprune.verification.perturbations import parse_perturbation
from tests.verification.perturbations.test_segments import segments


def test_augmentation_keeps_what_a_segment_is() -> None:
    generator = torch.Generator().manual_seed(1)
    signal = torch.randn(40, 3, 64, generator=generator) * 30
    rhythm = torch.zeros(40, 0)
    change = SegmentAugmentation()
    assert change(signal, rhythm, 0.0, generator)[0] is signal
    moved, beside = change(signal, rhythm, 1.0, generator)
    assert beside is rhythm
    assert moved.shape == signal.shape
    assert moved.abs().max() <= 127
    shifted = SegmentAugmentation(gain=0.0, noise=0.0)(signal, rhythm, 1.0, generator)[0]
    for before, after in zip(signal, shifted, strict=True):
        shifts = [
            shift
            for shift in range(-3, 4)
            if torch.equal(after[:, 3:-3], before[:, 3 + shift : 61 + shift])
        ]
        # All channels move together, by at most five per cent of the window.
        assert len(shifts) == 1


@pytest.mark.parametrize("text", ["linf:6uV", "gain:10%", "l2:20uV", "hum:9uV@20Hz", "linf:2lsb"])
def test_training_bounds_hold_what_can_be(text: str) -> None:
    held = segments()
    front_end, adc = held.front_end, held.adc
    moves = perturbed(training_spec(text, adc), front_end, adc)
    real = torch.from_numpy(held.inputs()[0].transpose(0, 2, 1) / np.float32(32))
    signal, _ = moves.inputs(real, torch.zeros(3, 0), torch.ones(3), 1.0)
    sets = parse_perturbation(text).input_sets(held)
    for bound, end in ((signal.low, sets.low[0]), (-signal.high, -sets.high[0])):
        exact = torch.from_numpy(end.transpose(0, 2, 1) / np.float32(32))
        # Half a step is the rounding of the unchanged value, which training does not know.
        assert (bound <= exact + 0.51 / 32).all()


def test_a_change_of_raw_samples_is_what_the_front_end_makes_of_it() -> None:
    held = segments()
    front_end, adc = held.front_end, held.adc
    moves = perturbed(training_spec("linf:6uV", adc), front_end, adc)
    generator = np.random.default_rng(2)
    change = generator.integers(-40, 41, held.raw.shape)
    inside = np.clip(held.raw + change, *held.count_range).astype(np.int16)
    real = torch.from_numpy(held.inputs()[0].transpose(0, 2, 1) / np.float32(32))
    moved, _ = moves.changed(
        real,
        torch.zeros(3, 0),
        torch.ones(3),
        torch.from_numpy((inside - held.raw) * np.float32(adc.microvolt_per_count)),
    )
    exact = held.inputs(inside)[0].transpose(0, 2, 1) / 32
    # What the clip cut off is not given back.
    whole = np.abs(real.numpy()) < 127 / 32
    assert np.abs(moved.numpy() - exact)[whole].max() <= 1.01 / 32
    assert moves.samples == held.raw.shape[1]


def test_what_segments_do_not_have_is_refused() -> None:
    front_end = SegmentFrontEnd(1, 8, 2, 8, 3000, 14)
    with pytest.raises(ConfigurationError, match="RR intervals are of beats"):
        perturbed(training_spec("rr:2lsb", Adc(64, 1.0, 12)), front_end, Adc(64, 1.0, 12))
    with pytest.raises(ConfigurationError, match="this one was normalised"):
        training_spec("linf:5uV", Adc(64, 1.0, 12, "rms"))
