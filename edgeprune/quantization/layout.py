"""An ONNX graph that takes its signal with the channels last, turned to take them first."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

SIGNAL = "signal"


def channels_first(model: onnx.ModelProto, signal_shape: tuple[int, int]) -> onnx.ModelProto:
    """Return a graph whose signal input is [n, channels, length].

    Keras' exporter takes [n, length, channels], and some graphs have axes of one cell more. A graph
    that takes [n, channels, length] or [n, channels, 1, length] already, or whose input is no
    signal of that shape, is returned as it is. A quantization of the input is repeated before the
    axes are turned, which changes no integer.

    Args:
        model: A float or QDQ graph; it is not changed.
        signal_shape: Length and channels of the signal.
    """
    length, channels = signal_shape
    constants = {tensor.name for tensor in model.graph.initializer}
    for entry in model.graph.input:
        dims = entry.type.tensor_type.shape.dim
        sizes = [dim.dim_value for dim in dims][1:]
        if entry.name in constants or sizes in ([channels, length], [channels, 1, length]):
            continue
        long = [size for size in sizes if size > 1]
        wanted = [size for size in (channels, length) if size > 1]
        if min(sizes, default=0) > 0 and len(sizes) <= 3 and long in (wanted, wanted[::-1]):
            return _turned(model, entry.name, sizes, signal_shape, turns=long != wanted)
    return model


def _turned(
    model: onnx.ModelProto,
    name: str,
    sizes: list[int],
    signal_shape: tuple[int, int],
    *,
    turns: bool,
) -> onnx.ModelProto:
    turned = onnx.ModelProto()
    turned.CopyFrom(model)
    graph = turned.graph
    taken = {value for node in graph.node for value in (*node.input, *node.output)}
    taken |= {tensor.name for tensor in graph.initializer} | {entry.name for entry in graph.input}
    own = SIGNAL if SIGNAL not in taken else f"{name}_channels_first"
    length, channels = signal_shape
    nodes = []
    value = own
    quantizer = next(
        (n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == name), None
    )
    if quantizer is not None:
        for kind in ("QuantizeLinear", "DequantizeLinear"):
            inputs = [value, *quantizer.input[1:]]
            value = f"{own}_{kind}"
            made = helper.make_node(kind, inputs, [value], f"{own}/{kind}", domain=quantizer.domain)
            nodes.append(made)
    if turns and len(sizes) > 1:
        flipped = f"{own}_turned"
        nodes.append(
            helper.make_node("Transpose", [value], [flipped], f"{own}/turn", perm=[0, 2, 1])
        )
        value = flipped
    target = numpy_helper.from_array(np.array([-1, *sizes], np.int64), f"{own}_shape")
    graph.initializer.append(target)
    nodes.append(helper.make_node("Reshape", [value, target.name], [name], f"{own}/reshape"))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    kind = next(entry.type.tensor_type.elem_type for entry in graph.input if entry.name == name)
    batch = next(entry for entry in graph.input if entry.name == name)
    open_batch = batch.type.tensor_type.shape.dim[0].dim_param or "n"
    first = batch.type.tensor_type.shape.dim[0].dim_value or open_batch
    entries = [
        helper.make_tensor_value_info(own, kind, [first, channels, length])
        if entry.name == name
        else entry
        for entry in graph.input
    ]
    del graph.input[:]
    graph.input.extend(entries)
    return turned
