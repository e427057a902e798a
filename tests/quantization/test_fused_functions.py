"""GELUs in pieces, in every order that exporters write them, become one operator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from edgeprune.quantization.graph import clean_float_onnx
from tests.network.float_models import FloatModel, run_onnx

Make = Callable[[FloatModel, str], str]


def _one_plus_erf(graph: FloatModel, value: str) -> str:
    scaled = graph.node("Div", value, graph.constant(np.float32(2**0.5)))
    return graph.node("Add", graph.node("Erf", scaled), graph.constant(np.float32(1)))


def by_torch(graph: FloatModel, value: str) -> str:
    product = graph.node("Mul", value, _one_plus_erf(graph, value))
    return graph.node("Mul", product, graph.constant(np.float32(0.5)))


def half_of_the_input(graph: FloatModel, value: str) -> str:
    half = graph.node("Mul", graph.constant(np.float32(0.5)), value)
    scaled = graph.node("Mul", value, graph.constant(np.float32(0.5**0.5)))
    one = graph.constant(np.float32(1))
    return graph.node("Mul", half, graph.node("Add", one, graph.node("Erf", scaled)))


def half_of_the_sum(graph: FloatModel, value: str) -> str:
    half = graph.node("Div", _one_plus_erf(graph, value), graph.constant(np.float32(2)))
    return graph.node("Mul", half, value)


def other_factor(graph: FloatModel, value: str) -> str:
    product = graph.node("Mul", value, _one_plus_erf(graph, value))
    return graph.node("Mul", product, graph.constant(np.float32(0.25)))


def other_operand(graph: FloatModel, value: str) -> str:
    product = graph.node("Mul", graph.node("Relu", value), _one_plus_erf(graph, value))
    return graph.node("Mul", product, graph.constant(np.float32(0.5)))


@pytest.mark.parametrize("make", [by_torch, half_of_the_input, half_of_the_sum])
@pytest.mark.parametrize("opset", [13, 17])
def test_a_gelu_in_pieces_is_one_operator(make: Make, opset: int) -> None:
    graph = FloatModel(opset=opset)
    hidden = graph.node("Gemm", graph.input("x", 8), graph.weights(8, 8), graph.weights(8))
    output = graph.node("Gemm", make(graph, hidden), graph.weights(8, 3), graph.weights(3))
    model = onnx.shape_inference.infer_shapes(graph.model(output))
    clean = clean_float_onnx(model, where="test")
    assert [node.op_type for node in clean.graph.node] == ["Gemm", "Gelu", "Gemm"]
    onnx.checker.check_model(clean, full_check=True)
    feeds = {"x": np.random.default_rng(1).normal(0, 2, (50, 8)).astype(np.float32)}
    wanted, found = run_onnx(model, feeds)[0], run_onnx(clean, feeds)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("make", [other_factor, other_operand])
def test_what_is_almost_a_gelu_stays_as_it_is(make: Make) -> None:
    graph = FloatModel()
    model = onnx.shape_inference.infer_shapes(graph.model(make(graph, graph.input("x", 8))))
    clean = clean_float_onnx(model, where="test")
    assert "Erf" in {node.op_type for node in clean.graph.node}
    assert "Gelu" not in {node.op_type for node in clean.graph.node}
