"""The parity table."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from edgeprune.errors import MissingToolError, ParityError, UnknownNameError
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array
from edgeprune.verification.runtimes import (
    EXACT_RUNTIMES,
    RUNTIMES,
    Layers,
    RunLayers,
    Runtime,
    compare_layers,
    require_parity,
)
from tests.network.builders import dense_network
from tests.network.strategies import Case, cases, inputs_for


class OffByOne(Runtime):
    """Adds one to the first output of every window."""

    def open(self, network: IntegerNetwork) -> RunLayers:
        def run(inputs: list[Int8Array]) -> Layers:
            layers = dict(network.run_layers(*inputs))
            wrong = layers[network.output].copy()
            wrong[:, 0] += 1
            return {network.output: wrong}

        return run


def test_every_mismatch_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES._entries, "wrong", OffByOne())
    network = dense_network([[1, 2], [3, 4]], [0, 0], factor=2.0**-4)
    inputs = inputs_for(network, 700, seed=1)
    (row,) = compare_layers(network, inputs, "wrong")
    assert (row.layer, row.kind, row.windows, row.values) == ("make_logits", "dense", 700, 1400)
    assert (row.mismatches, row.largest_difference) == (700, 1)
    with pytest.raises(ParityError, match="700 of 1400 values, by up to 1 LSB") as caught:
        require_parity([row])
    assert "make_logits" in caught.value.where


@pytest.mark.parametrize("name", EXACT_RUNTIMES)
@pytest.mark.parametrize("count", [1, 32, 33])
def test_exact_runtimes_agree_for_any_number_of_windows(name: str, count: int) -> None:
    pytest.importorskip(name.replace("-", "_").split()[0], exc_type=ImportError)
    network = dense_network([[1, 2], [3, 4]], [5, -6], factor=2.0**-3, zero_point=4)
    rows = compare_layers(network, inputs_for(network, count, seed=1), name)
    require_parity(rows)
    assert [row.windows for row in rows] == [count]


@pytest.mark.parametrize("name", [n for n in RUNTIMES if n not in EXACT_RUNTIMES])
def test_other_runtimes_are_within_one_lsb_a_layer(name: str) -> None:
    pytest.importorskip(name.replace("-", "_").split()[0], exc_type=ImportError)

    @settings(
        max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=cases(most_operations=4))
    def check(case: Case) -> None:
        for row in compare_layers(case.network, case.inputs, name, each_alone=True):
            assert row.largest_difference <= 1, row

    check()


def test_a_missing_runtime_is_an_error_with_an_install_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    network = dense_network([[1]], [0])
    with pytest.raises(MissingToolError, match="tflite-micro") as caught:
        compare_layers(network, [np.zeros((1, 1), np.int8)], "tflite-micro")
    assert caught.value.hint == "pip install tflite-micro"


def test_an_unknown_runtime_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'onnxruntime'"):
        compare_layers(dense_network([[1]], [0]), [np.zeros((1, 1), np.int8)], "onnx-runtime")
