"""Networks for EEG: causal where they say so, and the same behind their ONNX graphs."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from edgeprune.classifiers import create
from edgeprune.classifiers.eeg_tcn import CausalConvolution, TcnBlock
from edgeprune.quantization import to_float_onnx
from edgeprune.quantization.graph import clean_float_onnx


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("eeg-tcn", (512, 2)),
        ("chb-mit-cnn", (1024, 2)),
    ],
)
def test_the_graph_computes_what_the_network_does(name: str, shape: tuple[int, int]) -> None:
    model = create(name, shape, 0, 2, seed=1).eval()
    graph = to_float_onnx(model, shape, 0)
    assert not {"Pad", "Slice", "Cast"} & {node.op_type for node in graph.graph.node}
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    signal = np.random.default_rng(0).normal(size=(3, shape[1], shape[0])).astype(np.float32)
    (found,) = session.run(None, {"signal": signal})
    expected = model(torch.from_numpy(signal)).detach().numpy()
    assert np.abs(found - expected).max() < 1e-5


def test_the_published_network_has_its_published_size() -> None:
    model = create("chb-mit-cnn", (1024, 2), 0, 2, seed=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 33_430


@torch.no_grad()
def test_no_step_sees_the_future() -> None:
    generator = torch.Generator().manual_seed(3)
    signal = torch.randn(1, 3, 50, generator=generator)
    for layer in (CausalConvolution(3, 3, 3, 4).eval(), TcnBlock(3, 3, 4, 0.0).eval()):
        before = layer(signal)
        changed = signal.clone()
        changed[:, :, 30:] += 1
        after = layer(changed)
        assert before.shape == signal.shape
        assert torch.equal(before[:, :, :30], after[:, :, :30])
        assert not torch.equal(before[:, :, 30], after[:, :, 30])
        # The past reaches as far as the taps do: two of dilation 4.
        early = signal.clone()
        early[:, :, 20] += 1
        moved = (layer(early) != before).any(dim=1)[0].nonzero()[:, 0].tolist()
        assert moved in ([20, 24, 28], [20, 24, 28, 32, 36])


@pytest.mark.parametrize(
    ("mode", "value", "folded"),
    [("constant", 0.0, True), ("constant", 1.0, False), ("edge", 0.0, False)],
)
def test_only_padding_with_zeros_becomes_the_convolutions(
    mode: str, value: float, *, folded: bool
) -> None:
    generator = np.random.default_rng(1)
    constants = {
        "begin": np.array([0, 0], np.int64),
        "rest": np.array([4, 0, 0, 1], np.int64),
        "value": np.array(value, np.float32),
        "weight": generator.normal(size=(2, 1, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Concat", ["begin", "rest"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads", "value"], ["padded"], mode=mode),
        helper.make_node("Conv", ["padded", "weight"], ["y"], kernel_shape=[3], pads=[1, 0]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 13])],
        [numpy_helper.from_array(each, name) for name, each in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    clean = clean_float_onnx(model, where="test")
    assert ("Pad" not in {node.op_type for node in clean.graph.node}) == folded
    given = {"x": generator.normal(size=(1, 1, 9)).astype(np.float32)}
    results = [
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, given)[0]
        for each in (model, clean)
    ]
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)
    assert isinstance(model, onnx.ModelProto)
