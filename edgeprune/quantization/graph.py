"""Float ONNX graphs made uniform before they are quantized: no normalizations, no constants."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeprune.errors import ModelError
from edgeprune.quantization.constants import choose_channels, fold_constants, fold_pads
from edgeprune.quantization.fused_functions import fuse_functions

LEAST_OPSET = 13  # per-channel DequantizeLinear
_ONE = np.ones(1, np.int64)


def clean_float_onnx(model: onnx.ModelProto, *, where: str) -> onnx.ModelProto:
    """Return an equal graph without BatchNormalization, Identity, Dropout and Constant nodes.

    What is computed from constants alone becomes one; padding with zeros becomes its convolution's.

    A normalization behind a convolution or dense layer is folded into its weights (in float64);
    one that stands alone becomes a depthwise convolution or a diagonal dense layer. A MatMul and
    the Add of its bias become one Gemm. Shapes are inferred, nodes without a name get one.

    Args:
        model: A float graph; it is not changed.
        where: File or class that the graph is of, for errors.

    Raises:
        ModelError: The graph is quantized already, is no valid ONNX, or holds a weight that is not
            finite.
    """
    clean = onnx.ModelProto()
    clean.CopyFrom(model)
    _check(clean, where)
    if _opset(clean) < LEAST_OPSET:
        clean = onnx.version_converter.convert_version(clean, LEAST_OPSET)
    graph = clean.graph
    _constants_to_initializers(graph)
    fold_constants(graph)
    fold_pads(graph)
    _drop_identities(graph)
    clean = fuse_functions(clean)
    graph = clean.graph
    _name_nodes(graph)
    _join_biases(graph)
    _fold_normalizations(graph, where)
    _fold_selections(graph)
    choose_channels(graph)
    _unshare_biases(graph)
    _drop_unused(graph)
    del graph.value_info[:]
    try:
        return onnx.shape_inference.infer_shapes(clean, strict_mode=True, data_prop=True)
    except Exception as error:  # onnx raises its own C++ exceptions
        raise ModelError(
            f"the shapes of the graph do not fit: {error}",
            where=where,
            hint="check the graph with onnx.checker.check_model(model, full_check=True)",
        ) from error


def initializers_of(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    """Return the constant tensors of a graph by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def set_initializer(graph: onnx.GraphProto, name: str, value: NDArray[np.generic]) -> None:
    """Set or replace a constant tensor."""
    for tensor in graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(value, name))
            return
    graph.initializer.append(numpy_helper.from_array(value, name))


def _opset(model: onnx.ModelProto) -> int:
    return max(
        int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")
    )


def _check(model: onnx.ModelProto, where: str) -> None:
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # onnx raises its own C++ exceptions
        raise ModelError(
            f"the graph is no valid ONNX: {error}", where=where, hint="export it again"
        ) from error
    operators = Counter(node.op_type for node in model.graph.node)
    if operators["QuantizeLinear"] or operators["DequantizeLinear"]:
        raise ModelError(
            "the graph is quantized already, where a float graph is needed",
            where=where,
            hint="leave the quantization out, or give the float graph",
        )
    for name, value in initializers_of(model.graph).items():
        if value.dtype.kind == "f" and not np.isfinite(value.astype(np.float64)).all():
            raise ModelError(
                f"the weights of '{name}' are NaN or infinite",
                where=where,
                hint="train again, or give other weights",
            )


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        attribute = node.attribute[0]
        value = helper.get_attribute_value(attribute)
        array = numpy_helper.to_array(value) if attribute.name == "value" else np.asarray(value)
        if array.dtype == np.float64 and attribute.name != "value":
            array = array.astype(np.float32)
        set_initializer(graph, node.output[0], array)
        graph.node.remove(node)


def _drop_identities(graph: onnx.GraphProto) -> None:
    outputs = {value.name for value in graph.output}
    for node in [node for node in graph.node if node.op_type in ("Identity", "Dropout")]:
        source, sink = node.input[0], node.output[0]
        if sink in outputs:
            continue
        graph.node.remove(node)
        for other in graph.node:
            other.input[:] = [source if name == sink else name for name in other.input]


def _name_nodes(graph: onnx.GraphProto) -> None:
    taken = Counter(node.name for node in graph.node)
    for number, node in enumerate(graph.node):
        if not node.name or taken[node.name] > 1:
            node.name = f"{node.op_type.lower()}_{number}"


def _join_biases(graph: onnx.GraphProto) -> None:
    """Make one Gemm of a MatMul by a constant and the Add of its bias."""
    values = initializers_of(graph)
    ranks = _ranks(graph)
    for node in [node for node in graph.node if node.op_type == "Add"]:
        sources = [name for name in node.input if name not in values]
        constants = [name for name in node.input if name in values]
        if len(sources) != 1 or values[constants[0]].ndim != 1:
            continue
        product = next((n for n in graph.node if sources[0] in n.output), None)
        readers = sum(sources[0] in other.input for other in graph.node)
        if product is None or product.op_type != "MatMul" or readers != 1:
            continue
        weight = values.get(product.input[1])
        if weight is None or weight.ndim != 2 or ranks.get(product.input[0]) != 2:
            continue
        if values[constants[0]].shape != weight.shape[1:]:
            continue
        inputs = [*product.input, constants[0]]
        product.CopyFrom(helper.make_node("Gemm", inputs, [node.output[0]], name=product.name))
        graph.node.remove(node)


def _fold_normalizations(graph: onnx.GraphProto, where: str) -> None:
    ranks = _ranks(graph)
    for node in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        values = initializers_of(graph)
        parameters = [values.get(name) for name in node.input[1:5]]
        if any(value is None for value in parameters):
            raise ModelError(
                f"the normalization '{node.name}' has no constant statistics",
                where=where,
                hint="export the classifier in evaluation mode",
            )
        scale, shift, mean, variance = (np.asarray(value, np.float64) for value in parameters)
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        factor = scale / np.sqrt(variance + epsilon)
        offset = shift - mean * factor
        producer = next((n for n in graph.node if node.input[0] in n.output), None)
        readers = sum(node.input[0] in other.input for other in graph.node)
        foldable = (
            producer is not None
            and producer.op_type in ("Conv", "Gemm")
            and readers == 1
            and producer.input[1] in values
            and (len(producer.input) < 3 or producer.input[2] in values)
        )
        if foldable and producer is not None:
            _fold_into(graph, producer, factor, offset)
            producer.output[0] = node.output[0]
            graph.node.remove(node)
        else:
            _replace_alone(graph, node, factor, offset, ranks.get(node.input[0], 3))


def _ranks(graph: onnx.GraphProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(helper.make_model(graph)).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return {value.name: len(value.type.tensor_type.shape.dim) for value in values}


def _fold_into(
    graph: onnx.GraphProto,
    producer: onnx.NodeProto,
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> None:
    values = initializers_of(graph)
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in producer.attribute}
    weight = values[producer.input[1]].astype(np.float64)
    outputs_first = producer.op_type == "Conv" or attributes.get("transB", 0) == 1
    shape = (-1, *([1] * (weight.ndim - 1))) if outputs_first else (1, -1)
    bias = np.zeros(factor.shape)
    if len(producer.input) > 2:
        bias = values[producer.input[2]].astype(np.float64) * attributes.get("beta", 1.0)
    # New names: the old tensors may be shared with another layer.
    names = [f"{producer.name}.folded_weight", f"{producer.name}.folded_bias"]
    set_initializer(graph, names[0], (weight * factor.reshape(shape)).astype(np.float32))
    set_initializer(graph, names[1], (bias * factor + offset).astype(np.float32))
    producer.input[:] = [producer.input[0], *names]
    for entry in [entry for entry in producer.attribute if entry.name == "beta"]:
        producer.attribute.remove(entry)


def _replace_alone(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
    rank: int,
) -> None:
    channels = len(factor)
    weight = np.diag(factor) if rank == 2 else factor.reshape(channels, *([1] * (rank - 1)))
    set_initializer(graph, f"{node.name}.weight_alone", weight.astype(np.float32))
    set_initializer(graph, f"{node.name}.bias_alone", offset.astype(np.float32))
    inputs = [node.input[0], f"{node.name}.weight_alone", f"{node.name}.bias_alone"]
    if rank == 2:
        made = helper.make_node("Gemm", inputs, list(node.output[:1]), name=node.name)
    else:
        made = helper.make_node(
            "Conv",
            inputs,
            list(node.output[:1]),
            name=node.name,
            group=channels,
            kernel_shape=[1] * (rank - 2),
        )
    node.CopyFrom(made)


def _fold_selections(graph: onnx.GraphProto) -> None:
    """Let a dense layer that reads some features read all of them, the others with weight zero."""
    values = initializers_of(graph)
    sizes = {
        value.name: [entry.dim_value for entry in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(helper.make_model(graph)).graph.input
    }
    for node in [node for node in graph.node if node.op_type == "Slice"]:
        layers = [other for other in graph.node if node.output[0] in other.input]
        bounds = [values.get(name) for name in node.input[1:]]
        size = sizes.get(node.input[0], [])
        known = len(size) == 2 and len(bounds) > 2
        known = known and all(bound is not None and bound.size == 1 for bound in bounds)
        if not known or any(layer.op_type != "Gemm" for layer in layers):
            continue
        first, end, axis, step = (int(bound.item()) for bound in (*bounds, _ONE)[:4])  # type: ignore[union-attr]
        if axis != 1 or any(layer.input[1] not in values for layer in layers):
            continue
        read = np.arange(size[1])[slice(first, end, step)]
        for layer in layers:
            attributes = {
                entry.name: helper.get_attribute_value(entry) for entry in layer.attribute
            }
            weight = values[layer.input[1]]
            along = 1 if attributes.get("transB", 0) == 1 else 0
            whole = np.zeros_like(weight, shape=_resized(weight.shape, along, size[1]))
            np.moveaxis(whole, along, 0)[read] = np.moveaxis(weight, along, 0)
            set_initializer(graph, f"{layer.name}.whole_weight", whole)
            layer.input[0], layer.input[1] = node.input[0], f"{layer.name}.whole_weight"
        graph.node.remove(node)


def _resized(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _unshare_biases(graph: onnx.GraphProto) -> None:
    """Give each layer its own bias: exporters share equal ones, but each gets its own scale."""
    values = initializers_of(graph)
    seen: set[str] = set()
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm") and len(node.input) > 2 and node.input[2] in values:
            if node.input[2] in seen:
                set_initializer(graph, f"{node.name}.bias", values[node.input[2]])
                node.input[2] = f"{node.name}.bias"
            seen.add(node.input[2])


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    constants = {tensor.name for tensor in graph.initializer}
    for value in [value for value in graph.input if value.name in constants]:
        graph.input.remove(value)
