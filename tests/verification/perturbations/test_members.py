"""Members of every family against its sets: drawn, extreme, of known parameters, and enumerated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.data.held_front_end import HeldBeats, centred
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.perturbations import Perturbation, Pieces, parse_perturbation
from tests.verification.perturbations.beats import railed, recorded, tiny
from tests.verification.perturbations.enumerated import ENUMERATED
from tests.verification.perturbations.texts import HOMOGENEOUS, PARAMETRIC, QUICK, RAW

BEATS = {"recorded": recorded, "railed": railed}
seeds = st.integers(0, 2**32 - 1)


def change_in_lsb(held: HeldBeats, raw: np.ndarray) -> np.ndarray:
    """Return the change of the signal before all rounding [n, length]."""
    moved = raw[:, : held.samples].astype(np.int64) - held.raw[:, : held.samples]
    square = held.front_end.boxcar**2
    return centred(held.front_end, moved) / square * (held.gain / (1 << 14))[:, None]


def assert_described(held: HeldBeats, perturbation: Perturbation, raw: np.ndarray) -> None:
    """The inputs of `raw` are in the box, and in the linear description along any direction."""
    sets = perturbation.input_sets(held)
    assert sets.contains(held.inputs(raw)).all()
    linear = sets.correlated
    assert linear is not None
    change = change_in_lsb(held, raw)
    rest = held.inputs(raw)[0] - linear.centre - change[:, :, None]
    assert (np.abs(rest) <= linear.slack).all()
    assert (np.abs(change) <= linear.reach() + 1e-9).all()
    shared = np.random.default_rng(1).normal(size=(5, change.shape[1]))
    own = np.concatenate([np.tile(shared, (len(held), 1, 1)), change[:, None]], axis=1)
    within = np.einsum("nms,ns->nm", own, change)
    assert (within[:, :5] <= linear.support(shared)).all()
    assert (within <= linear.support(own)).all()


@pytest.mark.parametrize("beats", BEATS)
@pytest.mark.parametrize("text", RAW)
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_drawn_members_are_described(text: str, beats: str, seed: int) -> None:
    perturbation = parse_perturbation(text)
    held = perturbation.place(BEATS[beats]())
    raw = perturbation.random(held, np.random.default_rng(seed))
    assert raw.dtype == np.int16
    assert raw[:, :669].min() >= -1024
    assert raw[:, :669].max() <= 1023
    assert_described(held, perturbation, raw)


@pytest.mark.parametrize("beats", BEATS)
@pytest.mark.parametrize("text", RAW)
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_extreme_members_are_described(text: str, beats: str, seed: int) -> None:
    perturbation = parse_perturbation(text)
    held = perturbation.place(BEATS[beats]())
    directions = np.random.default_rng(seed).normal(size=(len(held), held.front_end.length))
    assert_described(held, perturbation, perturbation.vertex(held, directions))
    one = np.zeros_like(directions)
    one[np.arange(len(held)), np.random.default_rng(seed).integers(96, size=len(held))] = 1
    assert_described(held, perturbation, perturbation.vertex(held, one))


@pytest.mark.parametrize("beats", BEATS)
@pytest.mark.parametrize("text", RAW)
def test_the_unchanged_beat_and_members_are_contained(text: str, beats: str) -> None:
    perturbation = parse_perturbation(text)
    held = perturbation.place(BEATS[beats]())
    if text not in QUICK:
        held = held.select(np.array([3, 8]))
    assert perturbation.contains(held, held.raw).all()
    generator = np.random.default_rng(5)
    directions = generator.normal(size=(len(held), held.front_end.length))
    assert perturbation.contains(held, perturbation.random(held, generator)).all()
    assert perturbation.contains(held, perturbation.vertex(held, directions)).all()


@pytest.mark.parametrize("text", RAW)
def test_other_samples_are_not_contained(text: str) -> None:
    """Two far samples that jump by 3.5 mV in opposite directions are in none of these sets."""
    perturbation = parse_perturbation(text)
    held = perturbation.place(recorded())
    held = held.select(np.array([3]))
    raw = perturbation.random(held, np.random.default_rng(1))
    raw[:, [5, 200, 400, 660]] += np.array([700, -700, 700, -700], np.int16)
    assert not perturbation.contains(held, np.clip(raw, -1024, 1500).astype(np.int16)).any()
    beyond = held.raw.copy()
    beyond[:, 3] = 1024
    assert not perturbation.contains(held, beyond).any()


@pytest.mark.parametrize("text", HOMOGENEOUS)
def test_the_support_is_attained(text: str) -> None:
    perturbation = parse_perturbation(text)
    held = perturbation.place(recorded())
    linear = perturbation.input_sets(held).correlated
    assert linear is not None
    times = np.arange(96) - 48
    for direction in (np.exp(-0.5 * (times / 4) ** 2), np.eye(96)[50], times / 48.0):
        directions = np.tile(direction, (len(held), 1))
        change = change_in_lsb(held, perturbation.vertex(held, directions))
        reached = (directions * change).sum(axis=1)
        assert (reached >= 0.95 * linear.support(direction[None])[:, 0]).all()


@pytest.mark.parametrize("beats", BEATS)
@pytest.mark.parametrize("text", PARAMETRIC)
def test_a_piece_covers_the_members_of_its_parameters(text: str, beats: str) -> None:
    held, perturbation = BEATS[beats]().select(slice(0, 6)), parse_perturbation(text)
    generator = np.random.default_rng(3)
    pieces = perturbation.whole(held)
    for _ in range(7):
        parameters = generator.uniform(pieces.low, pieces.high)
        if text.startswith(("offset", "flat")):
            parameters = np.clip(np.rint(parameters), pieces.low, pieces.high)
        raw = perturbation.realise(held.select(pieces.row), parameters)
        sets = perturbation.input_sets(held, pieces)
        inputs = held.select(pieces.row).inputs(raw)
        member = perturbation.contains_parameters(held, pieces, parameters)
        assert sets.contains(inputs)[member].all()
        linear = sets.correlated
        assert linear is not None
        change = change_in_lsb(held.select(pieces.row), raw)
        rest = inputs[0] - linear.centre - change[:, :, None]
        assert (np.abs(rest) <= linear.slack).all()
        shared = generator.normal(size=(4, 96))
        assert (change @ shared.T <= linear.support(shared))[member].all()
        halves = perturbation.split(held, pieces)
        assert_halves(pieces, halves)
        kept = np.sort(generator.permutation(len(halves))[:40])
        pieces = halves.select(kept)


def assert_halves(pieces: Pieces, halves: Pieces) -> None:
    """The two halves of a piece make up the piece."""
    first, second = halves.select(slice(0, None, 2)), halves.select(slice(1, None, 2))
    np.testing.assert_array_equal(first.row, pieces.row)
    np.testing.assert_array_equal(second.row, pieces.row)
    np.testing.assert_array_equal(first.low, pieces.low)
    np.testing.assert_array_equal(second.high, pieces.high)
    cut = first.high < pieces.high
    assert (cut.sum(axis=1) <= 1).all()
    np.testing.assert_array_equal(first.high[cut], second.low[cut])
    np.testing.assert_array_equal(second.low[~cut], pieces.low[~cut])


def test_small_pieces_are_nearly_single_points() -> None:
    held, perturbation = recorded().select(np.array([2])), parse_perturbation("gain:10%")
    pieces = perturbation.whole(held)
    for level in range(12):
        pieces = perturbation.split(held, pieces).select(np.array([level % 2]))
    sets = perturbation.input_sets(held, pieces)
    assert (sets.high[0] == sets.low[0]).mean() > 0.95


def test_offsets_vanish_in_the_front_end() -> None:
    held = recorded()
    sets = parse_perturbation("offset:200uV").input_sets(held)
    for low, value, high in zip(sets.low, held.inputs(), sets.high, strict=True):
        np.testing.assert_array_equal(low, value)
        np.testing.assert_array_equal(high, value)


@pytest.mark.parametrize("text", ENUMERATED)
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_all_members_of_tiny_windows(text: str, seed: int) -> None:
    """Boxes, supports and membership are what all members, written out one by one, give."""
    held, perturbation = tiny(seed), parse_perturbation(text)
    for row in range(len(held)):
        one = held.select(np.array([row]))
        raw = ENUMERATED[text](one.raw[0].astype(np.int64), held.count_range)
        members = held.select(np.full(len(raw), row))
        assert perturbation.contains(members, raw).all()
        signal, rhythm = members.inputs(raw)
        sets = perturbation.input_sets(one)
        within = (sets.low[0][0] <= signal.min(axis=0)) & (sets.high[0][0] >= signal.max(axis=0))
        assert within.all()
        assert (sets.low[1][0] <= rhythm.min(axis=0)).all()
        assert (sets.high[1][0] >= rhythm.max(axis=0)).all()
        directions = np.random.default_rng(seed).normal(size=(6, 4))
        assert sets.correlated is not None
        greatest = (change_in_lsb(members, raw) @ directions.T).max(axis=0)
        support = sets.correlated.support(directions)[0]
        assert (support >= greatest).all()
        assert perturbation.vertex(one, directions[:1]).tolist()[0] in raw.tolist()
        if text.startswith(("l2", "gain", "offset")):
            continue
        np.testing.assert_array_equal(sets.low[0][0], signal.min(axis=0))
        np.testing.assert_array_equal(sets.high[0][0], signal.max(axis=0))
        np.testing.assert_allclose(support, greatest, rtol=1e-6, atol=1e-6)
        six = held.select(np.full(6, row))
        reached = (change_in_lsb(six, perturbation.vertex(six, directions)) * directions).sum(1)
        np.testing.assert_allclose(reached, greatest, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("text", ENUMERATED)
def test_membership_in_tiny_windows(text: str) -> None:
    """Drawn neighbours of members are contained just where they are among all members."""
    generator = np.random.default_rng(8)
    held, perturbation = tiny(3), parse_perturbation(text)
    raw = ENUMERATED[text](held.raw[0].astype(np.int64), held.count_range)
    members = set(map(tuple, raw.tolist()))
    near = raw[generator.integers(len(raw), size=600)].copy()
    near[np.arange(600), generator.integers(7, size=600)] += generator.integers(-2, 3, 600)
    near = np.clip(near, *held.count_range).astype(np.int16)
    found = perturbation.contains(held.select(np.zeros(600, np.int64)), near)
    assert found.tolist() == [tuple(each) in members for each in near.tolist()]
    assert 0 < found.sum() < 600


def test_moved_intervals() -> None:
    """The box of the interval features is that of all intervals within the limits."""
    held, perturbation = recorded(), parse_perturbation("rr:8ms")
    place = perturbation.place(held)
    sets = perturbation.input_sets(held)
    features = []
    for before in range(-2, 3):
        for after in range(-2, 3):
            raw = place.raw.copy()
            raw[:, -2:] += np.array([before, after], np.int16)
            assert perturbation.contains(held, raw).all()
            features.append(place.inputs(raw)[1])
    np.testing.assert_array_equal(sets.low[1], np.min(features, axis=0))
    np.testing.assert_array_equal(sets.high[1], np.max(features, axis=0))
    np.testing.assert_array_equal(sets.low[0], sets.high[0])
    raw[:, -1] += 1
    assert not perturbation.contains(held, raw).any()
    raw[:, -1] -= 1
    raw[:, 100] += 1
    assert not perturbation.contains(held, raw).any()


def test_sets_of_the_rhythm_input_itself() -> None:
    generator = np.random.default_rng(1)
    signal = generator.integers(-128, 128, (9, 5, 3)).astype(np.int8)
    rhythm = generator.integers(-128, 128, (9, 4)).astype(np.int8)
    held, perturbation = HeldInputs((signal, rhythm)), parse_perturbation("linf:1lsb+rr:2lsb")
    sets = perturbation.input_sets(held)
    np.testing.assert_array_equal(sets.low[1], np.maximum(rhythm.astype(int) - 2, -128))
    np.testing.assert_array_equal(sets.high[1], np.minimum(rhythm.astype(int) + 2, 127))
    raw = perturbation.random(held, generator)
    assert perturbation.contains(held, raw).all()
    assert sets.contains(held.inputs(raw)).all()
    assert (raw[:, 15:] != held.raw[:, 15:]).any()


def test_sets_of_the_inputs_themselves() -> None:
    generator = np.random.default_rng(1)
    signal = generator.integers(-128, 128, (9, 5, 3)).astype(np.int8)
    rhythm = generator.integers(-128, 128, (9, 4)).astype(np.int8)
    held, perturbation = HeldInputs((signal, rhythm)), parse_perturbation("linf:3lsb")
    sets = perturbation.input_sets(held)
    wide = signal.astype(int)
    np.testing.assert_array_equal(sets.low[0], np.maximum(wide - 3, -128))
    np.testing.assert_array_equal(sets.high[0], np.minimum(wide + 3, 127))
    np.testing.assert_array_equal(sets.low[1], rhythm)
    assert sets.correlated is not None
    direction = generator.normal(size=(1, 15))
    raw = perturbation.vertex(held, np.tile(direction, (9, 1)))
    assert perturbation.contains(held, raw).all()
    moved = (raw - held.raw)[:, :15] @ direction[0]
    np.testing.assert_allclose(sets.correlated.support(direction)[:, 0], moved)
    assert sets.contains(held.inputs(raw)).all()
    raw[:, 0] = np.where(held.raw[:, 0] > 0, held.raw[:, 0] - 4, held.raw[:, 0] + 4)
    assert not perturbation.contains(held, raw).any()
