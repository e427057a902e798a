"""Models and weights that cannot be used: no traceback, nothing executed, nothing lost."""

from __future__ import annotations

import pickle
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import save_file

from edgeprune.classifiers import create
from edgeprune.data import BeatFrontEnd, load_card
from tests.cli.conftest import Edgeprune, Outcome, Small
from tests.network.float_models import FloatModel
from tests.network.test_qdq_errors import unquantized

FRONT_END = BeatFrontEnd.for_adc(load_card("synthetic-ecg").adc)


@pytest.fixture
def out(built: Small, tmp_path: Path) -> Path:
    """Return a result directory with the finished stages of the small build."""
    return built.copy(tmp_path)


def _run(edgeprune: Edgeprune, small: Small, out: Path, *flags: object) -> Outcome:
    """Run with a bad model, then without it, to see that nothing finished is lost."""
    result = edgeprune("quantize", *small.flags, "--out", out, *flags)
    again = edgeprune("train", *small.flags, "--out", out)
    assert again.code == 0
    assert again.out.count("kept from an earlier run") == 2
    return result


def _unsupported(path: Path) -> Path:
    model = FloatModel()
    length, channels = FRONT_END.signal_shape
    value = model.conv(model.input("signal", channels, length), channels, 4, 5, strides=[4])
    value = model.node("Softplus", value)
    value = model.node("Erf", value)
    value = model.node("Flatten", model.node("GlobalAveragePool", value))
    logits = model.node("Gemm", value, model.weights(4, 5), model.weights(5))
    graph = model.model(model.node("Softmax", logits))
    onnx.save(onnx.shape_inference.infer_shapes(graph), str(path))
    return path


def test_unsupported_operators_are_all_named(
    edgeprune: Edgeprune, built: Small, out: Path, tmp_path: Path
) -> None:
    path = _unsupported(tmp_path / "net.onnx")
    result = _run(edgeprune, built, out, "--model", path)
    result.failed(2, "EP302", "Softplus 'softplus1'", "Erf 'erf2'", "Softmax 'softmax6'")
    assert "edgeprune ops" in result.err
    assert str(path) in result.err


def test_a_qdq_graph_that_lacks_a_range(
    edgeprune: Edgeprune, built: Small, out: Path, tmp_path: Path
) -> None:
    model = onnx.load(str(built.out / "model.onnx"))
    relu = next(node for node in model.graph.node if node.op_type == "Conv")
    tensor = relu.output[0]
    while not any(tensor in n.input for n in model.graph.node if n.op_type == "QuantizeLinear"):
        tensor = next(n for n in model.graph.node if tensor in n.input).output[0]
    quantized = next(
        n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear" and tensor in n.input
    )
    unquantized(model, quantized.removesuffix("_quantized"))
    path = tmp_path / "net_qdq.onnx"
    onnx.save(model, str(path))
    result = _run(edgeprune, built, out, "--model", path)
    result.failed(2, "EP303", "no quantization range", str(path))


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x07" * 40])
def test_what_is_no_onnx(
    edgeprune: Edgeprune, built: Small, out: Path, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    _run(edgeprune, built, out, "--model", path).failed(2, "EP301", str(path))


def test_files_that_are_not_there(edgeprune: Edgeprune, built: Small, out: Path) -> None:
    result = _run(edgeprune, built, out, "--model", "absent.onnx")
    result.failed(2, "EP301", "does not exist", "--model absent.onnx")
    result = _run(edgeprune, built, out, "--weights", "absent.safetensors")
    result.failed(2, "EP301", "does not exist", "--weights absent.safetensors")


def test_weights_that_are_not_numbers(
    edgeprune: Edgeprune, built: Small, out: Path, tmp_path: Path
) -> None:
    model = create("residual-ecg", FRONT_END.signal_shape, FRONT_END.rhythm_features, 5, seed=1)
    state = model.state_dict()
    name = next(name for name in state if name.endswith("weight"))
    state[name][0] = float("nan")
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    result = _run(edgeprune, built, out, "--weights", path)
    result.failed(2, "EP301", name, str(path))


def test_weights_of_another_network(
    edgeprune: Edgeprune, built: Small, out: Path, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"other": torch.zeros(2)}, path)
    result = _run(edgeprune, built, out, "--weights", path)
    result.failed(2, "EP301", "do not fit", "stage1.conv.weight is missing")


class _Executes:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self._path,))


@pytest.mark.parametrize("by_torch", [True, False])
def test_nothing_in_a_weights_file_is_executed(
    edgeprune: Edgeprune, built: Small, out: Path, tmp_path: Path, by_torch: bool
) -> None:
    path, trace = tmp_path / "weights.pt", tmp_path / "executed"
    if by_torch:
        torch.save({"first.weight": _Executes(trace)}, path)
    else:
        path.write_bytes(pickle.dumps(_Executes(trace)))
    result = _run(edgeprune, built, out, "--weights", path)
    result.failed(2, "EP301", str(path), "state_dict()")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tests.cli.own_models:fails", "the user's own mistake"),
        ("tests.cli.own_models:makes_text", "not a torch.nn.Module"),
        ("tests.cli.own_models:absent", "no callable 'absent'"),
        ("no_such_package:make", "cannot be imported"),
    ],
)
def test_factories_that_make_no_module(
    edgeprune: Edgeprune, built: Small, out: Path, name: str, words: str
) -> None:
    _run(edgeprune, built, out, "--model", name).failed(2, "EP301", words, name)
