"""Files that cannot be read: one clear error each, which names what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeprune.errors import (
    EdgepruneError,
    MissingRangeError,
    ModelError,
    UnsupportedOperatorError,
)
from edgeprune.network import read_qdq, write_qdq
from tests.network.builders import dense_network
from tests.network.float_models import FloatModel, classifier, quantized


def qdq() -> onnx.ModelProto:
    """Return a valid file of one dense layer, to be spoilt."""
    return onnx.load_from_string(write_qdq(dense_network([[1, 2], [3, 4]], [5, 6])))


def constant(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(each for each in model.graph.initializer if each.name == name)


def replace_constant(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    constant(model, name).CopyFrom(numpy_helper.from_array(values, name))


def without(model: onnx.ModelProto, operator: str, output: str, source: str) -> None:
    """Remove the node that writes `output`; its readers take `source`."""
    (node,) = (n for n in model.graph.node if n.op_type == operator and output in n.output)
    model.graph.node.remove(node)
    for other in model.graph.node:
        other.input[:] = [source if name == output else name for name in other.input]


def unquantized(model: onnx.ModelProto, tensor: str) -> None:
    """Remove the range of a tensor."""
    without(model, "DequantizeLinear", f"{tensor}_dequantized", tensor)
    without(model, "QuantizeLinear", f"{tensor}_quantized", tensor)
    for output in model.graph.output:
        if output.name == f"{tensor}_dequantized":
            output.name = tensor


@pytest.mark.parametrize("content", [b"", b"not an ONNX file", b"\x08\x07" * 40])
def test_what_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    for source in (path, str(path), content):
        with pytest.raises(ModelError):
            read_qdq(source)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    content = qdq().SerializeToString()
    path = tmp_path / "model.onnx"
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError):
            read_qdq(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.onnx"):
        read_qdq(tmp_path / "absent.onnx")


def test_weights_outside_the_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(qdq(), path, save_as_external_data=True, size_threshold=0, location="weights")
    assert read_qdq(path)
    (tmp_path / "weights").unlink()
    with pytest.raises(ModelError):
        read_qdq(path)


def test_all_unsupported_operators_are_listed() -> None:
    model = FloatModel()
    value = model.node("Softplus", model.conv(model.input("signal", 3, 16), 3, 4, 3))
    value = model.node("Pow", value, value)
    value = model.node("Softmax", model.node("Flatten", value))
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_qdq(model.model(value))
    for name in ("Softplus 'softplus0'", "Pow 'pow2'", "Softmax 'softmax4'", "3 node(s)"):
        assert name.replace("softplus0", "softplus1") in str(caught.value)


def test_unsupported_attributes_are_listed_with_their_nodes() -> None:
    model = FloatModel()
    value = model.input("signal", 3, 8, 8, 16)
    value = model.node("Conv", value, model.weights(4, 3, 3, 3, 3))
    value = model.node("Softmax", value)
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_qdq(model.model(value))
    assert "Conv 'conv0'" in str(caught.value)
    assert "Softmax 'softmax1'" in str(caught.value)


def test_other_domains_are_not_supported() -> None:
    model = qdq()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    gemm.domain = "com.microsoft"
    with pytest.raises(UnsupportedOperatorError, match=r"com\.microsoft\.Gemm 'make_logits'"):
        read_qdq(model)


def test_a_float_model_is_recognised() -> None:
    model = FloatModel()
    value = model.node("Relu", model.conv(model.input("signal", 3, 16), 3, 4, 3))
    with pytest.raises(MissingRangeError, match="float model") as caught:
        read_qdq(model.model(model.node("Flatten", value)))
    assert "quantize" in caught.value.hint


def test_tensors_without_a_range_are_named() -> None:
    for tensor in ("signal", "logits"):
        model = qdq()
        unquantized(model, tensor)
        with pytest.raises(MissingRangeError, match=f"given for {tensor}"):
            read_qdq(model)


def test_all_missing_ranges_are_named(tmp_path: Path) -> None:
    model = FloatModel()
    value = model.conv(model.input("signal", 3, 16), 3, 4, 3)
    value = model.conv(model.conv(value, 4, 4, 3), 4, 4, 3)
    full = quantized(model.model(value), model.samples(4), tmp_path)
    for name in ("conv0_out", "conv1_out"):
        without(full, "DequantizeLinear", f"{name}_DequantizeLinear_Output", name)
        without(full, "QuantizeLinear", f"{name}_QuantizeLinear_Output", name)
    with pytest.raises(MissingRangeError, match="given for conv0_out, conv1_out"):
        read_qdq(full)


def test_float_weights_among_quantized_layers_are_named() -> None:
    model = qdq()
    without(model, "DequantizeLinear", "make_logits.weight", "make_logits.weight_quantized")
    replace_constant(model, "make_logits.weight_quantized", np.ones((2, 2), np.float32))
    with pytest.raises(MissingRangeError, match=r"make_logits\.weight_quantized"):
        read_qdq(model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["signal_scale", "make_logits.weight_scale", "logits_scale"])
def test_broken_scales_are_named(name: str, value: float) -> None:
    model = qdq()
    replace_constant(model, name, np.array(value, np.float32))
    with pytest.raises(ModelError, match=name):
        read_qdq(model)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_scales_that_are_not_positive_are_named(value: float) -> None:
    model = qdq()
    replace_constant(model, "make_logits.weight_scale", np.array(value, np.float32))
    with pytest.raises(ModelError, match=r"make_logits\.weight_scale"):
        read_qdq(model)


def test_nan_weights_of_a_float_model_are_named() -> None:
    model = FloatModel()
    value = model.conv(model.input("signal", 3, 16), 3, 4, 3)
    broken = model.model(value)
    weights = numpy_helper.to_array(broken.graph.initializer[0]).copy()
    weights[0, 0, 0] = np.nan
    replace_constant(broken, "constant0", weights)
    with pytest.raises(ModelError, match="'constant0' holds NaN"):
        read_qdq(broken)


def test_asymmetric_weights_are_named() -> None:
    model = qdq()
    replace_constant(model, "make_logits.weight_zero_point", np.array(3, np.int8))
    with pytest.raises(ModelError, match=r"make_logits\.weight_quantized.*not symmetric") as caught:
        read_qdq(model)
    assert "WeightSymmetric" in caught.value.hint


def test_a_bias_beyond_int32_is_refused() -> None:
    model = qdq()
    without(model, "DequantizeLinear", "make_logits.bias", "make_logits.bias_quantized")
    replace_constant(model, "make_logits.bias_quantized", np.array([1e12, 0], np.float32))
    with pytest.raises(ModelError, match="does not fit int32"):
        read_qdq(model)


def test_a_float_bias_is_quantized() -> None:
    model = qdq()
    without(model, "DequantizeLinear", "make_logits.bias", "make_logits.bias_quantized")
    replace_constant(model, "make_logits.bias_quantized", np.array([5.2, 5.9], np.float32))
    assert read_qdq(model) == dense_network([[1, 2], [3, 4]], [5, 6])


@pytest.mark.parametrize("opset", [10, 24])
def test_other_opsets_are_refused(opset: int) -> None:
    model = qdq()
    model.opset_import[0].version = opset
    with pytest.raises(ModelError, match=r"opset|not valid"):
        read_qdq(model)


def test_an_open_length_is_refused() -> None:
    model = qdq()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "length"
    with pytest.raises(ModelError, match="only the first axis"):
        read_qdq(model)


def test_two_outputs_are_refused() -> None:
    model = qdq()
    model.graph.output.append(
        helper.make_tensor_value_info("signal_dequantized", TensorProto.FLOAT, None)
    )
    with pytest.raises(ModelError, match="2 outputs"):
        read_qdq(model)


def test_integers_read_in_another_range_are_refused() -> None:
    model = qdq()
    model.graph.initializer.append(numpy_helper.from_array(np.array(9, np.float32), "other"))
    node = next(n for n in model.graph.node if "signal_dequantized" in n.output)
    node.input[1] = "other"
    with pytest.raises(ModelError, match="another range"):
        read_qdq(model)


def test_a_transposition_that_moves_data_is_refused(tmp_path: Path) -> None:
    model = FloatModel()
    value = model.conv(model.input("signal", 4, 6), 4, 4, 3)
    value = model.node("Transpose", value, perm=[0, 2, 1])
    moved = quantized(model.model(model.conv(value, 4, 4, 3)), model.samples(4), tmp_path)
    with pytest.raises(UnsupportedOperatorError, match=r"\[batch, channels, length\]"):
        read_qdq(moved)


def _spoilt(model: onnx.ModelProto, random: np.random.Generator) -> onnx.ModelProto:
    """Return the model with one node changed at random."""
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(model)
    node = spoilt.graph.node[random.integers(len(spoilt.graph.node))]
    other = model.graph.node[random.integers(len(model.graph.node))]
    position = random.integers(len(node.input))
    change = random.integers(7)
    if change == 0 and node.attribute:
        attribute = node.attribute[random.integers(len(node.attribute))]
        attribute.i = int(random.integers(-3, 9))
        if attribute.ints:
            attribute.ints[random.integers(len(attribute.ints))] = int(random.integers(-3, 9))
    elif change == 1 and node.attribute:
        del node.attribute[random.integers(len(node.attribute))]
    elif change == 2:
        node.input[position] = other.output[0]
    elif change == 3:
        constants = model.graph.initializer
        node.input[position] = constants[random.integers(len(constants))].name
    elif change == 4:
        del node.input[position]
    elif change == 5:
        node.op_type = other.op_type
    else:
        node.input[position] = ""
    return spoilt


def test_no_damage_gives_a_traceback(tmp_path: Path) -> None:
    builder = FloatModel()
    model = quantized(builder.model(classifier(builder)), builder.samples(4), tmp_path)
    content = model.SerializeToString()
    random = np.random.default_rng(7)
    outcomes = []
    for _ in range(150):
        position, width = random.integers(len(content)), random.integers(1, 20)
        noise = random.integers(0, 256, width).astype(np.uint8).tobytes()
        damaged = content[:position] + noise + content[position + random.integers(30) :]
        for source in (damaged, _spoilt(model, random)):
            try:
                read_qdq(source)
            except EdgepruneError as error:
                outcomes.append(error.code)
    assert len(outcomes) > 150
