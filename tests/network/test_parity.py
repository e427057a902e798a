"""The specification against TFLite's reference kernels and TFLite Micro, at every layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edgeprune.network import OPERATORS
from edgeprune.verification.runtimes import RUNTIMES
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
    @given(case=cases(most_operations=5), which=st.integers(0, 20))
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
