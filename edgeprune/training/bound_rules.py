"""The operations that bounds go through, by the names that a traced classifier calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeprune.errors import ModelError
from edgeprune.training import bound_steps as steps
from edgeprune.training.bound_steps import Step
from edgeprune.training.bounded import Bounded, Interval, Related

ModuleRule = Callable[[Any, Bounded], Step]
FunctionRule = Callable[..., Step]


class BoundedModule(nn.Module):
    """A module that says itself what it makes of bounds."""

    def bound(self, value: Bounded) -> Step:
        """Return the step of the module."""
        raise NotImplementedError


def convolution(
    value: Bounded,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Step:
    """Bound a convolution of one or two dimensions."""
    convolve = functional.conv1d if weight.ndim == 3 else functional.conv2d

    def apply(operand: Tensor, weights: Tensor, constant: Tensor | None) -> Tensor:
        return convolve(operand, weights, constant, stride, padding, dilation, groups)

    return _with_weights(value, weight, bias, apply)


def dense(value: Bounded, weight: Tensor, bias: Tensor | None = None) -> Step:
    """Bound a dense layer."""
    return _with_weights(value, weight, bias, functional.linear)


def _with_weights(
    value: Bounded,
    weight: Tensor,
    bias: Tensor | None,
    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor],
) -> Step:
    def constant(coefficients: Tensor) -> Tensor:
        assert bias is not None
        along = tuple(range(3, coefficients.ndim))
        return (coefficients.sum(along) if along else coefficients) @ bias

    return steps.affine(
        value,
        lambda operand: apply(operand, weight, bias),
        lambda operand: apply(operand, weight, None),
        lambda operand: apply(operand, weight.abs(), None),
        None if bias is None else constant,
    )


def normalization(layer: nn.BatchNorm1d | nn.BatchNorm2d, value: Bounded) -> Step:
    """Bound a batch normalization: by the clean values' statistics in training."""
    shape = (1, -1, *([1] * (value.clean.ndim - 2)))
    clean = layer(value.clean)  # keeps the running statistics
    if layer.training or layer.running_mean is None or layer.running_var is None:
        along = (0, *range(2, value.clean.ndim))
        mean = value.clean.mean(along)
        variance = value.clean.var(along, unbiased=False)
    else:
        mean, variance = layer.running_mean, layer.running_var
    scale = torch.rsqrt(variance + layer.eps)
    if layer.weight is not None:
        scale = scale * layer.weight
    shift = -mean * scale if layer.bias is None else layer.bias - mean * scale
    step = steps.scaled(value, scale.reshape(shape), shift.reshape(shape))
    result = step.result
    if isinstance(result, Related):
        centre = clean if result.centre is result.clean else result.centre
        result = Related(clean, centre, result.response, result.slack, result.changes)
    else:
        centre = clean if result.centre is result.clean else result.centre
        result = Interval(clean, centre, result.radius)
    return Step(result, step.pull)


def shaped(value: Bounded, shape: torch.Size) -> Step:
    """Bound a change of layout to [n, *shape] that keeps the order of the elements."""
    return steps.weightless(value, lambda operand: operand.reshape(len(operand), *shape[1:]))


def padded(
    operand: Bounded, /, pad: Any, mode: str = "constant", value: float | None = None
) -> Step:
    """Bound padding with zeros."""
    if mode != "constant" or value:
        raise ModelError(
            "bounds go through padding with zeros only", where="pad", hint="pad with zeros"
        )
    return steps.weightless(operand, lambda each: functional.pad(each, pad))


def dropped(value: Bounded, p: float = 0.5, training: bool = True) -> Step:
    """Bound dropout: what is left out of the clean value is left out of its bounds."""
    if not training or p == 0:
        return same(value)
    mask = functional.dropout(torch.ones_like(value.clean), p, training=True)
    return steps.scaled(value, mask, None)


def same(value: Bounded, *_: Any, **__: Any) -> Step:
    """Bound what does nothing."""
    return steps.weightless(value, lambda operand: operand)


def add(first: Any, second: Any) -> Step:
    """Bound a sum of two values, or of a value and a constant."""
    return _with_constant(first, second, 1.0) or steps.total(first, second)


def subtract(first: Any, second: Any) -> Step:
    """Bound a value less a constant."""
    if not isinstance(first, Interval | Related) or isinstance(second, Interval | Related):
        raise _unsupported("a difference of two values")
    return add(first, -second)


def multiply(first: Any, second: Any) -> Step:
    """Bound the product of a value and a constant."""
    value, constant = (first, second) if _is_bounded(first) else (second, first)
    if _is_bounded(constant):
        raise _unsupported("a product of two values")
    return steps.scaled(value, torch.as_tensor(constant), None)


def _with_constant(first: Any, second: Any, scale: float) -> Step | None:
    if _is_bounded(first) and _is_bounded(second):
        return None
    value, constant = (first, second) if _is_bounded(first) else (second, first)
    one = torch.full((1,) * value.clean.ndim, scale)
    return steps.scaled(value, one, torch.as_tensor(constant, dtype=one.dtype))


def _is_bounded(value: Any) -> bool:
    return isinstance(value, Interval | Related)


def _unsupported(what: str) -> ModelError:
    return ModelError(
        f"bounds do not go through {what}",
        where="robustness",
        hint="take it out of the classifier, or switch [robustness] off",
    )


def rectify(value: Bounded, inplace: bool = False) -> Step:
    """Bound a ReLU."""
    return steps.rectified(value)


def clamp(value: Bounded, min: float | None = None, max: float | None = None) -> Step:
    """Bound a clamp."""
    least = -float("inf") if min is None else float(min)
    most = float("inf") if max is None else float(max)
    return steps.clamped(value, least, most)


def mean(value: Bounded, dim: Any, keepdim: bool = False) -> Step:
    """Bound a mean along axes other than the first."""
    return steps.weightless(value, lambda operand: operand.mean(dim, keepdim))


def concatenate(tensors: Any, dim: int = 0) -> Step:
    """Bound a concatenation of values."""
    return steps.joined(tuple(tensors), dim)


def _monotone(function: Callable[..., Any]) -> FunctionRule:
    def rule(value: Bounded, *arguments: Any, **named: Any) -> Step:
        return steps.monotone(value, lambda operand: function(operand, *arguments, **named))

    return rule


def _rising(function: Callable[..., Any]) -> FunctionRule:
    def rule(value: Bounded, *arguments: Any, **named: Any) -> Step:
        def apply(operand: Tensor) -> Tensor:
            # A copy: what is asked to work in place must not.
            return cast(Tensor, function(operand.clone(), *arguments, **named))

        if (apply(torch.linspace(-8.0, 8.0, 65)).diff() < 0).any():
            raise _unsupported("a function that falls")
        return steps.monotone(value, apply)

    return rule


def _dipping(function: Callable[..., Any], place: float) -> FunctionRule:
    def rule(value: Bounded, *arguments: Any, **named: Any) -> Step:
        def apply(operand: Tensor) -> Tensor:
            return cast(Tensor, function(operand.clone(), *arguments, **named))

        return steps.dipping(value, apply, place)

    return rule


def _weightless(function: Callable[..., Any]) -> FunctionRule:
    def rule(value: Bounded, *arguments: Any, **named: Any) -> Step:
        return steps.weightless(value, lambda operand: function(operand, *arguments, **named))

    return rule


def _layout(name: str) -> FunctionRule:
    def rule(value: Bounded, *arguments: Any, **named: Any) -> Step:
        return shaped(value, getattr(value.clean, name)(*arguments, **named).shape)

    return rule


def _convolution_layer(layer: Any, value: Bounded) -> Step:
    if layer.padding_mode != "zeros":
        raise _unsupported(f"padding mode '{layer.padding_mode}'")
    return convolution(
        value,
        layer.weight,
        layer.bias,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
    )


def _called(layer: Any, value: Bounded) -> Step:
    return steps.weightless(value, layer)


def _called_monotone(layer: Any, value: Bounded) -> Step:
    return steps.monotone(value, layer)


def _called_rising(layer: Any, value: Bounded) -> Step:
    return _rising(layer)(value)


def _called_dipping(place: float) -> ModuleRule:
    return lambda layer, value: _dipping(layer, place)(value)


# Where functions that are not monotone turn; the value there is flat, so that these digits do.
_GELU_TURNS, _SILU_TURNS, _HARDSWISH_TURNS = -0.7517915247, -1.2784645428, -1.5

MODULES: Mapping[type[nn.Module], ModuleRule] = {
    nn.Conv1d: _convolution_layer,
    nn.Conv2d: _convolution_layer,
    nn.Linear: lambda layer, value: dense(value, layer.weight, layer.bias),
    nn.BatchNorm1d: normalization,
    nn.BatchNorm2d: normalization,
    nn.ReLU: lambda _, value: rectify(value),
    nn.ReLU6: lambda _, value: clamp(value, 0.0, 6.0),
    nn.Hardtanh: lambda layer, value: clamp(value, layer.min_val, layer.max_val),
    nn.ELU: _called_rising,
    nn.LeakyReLU: _called_rising,
    nn.Sigmoid: _called_rising,
    nn.Hardsigmoid: _called_rising,
    nn.Tanh: _called_rising,
    nn.GELU: _called_dipping(_GELU_TURNS),
    nn.SiLU: _called_dipping(_SILU_TURNS),
    nn.Hardswish: _called_dipping(_HARDSWISH_TURNS),
    nn.MaxPool1d: _called_monotone,
    nn.MaxPool2d: _called_monotone,
    nn.AdaptiveMaxPool1d: _called_monotone,
    nn.AdaptiveMaxPool2d: _called_monotone,
    nn.AvgPool1d: _called,
    nn.AvgPool2d: _called,
    nn.AdaptiveAvgPool1d: _called,
    nn.AdaptiveAvgPool2d: _called,
    nn.Flatten: lambda layer, value: shaped(value, layer(value.clean).shape),
    nn.Dropout: lambda layer, value: dropped(value, layer.p, layer.training),
    nn.Identity: lambda _, value: same(value),
}

FUNCTIONS: Mapping[str, FunctionRule] = {
    "conv1d": convolution,
    "conv2d": convolution,
    "linear": dense,
    "relu": rectify,
    "relu_": rectify,
    "relu6": lambda value, inplace=False: clamp(value, 0.0, 6.0),
    "hardtanh": lambda value, min_val=-1.0, max_val=1.0, inplace=False: clamp(
        value, min_val, max_val
    ),
    "clamp": clamp,
    "clip": clamp,
    "elu": _rising(functional.elu),
    "leaky_relu": _rising(functional.leaky_relu),
    "sigmoid": _rising(torch.sigmoid),
    "hardsigmoid": _rising(functional.hardsigmoid),
    "tanh": _rising(torch.tanh),
    "gelu": _dipping(functional.gelu, _GELU_TURNS),
    "silu": _dipping(functional.silu, _SILU_TURNS),
    "hardswish": _dipping(functional.hardswish, _HARDSWISH_TURNS),
    "max_pool1d": _monotone(functional.max_pool1d),
    "max_pool2d": _monotone(functional.max_pool2d),
    "avg_pool1d": _weightless(functional.avg_pool1d),
    "avg_pool2d": _weightless(functional.avg_pool2d),
    "adaptive_avg_pool1d": _weightless(functional.adaptive_avg_pool1d),
    "adaptive_avg_pool2d": _weightless(functional.adaptive_avg_pool2d),
    "flatten": _layout("flatten"),
    "reshape": _layout("reshape"),
    "view": _layout("view"),
    "squeeze": _layout("squeeze"),
    "unsqueeze": _layout("unsqueeze"),
    "contiguous": same,
    "float": same,
    "pad": padded,
    "mean": mean,
    "transpose": _weightless(torch.transpose),
    "permute": _weightless(torch.Tensor.permute),
    "getitem": _weightless(lambda operand, key: operand[key]),
    "cat": concatenate,
    "concat": concatenate,
    "add": add,
    "iadd": add,
    "sub": subtract,
    "mul": multiply,
    "dropout": lambda value, p=0.5, training=True, inplace=False: dropped(value, p, training),
}
