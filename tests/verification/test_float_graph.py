"""Float networks as bound graphs, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from edgeprune.errors import ModelError
from edgeprune.network import Tensor
from edgeprune.verification.bound_nodes import BoundGraph, Step
from edgeprune.verification.float_graph import float_graph
from tests.network.float_models import FloatModel

onnxruntime = pytest.importorskip("onnxruntime")

SIGNAL = Tensor("signal", (12, 3), float(np.float32(0.031)), 5)
RHYTHM = Tensor("rhythm", (4,), float(np.float32(0.07)), -20)


def chain(graph: FloatModel) -> str:
    value = graph.conv(graph.input("signal", 3, 12), 3, 6, 5, strides=[2], pads=[2, 1])
    value = graph.node("Relu", value)
    value = graph.conv(value, 6, 6, 3, group=6, dilations=[2], pads=[2, 2])
    value = graph.node(
        "Clip", value, graph.constant(np.float32(-0.5)), graph.constant(np.float32(1))
    )
    value = graph.node("MaxPool", value, kernel_shape=[3], strides=[2], pads=[1, 1])
    value = graph.node("Flatten", value, axis=1)
    return graph.node("Gemm", value, graph.weights(4, 18), graph.weights(4), transB=1)


def residual(graph: FloatModel) -> str:
    source = graph.input("signal", 3, 12)
    value = graph.conv(source, 3, 3, 3, pads=[1, 1])
    value = graph.node("Relu", graph.node("Add", value, source))
    branches = graph.conv(value, 3, 4, 1), graph.node("Relu", graph.conv(value, 3, 2, 1))
    value = graph.node("Concat", *branches, axis=1)
    value = graph.node("AveragePool", value, kernel_shape=[3], strides=[3], count_include_pad=1)
    value = graph.node("GlobalAveragePool", value)
    value = graph.node("Flatten", value)
    rhythm = graph.node("Gemm", graph.input("rhythm", 4), graph.weights(4, 5), graph.weights(5))
    value = graph.node("Concat", value, graph.node("Relu", rhythm), axis=1)
    value = graph.node("MatMul", value, graph.weights(11, 5))
    return graph.node("Add", value, graph.weights(5))


def unusual(graph: FloatModel) -> str:
    """Padding that an average does not count, a normalization, inputs joined and pooled as is."""
    source = graph.input("signal", 3, 12)
    value = graph.node("AveragePool", source, kernel_shape=[4], strides=[2], pads=[1, 1])
    moments = [graph.constant(np.abs(graph.random.normal(1, 0.3, 3)).astype(np.float32))] * 4
    value = graph.node("BatchNormalization", value, *moments, epsilon=1e-4)
    shape = graph.constant(np.array([-1, 18], np.int64))
    flat = graph.node("Reshape", value, shape)
    clipped = graph.node("Relu", graph.input("rhythm", 4))
    value = graph.node("Concat", graph.node("Relu", flat), clipped, axis=1)
    doubled = graph.node("Add", value, value)
    return graph.node("Gemm", doubled, graph.weights(3, 22), graph.weights(3), transB=1)


def functional(graph: FloatModel) -> str:
    """Functions, a gate a channel, products, differences, constants on either side."""
    graph.opset = 20
    value = graph.conv(graph.input("signal", 3, 12), 3, 4, 3)
    gate = graph.node("Sigmoid", graph.conv(graph.node("GlobalAveragePool", value), 4, 4, 1))
    value = graph.node("Mul", graph.node("Elu", value, alpha=0.6), gate)
    other = graph.node("Gelu", graph.conv(value, 4, 4, 1))
    value = graph.node("Sub", value, graph.node("Mul", other, value))
    value = graph.node("Mul", value, graph.weights(4, 1))
    value = graph.node("Sub", graph.constant(np.float32(0.2)), graph.node("HardSwish", value))
    value = graph.node("Div", value, graph.constant(np.float32(0.7)))
    value = graph.node("Tanh", graph.node("LeakyRelu", value, alpha=0.3))
    value = graph.node("Flatten", graph.node("HardSigmoid", value))
    return graph.node("Gemm", value, graph.weights(40, 4), graph.weights(4))


def built(make: Callable[[FloatModel], str]) -> onnx.ModelProto:
    graph = FloatModel()
    output = make(graph)
    return onnx.shape_inference.infer_shapes(graph.model(output))


def reals(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    centred = values.astype(np.float32) - np.float32(tensor.zero_point)
    scaled = centred * np.float32(tensor.scale)
    return scaled.swapaxes(1, 2) if tensor.is_map else scaled


@pytest.mark.parametrize("make", [chain, residual, unusual, functional])
def test_every_value_is_that_of_onnxruntime(make: Callable[[FloatModel], str]) -> None:
    model = built(make)
    tensors = (SIGNAL, RHYTHM)[: len(model.graph.input)]
    random = np.random.default_rng(2)
    inputs = [random.integers(-128, 128, (50, *t.shape)).astype(np.int8) for t in tensors]
    low = [values.min(axis=0, keepdims=True) for values in inputs]
    high = [values.max(axis=0, keepdims=True) for values in inputs]
    boxes = list(zip(low, high, strict=True))
    graph = float_graph(model, tensors, boxes=boxes, single_precision=True)
    exact = graph.run(inputs)
    computed = run_all(model, dict(zip((t.name for t in tensors), inputs, strict=True)))
    compared = 0
    for name, number in graph.values.items():
        if name not in computed:
            continue
        theirs = computed[name]
        mine = exact[number]
        if theirs.ndim == 3:
            theirs = theirs.swapaxes(1, 2)
        elif not np.allclose(np.sort(mine), np.sort(theirs.reshape(50, -1)), atol=1e-3):
            raise AssertionError(name)
        else:
            continue  # flat, in the order of the map that it was
        np.testing.assert_allclose(mine, theirs.reshape(50, -1), atol=2e-5, err_msg=name)
        compared += 1
    logits = computed[model.graph.output[0].name]
    np.testing.assert_allclose(exact[graph.output], logits, atol=1e-4)
    assert compared > 1 or make is unusual


@pytest.mark.parametrize("make", [chain, residual, unusual])
def test_what_float32_computes_is_within_the_stated_errors(
    make: Callable[[FloatModel], str],
) -> None:
    model = built(make)
    tensors = (SIGNAL, RHYTHM)[: len(model.graph.input)]
    random = np.random.default_rng(3)
    inputs = [random.integers(-128, 128, (200, *t.shape)).astype(np.int8) for t in tensors]
    graph = float_graph(model, tensors, single_precision=True)
    logits = run_all(model, dict(zip((t.name for t in tensors), inputs, strict=True)))[
        model.graph.output[0].name
    ]
    difference = np.abs(graph.run(inputs)[graph.output] - logits).max(axis=0)
    allowed = accumulated(graph)
    assert (difference <= allowed).all()
    assert difference.max() > 1e-3 * allowed.max(), "the errors stated are far beyond any seen"
    assert accumulated(float_graph(model, tensors)).max() < 1e-9


def accumulated(graph: BoundGraph) -> np.ndarray:
    """Carry the errors of all nodes to the output, by the magnitudes of the maps."""
    from edgeprune.verification.bound_nodes import Affine, Join, Maximum

    total: list[np.ndarray] = []
    for node in graph.nodes:
        match node:
            case Affine():
                parts = zip(node.operands, node.maps, strict=True)
                total.append(sum(m.absolute().forward(total[o][None])[0] for o, m in parts))
            case Step():
                total.append(node.factor * total[node.operand] + node.error)
            case Maximum():
                total.append(total[node.operand][node.cells].max(axis=1))
            case Join():
                joined = np.zeros(node.size)
                for operand, places in zip(node.operands, node.places, strict=True):
                    joined[places] = total[operand]
                total.append(joined)
            case _:
                total.append(np.zeros(node.size))
    return total[graph.output]


def run_all(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return every value of the graph that onnxruntime computes."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    known = {value.name for value in exposed.graph.output}
    for node in model.graph.node:
        if node.output[0] not in known:
            exposed.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(exposed.SerializeToString(), options)
    names = [value.name for value in session.get_outputs()]
    tensors = {tensor.name: tensor for tensor in (SIGNAL, RHYTHM)}
    feeds = {name: reals(tensors[name], values) for name, values in inputs.items()}
    return dict(zip(names, session.run(names, feeds), strict=True))


def test_an_unknown_operator_is_refused_by_name() -> None:
    def softplus(graph: FloatModel) -> str:
        return graph.node("Softplus", graph.input("rhythm", 4))

    with pytest.raises(ModelError, match="'Softplus' is not known"):
        float_graph(built(softplus), (RHYTHM,))


def test_inputs_that_are_not_described_are_refused() -> None:
    with pytest.raises(ModelError, match="2 inputs"):
        float_graph(built(residual), (SIGNAL,))
