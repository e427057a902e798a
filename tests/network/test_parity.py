"""The specification against TFLite's reference kernels and TFLite Micro, at every layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edgeprune.network import OPERATORS, Conv1d, Dense, IntegerNetwork, Reshape
from edgeprune.network.arithmetic import Multiplier
from edgeprune.verification.runtimes import RUNTIMES
from tests.network.builders import header, network_of, tensor
from tests.network.strategies import Case, cases

EXACT = [("tflite-runtime BUILTIN_REF", "tflite_runtime"), ("tflite-micro", "tflite_micro")]


@pytest.mark.parametrize(("runtime", "package"), EXACT)
@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(case=cases())
def test_every_layer_is_bit_exact(runtime: str, package: str, case: Case) -> None:
    pytest.importorskip(package, exc_type=ImportError)
    exact = case.network.run_layers(*case.inputs)
    layers = RUNTIMES.get(runtime).open(case.network)(case.inputs)
    for operation in case.network.operations:
        np.testing.assert_array_equal(
            layers[operation.output], exact[operation.output], f"{runtime}: {operation}"
        )


@pytest.mark.parametrize("kind", OPERATORS.names())
def test_every_operator_is_drawn_and_bit_exact(kind: str) -> None:
    pytest.importorskip("tflite_runtime", exc_type=ImportError)
    compared = 0

    @settings(
        max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=cases(most_operations=5, high=kind.endswith("2d")), which=st.integers(0, 20))
    def check(case: Case, which: int) -> None:
        nonlocal compared
        operations = [each for each in case.network.operations if each.kind == kind]
        assume(operations)
        operation = operations[which % len(operations)]
        alone = case.network.single_layer(operation.name)
        values = case.network.run_layers(*case.inputs)
        inputs = [values[name] for name in alone.inputs]
        layers = RUNTIMES.get("tflite-runtime BUILTIN_REF").open(alone)(inputs)
        np.testing.assert_array_equal(layers[operation.output], values[operation.output])
        compared += 1

    check()
    assert compared >= 20


def _telling_bias(by_float32: float, by_float64: float) -> int | None:
    """Return an accumulator that two almost equal factors take to different int8, if there is one.

    The factors differ in the last bits only, which random accumulators practically never show.
    """
    one, other = Multiplier.of(by_float32), Multiplier.of(by_float64)
    for output in range(1, 120):
        near = np.arange(-40, 41) + round((output - 0.5) / by_float64)
        telling = near[one.apply(near) != other.apply(near)]
        if len(telling):
            return int(telling[0])
    return None


def _with_bias(kind: str, scales: tuple[float, float, float], bias: int) -> IntegerNetwork:
    """Return a network whose one output is what becomes of the accumulator `bias`."""
    signal, weights, output = scales
    source, target = tensor("x", 1, scale=signal), tensor("y", 1, scale=output)
    fields = {"bias": [bias], "weight_scales": [weights]}
    if kind == "dense":
        return network_of(Dense(**header("y", "x"), weights=[[0]], **fields), target, source)
    fields = {"bias": [bias, 0], "weight_scales": [weights, weights]}
    if kind == "dense by row":
        target = tensor("y", 2, scale=output)
        dense = Dense(**header("y", "x"), weights=[[0], [0]], **fields)
        return network_of(dense, target, source)
    lifted, wide = tensor("l", 1, 1, scale=signal), tensor("y", 1, 2, scale=output)
    conv = Conv1d(**header("y", "l"), weights=np.zeros((2, 1, 1)), **fields)
    reshape = Reshape(**header("l", "x"), shape=(1, 1))
    tensors = {each.name: each for each in (source, lifted, wide)}
    return IntegerNetwork(tensors, ("x",), ("y",), (reshape, conv))


@pytest.mark.parametrize(("runtime", "package"), EXACT)
@pytest.mark.parametrize("kind", ["dense", "dense by row", "conv1d"])
def test_scales_are_multiplied_in_the_same_precision(kind: str, runtime: str, package: str) -> None:
    pytest.importorskip(package, exc_type=ImportError)
    random = np.random.default_rng(11)
    told = 0
    for _ in range(400):
        draws = random.uniform(1, 2, 3).astype(np.float32)
        signal, weights, output = draws * np.array([2**-8, 2**-9, 2**5], np.float32)
        by_float32 = float(signal * weights) / float(output)
        by_float64 = float(signal) * float(weights) / float(output)
        bias = _telling_bias(by_float32, by_float64)
        if bias is None:
            continue
        network = _with_bias(kind, (float(signal), float(weights), float(output)), bias)
        values = np.zeros((1, 1), np.int8)
        layers = RUNTIMES.get(runtime).open(network)([values])
        np.testing.assert_array_equal(layers["y"], network.run(values))
        exact = Multiplier.of(by_float64).apply(np.array([bias]))
        assert int(network.run(values).reshape(-1)[0]) == int(exact[0])
        told += 1
    assert told >= 20
