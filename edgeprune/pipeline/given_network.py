"""A user's own QDQ network, fitted to the front end that will feed it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeprune.errors import ModelError
from edgeprune.network import IntegerNetwork, Requantize, Tensor
from edgeprune.pipeline.context import Context

_SAME_SCALE = 1e-6


def fitted_to_front_end(network: IntegerNetwork, context: Context) -> IntegerNetwork:
    """Return the network with the front end's integers as its inputs, signal first.

    Where an input has a range of its own, a change of range is put in front of it.

    Raises:
        ModelError: The inputs are not the front end's windows, or the logits not the classes.
    """
    front_end, where = context.front_end, context.config.model
    wanted = (
        Tensor(
            "front_end_signal",
            front_end.signal_shape,
            float(np.float32(front_end.signal_scale)),
            front_end.signal_zero_point,
        ),
        Tensor(
            "front_end_rhythm",
            (front_end.rhythm_features,),
            float(np.float32(front_end.rhythm_scale)),
            front_end.rhythm_zero_point,
        ),
    )
    given = sorted(network.input_tensors, key=lambda tensor: -len(tensor.shape))
    if [tensor.shape for tensor in given] not in (
        [wanted[0].shape],
        [tensor.shape for tensor in wanted],
    ):
        raise ModelError(
            f"its inputs are {_shapes(given)}; the front end makes {_shapes(wanted)}",
            where=where,
            hint="export it with the front end's signal first (shape without the batch), and "
            "optionally its rhythm features",
        )
    classes = context.card.class_names
    if network.output_tensor.size != len(classes):
        raise ModelError(
            f"it has {network.output_tensor.size} logits; {context.card.name} has "
            f"{len(classes)} classes ({', '.join(classes)})",
            where=where,
            hint="end the graph in one logit a class, in the order of the data card",
        )
    fitted = replace(network, inputs=tuple(tensor.name for tensor in given))
    for tensor, own in zip(given, wanted, strict=False):
        fitted = _with_input(fitted, tensor, own)
    return fitted


def _with_input(network: IntegerNetwork, tensor: Tensor, own: Tensor) -> IntegerNetwork:
    """Return the network with `own` in the place of the input `tensor`."""
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


def _shapes(tensors: tuple[Tensor, ...] | list[Tensor]) -> str:
    # A graph has channels before length.
    return " and ".join("x".join(map(str, reversed(tensor.shape))) for tensor in tensors)
