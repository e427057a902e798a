"""Tables, products and differences: every value of their operands, in every runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeprune.errors import NetworkError, UnknownNameError
from edgeprune.network import IntegerNetwork, Mul, Sub, Table, Tensor, read_qdq, write_qdq
from edgeprune.network.functions import FUNCTIONS
from edgeprune.verification.runtimes import RUNTIMES
from tests.network.builders import header, network_of
from tests.network.float_models import FloatModel
from tests.network.test_qdq_reader import read

EXACT = [("tflite-runtime BUILTIN_REF", "tflite_runtime"), ("tflite-micro", "tflite_micro")]
EVERY = np.arange(-128, 128, dtype=np.int8)


def tables(name: str) -> Iterator[IntegerNetwork]:
    """Yield networks of one table over a vector of 256, in ordinary and in odd ranges."""
    random = np.random.default_rng(4)
    function = FUNCTIONS.get(name)
    for number in range(3):
        scales = np.exp2(random.uniform((-7, -9), (-2, -4))).astype(np.float32)
        points = random.integers(-128, 128, 2)
        if number == 0:
            scales, points = np.array([8.0, 2.0**-12]), np.array([-128, 127])
        source, target = (
            Tensor(each, (256,), float(scale), int(point))
            for each, scale, point in zip("xy", scales, points, strict=True)
        )
        parameters = tuple(float(np.float32(each)) for each in function.parameters.values())
        entries = function.entries(parameters, source, target)
        operation = Table(**header("y", "x"), function=name, arguments=parameters, entries=entries)
        yield network_of(operation, target, source)


@pytest.mark.parametrize(("runtime", "package"), EXACT)
@pytest.mark.parametrize("name", FUNCTIONS.names())
def test_a_table_is_the_same_for_all_int8_values(name: str, runtime: str, package: str) -> None:
    pytest.importorskip(package, exc_type=ImportError)
    for network in tables(name):
        layers = RUNTIMES.get(runtime).open(network)([EVERY[np.newaxis]])
        np.testing.assert_array_equal(layers["y"], network.run(EVERY[np.newaxis]))


@pytest.mark.parametrize("name", FUNCTIONS.names())
def test_a_table_is_the_function_that_onnxruntime_computes(name: str) -> None:
    pytest.importorskip("onnxruntime")
    for network in tables(name):
        assert read_qdq(write_qdq(network)) == network
        found = RUNTIMES.get("onnxruntime").open(network)([EVERY[np.newaxis]])["y"]
        difference = np.abs(found.astype(int) - network.run(EVERY[np.newaxis]))
        assert difference.max() <= 1
        assert difference.mean() < 0.02


@pytest.mark.parametrize("name", FUNCTIONS.names())
def test_the_interval_of_a_table_is_that_of_its_entries(name: str) -> None:
    random = np.random.default_rng(6)
    for network in tables(name):
        (operation,) = network.operations
        assert isinstance(operation, Table)
        ends = np.sort(random.integers(-128, 128, (2, 256)), axis=0).astype(np.int8)
        low, high = operation.interval(network.tensors, (ends[0], ends[1]))
        for place in range(256):
            inside = operation.entries[int(ends[0, place]) + 128 : int(ends[1, place]) + 129]
            assert (low[place], high[place]) == (inside.min(), inside.max())


def pairs(operator: type[Mul | Sub], scales: np.ndarray, points: np.ndarray) -> IntegerNetwork:
    """Return a network of one operation over all pairs of int8 values."""
    tensors = [
        Tensor(name, (256, 256), float(scale), int(point))
        for name, scale, point in zip("xzy", scales, points, strict=True)
    ]
    operation = operator(**header("y", "x", "z"))
    return network_of(operation, tensors[2], tensors[0], tensors[1])


def assert_all_pairs_agree(network: IntegerNetwork, runtime: str) -> None:
    first = np.repeat(EVERY[np.newaxis, :, np.newaxis], 256, axis=2)
    second = np.repeat(EVERY[np.newaxis, np.newaxis], 256, axis=1)
    layers = RUNTIMES.get(runtime).open(network)([first, second])
    np.testing.assert_array_equal(layers["y"], network.run(first, second))


@pytest.mark.parametrize(("runtime", "package"), EXACT)
@pytest.mark.parametrize("operator", [Mul, Sub])
def test_all_pairs_agree(operator: type[Mul | Sub], runtime: str, package: str) -> None:
    pytest.importorskip(package, exc_type=ImportError)
    random = np.random.default_rng(8)
    for _ in range(2):
        scales = np.exp2(random.uniform(-7, -3, 3)).astype(np.float32)
        if operator is Mul:
            scales[2] = scales[0] * scales[1] * 2.0 ** random.uniform(3, 8)
        assert_all_pairs_agree(pairs(operator, scales, random.integers(-128, 128, 3)), runtime)


@pytest.mark.parametrize(("runtime", "package"), EXACT)
def test_scales_over_which_runtimes_dispute_are_settled(runtime: str, package: str) -> None:
    pytest.importorskip(package, exc_type=ImportError)
    # One product, or two, of all are where the last bits of a float32 decide.
    for scales in (
        (0.004394045565277338, 0.11630996316671371, 0.0074231913313269615),
        (3.8404788970947266, 0.20381833612918854, 113.09557342529297),
        (0.01934211142361164, 0.12066736072301865, 0.28712305426597595),
    ):
        assert_all_pairs_agree(pairs(Mul, np.array(scales), np.array([35, 94, -116])), runtime)
        assert_all_pairs_agree(pairs(Mul, np.array(scales), np.zeros(3)), runtime)


def test_a_product_is_bounded_by_its_corners() -> None:
    random = np.random.default_rng(9)
    network = pairs(Mul, np.array([0.5, 0.25, 4.0]), np.array([-3, 17, 5]))
    operation = network.operations[0]
    every = EVERY.astype(np.int64)
    for _ in range(40):
        ends = np.sort(random.integers(-128, 128, (2, 2)), axis=0).astype(np.int8)
        box = [(ends[:1, i], ends[1:, i]) for i in (0, 1)]
        low, high = operation.interval(network.tensors, *box)
        inside = [every[(every >= ends[0, i]) & (every <= ends[1, i])] for i in (0, 1)]
        grid = np.meshgrid(*(each.astype(np.int8) for each in inside))
        found = operation.run(network.tensors, *grid)
        assert (low[0], high[0]) == (found.min(), found.max())


def test_what_a_table_must_have() -> None:
    source, target = Tensor("x", (4,), 0.5, 0), Tensor("y", (4,), 0.25, 0)
    fields = {**header("y", "x"), "function": "elu", "arguments": (1.0,), "entries": EVERY}
    network_of(Table(**fields), target, source)
    for change, error, words in (
        ({"entries": EVERY[1:]}, NetworkError, "255 entries"),
        ({"arguments": ()}, NetworkError, "alpha"),
        ({"function": "sine"}, UnknownNameError, "sine"),
    ):
        with pytest.raises(error, match=words):
            network_of(Table(**{**fields, **change}), target, source)
    with pytest.raises(NetworkError, match="ONNX"):
        write_qdq(network_of(Table(**fields), target, source))


@pytest.mark.parametrize("shapes", [((1,), (1,)), ((4, 8), (8, 4)), ((2, 3), (4, 3))])
def test_a_product_of_other_shapes_is_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    tensors = [Tensor(name, shape, 0.5, 0) for name, shape in zip("xz", shapes, strict=True)]
    if shapes[0] == shapes[1]:
        network_of(Mul(**header("y", "x", "z")), Tensor("y", shapes[0], 0.5, 0), *tensors)
        return
    with pytest.raises(NetworkError, match="differ"):
        network_of(Mul(**header("y", "x", "z")), Tensor("y", shapes[0], 0.5, 0), *tensors)


def test_constants_scale_and_shift_each_channel(tmp_path: Path) -> None:
    model = FloatModel()
    value = model.input("signal", 3, 16)
    random = np.random.default_rng(2)
    constants = random.uniform(0.3, 2.0, (6, 3)).astype(np.float32)
    scale, shift, mean, variance = (model.constant(each) for each in constants[:4])
    value = model.node("BatchNormalization", value, scale, shift, mean, variance)
    value = model.node("Mul", value, model.constant(constants[4][:, np.newaxis]))
    value = model.node("Sub", value, model.constant(constants[5][np.newaxis, :, np.newaxis]))
    value = model.node("Div", model.node("Relu", value), model.constant(np.float32(-1.7)))
    value = model.node("Sub", model.constant(np.float32(0.5)), value)
    flat = model.node("Flatten", model.node("GlobalAveragePool", value))
    flat = model.node("Mul", flat, model.constant(np.array([0.5, -2.0, 0.0], np.float32)))
    logits = model.node("Add", flat, model.constant(np.float32(0.25)))
    network = read(model, logits, tmp_path, 3, op_types_to_quantize=model.operators)
    kinds = [operation.kind for operation in network.operations]
    assert set(kinds) <= {"depthwise_conv1d", "dense", "requantize", "average_pool1d", "reshape"}
    assert read_qdq(write_qdq(network)) == network


def test_gates_and_functions_are_read_as_onnxruntime_quantizes_them(tmp_path: Path) -> None:
    model = FloatModel()
    value = model.conv(model.input("signal", 3, 16), 3, 4, 3)
    gate = model.node("Sigmoid", model.conv(model.node("GlobalAveragePool", value), 4, 4, 1))
    gated = model.node("Mul", gate, model.node("Elu", value, alpha=0.7))
    value = model.node("Sub", gated, model.node("HardSwish", value))
    value = model.node("Relu", model.node("Tanh", model.node("LeakyRelu", value, alpha=0.2)))
    flat = model.node("Flatten", model.node("HardSigmoid", value, alpha=0.4, beta=0.3))
    logits = model.node("Gemm", flat, model.weights(56, 5))
    network = read(model, logits, tmp_path, 4, op_types_to_quantize=model.operators)
    kinds = [operation.kind for operation in network.operations]
    assert kinds.count("table") == 6
    assert kinds.count("mul") == kinds.count("sub") == 1
    assert read_qdq(write_qdq(network)) == network
