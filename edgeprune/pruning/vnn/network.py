"""The layers of a classifier as VNN sees them: folded, with what goes in and what comes out."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edgeprune.classifiers.structure import Layer, Normalization, layers_in_use
from edgeprune.pruning.edits import NewWeights
from edgeprune.pruning.vnn.im2col import input_rows, output_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldedLayer:
    """A layer with the normalization behind it folded in, as it is deployed.

    Attributes:
        name: Qualified name of the layer.
        normalization: Qualified name of the normalization that reads its output; "" for none.
        weight: Float64 [outputs, inputs a group * taps].
        bias: Float64 [outputs].
        scale: Float64 [outputs]: what the normalization multiplies with; 1 without one.
        groups: Groups of a convolution; 1 elsewhere.
        biased: Whether the layer, or its normalization, has a place for a bias.
    """

    name: str
    normalization: str
    weight: Floats
    bias: Floats
    scale: Floats
    groups: int
    biased: bool

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which outputs the normalization makes constants, bool [outputs]."""
        found: NDArray[np.bool_] = self.scale == 0
        return found

    def outputs_of(self, group: int) -> slice:
        """Return which outputs a group makes."""
        width = len(self.weight) // self.groups
        return slice(group * width, (group + 1) * width)


@dataclass(frozen=True, eq=False)
class Observation:
    """What a layer received and made when the windows were classified.

    Attributes:
        rows: Float64 [groups, rows, inputs a group * taps]; see `im2col.input_rows`.
        preactivations: Float64 [rows, outputs]: what the layer made, normalized.
    """

    rows: Floats
    preactivations: Floats


def in_double(model: nn.Module) -> nn.Module:
    """Return a copy that computes in float64, in evaluation mode: bounds are met to rounding."""
    return copy.deepcopy(model).double().eval()


def folded_layers(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[FoldedLayer, ...]:
    """Return the layers in the order of their first use.

    Args:
        model: The classifier.
        example: Inputs to call it with, of the classifier's precision.
    """
    layers, normalized = layers_in_use(model, example)
    names = {module: name for name, module in model.named_modules()}
    return tuple(_folded(layer, normalized.get(layer), names) for layer in layers)


@torch.no_grad()
def _folded(
    layer: Layer, norm: Normalization | None, names: Mapping[nn.Module, str]
) -> FoldedLayer:
    weight = layer.weight.double().flatten(1)
    outputs = len(weight)
    bias = layer.bias.double() if layer.bias is not None else weight.new_zeros(outputs)
    scale = weight.new_ones(outputs)
    if norm is not None:
        scale, shift = _affine(norm)
        weight, bias = weight * scale[:, None], bias * scale + shift
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    named = names[norm] if norm is not None else ""
    biased = layer.bias is not None or (norm is not None and norm.bias is not None)
    return FoldedLayer(
        names[layer], named, _numbers(weight), _numbers(bias), _numbers(scale), groups, biased
    )


def _affine(norm: Normalization) -> tuple[Tensor, Tensor]:
    """Return what a normalization multiplies with and adds."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.double()


def edits_of(
    model: nn.Module, layer: FoldedLayer, weight: Floats, bias: Floats
) -> tuple[NewWeights, ...]:
    """Return the edits that give a layer these folded values.

    The normalization stays where it is, so that the classifier is built, saved and exported as
    before: the layer's weights are divided by its scale, and the bias goes into the normalization
    where there is one, else into the layer.

    Args:
        model: The classifier that the layer is of.
        layer: The layer as it was.
        weight: Its new folded weights, float64 [outputs, inputs a group * taps].
        bias: Its new folded bias, float64 [outputs].
    """
    modules = dict(model.named_modules())
    module: Any = modules[layer.name]
    scale = np.where(layer.constant, 1.0, layer.scale)
    plain = (weight / scale[:, None]).astype(np.float32).reshape(tuple(module.weight.shape))
    norm: Any = modules[layer.normalization] if layer.normalization else None
    if norm is not None and norm.bias is not None:
        gamma = norm.weight.detach().numpy().astype(np.float32)
        moved = (_numbers(norm.bias) + bias - layer.bias).astype(np.float32)
        return (NewWeights(layer.name, plain), NewWeights(layer.normalization, gamma, moved))
    if module.bias is None:
        return (NewWeights(layer.name, plain),)
    own = _numbers(module.bias) + (bias - layer.bias) / scale
    return (NewWeights(layer.name, plain, own.astype(np.float32)),)


def _numbers(parameter: Tensor) -> Floats:
    return np.array(parameter.detach().double().numpy())


@torch.no_grad()
def observe(
    model: nn.Module, layer: FoldedLayer, inputs: tuple[Tensor, ...], most: int = 0, seed: int = 0
) -> Observation:
    """Classify windows and return what a layer received and made.

    Args:
        model: The classifier, in evaluation mode and of the precision of `inputs`.
        layer: The layer; of one that is used several times, all uses count.
        inputs: The windows, as the classifier takes them.
        most: Rows of each use at most, drawn without order; 0 for all.
        seed: Seed of that draw: the same rows of another network with the same shapes.
    """
    modules = dict(model.named_modules())
    module: Any = modules[layer.name]
    draw = np.random.default_rng([seed, zlib.crc32(layer.name.encode())])
    chosen: list[Tensor] = []
    received: list[Tensor] = []
    made: list[Tensor] = []

    def enters(value: Tensor, result: Tensor) -> None:
        rows = result.numel() // len(layer.weight)
        numbers = np.arange(rows)
        if 0 < most < rows:
            numbers = np.sort(draw.choice(rows, most, replace=False))
        chosen.append(torch.from_numpy(numbers))
        received.append(input_rows(module, value, chosen[-1]))

    def leaves(value: Tensor, result: Tensor) -> None:
        made.append(output_rows(module, result)[chosen[len(made)]])

    with _hooks((module, enters), (modules[layer.normalization or layer.name], leaves)):
        model(*inputs)
    return Observation(torch.cat(received, 1).double().numpy(), torch.cat(made).double().numpy())


Watch = Callable[[Tensor, Tensor], None]


@contextmanager
def _hooks(*watched: tuple[nn.Module, Watch]) -> Iterator[None]:
    def called(watch: Watch) -> Callable[..., None]:
        return lambda module, inputs, output: watch(inputs[0], output)

    handles = [module.register_forward_hook(called(watch)) for module, watch in watched]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


_RECTIFIERS = (torch.relu, torch.Tensor.relu, torch.nn.functional.relu, torch.Tensor.relu_)


class _Rectified(TorchFunctionMode):
    """Notes which tensors a ReLU reads."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func in _RECTIFIERS:
            self.read.append(args[0])
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def rectified_layers(
    model: nn.Module, layers: Sequence[FoldedLayer], example: tuple[Tensor, ...]
) -> frozenset[str]:
    """Return the names of the layers whose (normalized) output a ReLU reads, and nothing else.

    A layer whose output is added to a shortcut first is not among them.
    """
    modules = dict(model.named_modules())
    made: list[tuple[str, Tensor]] = []

    def noted(name: str) -> Watch:
        return lambda value, result: made.append((name, result))

    hooks = [(modules[each.normalization or each.name], noted(each.name)) for each in layers]
    with _hooks(*hooks), _Rectified() as mode:
        model(*example)
    read = {id(value) for value in mode.read}
    return frozenset(name for name, result in made if id(result) in read)
