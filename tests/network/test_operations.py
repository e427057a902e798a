"""What each operation refuses, costs, and tells the C writer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeprune.errors import NetworkError
from edgeprune.network import (
    OPERATORS,
    Add,
    AveragePool1d,
    Concat,
    Conv1d,
    DepthwiseConv1d,
    MaxPool1d,
    Operation,
    Requantize,
    Reshape,
    Tensor,
)
from tests.network.builders import dense_network, header, network_of, tensor

SIGNAL = tensor("x", 10, 4, zero_point=3)


def conv(**changes: Any) -> Conv1d:
    fields = {
        "weights": np.arange(6 * 3 * 4).reshape(6, 3, 4) - 20,
        "bias": np.arange(6),
        "weight_scales": np.full(6, 0.25),
        "stride": 2,
        "padding": (1, 0),
        "clamp_low": -100,
    }
    return Conv1d(**header("y", "x"), **{**fields, **changes})


def depthwise(**changes: Any) -> DepthwiseConv1d:
    fields = {
        "weights": np.ones((3, 8)),
        "bias": np.zeros(8),
        "weight_scales": np.full(8, 0.25),
        "dilation": 2,
        "channel_multiplier": 2,
    }
    return DepthwiseConv1d(**header("y", "x"), **{**fields, **changes})


def check(operation: Operation, output: Tensor, *inputs: Tensor) -> None:
    operation.check({each.name: each for each in (*inputs, output)})


def test_conv1d_calls_its_kernel() -> None:
    operation, output = conv(), tensor("y", 5, 6, scale=0.25, zero_point=-7)
    (call,) = operation.c_calls({"x": SIGNAL, "y": output})
    assert call.kernel == "conv1d"
    assert call.inputs == (0,)
    assert list(call.parameters.items()) == [
        ("input_length", 10),
        ("input_channels", 4),
        ("output_length", 5),
        ("output_channels", 6),
        ("kernel", 3),
        ("stride", 2),
        ("dilation", 1),
        ("pad_left", 1),
        ("groups", 1),
        ("input_zero_point", 3),
        ("output_zero_point", -7),
        ("clamp_low", -100),
        ("clamp_high", 127),
    ]
    assert {name: (array.dtype, array.shape) for name, array in call.arrays.items()} == {
        "weights": (np.int8, (6, 3, 4)),
        "bias": (np.int32, (6,)),
        "multiplier": (np.int32, (6,)),
        "shift": (np.int8, (6,)),
    }
    assert list(call.arrays) == ["weights", "bias", "multiplier", "shift"]
    # 0.5 * 0.25 / 0.25 = 0.5 = 2^30 / 2^31 * 2^0
    assert call.arrays["multiplier"].tolist() == [2**30] * 6
    assert call.arrays["shift"].tolist() == [0] * 6


def test_depthwise_conv1d_calls_its_kernel() -> None:
    (call,) = depthwise().c_calls({"x": SIGNAL, "y": tensor("y", 6, 8)})
    assert list(call.parameters) == [
        "input_length",
        "input_channels",
        "output_length",
        "output_channels",
        "kernel",
        "stride",
        "dilation",
        "pad_left",
        "channel_multiplier",
        "input_zero_point",
        "output_zero_point",
        "clamp_low",
        "clamp_high",
    ]
    assert call.arrays["weights"].shape == (3, 8)


def test_dense_calls_its_kernel() -> None:
    network = dense_network([[1, 2, 3], [4, 5, 6]], [7, 8])
    (call,) = network.operations[0].c_calls(network.tensors)
    assert list(call.parameters) == [
        "input_features",
        "output_features",
        "input_zero_point",
        "output_zero_point",
        "clamp_low",
        "clamp_high",
    ]
    # One scale for all rows still gives the kernel a factor a row.
    assert call.arrays["multiplier"].shape == (2,)


@pytest.mark.parametrize("pool", [MaxPool1d, AveragePool1d])
def test_pools_call_their_kernel(pool: type[MaxPool1d | AveragePool1d]) -> None:
    operation = pool(**header("y", "x"), kernel=3, stride=1, padding=(1, 1), clamp_low=0)
    (call,) = operation.c_calls({"x": SIGNAL, "y": tensor("y", 10, 4)})
    assert call.kernel == operation.kind
    assert list(call.parameters.items()) == [
        ("input_length", 10),
        ("channels", 4),
        ("output_length", 10),
        ("kernel", 3),
        ("stride", 1),
        ("pad_left", 1),
        ("clamp_low", 0),
        ("clamp_high", 127),
    ]


def test_add_calls_its_kernel() -> None:
    operation = Add(**header("y", "x", "z"))
    other, output = tensor("z", 10, 4, scale=0.25, zero_point=1), tensor("y", 10, 4, scale=1.0)
    (call,) = operation.c_calls({"x": SIGNAL, "z": other, "y": output})
    assert call.inputs == (0, 1)
    assert list(call.parameters.items()) == [
        ("elements", 40),
        ("first_zero_point", 3),
        ("first_multiplier", 2**30),
        ("first_shift", 0),
        ("second_zero_point", 1),
        ("second_multiplier", 2**30),
        ("second_shift", -1),
        ("output_zero_point", 0),
        ("output_multiplier", 2**30),
        ("output_shift", -19),
        ("clamp_low", -128),
        ("clamp_high", 127),
    ]


@pytest.mark.parametrize(
    ("axis", "shapes", "expected"),
    [
        (1, [(5, 2), (5, 3)], [(5, 2, 5, 0), (5, 3, 5, 2)]),
        (0, [(5, 2), (4, 2)], [(1, 10, 18, 0), (1, 8, 18, 10)]),
        (0, [(5,), (4,)], [(1, 5, 9, 0), (1, 4, 9, 5)]),
    ],
)
def test_concat_copies_rows(
    axis: int, shapes: list[tuple[int, ...]], expected: list[tuple[int, int, int, int]]
) -> None:
    first, second = (tensor(name, *shape) for name, shape in zip("ab", shapes, strict=True))
    operation = Concat(**header("y", "a", "b"), axis=axis)
    output = tensor("y", *operation.output_shape(*shapes))
    calls = operation.c_calls({"a": first, "b": second, "y": output})
    assert [call.inputs for call in calls] == [(0,), (1,)]
    names = ["rows", "row_bytes", "output_row_stride", "output_offset"]
    assert [list(call.parameters) for call in calls] == [names, names]
    assert [tuple(call.parameters.values()) for call in calls] == expected


def test_requantize_calls_its_kernel() -> None:
    operation = Requantize(**header("y", "x"), clamp_low=-7)
    (call,) = operation.c_calls({"x": SIGNAL, "y": tensor("y", 10, 4, zero_point=-7)})
    assert list(call.parameters.items()) == [
        ("elements", 40),
        ("input_zero_point", 3),
        ("output_zero_point", -7),
        ("multiplier", 2**30),
        ("shift", 1),
        ("clamp_low", -7),
        ("clamp_high", 127),
    ]


def test_reshape_aliases_its_input_and_calls_nothing() -> None:
    operation = Reshape(**header("y", "x"), shape=(40,))
    assert operation.aliases_input
    assert operation.c_calls({"x": SIGNAL, "y": tensor("y", 40)}) == ()


def test_costs_count_multiplications_and_bytes() -> None:
    operation = conv()
    tensors = {"x": SIGNAL, "y": tensor("y", 5, 6)}
    assert operation.multiply_accumulates(tensors) == 5 * 6 * 3 * 4
    # arange - 20 holds one zero.
    assert operation.multiply_accumulates(tensors, nonzero_only=True) == 5 * (6 * 3 * 4 - 1)
    assert operation.parameters() == 6 * 3 * 4 + 6
    assert operation.weight_bytes() == 6 * 3 * 4 + 4 * 6


def test_every_operator_is_described() -> None:
    for kind in OPERATORS:
        operator = OPERATORS.get(kind)
        assert operator.kind == kind
        assert operator.summary


@pytest.mark.parametrize(
    ("operation", "output", "message"),
    [
        (conv(groups=2), tensor("y", 5, 6), "do not split into 2 groups"),
        (conv(weights=np.ones((4, 3, 1)), bias=np.zeros(4), weight_scales=np.ones(4), groups=4),
         tensor("y", 5, 4), "depthwise_conv1d"),
        (conv(bias=np.zeros(5)), tensor("y", 5, 6), "bias of shape"),
        (conv(weight_scales=np.ones(5)), tensor("y", 5, 6), "weight scales"),
        (conv(weight_scales=np.array([1, 1, 1, 1, 1, np.nan])), tensor("y", 5, 6), "scale nan"),
        (conv(stride=0), tensor("y", 5, 6), "do not describe a window"),
        (conv(dilation=9), tensor("y", 5, 6), "does not fit a length of 10"),
        (conv(clamp_low=5, clamp_high=4), tensor("y", 5, 6), "not a range of int8"),
        (conv(), tensor("y", 6, 6), "computed is"),
        (depthwise(channel_multiplier=3), tensor("y", 6, 8), "are not 4 channels times 3"),
        (MaxPool1d(**header("y", "x"), kernel=2), tensor("y", 9, 4, scale=1.0, zero_point=3),
         "must share scale"),
        (MaxPool1d(**header("y", "x"), kernel=2, padding=(2, 0)), tensor("y", 11, 4, zero_point=3),
         "wholly in the padding"),
        (AveragePool1d(**header("y", "x"), kernel=3, padding=(2, 0)),
         tensor("y", 10, 4, zero_point=3), "no form in TFLite"),
        (Add(**header("y", "x")), tensor("y", 10, 4), "takes two tensors, not 1"),
        (Add(**header("y", "x", "x")), tensor("y", 10, 4, scale=2.0**-21), "2\\^19 times finer"),
        (Concat(**header("y", "x", "x"), axis=2), tensor("y", 10, 8, zero_point=3), "no axis 2"),
        (Reshape(**header("y", "x"), shape=(39,)), tensor("y", 39, zero_point=3), "does not hold"),
        (Requantize(**header("y", "x")), tensor("y", 10, 4, scale=2.0**-30), "accumulator"),
    ],
)  # fmt: skip
def test_impossible_operations_are_refused(
    operation: Operation, output: Tensor, message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        check(operation, output, SIGNAL)


@pytest.mark.parametrize(
    "operation",
    [conv(), MaxPool1d(**header("y", "x"), kernel=1)],
    ids=lambda operation: operation.kind,
)
def test_vectors_are_refused_where_a_map_is_needed(operation: Operation) -> None:
    with pytest.raises(NetworkError, match="needs a feature map"):
        check(operation, tensor("y", 40), tensor("x", 40))


def test_a_bias_that_could_overflow_is_refused() -> None:
    dense_network([[127] * 8], [2**30], factor=0.5)
    with pytest.raises(NetworkError, match="accumulator could reach"):
        dense_network([[127] * 8], [2**31 - 1], factor=0.5)


def test_sums_beyond_float32_are_still_exact() -> None:
    features = 4000
    network = dense_network(np.full((1, features), 127), [0], factor=2.0**-23)
    values = np.full((1, features), 127, np.int8)
    exact = features * 127 * 127
    assert exact > 2**24
    assert network.run(values).tolist() == [[round(exact / 2**23)]]
    # One LSB of one input moves an accumulator that float32 could not tell apart.
    tight = dense_network(np.full((1, features), 127), [-exact], factor=1.0)
    values[0, 0] = 126
    assert tight.run(values).tolist() == [[-127]]


def test_weights_cannot_be_changed_after_the_check() -> None:
    operation = conv()
    with pytest.raises(ValueError, match="read-only"):
        operation.weights[0, 0, 0] = 1


def test_a_single_operation_is_a_network() -> None:
    network = network_of(Requantize(**header("y", "x")), tensor("y", 10, 4, scale=1.0), SIGNAL)
    values = np.full((1, 10, 4), 7, np.int8)
    assert network.run(values).ravel().tolist() == [2] * 40
