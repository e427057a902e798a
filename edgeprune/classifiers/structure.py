"""Which layers a classifier has, how wide they are, and giving them other widths."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeprune.classifiers.forward import deciding
from edgeprune.errors import ModelError

Layer = nn.Conv1d | nn.Conv2d | nn.Linear
Normalization = nn.BatchNorm1d | nn.BatchNorm2d


@dataclass(frozen=True)
class LayerWidth:
    """Channel counts of one layer as it is now.

    Attributes:
        layer: Qualified name of the layer.
        inputs: Channels or features in.
        outputs: Channels or features out.
        groups: Groups of a convolution; 1 elsewhere.
    """

    layer: str
    inputs: int
    outputs: int
    groups: int


def layer_widths(model: nn.Module) -> tuple[LayerWidth, ...]:
    """Return the channel counts of every convolution, dense layer and normalization."""
    widths = []
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            width = LayerWidth(name, layer.in_channels, layer.out_channels, layer.groups)
        elif isinstance(layer, nn.Linear):
            width = LayerWidth(name, layer.in_features, layer.out_features, 1)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            width = LayerWidth(name, layer.num_features, layer.num_features, 1)
        else:
            continue
        widths.append(width)
    return tuple(widths)


def resize(model: nn.Module, widths: tuple[LayerWidth, ...]) -> None:
    """Give the layers of `model` other channel counts, in place; their weights become zero.

    Raises:
        ModelError: A layer of `widths` is not in the model.
    """
    layers = dict(model.named_modules())
    for width in widths:
        layer = layers.get(width.layer)
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            layer.in_channels, layer.out_channels = width.inputs, width.outputs
            layer.groups = width.groups
            taps = layer.weight.shape[2:]
            shape = (width.outputs, width.inputs // width.groups, *taps)
        elif isinstance(layer, nn.Linear):
            layer.in_features, layer.out_features = width.inputs, width.outputs
            shape = (width.outputs, width.inputs)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.num_features = width.outputs
            shape = (width.outputs,)
            layer.running_mean = torch.zeros(shape)
            layer.running_var = torch.ones(shape)
        else:
            raise ModelError(
                f"the architecture has no layer '{width.layer}' to resize",
                where=width.layer,
                hint="build the classifier with the version that saved it",
            )
        if layer.weight is not None:
            layer.weight = nn.Parameter(torch.zeros(shape))
        if layer.bias is not None:
            layer.bias = nn.Parameter(torch.zeros(width.outputs))


@torch.no_grad()
def layers_in_use(
    model: nn.Module, example: tuple[Tensor, ...]
) -> tuple[list[Layer], dict[Layer, Normalization]]:
    """Call the model once in evaluation mode; return its layers and what normalizes them.

    Args:
        model: The classifier; its mode is restored.
        example: Inputs to call it with.

    Returns:
        Convolutions and dense layers in the order of their first use, and by layer the
        normalization that reads its output, where there is one.
    """
    made: dict[int, tuple[Layer, Tensor]] = {}
    layers: list[Layer] = []
    behind: dict[Layer, Normalization] = {}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, Layer):
            if module not in layers:
                layers.append(module)
            made[id(output)] = module, output
        elif isinstance(module, Normalization) and id(inputs[0]) in made:
            behind[made[id(inputs[0])][0]] = module

    handles = [module.register_forward_hook(watch) for module in model.modules()]
    try:
        with deciding(model):
            model(*example)
    finally:
        for handle in handles:
            handle.remove()
    return layers, behind
