"""Blinks and pops as sets: members by hand, supports by trying every onset, splits, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.data.eeg_artefacts import blink_shape, pop_shape
from edgeprune.data.held_segments import HeldSegments, hold_segments
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.errors import ConfigurationError
from edgeprune.targets import Adc
from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.witness import explain

RATE, COUNT = 20.0, 0.5


def segments(factor: int = 2, length: int = 10, channels: int = 2, count: int = 3) -> HeldSegments:
    front_end = SegmentFrontEnd(factor, length, channels, factor * length, 3001, 15)
    generator = np.random.default_rng(7)
    samples = generator.normal(0, 300, (count * factor * length, channels)).astype(np.int16)
    return hold_segments(front_end, Adc(RATE, COUNT, 12), samples, front_end.starts(len(samples)))


def by_hand(text: str, size: float, factor: int, length: int) -> list[np.ndarray]:
    """Return every artefact of full size as uV [samples, 2], one after the other."""
    total, found = factor * length, []
    if text.startswith("blink"):
        shape, shares = blink_shape(RATE), np.array([1.0, -0.5])
        for onset in range(-len(shape), total):
            one = np.zeros(total)
            for step, value in enumerate(shape):
                if 0 <= onset + step < total:
                    one[onset + step] = value
            found.append(size * one[:, None] * shares)
        return found
    shape = pop_shape(RATE)
    for channel in (0, 1):
        for onset in range(total):
            for sign in (-1, 1):
                one = np.zeros((total, 2))
                cut = shape[: total - onset]
                one[onset : onset + len(cut), channel] = sign * size * cut
                found.append(one)
    return found


def as_raw(change: np.ndarray, held: HeldSegments) -> np.ndarray:
    """Return uV [samples, channels] as counts in the order of raw."""
    front_end = held.front_end
    cut = change.reshape(front_end.length, front_end.factor, front_end.channels)
    return np.asarray(cut.transpose(0, 2, 1).reshape(-1) / COUNT)


TEXTS = ["blink:40uV@1/-0.5", "pop:60uV"]


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("text", TEXTS)
def test_the_support_is_that_of_every_onset(text: str, factor: int) -> None:
    held, (part,) = segments(factor), parse_perturbation(text).parts
    size = 40.0 if text.startswith("blink") else 60.0
    every = np.array([as_raw(each, held) for each in by_hand(text, size, factor, 10)])
    weights = np.random.default_rng(2).normal(size=(6, 20))
    blocks = every.reshape(len(every), 20, factor).sum(axis=2)
    wanted = np.maximum(0.0, blocks @ weights.T).max(axis=0)
    pieces = part.whole(held)
    shapes = [part.changes(held, low, high).shape for low, high in pieces]
    found = np.max([shape.support(weights) for shape in shapes if shape is not None], axis=0)
    np.testing.assert_allclose(found, np.tile(wanted, (3, 1)), atol=1e-9)
    own = np.stack([weights, 2 * weights, -weights])
    each = np.max([shape.support(own) for shape in shapes if shape is not None], axis=0)
    opposite = np.maximum(0.0, blocks @ -weights.T).max(axis=0)
    np.testing.assert_allclose(each, np.stack([wanted, 2 * wanted, opposite]), atol=1e-9)


@pytest.mark.parametrize("text", [*TEXTS, "blink:40uV", "pop:60uV+linf:2uV"])
def test_members_lie_in_their_sets_and_are_explained(text: str) -> None:
    held, set_ = segments(), parse_perturbation(text)
    assert parse_perturbation(set_.text) == set_
    sets, generator = set_.input_sets(held), np.random.default_rng(3)
    members = [held.raw, *(set_.random(held, generator) for _ in range(6))]
    members += [set_.vertex(held, generator.normal(size=(3, 20))) for _ in range(4)]
    for raw in members:
        assert set_.contains(held, raw).all()
        inputs = held.inputs(raw)
        assert sets.contains(inputs).all()
        for window in range(3):
            one = held.select(np.array([window]))
            parameters = explain(set_, one, raw[window])
            assert parameters is not None
            if "linf" not in text:
                again = set_.realise(one, parameters[None])
                assert np.abs(again.astype(int) - raw[window]).max() <= 1
        linear = sets.correlated
        assert linear is not None
        direction = generator.normal(size=(1, 20))
        moved = inputs[0].reshape(3, -1) - linear.centre[:, :, 0]
        most = linear.support(direction)[:, 0] + np.abs(direction) @ linear.slack[:, :, 0].T
        assert (moved @ direction[0] <= most[0] + 1e-6).all()


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_artefact_is_not_contained(text: str) -> None:
    held, set_ = segments(), parse_perturbation(text)
    generator = np.random.default_rng(5)
    noise = held.raw + generator.integers(-30, 31, held.raw.shape)
    assert not set_.contains(held, noise.astype(np.int16)).any()
    larger = parse_perturbation(text.replace("40uV", "80uV").replace("60uV", "120uV"))
    double = larger.vertex(held, generator.normal(size=(3, 20)))
    grown = np.abs(double.astype(int) - held.raw).max(axis=1) > 130
    assert not set_.contains(held, double)[grown].any()


@pytest.mark.parametrize("text", TEXTS)
def test_halves_cover_the_whole(text: str) -> None:
    held, set_ = segments(), parse_perturbation(text)
    whole = set_.whole(held)
    pieces = set_.split(held, set_.split(held, whole))
    generator = np.random.default_rng(11)
    for _ in range(5):
        raw = set_.random(held, generator)
        inputs = held.inputs(raw)
        boxes = set_.input_sets(held, pieces)
        inside = boxes.contains(tuple(each[pieces.row] for each in inputs))
        for window in range(3):
            assert inside[pieces.row == window].any()


def test_texts_that_cannot_be() -> None:
    for text, match in (
        ("blink:100uV@x", "no list of shares"),
        ("blink:100uV@2", "beyond 1"),
        ("blink:100uV+hum:5uV@50Hz", "cannot be added"),
        ("pop:20uV+gain:5%", "cannot be added"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            parse_perturbation(text)
    with pytest.raises(ConfigurationError, match="3 shares, and 2 channels are read"):
        parse_perturbation("blink:100uV@1/1/1").input_sets(segments())
    assert "beginning at any sample" in parse_perturbation("blink:100uV").describe()
