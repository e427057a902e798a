"""The bounds against brute force: sound always, exact where they should be."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeprune.network import IntegerNetwork
from edgeprune.verification import box, decides, interval_bounds, output_bounds
from tests.network.builders import dense_network
from tests.network.strategies import Case, cases

quietly = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


def corners_and_inside(
    low: np.ndarray, high: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """Return random points of a box, most of them corners."""
    inside = random.integers(low, high, (count, *low.shape), endpoint=True)
    corners = np.where(random.random(inside.shape) < 0.5, low, high)
    corner = random.random(count) < 0.7
    return np.where(corner.reshape(-1, *[1] * low.ndim), corners, inside).astype(np.int8)


@settings(max_examples=60, **quietly)
@given(case=cases(count=2), radius=st.integers(0, 255), seed=st.integers(0, 2**32 - 1))
def test_no_input_of_the_box_leaves_the_bounds(case: Case, radius: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    boxes = [box(values, random.integers(0, radius + 1)) for values in case.inputs]
    low, high = output_bounds(case.network, boxes)
    for window in range(2):
        points = [
            corners_and_inside(lows[window], highs[window], 200, random) for lows, highs in boxes
        ]
        outputs = case.network.run(*points).astype(np.int64)
        assert (outputs >= low[window]).all()
        assert (outputs <= high[window]).all()


@settings(max_examples=40, **quietly)
@given(case=cases(count=3))
def test_a_radius_of_zero_gives_the_outputs(case: Case) -> None:
    low, high = output_bounds(case.network, [box(values, 0) for values in case.inputs])
    exact = case.network.run(*case.inputs)
    np.testing.assert_array_equal(low, exact)
    np.testing.assert_array_equal(high, exact)


@settings(max_examples=40, **quietly)
@given(case=cases(count=2), radius=st.integers(0, 40))
def test_a_larger_box_has_wider_bounds(case: Case, radius: int) -> None:
    low, high = output_bounds(case.network, [box(values, radius) for values in case.inputs])
    lower, higher = output_bounds(case.network, [box(v, radius + 3) for v in case.inputs])
    assert (lower <= low).all()
    assert (higher >= high).all()


@settings(max_examples=25, **quietly)
@given(
    weights=st.lists(st.tuples(*[st.integers(-128, 127)] * 3), min_size=1, max_size=3),
    bias=st.integers(-5000, 5000),
    exponent=st.integers(-12, -1),
    zero_point=st.integers(-128, 127),
    centre=st.tuples(*[st.integers(-128, 127)] * 3),
)
def test_one_layer_is_bounded_exactly(
    weights: list[tuple[int, int, int]],
    bias: int,
    exponent: int,
    zero_point: int,
    centre: tuple[int, int, int],
) -> None:
    network = dense_network(
        weights, [bias] * len(weights), factor=2.0**exponent, zero_point=zero_point
    )
    values = np.array([centre], np.int8)
    low, high = interval_bounds(network, values, None, 2)
    lows, highs = box(values, 2)
    every = product(*(range(a, b + 1) for a, b in zip(lows[0], highs[0], strict=True)))
    outputs = network.run(np.array(list(every), np.int8)).astype(np.int64)
    np.testing.assert_array_equal(outputs.min(axis=0), low[0])
    np.testing.assert_array_equal(outputs.max(axis=0), high[0])


def test_the_rhythm_moves_only_where_it_is_told_to() -> None:
    network = _two_inputs()
    signal, rhythm = np.zeros((1, 2), np.int8), np.zeros((1, 1), np.int8)
    still = interval_bounds(network, signal, rhythm, 3)
    moving = interval_bounds(network, signal, rhythm, 3, rhythm_radius_lsb=2)
    assert [bound.tolist() for bound in still] == [[[-6]], [[6]]]
    assert [bound.tolist() for bound in moving] == [[[-8]], [[8]]]


def _two_inputs() -> IntegerNetwork:
    from edgeprune.network import Concat
    from tests.network.builders import header, tensor

    dense = dense_network([[1, 1, 1]], [0])
    joined = tensor("signal", 3, scale=1.0)
    inputs = tensor("beats", 2, scale=1.0), tensor("rhythm", 1, scale=1.0)
    concat = Concat(**header("signal", "beats", "rhythm"), axis=0)
    tensors = {t.name: t for t in (*inputs, joined, dense.output_tensor)}
    return IntegerNetwork(tensors, ("beats", "rhythm"), ("logits",), (concat, dense.operations[0]))


def test_a_box_keeps_to_what_a_value_can_be() -> None:
    values = np.array([-128, -100, 0, 127], np.int8)
    low, high = box(values, 5)
    assert low.tolist() == [-128, -105, -5, 122]
    assert high.tolist() == [-123, -95, 5, 127]
    low, high = box(values, 5, clip=(-102, 3))
    assert low.tolist() == [-128, -102, -5, 122]
    assert high.tolist() == [-123, -95, 3, 127]


@pytest.mark.parametrize(
    ("low", "high", "decision", "holds"),
    [
        ([5, 0, 0], [9, 4, 4], 0, True),
        ([5, 0, 0], [9, 5, 5], 0, True),
        ([5, 0, 0], [9, 6, 4], 0, False),
        ([0, 5, 0], [4, 9, 5], 1, True),
        ([0, 5, 0], [5, 9, 4], 1, False),
        ([0, 0, 5], [4, 4, 9], 2, True),
    ],
)
def test_a_decision_holds_when_no_class_can_overtake(
    low: list[int], high: list[int], decision: int, holds: bool
) -> None:
    assert decides(np.array([low]), np.array([high]), np.array([decision])).tolist() == [holds]
    # The definition itself: the first largest of any logits within the bounds.
    logits = np.array(list(product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))))
    assert (logits.argmax(axis=1) == decision).all() == holds
