"""The checker's own arithmetic against the specification, which it does not share."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeprune.certificate_checker.bounds import BITS, CHANGE, Region, descend, explore, nodes
from edgeprune.certificate_checker.families import Parameters, Space
from edgeprune.certificate_checker.file import Plain
from edgeprune.certificate_checker.front_end import Beat, Converter, conditioning
from edgeprune.certificate_checker.lines import INTERCEPT_BITS
from edgeprune.certificate_checker.network import Step, read_network
from edgeprune.certificate_checker.sets import Changes, Perturbation, covers
from edgeprune.certificate_checker.stairs import Ints
from edgeprune.data.held_front_end import HeldBeats, conditioning_matrix
from edgeprune.verification.perturbations import parse_perturbation
from tests.certified_beats import beats
from tests.network.strategies import Case, cases
from tests.verification.tiny_networks import TinyCase, tiny_case

TEXTS = (
    *("linf:20uV", "gain:10%", "offset:200uV", "hum:100uV@50/60Hz", "wander:300uV@0.5Hz"),
    *("l2:300uV", "l0:2", "gain:10%+linf:5uV", "wander:100uV@0.5Hz+hum:20uV@50Hz+linf:5uV"),
)


def held_beat(held: HeldBeats, index: int) -> Beat:
    adc = held.adc
    entry = {
        "rate_hz": adc.rate_hz,
        "bits": adc.bits,
        "microvolt_per_count": adc.microvolt_per_count,
    }
    return Beat(
        Converter.read(entry),
        held.raw[index].astype(np.int64),
        held.template[index],
        int(held.gain[index]),
        held.intervals[index].astype(np.int64),
    )


def flat(values: np.ndarray) -> Ints:
    return values.reshape(-1).astype(np.int64)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(case=st.one_of(cases(count=2), cases(count=2, high=True)))
def test_every_operator_is_the_specification_s(case: Case, tmp_path: Path) -> None:
    case.network.save(tmp_path / "network.safetensors")
    network = read_network(tmp_path / "network.safetensors", off_by_one=False)
    assert network.sha256 == case.network.sha256
    expected = case.network.run(*case.inputs)
    for index in range(len(expected)):
        found = network.run(tuple(flat(values[index]) for values in case.inputs))
        assert found.tolist() == expected[index].tolist()


def test_the_front_end_is_the_device_s() -> None:
    held = beats(8)
    assert (conditioning(3) == conditioning_matrix(held.front_end)).all()
    signal, rhythm = held.inputs()
    for index in range(len(held)):
        beat = held_beat(held, index)
        beat.require_consistent()
        own_signal, own_rhythm = beat.inputs(beat.raw)
        assert own_signal.tolist() == flat(signal[index]).tolist()
        assert own_rhythm.tolist() == rhythm[index].tolist()


@given(exponent=st.integers(8, 31), seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_the_front_end_s_stairs_are_its_values(exponent: int, seed: int) -> None:
    beat = held_beat(beats(2), seed % 2)
    step = beat.step("signal")
    sums = np.random.default_rng(seed).integers(-(2**exponent), 2**exponent, 96)
    matrix = conditioning(3)
    # Any sums: not only those that counts can make.
    signal = step.exact.values(step.rows, np.repeat(sums, 2)).reshape(96, 2)
    wide = np.clip((sums + 2048) >> 12, -32768, 32767)
    for channel, template in enumerate((np.zeros_like(beat.template), beat.template)):
        value = np.clip(wide - template, -32768, 32767) * beat.gain
        assert (signal[:, channel] == np.clip((value + 2**13) >> 14, -127, 127)).all()
    assert matrix.shape == (669, 96)


@pytest.mark.parametrize("text", TEXTS)
def test_members_lie_in_the_checker_s_sets_which_are_as_tight_as_the_prover_s(text: str) -> None:
    held = beats(3)
    perturbation, own = parse_perturbation(text), Perturbation.read(text)
    sets = perturbation.input_sets(held)
    random = np.random.default_rng(0)
    members = [perturbation.random(held, random) for _ in range(15)]
    members += [perturbation.vertex(held, random.normal(size=(len(held), 96))) for _ in range(15)]
    for index in range(len(held)):
        beat = held_beat(held, index)
        space = Space(beat.raw, beat.converter.counts, beat.converter)
        regions = [own.changes(space, each) for each in own.whole(space)]
        boxes = [(beat.rhythm(each), signal_box(beat, each)) for each in regions]
        low = np.min([signal[0] for _, signal in boxes], axis=0)
        high = np.max([signal[1] for _, signal in boxes], axis=0)
        # The checker believes in no larger box than the prover: what is proved can be checked.
        assert (low >= flat(sets.low[0][index]) - 1).all()
        assert (high <= flat(sets.high[0][index]) + 1).all()
        weights = random.integers(-1000, 1000, (4, len(beat.raw)))
        least = np.min([each.least(weights) for each in regions], axis=0)
        for raw in members:
            signal, rhythm = beat.inputs(raw[index].astype(np.int64))
            assert ((low <= signal) & (signal <= high)).all()
            assert any(((a <= rhythm) & (rhythm <= b)).all() for (a, b), _ in boxes)
            assert (weights @ (raw[index].astype(np.int64) - beat.raw) >= least).all()


def signal_box(beat: Beat, change: Changes) -> tuple[Ints, Ints]:
    step = beat.step("signal")
    ((_, linear),) = step.terms
    low = step.constant + change.least(linear.weights[0].T)
    high = step.constant - change.least(-linear.weights[0].T)
    return step.low.values(step.rows, low), step.high.values(step.rows, high)


def tiny_region(case: TinyCase, window: int, path: Path, random: np.random.Generator) -> Region:
    """Return what the checker finds of a tiny case, with slopes drawn at random or its own."""
    case.network.save(path)
    network = read_network(path, off_by_one=False)
    centre, lows, highs = (
        tuple(flat(values[window]) for values in side)
        for side in (case.centre, case.low, case.high)
    )
    change = Changes(lows[0] - centre[0], highs[0] - centre[0])
    low, high = {CHANGE: change.low}, {CHANGE: change.high}
    for name, least, most in zip(network.inputs[1:], lows[1:], highs[1:], strict=True):
        low[name], high[name] = least, most
    region = Region(network, Plain(centre).step(network.inputs[0]), change, low, high)
    steps = [node for node in network.nodes if isinstance(node, Step)]
    refined = {each.name: np.flatnonzero(random.random(len(each.rows)) < 0.7) for each in steps}
    ratios = {each.name: random.integers(0, 2**15, (2, len(each.rows))) for each in steps}
    explore(region, refined, ratios if random.random() < 0.5 else {})
    return region


@pytest.mark.parametrize("start", range(0, 30, 10))
def test_bounds_hold_for_every_member_of_small_sets_whatever_the_slopes(
    start: int, tmp_path: Path
) -> None:
    for seed in range(start, start + 10):
        case, random = tiny_case(seed, shared=False), np.random.default_rng(seed)
        for window in range(case.windows):
            region = tiny_region(case, window, tmp_path / "network.safetensors", random)
            own = case.owner == window
            for name, values in case.layers.items():
                rows = values[own].reshape(own.sum(), -1)
                assert (rows >= region.low[name]).all()
                assert (rows <= region.high[name]).all()
            goals = random.integers(-3, 4, (4, region.network.sizes[region.network.output]))
            least = descend(
                region, len(nodes(region)), {region.network.output: goals << BITS}, BITS
            )
            true = (case.logits[own] @ goals.T).min(axis=0)
            for bound, value in zip(least.tolist(), true.tolist(), strict=True):
                assert int(bound) <= value << (BITS + INTERCEPT_BITS)


def test_pieces_cover_only_without_a_gap() -> None:
    def box(*ends: tuple[float, float]) -> Parameters:
        return tuple((Fraction(low), Fraction(high)) for low, high in ends)

    whole = box((0, 1), (0, 1))
    left, right, lower = box((0, 0.5), (0, 1)), box((0.5, 1), (0, 1)), box((0.5, 1), (0, 0.5))
    assert covers(whole, [left, right])
    assert not covers(whole, [left, lower])
    assert not covers(whole, [right])
    assert covers(box((3, 3)), [box((3, 3))])
