"""A user's own QDQ network, fitted to the front end that will feed it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgeprune.data import FrontEnd
from edgeprune.errors import MissingRangeError, ModelError
from edgeprune.network import IntegerNetwork, Requantize, Reshape, Tensor, read_qdq
from edgeprune.pipeline.context import Context
from edgeprune.quantization.graph import clean_float_onnx
from edgeprune.quantization.inputs import graph_inputs

if TYPE_CHECKING:
    import onnx

_SAME_SCALE = 1e-6


def check_float_graph(model: onnx.ModelProto, context: Context) -> None:
    """Refuse, before it is quantized, a float graph that cannot become an integer network.

    Raises:
        ModelError: Its inputs are not the front end's windows, or it is no valid graph.
        UnsupportedOperatorError: It holds operators outside the supported set; all are listed.
    """
    clean = clean_float_onnx(model, where=context.config.model)
    clean.graph.name = context.config.model
    with suppress(MissingRangeError):
        read_qdq(clean)
    names = [name for name in graph_inputs(model, where=context.config.model) if name is not None]
    entries = {entry.name: entry.type.tensor_type.shape.dim for entry in model.graph.input}
    found = [[size.dim_value for size in entries[name]][1:] for name in names]
    # An axis of one between channels and length is a convolution's unused height.
    shapes = [(*shape[:1], *shape[2:]) if len(shape) == 3 else tuple(shape) for shape in found]
    _check_inputs([shape[::-1] for shape in shapes], context)


def fitted_to_front_end(network: IntegerNetwork, context: Context) -> IntegerNetwork:
    """Return the network with the front end's integers as its inputs, signal first.

    Where an input has a range of its own, a change of range is put in front of it.

    Raises:
        ModelError: The inputs are not the front end's windows, or the logits not the classes.
    """
    given = sorted(network.input_tensors, key=lambda tensor: (-len(tensor.shape), -tensor.size))
    own = front_end_tensors(context.front_end)
    given = [
        _reshapable(tensor, wanted) for tensor, wanted in zip(given, own, strict=False)
    ] + list(given[len(own) :])
    _check_inputs([tensor.shape for tensor in given], context)
    classes = context.card.class_names
    if network.output_tensor.size != len(classes):
        raise ModelError(
            f"it has {network.output_tensor.size} logits; {context.card.name} has "
            f"{len(classes)} classes ({', '.join(classes)})",
            where=context.config.model,
            hint="end the graph in one logit a class, in the order of the data card",
        )
    fitted = replace(network, inputs=tuple(tensor.name for tensor in given))
    for tensor, wanted in zip(given, own, strict=False):
        fitted = _with_input(fitted, network.tensors[tensor.name], wanted)
    return fitted


def front_end_tensors(front_end: FrontEnd) -> tuple[Tensor, ...]:
    """Return what the integers of the front end stand for: signal, then rhythm if it makes any."""
    signal = Tensor(
        "front_end_signal",
        front_end.signal_shape,
        float(np.float32(front_end.signal_scale)),
        front_end.signal_zero_point,
    )
    if not front_end.rhythm_features:
        return (signal,)
    return (
        signal,
        Tensor(
            "front_end_rhythm",
            (front_end.rhythm_features,),
            float(np.float32(front_end.rhythm_scale)),
            front_end.rhythm_zero_point,
        ),
    )


def _check_inputs(shapes: Sequence[tuple[int, ...]], context: Context) -> None:
    wanted = [tensor.shape for tensor in front_end_tensors(context.front_end)]
    if list(shapes) not in (wanted[:1], wanted):
        raise ModelError(
            f"its inputs are {_in_words(shapes)}; the front end makes {_in_words(wanted)}",
            where=context.config.model,
            hint="take the front end's signal (channels x length) and, if you like, its rhythm "
            "features",
        )


def _reshapable(tensor: Tensor, own: Tensor) -> Tensor:
    """Return an input in the front end's shape where axes of one cell are all that differs."""
    long, wanted = ([size for size in each.shape if size > 1] for each in (tensor, own))
    return replace(tensor, shape=own.shape) if long == wanted else tensor


def _with_input(network: IntegerNetwork, tensor: Tensor, own: Tensor) -> IntegerNetwork:
    """Return the network with `own` in the place of the input `tensor`."""
    if tensor.shape != own.shape:
        viewed = replace(own, name=f"{own.name}_view", shape=tensor.shape)
        turned = _with_input(network, tensor, viewed)
        view = Reshape(
            name=f"{own.name}_reshape",
            inputs=(own.name,),
            output=viewed.name if viewed.name in turned.inputs else tensor.name,
            shape=tensor.shape,
        )
        inputs = tuple(own.name if name == view.output else name for name in turned.inputs)
        tensors = {**turned.tensors, own.name: own}
        if view.output == tensor.name:
            # The range is the front end's within a float32's last bits: it must be so in all.
            tensors[tensor.name] = replace(own, name=tensor.name, shape=tensor.shape)
        return replace(
            turned, tensors=tensors, inputs=inputs, operations=(view, *turned.operations)
        )
    same = abs(tensor.scale / own.scale - 1) <= _SAME_SCALE
    if same and tensor.zero_point == own.zero_point:
        return network
    change = Requantize(name=f"{own.name}_range", inputs=(own.name,), output=tensor.name)
    return replace(
        network,
        tensors={**network.tensors, own.name: own},
        inputs=tuple(own.name if name == tensor.name else name for name in network.inputs),
        operations=(change, *network.operations),
    )


def _in_words(shapes: Sequence[tuple[int, ...]]) -> str:
    # A graph has channels before length.
    return " and ".join("x".join(map(str, reversed(shape))) for shape in shapes)
