"""What a float ONNX graph computes from constants alone, and padding that its layers can do."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

# What exporters compute shapes and paddings with; larger operators are no bookkeeping.
_FOLDED = {
    *("Add", "Cast", "Concat", "ConstantOfShape", "Gather", "Mul", "Range", "Reshape", "Shape"),
    *("Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
}
_LARGEST = 1 << 16


def fold_constants(graph: onnx.GraphProto) -> None:
    """Replace nodes whose inputs are all constant by what they compute, in place.

    Constants are initializers already. Only the operators that exporters do their bookkeeping with
    are computed, and only small results are kept.
    """
    from onnx.reference import ReferenceEvaluator

    values = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if np.prod(tensor.dims, dtype=np.int64) <= _LARGEST
    }
    outputs = {value.name for value in graph.output}
    for node in list(graph.node):
        names = [name for name in node.input if name]
        constant = names and all(name in values for name in names)
        if not constant or node.op_type not in _FOLDED or outputs & set(node.output):
            continue
        results = ReferenceEvaluator(node).run(None, {name: values[name] for name in names})
        if any(np.size(result) > _LARGEST for result in results):
            continue
        for name, result in zip(node.output, results, strict=True):
            values[name] = np.asarray(result)
            graph.initializer.append(numpy_helper.from_array(values[name], name))
        graph.node.remove(node)


def fold_pads(graph: onnx.GraphProto) -> None:
    """Let convolutions do the padding with zeros that stands before them, in place.

    A padding stays where it is no plain one: with other values than 0, of other axes than the
    spatial ones, cutting off, or read by something else than a convolution with plain pads.
    """
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    outputs = {value.name for value in graph.output}
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        amounts = _amounts(pad, values)
        users = [node for node in graph.node if node.input and node.input[0] == pad.output[0]]
        plain = all(node.op_type == "Conv" and _is_plain(node) for node in users)
        if amounts is None or not users or not plain or pad.output[0] in outputs:
            continue
        if readers[pad.output[0]] != len(users):
            continue
        for node in users:
            _add_pads(node, amounts)
            node.input[0] = pad.input[0]
        graph.node.remove(pad)


def choose_channels(graph: onnx.GraphProto) -> None:
    """Make one convolution with weights 0 and 1 of a slice along the channels, in place.

    It computes the same, and stays exact in whole numbers.
    """
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inferred = onnx.shape_inference.infer_shapes(helper.make_model(graph)).graph
    sizes = {
        value.name: [entry.dim_value for entry in value.type.tensor_type.shape.dim]
        for value in (*inferred.input, *inferred.value_info)
    }
    for node in [node for node in graph.node if node.op_type == "Slice"]:
        size = sizes.get(node.input[0], [])
        bounds = [np.asarray(values.get(name, ())).reshape(-1) for name in node.input[1:]]
        plain = len(bounds) in (3, 4) and all(bound.size == 1 for bound in bounds)
        if len(size) not in (3, 4) or not plain or size[1] < 1:
            continue
        first, end, axis, *step = (int(bound[0]) for bound in bounds)
        chosen = np.arange(size[1])[slice(first, end, *step)]
        if axis not in (1, 1 - len(size)) or not len(chosen):
            continue
        weight = np.zeros((len(chosen), size[1], *[1] * (len(size) - 2)), np.float32)
        weight[np.arange(len(chosen)), chosen] = 1
        name = f"{node.name}.weight"
        graph.initializer.append(numpy_helper.from_array(weight, name))
        inputs = [node.input[0], name]
        kernel = list(weight.shape[2:])
        node.CopyFrom(
            helper.make_node("Conv", inputs, list(node.output), name=node.name, kernel_shape=kernel)
        )


def _amounts(node: onnx.NodeProto, values: dict[str, NDArray[np.generic]]) -> list[int] | None:
    """Return the spatial pads, all begins and then all ends; None where they are not plain."""
    mode = next((entry.s for entry in node.attribute if entry.name == "mode"), b"constant")
    inputs = [*node.input, "", "", ""]
    if mode != b"constant" or inputs[1] not in values or inputs[3]:
        return None
    if inputs[2] and (inputs[2] not in values or np.any(values[inputs[2]] != 0)):
        return None
    pads = [int(each) for each in np.asarray(values[inputs[1]]).reshape(-1).tolist()]
    half = len(pads) // 2
    begins, ends = pads[:half], pads[half:]
    if half < 3 or any(begins[:2]) or any(ends[:2]) or min(pads) < 0:
        return None
    return begins[2:] + ends[2:]


def _is_plain(node: onnx.NodeProto) -> bool:
    automatic = next((entry.s for entry in node.attribute if entry.name == "auto_pad"), b"NOTSET")
    return automatic in (b"", b"NOTSET", b"VALID")


def _add_pads(node: onnx.NodeProto, amounts: list[int]) -> None:
    own = [0] * len(amounts)
    for entry in list(node.attribute):
        if entry.name == "pads":
            own = list(entry.ints)
        if entry.name in ("pads", "auto_pad"):
            node.attribute.remove(entry)
    total = [first + second for first, second in zip(own, amounts, strict=True)]
    node.attribute.append(helper.make_attribute("pads", total))
