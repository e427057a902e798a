"""A float ONNX graph as a torch module: the same logits, the same weights, and trainable."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from edgeprune.classifiers.onnx_import import module_of_onnx
from edgeprune.classifiers.residual_ecg import ResidualEcg
from edgeprune.errors import ModelError, UnsupportedOperatorError
from edgeprune.quantization import to_float_onnx
from tests.network.float_models import FloatModel, classifier, run_onnx

LENGTH, CHANNELS = 64, 2


def exported(
    module: nn.Module, *inputs: Tensor, opset: int = 17, fold: bool = True
) -> onnx.ModelProto:
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            inputs,
            content,  # type: ignore[arg-type]  # only the newer exporter needs a path
            dynamo=False,
            opset_version=opset,
            training=torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=fold,
            input_names=["signal", "rhythm"][: len(inputs)],
            dynamic_axes={"signal": {0: "n"}},
        )
    return onnx.load_model_from_string(content.getvalue())


def assert_same(
    model: onnx.ModelProto, *shapes: tuple[int, ...], turned: bool = False
) -> nn.Module:
    """Compare the module with onnxruntime on random windows; shapes are the front end's."""
    (channels, length), *rest = shapes
    read = module_of_onnx(model, (length, channels), rest[0][0] if rest else 0).module
    random = np.random.default_rng(1)
    given = [random.normal(0, 1, (1, *shape)).astype(np.float32) for shape in shapes]
    names = [entry.name for entry in model.graph.input]
    fed = dict(zip(names, given, strict=True))
    if turned:
        sizes = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
        fed[names[0]] = given[0].transpose(0, 2, 1).reshape(1, *sizes)
    wanted = run_onnx(model, fed)[0]
    with torch.no_grad():
        found = read(*map(torch.from_numpy, given)).numpy()
    np.testing.assert_allclose(found, wanted.reshape(found.shape), rtol=1e-4, atol=1e-5)
    return read


class Planar(nn.Module):
    """Layers over two axes, as EEGNet has them, and gates."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Conv2d(1, 4, (1, 9), padding=(0, 4), bias=False)
        self.space = nn.Conv2d(4, 8, (CHANNELS, 1), groups=4, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.AvgPool2d((1, 4))
        self.gate = nn.Conv1d(8, 8, 1)
        self.dense = nn.Linear(8 * 16, 3)

    def forward(self, signal: Tensor) -> Tensor:
        value = nn.functional.elu(self.norm(self.space(self.time(signal.unsqueeze(1)))))
        value = self.pool(value).squeeze(2)
        value = value * torch.sigmoid(self.gate(value.mean(2, keepdim=True)))
        logits: Tensor = self.dense(torch.flatten(value, 1))
        return logits


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_a_graph_of_every_operator(opset: int) -> None:
    model = FloatModel(opset=opset)
    assert_same(model.model(classifier(model)), (2, 64), (4,))


@pytest.mark.parametrize("opset", [11, 18])
def test_two_axes_and_gates(opset: int) -> None:
    torch.manual_seed(0)
    module = Planar()
    read = assert_same(
        exported(module, torch.zeros(1, CHANNELS, LENGTH), opset=opset, fold=False),
        (CHANNELS, LENGTH),
    )
    assert any(isinstance(layer, nn.BatchNorm1d) for layer in read.modules())


def test_what_is_exported_again_is_the_same_graph() -> None:
    torch.manual_seed(0)
    first = to_float_onnx(ResidualEcg((LENGTH, CHANNELS), 4, 5), (LENGTH, CHANNELS), 4)
    read = assert_same(first, (CHANNELS, LENGTH), (4,))
    second = to_float_onnx(read, (LENGTH, CHANNELS), 4)
    kinds = [[node.op_type for node in each.graph.node] for each in (first, second)]
    assert kinds[0] == kinds[1]
    weights = [
        sorted(
            (list(tensor.dims), tensor.raw_data)
            for tensor in each.graph.initializer
            if tensor.raw_data
        )
        for each in (first, second)
    ]
    assert [raw for _, raw in weights[0]] == [raw for _, raw in weights[1]]
    layers = {
        node.name.replace(".", "_") for node in first.graph.node if node.op_type in ("Conv", "Gemm")
    }
    assert layers <= {name for name, _ in read.named_modules()}


def test_layers_are_called_as_the_exporter_found_them() -> None:
    module = nn.Sequential(
        nn.Conv1d(CHANNELS, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 62, 3), nn.Softmax(1)
    )
    model = exported(module, torch.zeros(1, CHANNELS, LENGTH))
    read = module_of_onnx(model, (LENGTH, CHANNELS))
    assert isinstance(dict(read.module.named_modules())["0"], nn.Conv1d)
    assert "Softmax" in read.notes[0]


def channels_last(*, flattens: bool) -> onnx.ModelProto:
    """What tf2onnx makes of Keras' Conv1D: transposed in and out of every convolution."""
    model = FloatModel()
    value = model.input("conv1d_input", LENGTH, CHANNELS)
    for channels, outputs in ((CHANNELS, 6), (6, 8)):
        value = model.node("Transpose", value, perm=[0, 2, 1])
        value = model.node("Unsqueeze", value, model.constant(np.array([2])))
        weights = model.constant(
            model.random.normal(0, 0.3, (outputs, channels, 1, 5)).astype("f4")
        )
        value = model.node("Conv", value, weights, auto_pad="SAME_UPPER", strides=[1, 2])
        value = model.node("Squeeze", value, model.constant(np.array([2])))
        value = model.node("Transpose", value, perm=[0, 2, 1])
        value = model.node("Relu", model.node("Add", value, model.weights(outputs)))
    if flattens:
        value = model.node("Reshape", value, model.constant(np.array([-1, 16 * 8])))
        features = 16 * 8
    else:
        value = model.node("Add", value, model.node("MatMul", value, model.weights(8, 8)))
        value = model.node("ReduceMean", value, axes=[1], keepdims=0)
        features = 8
    value = model.node("MatMul", value, model.weights(features, 4))
    return model.model(model.node("Softmax", model.node("Add", value, model.weights(4)), axis=-1))


@pytest.mark.parametrize("flattens", [False, True])
def test_channels_last_become_channels_first(flattens: bool) -> None:
    model = channels_last(flattens=flattens)
    # Softmax is left to the host: compared are the logits.
    del model.graph.node[-1]
    model.graph.output[0].name = model.graph.node[-1].output[0]
    read = assert_same(model, (CHANNELS, LENGTH), turned=True)
    assert isinstance(read, torch.fx.GraphModule)
    calls = [str(node.target) for node in read.graph.nodes if node.op == "call_method"]
    assert "permute" not in calls


def test_scales_and_offsets_of_a_preprocessing_become_a_layer() -> None:
    model = FloatModel()
    value = model.input("signal", CHANNELS, LENGTH)
    value = model.node("Sub", value, model.constant(np.array([[[0.3], [-0.2]]], "f4")))
    value = model.node("Div", value, model.constant(np.float32(1.7)))
    value = model.node("Relu", model.conv(value, CHANNELS, 4, 3))
    value = model.node("Flatten", model.node("GlobalAveragePool", value))
    logits = model.node("Gemm", value, model.weights(4, 3), model.weights(3))
    assert_same(model.model(logits), (CHANNELS, LENGTH))


def test_gradients_reach_every_weight() -> None:
    model = FloatModel()
    read = module_of_onnx(model.model(classifier(model)), (64, 2), 4).module.train()
    read(torch.randn(3, 2, 64), torch.randn(3, 4)).square().sum().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in read.parameters())


def test_everything_that_cannot_be_trained_is_named_at_once() -> None:
    model = FloatModel()
    signal = model.input("signal", CHANNELS, LENGTH)
    value = model.node("Relu", model.node("Cos", model.node("Sin", signal)))
    value = model.node("Add", value, model.node("CumSum", signal, model.constant(np.int64(2))))
    value = model.node("Flatten", model.node("GlobalAveragePool", value))
    with pytest.raises(UnsupportedOperatorError) as caught:
        module_of_onnx(model.model(value), (LENGTH, CHANNELS))
    assert "Sin 'sin0'" in caught.value.what
    assert "CumSum" in caught.value.what
    assert "Cos" not in caught.value.what


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.opset_import[0].__setattr__("version", 9), "opset ai.onnx 9"),
        (lambda m: m.graph.input[0].type.tensor_type.shape.dim[1].__setattr__("dim_value", 7), "7"),
        (lambda m: m.graph.output[0].__setattr__("name", "nothing"), "nothing"),
    ],
)
def test_what_contradicts_itself(change: Callable[[onnx.ModelProto], None], words: str) -> None:
    model = FloatModel()
    graph = model.model(classifier(model))
    change(graph)
    with pytest.raises(ModelError, match=words):
        module_of_onnx(graph, (64, 2), 4)


def test_a_window_that_takes_the_memory_is_refused() -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1, 2, 1], [1.0, 1.0])
    node = helper.make_node("Conv", ["signal", "w"], ["y"], pads=[1 << 40, 1 << 40])
    entry = helper.make_tensor_value_info("signal", TensorProto.FLOAT, ["n", 2, 64])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [entry], [out], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(UnsupportedOperatorError, match="Conv"):
        module_of_onnx(model, (64, 2))
