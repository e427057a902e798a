"""Simulated rhythms are like hearts; mixing changes what it says and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeprune.config import TrainingSettings
from edgeprune.data import BeatFrontEnd, Windows
from edgeprune.targets import Adc
from edgeprune.training.batches import BatchSource, by_class
from edgeprune.training.beats import BeatMixer, Beats, can_mix
from edgeprune.training.rhythms import settled, simulate_rhythm
from edgeprune.training.sampling import window_weights

FRONT_END = BeatFrontEnd.for_adc(Adc(rate_hz=360.0, microvolt_per_count=5.0, bits=11))
SETTINGS = TrainingSettings(epoch_steps=4, batch_size=200, threads=1)
PLAIN = replace(
    SETTINGS,
    simulated_rhythms=0.0,
    remix=0.0,
    early_normals=0.0,
    wide_normals=0.0,
    other_templates=0.0,
)


def windows(count: int = 600) -> Windows:
    """Windows whose every value names its class and its own number, to be followed through."""
    generator = np.random.default_rng(1)
    label = np.arange(count) % 5
    length, _ = FRONT_END.signal_shape
    signal = np.zeros((count, length, 2), np.int8)
    signal[:, :, 0] = (label * 10 + 20)[:, None]
    signal[:, :, 1] = (label * 10 + 20)[:, None] - generator.integers(1, 10, count)[:, None]
    rhythm = np.tile(label[:, None], (1, FRONT_END.rhythm_features)).astype(np.int8)
    return Windows(
        signal=signal,
        rhythm=rhythm,
        gain=np.ones(count, np.int64),
        label=label,
        record=generator.integers(0, 3, count),
        beat=np.zeros(count, np.int64),
        record_names=("a", "b", "c"),
        patients=("a", "b", "c"),
        class_names=("N", "S", "V", "F", "Q"),
        synthetic=True,
    )


def mixer(settings: TrainingSettings, given: Windows) -> BeatMixer:
    beats = Beats(
        torch.from_numpy(given.signal.transpose(0, 2, 1).astype(np.int16)),
        torch.from_numpy(given.rhythm.astype(np.int16)),
        torch.from_numpy(given.label),
    )
    mix = by_class(settings.class_mix, given.class_names)
    weights = window_weights(given.label, given.record, mix, settings.record_balance)
    return BeatMixer(given, FRONT_END, beats, weights, settings, seed=3)


def step(settings: TrainingSettings, given: Windows | None = None) -> Beats:
    made = mixer(settings, given or windows())
    generator = torch.Generator().manual_seed(5)
    return made.step(made.plan(4, generator), 2, generator)


def test_rhythms_are_those_of_hearts() -> None:
    generator = np.random.default_rng(2)
    series = [simulate_rhythm(generator) for _ in range(300)]
    intervals = np.concatenate([each.interval for each in series])
    labels = np.concatenate([each.label for each in series])
    assert intervals.min() >= 0.25
    assert intervals.max() <= 4.2
    assert 0.7 < np.median(intervals) < 0.9
    assert 0.08 < labels.mean() < 0.35
    premature = [
        each.interval[beat] / np.median(each.interval[each.label == 0])
        for each in series
        for beat in np.flatnonzero(each.label)
    ]
    assert np.mean(np.array(premature) < 0.92) > 0.85
    assert len(series[0].interval[settled(series[0])]) == 160 - 1 - 4 - 20


def test_nothing_is_mixed_when_nothing_is_asked() -> None:
    beats = step(PLAIN)
    assert len(beats.label) == 200
    assert torch.equal(beats.signal[:, 0, 0], beats.label * 10.0 + 20)
    assert torch.equal(beats.rhythm, beats.label[:, None].expand_as(beats.rhythm).float())
    assert 4 not in beats.label


def test_remix_lends_normal_shapes_to_n_and_s_only() -> None:
    beats = step(replace(PLAIN, remix=1.0))
    intervals = FRONT_END.interval_features
    shape = (beats.signal[:, 0, 0] - 20) / 10
    low = beats.label < 2
    assert (shape[low] == 0).all()
    assert (shape[~low] == beats.label[~low]).all()
    assert (beats.rhythm[:, 0] == beats.label).all()
    assert (beats.rhythm[:, intervals] == shape).all()
    assert {0, 1, 2} <= set(beats.label.tolist())


def test_simulated_rhythms_meet_fitting_shapes() -> None:
    beats = step(replace(PLAIN, simulated_rhythms=1.0))
    shape = (beats.signal[:, 0, 0] - 20) / 10
    assert set(beats.label.tolist()) == {0, 1, 2}
    assert (shape[beats.label == 0] == 0).all()
    assert set(shape[beats.label == 1].tolist()) == {0.0, 1.0}
    assert (shape[beats.label == 2] == 2).all()
    assert (beats.rhythm[:, FRONT_END.interval_features] == shape).all()
    early = beats.rhythm[:, 4]  # this beat's interval against the upper quantile
    assert early[beats.label == 1].mean() < early[beats.label == 0].mean() - 5


def test_premature_ventricular_beats_become_supraventricular_by_their_shape() -> None:
    early = FRONT_END.rhythm_names.index("log RR[+0] / median")
    given = windows()
    given.rhythm[:, early] = np.where(np.arange(600) % 10 < 5, -20, 5)
    beats = step(replace(PLAIN, early_normals=1.0), given)
    shape = (beats.signal[:, 0, 0] - 20) / 10
    was_ventricular = beats.rhythm[:, 0] == 2
    premature = beats.rhythm[:, early] == -20
    assert (beats.label[was_ventricular & premature] == 1).all()
    assert (shape[was_ventricular & premature] == 0).all()
    assert (beats.label[was_ventricular & ~premature] == 2).all()
    assert (shape[~was_ventricular] == beats.label[~was_ventricular]).all()
    assert (was_ventricular & premature).sum() > 5


def test_wide_usual_beats_for_n_and_s_only() -> None:
    beats, plain = step(replace(PLAIN, wide_normals=1.0)), step(PLAIN)
    low = beats.label < 2
    assert torch.equal(beats.label, plain.label)
    assert torch.equal(beats.rhythm, plain.rhythm)
    assert torch.equal(beats.signal[:, 1], plain.signal[:, 1])
    assert (beats.signal[low, 0] == FRONT_END.peak).all()  # a ventricular shape, here flat
    assert torch.equal(beats.signal[~low], plain.signal[~low])


def test_other_templates_only_for_ventricular_beats() -> None:
    beats = step(replace(PLAIN, other_templates=1.0))
    template = beats.signal[:, 0, 0] - beats.signal[:, 1, 0]
    own = beats.label != 2
    assert ((template >= 1) & (template < 10)).all()
    assert torch.equal(beats.signal[:, 0, 0], beats.label * 10.0 + 20)
    plain = step(PLAIN)
    assert torch.equal(beats.signal[own], plain.signal[own])
    assert not torch.equal(beats.signal[~own], plain.signal[~own])


def test_epochs_repeat_and_differ() -> None:
    source = BatchSource(windows(), FRONT_END, SETTINGS, seed=3)
    first, again, other = (list(source.epoch(number)) for number in (1, 1, 2))
    assert len(first) == 4
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one.signal, two.signal)
        assert torch.equal(one.rhythm, two.rhythm)
        assert torch.equal(one.label, two.label)
    assert not torch.equal(first[0].signal, other[0].signal)
    assert first[0].signal.abs().max() <= 127 / 32


def test_other_data_is_not_mixed() -> None:
    assert can_mix(windows())
    renamed = replace(windows(), class_names=("a", "b", "c", "d", "e"))
    assert not can_mix(renamed)
    assert not can_mix(windows().select(windows().label != 2))
    assert by_class({"N": 1.0}, ("x", "y")) == ()
    assert by_class({"N": 1.0, "Z": 3.0}, ("x", "N")) == (0.0, 1.0)
    assert len(next(BatchSource(renamed, FRONT_END, SETTINGS, seed=3).epoch(0)).label) == 200


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_batch_size_is_kept(share: float) -> None:
    assert len(step(replace(SETTINGS, simulated_rhythms=share)).label) == 200
