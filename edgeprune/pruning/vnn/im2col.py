"""What each neuron of a layer sees, one row for every place where it is evaluated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeprune.classifiers.structure import Layer


def input_rows(layer: Layer, value: Tensor, chosen: Tensor | None = None) -> Tensor:
    """Return the rows that a layer's weights are multiplied with.

    A convolution evaluates the same neuron at every position, so that each position of each window
    is a row (im2col); a dense layer has one row a window.

    Args:
        layer: A convolution of any stride, padding, dilation and number of groups, or a dense
            layer.
        value: Its input, [n, inputs, ...] or, for a dense layer, [..., inputs].
        chosen: Numbers of the rows to return, int64 [rows]; None for all.

    Returns:
        [groups, rows, inputs / groups * taps], so that for the outputs of group g
        `rows[g] @ layer.weight.flatten(1).T` is the layer without its bias. Rows are in the order
        of `output_rows`.
    """
    if isinstance(layer, nn.Linear):
        dense = value.reshape(1, -1, layer.in_features)
        return dense if chosen is None else dense[:, chosen]
    value = _padded(layer, value)
    dimensions = len(layer.kernel_size)
    for number in range(dimensions):
        taps, step = layer.kernel_size[number], layer.dilation[number]
        reach = step * (taps - 1) + 1
        value = value.unfold(2 + number, reach, layer.stride[number])[..., ::step]
    # [n, channels, *positions, *taps] to [groups, n, *positions, channels / groups, *taps]
    n, channels = value.shape[:2]
    value = value.reshape(n, layer.groups, channels // layer.groups, *value.shape[2:])
    positions = range(3, 3 + dimensions)
    value = value.permute(1, 0, *positions, 2, *range(3 + dimensions, 3 + 2 * dimensions))
    if chosen is not None:
        places = torch.unravel_index(chosen, value.shape[1 : 2 + dimensions])
        value = torch.stack([group[places] for group in value])
    return value.reshape(layer.groups, -1, layer.weight[0].numel())


def output_rows(layer: Layer, value: Tensor) -> Tensor:
    """Return what a layer made as [rows, outputs], in the order of `input_rows`.

    Args:
        layer: The layer.
        value: Its output (normalized or not), [n, outputs, ...] or, for a dense layer,
            [..., outputs].
    """
    if isinstance(layer, nn.Linear):
        return value.reshape(-1, layer.out_features)
    return value.movedim(1, -1).reshape(-1, layer.out_channels)


def _padded(layer: nn.Conv1d | nn.Conv2d, value: Tensor) -> Tensor:
    sides = list(layer._reversed_padding_repeated_twice)
    if not any(sides):
        return value
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded: Tensor = torch.nn.functional.pad(value, sides, mode)
    return padded
