"""The float graph computes what the module computes, under the module's names."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgeprune.classifiers import CLASSIFIERS, create, logits_of, takes_rhythm
from edgeprune.errors import ModelError
from edgeprune.quantization import clean_float_onnx, to_float_onnx
from tests.quantization.networks import everything


def randomised(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.3, 3, generator=generator)
            layer.weight.data.uniform_(0.3, 2, generator=generator)
    return model.eval()


@pytest.mark.parametrize("name", [*CLASSIFIERS.names(), "everything"])
def test_graph_equals_module(name: str) -> None:
    shape = (1024, 2) if name == "chb-mit-cnn" else (32, 1)
    model = everything() if name == "everything" else randomised(create(name, shape, 2, 3, 7))
    graph = to_float_onnx(model, shape, 2)
    generator = torch.Generator().manual_seed(1)
    signal = torch.randn(16, shape[1], shape[0], generator=generator)
    rhythm = torch.randn(16, 2, generator=generator)
    fed = {"signal": signal.numpy()} | ({"rhythm": rhythm.numpy()} if takes_rhythm(model) else {})
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(["logits"], fed)
    wanted = logits_of(model, signal, rhythm).detach().numpy()
    assert np.abs(found - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}


def test_nodes_are_called_like_their_layers() -> None:
    graph = to_float_onnx(create("residual-ecg-small", (32, 1), 2, 3, 7), (32, 1), 2).graph
    layers = dict(create("residual-ecg-small", (32, 1), 2, 3, 7).named_modules())
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            assert isinstance(layers[node.name], nn.Conv1d | nn.Linear)
            assert list(node.input[1:]) == [f"{node.name}.weight", f"{node.name}.bias"]
    assert len({node.name for node in graph.node}) == len(graph.node)


def test_export_is_repeatable_and_leaves_the_module_alone() -> None:
    model = create("residual-ecg-small", (32, 1), 2, 3, 7).train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, second = (to_float_onnx(model, (32, 1), 2).SerializeToString() for _ in range(2))
    assert first == second
    assert model.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_failing_forward_is_a_clear_error() -> None:
    with pytest.raises(ModelError, match="cannot be exported") as caught:
        to_float_onnx(nn.Linear(7, 3), (32, 1), 0)
    assert "(2, 1, 32)" in caught.value.hint


def graph_with(weight: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["signal", "w"], ["logits"], name="dense")],
        "g",
        [helper.make_tensor_value_info("signal", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_graphs_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(ModelError, match="weights of 'w' are NaN"):
        clean_float_onnx(graph_with(np.full((4, 3), np.nan, np.float32)), where="a.onnx")
    with pytest.raises(ModelError, match="shapes of the graph do not fit"):
        clean_float_onnx(graph_with(np.zeros((5, 3), np.float32)), where="a.onnx")
    quantized = graph_with(np.zeros((4, 3), np.float32))
    quantized.graph.initializer.append(numpy_helper.from_array(np.float32(1), "s"))
    quantized.graph.node.insert(0, helper.make_node("QuantizeLinear", ["signal", "s"], ["q"]))
    with pytest.raises(ModelError, match="quantized already"):
        clean_float_onnx(quantized, where="a.onnx")


def test_product_and_bias_become_one_layer() -> None:
    model = graph_with(np.ones((4, 3), np.float32))
    model.graph.node[0].CopyFrom(helper.make_node("MatMul", ["signal", "w"], ["p"], name="product"))
    model.graph.node.append(helper.make_node("Add", ["b", "p"], ["logits"], name="bias"))
    model.graph.initializer.append(numpy_helper.from_array(np.arange(3, dtype=np.float32), "b"))
    clean = clean_float_onnx(model, where="a.onnx")
    assert [node.op_type for node in clean.graph.node] == ["Gemm"]
    session = onnxruntime.InferenceSession(clean.SerializeToString())
    (found,) = session.run(None, {"signal": np.ones((2, 4), np.float32)})
    assert found.tolist() == [[4.0, 5.0, 6.0]] * 2


def test_constants_and_identities_disappear() -> None:
    model = graph_with(np.ones((4, 3), np.float32))
    weight = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=weight))
    model.graph.node.insert(1, helper.make_node("Identity", ["c"], ["w"]))
    clean = clean_float_onnx(model, where="a.onnx")
    assert [node.op_type for node in clean.graph.node] == ["Gemm"]
    assert [tensor.name for tensor in clean.graph.initializer] == ["c"]
