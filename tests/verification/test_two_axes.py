"""Bounds of maps of two axes: never contradicted; float graphs are what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeprune.network import Tensor
from edgeprune.network.windows import Sliding, Windows
from edgeprune.verification import box, output_bounds
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.float_graph import float_graph
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_bounds import linear_bounds
from edgeprune.verification.linear_maps import sliding_map
from tests.classifiers.eegnets import quantized_eegnet
from tests.network.float_models import FloatModel, run_onnx
from tests.network.strategies import Case, cases, inputs_for

quietly = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


def members(values: np.ndarray, radius: int, count: int, seed: int) -> np.ndarray:
    """Return inputs within the radius of one window, most of their values at an end."""
    random = np.random.default_rng(seed)
    ends = random.choice([-radius, radius], (count, *values.shape))
    inner = random.integers(-radius, radius + 1, ends.shape)
    moved = np.where(random.random(ends.shape) < 0.8, ends, inner)
    return np.clip(values + moved, -128, 127).astype(np.int8)


def sets_of(boxes: list[tuple[np.ndarray, np.ndarray]]) -> InputSets:
    return InputSets(tuple(low for low, _ in boxes), tuple(high for _, high in boxes))


@settings(max_examples=25, **quietly)
@given(case=cases(most_operations=4, count=1, high=True), radius=st.integers(0, 9))
def test_no_input_of_the_box_leaves_its_bounds(case: Case, radius: int) -> None:
    network = case.network
    near = [members(values[0], radius, 200, 3) for values in case.inputs]
    reached = network.run(*near).astype(np.int64)
    boxes = [box(values, radius) for values in case.inputs]
    low, high = output_bounds(network, boxes)
    assert (low[0] <= reached).all()
    assert (reached <= high[0]).all()
    forms = np.concatenate([np.eye(low.shape[1]), -np.eye(low.shape[1])])[np.newaxis]
    found = linear_bounds(bound_graph(network), sets_of(boxes), forms)
    assert (found.lower[0] <= (reached @ forms[0].T)).all()


def test_eegnet_is_bounded_as_tightly_as_by_intervals() -> None:
    _, network = quantized_eegnet()
    (signal,) = inputs_for(network, 3, seed=6)
    signal = (signal // 2).astype(np.int8)
    boxes = [box(signal, 1)]
    low, high = output_bounds(network, boxes)
    forms = np.repeat(np.concatenate([np.eye(3), -np.eye(3)])[np.newaxis], 3, axis=0)
    found = linear_bounds(bound_graph(network), sets_of(boxes), forms).lower
    assert (found >= np.concatenate([low, -high], axis=1) - 1e-6).all()
    for index in range(3):
        reached = network.run(members(signal[index], 1, 300, index)).astype(np.int64)
        assert (found[index] <= reached @ forms[index].T).all()


@settings(max_examples=30, **quietly)
@given(
    axes=st.tuples(
        *(
            st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))
            for _ in range(2)
        )
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_map_and_its_transpose_are_one_matrix(
    axes: tuple[tuple[int, int, int, int], ...], seed: int
) -> None:
    random = np.random.default_rng(seed)
    windows = Windows(tuple(Sliding(k, s, d, (p, 1)) for k, s, d, p in axes))
    taps = random.integers(-9, 10, (*windows.kernel, 3, 2)).astype(np.float64)
    linear = sliding_map(taps, windows, (6, 5))
    values = random.integers(-9, 10, (1, 6, 5, 2)).astype(np.float64)
    seen = windows.taps(windows.pad(values, 0))
    expected = np.einsum("nlhabi,aboi->nlho", seen, taps).reshape(1, -1)
    np.testing.assert_array_equal(linear.forward(values.reshape(1, -1)), expected)
    rows, (first, last) = linear.transpose(np.eye(linear.outputs), (0, linear.outputs))
    whole = np.zeros((linear.outputs, linear.inputs))
    whole[:, first:last] = rows
    np.testing.assert_array_equal(whole, linear.matrix())


@pytest.mark.parametrize("axes", [1, 2])
def test_float_graphs_are_what_onnxruntime_computes(axes: int) -> None:
    model = FloatModel()
    sizes = (5, 9)[2 - axes :]

    def each(height: object, length: object) -> list[object]:
        return [height, length][2 - axes :]

    value = model.input("signal", 2, *sizes)
    value = model.node(
        "Conv", value, model.weights(4, 1, *each(3, 2)), model.weights(4), group=2,
        pads=[*each(1, 0), *each(2, 1)], strides=each(1, 2), dilations=each(1, 2),
    )  # fmt: skip
    value = model.node(
        "MaxPool", value, kernel_shape=each(2, 2), pads=[*each(0, 1), *each(1, 0)],
        strides=each(1, 2),
    )  # fmt: skip
    pads = [*each(1, 0), *each(0, 1)]
    value = model.node("AveragePool", value, kernel_shape=each(2, 2), pads=pads)
    value = model.node("Flatten", model.node("GlobalAveragePool", value))
    tensor = Tensor("signal", (*reversed(sizes), 2), 0.03125, 3)
    graph = float_graph(model.model(value), [tensor])
    given_ = np.random.default_rng(0).integers(-128, 128, (5, *tensor.shape)).astype(np.int8)
    reals = np.moveaxis(tensor.dequantize(given_), range(1, axes + 2), range(axes + 1, 0, -1))
    expected = run_onnx(model.model(value), {"signal": np.ascontiguousarray(reals)})[0]
    np.testing.assert_allclose(graph.run([given_])[graph.output], expected, atol=1e-5)
