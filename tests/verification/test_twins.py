"""Twins against brute force, and int8 networks against the float ones that they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx
import pytest

from edgeprune.classifiers.r1 import R1
from edgeprune.network import IntegerNetwork, read_qdq
from edgeprune.network.weighted import WeightedOperation
from edgeprune.quantization import to_float_onnx
from edgeprune.verification import box
from edgeprune.verification.float_graph import float_twin
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_bounds import BoundSettings, linear_bounds, margins
from edgeprune.verification.outcomes import Outcome
from edgeprune.verification.twins import (
    TwinRun,
    box_members,
    compare_twins,
    integer_twin,
)
from tests.network.float_models import quantized
from tests.verification.provers import input_sets
from tests.verification.tiny_networks import TinyCase, tiny_case


def updated(network: IntegerNetwork, random: np.random.Generator, step: int) -> IntegerNetwork:
    """Return the network with some weights of one layer a little different."""
    layers = [o for o in network.operations if isinstance(o, WeightedOperation)]
    chosen = layers[random.integers(0, len(layers))]
    change = random.integers(-step, step + 1, chosen.weights.shape)
    weights = np.clip(chosen.weights.astype(np.int64) + change, -127, 127).astype(np.int8)
    operations = tuple(
        replace(each, weights=weights) if each is chosen else each for each in network.operations
    )
    return replace(network, operations=operations)


def every_loss(case: TinyCase, other: IntegerNetwork, window: int) -> tuple[float, bool]:
    """Return the largest margin lost over all members, in real logits, and whether all agree."""
    mine = case.owner == window
    members = [values[mine] for values in case.members]
    own = case.decisions[window]
    logits = [network.run(*members).astype(np.int64) for network in (case.network, other)]
    margins = [
        (each[:, [own]] - np.delete(each, own, axis=1)) * network.output_tensor.scale
        for each, network in zip(logits, (case.network, other), strict=True)
    ]
    alike = bool((logits[0].argmax(axis=1) == logits[1].argmax(axis=1)).all())
    return float((margins[0] - margins[1]).max()), alike


@pytest.mark.parametrize("iterations", [0, 3])
def test_no_member_contradicts_what_is_claimed_of_an_update(iterations: int) -> None:
    random = np.random.default_rng(4)
    outcomes = []
    for seed in range(30):
        case = tiny_case(seed)
        other = updated(case.network, random, int(random.integers(1, 12)))
        run = compare(case, other, BoundSettings(iterations=iterations))
        for window in range(case.windows):
            loss, alike = every_loss(case, other, window)
            assert loss <= run.loss_bound[window] + 1e-12
            assert loss >= run.loss_found[window] - 1e-12
            outcome = run.outcomes[window]
            outcomes.append(outcome)
            if outcome is Outcome.PROVED:
                assert alike
            if outcome is Outcome.FALSIFIED:
                inputs = run.counterexamples[window]
                assert inputs is not None
                again = [
                    net.predict(*(v[np.newaxis] for v in inputs)) for net in (case.network, other)
                ]
                assert again[0] != again[1]
            if run.implied[window]:
                assert implied(case, other, window)
    assert min(outcomes.count(each) for each in (Outcome.PROVED, Outcome.FALSIFIED)) > 5


def implied(case: TinyCase, other: IntegerNetwork, window: int) -> bool:
    mine = case.owner == window
    members = [values[mine] for values in case.members]
    first = case.network.predict(*members) == case.decisions[window]
    second = other.predict(*members) == case.decisions[window]
    return bool(second[first].all())


def compare(case: TinyCase, other: IntegerNetwork, settings: BoundSettings) -> TwinRun:
    starts = np.searchsorted(case.owner, np.arange(case.windows))
    sizes = np.bincount(case.owner)
    batches = [
        tuple(values[starts + np.minimum(row, sizes - 1)] for values in case.members)
        for row in range(0, sizes.max(), 7)
    ]
    return compare_twins(
        integer_twin("before", case.network),
        integer_twin("after", other),
        input_sets(case),
        case.decisions,
        members=batches,
        settings=settings,
    )


def test_a_network_is_its_own_twin() -> None:
    for seed in range(15):
        case = tiny_case(seed)
        run = compare(case, case.network, BoundSettings())
        assert Outcome.FALSIFIED not in run.outcomes
        assert (run.loss_found <= 0).all()
        np.testing.assert_array_equal(run.loss_found, 0)
        held = run.first_margin > 0
        assert all(run.outcomes[window] is Outcome.PROVED for window in np.flatnonzero(held))


def test_what_has_no_rounding_cancels() -> None:
    """Of two equal networks only their roundings, a step each, are left of the joint bound."""
    from tests.network.builders import dense_network

    network = dense_network([[30, -20, 7], [-9, 25, 11]], [0, 40], factor=2.0**-6)
    values = np.array([[10, 3, 5], [-3, 2, 1]], np.int8)
    sets = InputSets(*((end,) for end in box(values, 40)))
    twins = [integer_twin(name, network) for name in ("a", "b")]
    run = compare_twins(*twins, sets, network.predict(values))
    step = network.output_tensor.scale
    assert (run.loss_bound <= 4.001 * step).all()
    # Bounded one by one they differ by all that the set moves.
    assert (run.first_margin < -20 * step).any()


def test_any_runtime_is_a_twin_of_the_firmware() -> None:
    case = next(c for c in map(tiny_case, range(50)) if c.holds.all())
    exact, any_other = (
        integer_twin(name, case.network, lsb) for name, lsb in (("firmware", 0), ("any", 1))
    )
    run = compare_twins(exact, any_other, input_sets(case), case.decisions)
    assert (run.second_margin <= run.first_margin + 1e-9).all()
    assert (run.loss_bound > 0).all()


@dataclass(frozen=True)
class Parented:
    """An int8 network, the float network that it comes from, and windows."""

    network: IntegerNetwork
    parent: onnx.ModelProto
    signal: np.ndarray


@pytest.fixture(scope="module")
def parented(tmp_path_factory: pytest.TempPathFactory) -> Parented:
    import torch

    torch.manual_seed(0)
    parent = to_float_onnx(R1(1, 3), (32, 1), 0)
    random = np.random.default_rng(0)
    windows = np.cumsum(random.normal(0, 0.3, (40, 32, 1)), axis=1).astype(np.float32)
    feeds = [{"signal": window.T[np.newaxis]} for window in windows]
    network = read_qdq(quantized(parent, feeds, tmp_path_factory.mktemp("twins")))
    return Parented(network, parent, network.input_tensors[0].quantize(windows))


@pytest.mark.parametrize("single_precision", [False, True])
def test_an_int8_network_stays_near_its_float_parent(
    parented: Parented, single_precision: bool
) -> None:
    network, signal = parented.network, parented.signal[:8]
    ends = box(signal, 1)
    sets = InputSets(*((end,) for end in ends))
    first = float_twin(
        "float",
        parented.parent,
        network.input_tensors,
        boxes=[ends],
        single_precision=single_precision,
    )
    second = integer_twin("int8", network)
    decisions = first.logits((signal,)).argmax(axis=1)
    members = list(box_members(sets, np.random.default_rng(0), 200))
    run = compare_twins(first, second, sets, decisions, members=members)
    assert (run.loss_found <= run.loss_bound).all()
    assert (run.loss_found > -np.inf).all()
    # Each network bounded for itself tells less than both over their shared input.
    objectives = margins(decisions, 3)
    most = -linear_bounds(first.graph, sets, -objectives).lower
    least = linear_bounds(second.graph, sets, objectives).lower * second.step
    assert (run.loss_bound < (most - least).max(axis=1)).all()


def test_float32_runs_stay_within_what_is_proved_of_them(parented: Parented) -> None:
    import onnxruntime

    network, signal = parented.network, parented.signal[:6]
    ends = box(signal, 1)
    sets = InputSets(*((end,) for end in ends))
    twin = float_twin(
        "float", parented.parent, network.input_tensors, boxes=[ends], single_precision=True
    )
    decisions = twin.logits((signal,)).argmax(axis=1)
    objectives = margins(decisions, 3)
    lower = linear_bounds(twin.graph, sets, objectives).lower
    session = onnxruntime.InferenceSession(parented.parent.SerializeToString())
    for (values,) in box_members(sets, np.random.default_rng(1), 30):
        reals = network.input_tensors[0].dequantize(values).swapaxes(1, 2)
        (logits,) = session.run(None, {"signal": reals})
        found = np.einsum("nkc,nc->nk", objectives, logits.astype(np.float64))
        assert (found >= lower).all()


def test_a_changed_weight_is_found(parented: Parented) -> None:
    network, signal = parented.network, parented.signal[:8]
    last = network.operations[-1]
    assert isinstance(last, WeightedOperation)
    other = replace(last, bias=-last.bias, weights=(-last.weights.astype(int)).clip(-127, 127))
    changed = replace(network, operations=(*network.operations[:-1], other))
    sets = InputSets(*((end,) for end in box(signal, 0)))
    twins = integer_twin("before", network), integer_twin("after", changed)
    run = compare_twins(*twins, sets, network.predict(signal), members=[(signal,)])
    apart = network.predict(signal) != changed.predict(signal)
    assert apart.any()
    assert [each is Outcome.FALSIFIED for each in run.outcomes] == apart.tolist()
    # A set of one member is settled by its bounds too.
    same = compare_twins(twins[0], twins[0], sets, network.predict(signal))
    assert same.count(Outcome.PROVED) >= 6
