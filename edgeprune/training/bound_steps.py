"""One operation under bounds: what it makes of intervals, and how lines are pulled back through it.

A rule returns the bounds of an operation's result and its pull: given coefficients of a linear
lower bound on the result, coefficients on the operands and a constant such that the bound still
holds (CROWN; Zhang et al., arXiv 1811.00866). Rules of weightless linear operations derive the pull
from the operation itself, by differentiating it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgeprune.training.bounded import Bounded, Interval, Linear, Related


@dataclass(frozen=True)
class Pulled:
    """A linear lower bound after one step back.

    Attributes:
        coefficients: Of each operand, [n, k, ...]; None where an operand has no part in it.
        constant: [n, k].
    """

    coefficients: tuple[Tensor | None, ...]
    constant: Tensor


Pull = Callable[[Tensor], Pulled]


@dataclass(frozen=True)
class Step:
    """The result of an operation and how lines get back through it."""

    result: Bounded
    pull: Pull


def affine(
    value: Bounded,
    apply: Linear,
    response: Linear,
    magnitude: Linear,
    constant: Callable[[Tensor], Tensor] | None = None,
) -> Step:
    """Return the step of an affine operation; see `Interval.linear`.

    Args:
        value: The operand.
        apply: The operation.
        response: The operation without its constant part.
        magnitude: The operation with absolute weights and without a constant.
        constant: What coefficients [n, k, ...] make of the operation's constant part, [n, k];
            None where it has none.
    """
    shape = value.clean.shape[1:]

    def pull(coefficients: Tensor) -> Pulled:
        back = transposed(response, coefficients, shape)
        fixed = _nothing(coefficients) if constant is None else constant(coefficients)
        return Pulled((back,), fixed)

    return Step(value.linear(apply, response, magnitude), pull)


def weightless(value: Bounded, apply: Linear) -> Step:
    """Return the step of a linear operation whose weights are all positive: pools, layouts."""
    return affine(value, apply, apply, apply)


def scaled(value: Bounded, scale: Tensor, shift: Tensor | None) -> Step:
    """Return the step of `scale * value + shift`, shaped for broadcasting over [n, ...]."""

    def apply(operand: Tensor) -> Tensor:
        product = operand * scale
        return product if shift is None else product + shift

    def pull(coefficients: Tensor) -> Pulled:
        fixed = _nothing(coefficients)
        if shift is not None:
            fixed = _weigh(coefficients, shift.expand_as(value.clean))
        back = coefficients * scale.expand_as(value.clean)[:, None]
        return Pulled((back,), fixed)

    if isinstance(value, Related) and scale.ndim == value.clean.ndim and scale.shape[0] > 1:
        value = value.interval()  # each window has a scale of its own: dropout
    result = value.linear(apply, lambda operand: operand * scale, lambda r: r * scale.abs())
    return Step(result, pull)


def total(first: Bounded, second: Bounded) -> Step:
    """Return the step of the sum of two values."""
    result: Bounded
    if isinstance(first, Related) and isinstance(second, Related):
        result = Related(
            first.clean + second.clean,
            first.centre + second.centre,
            first.response + second.response,
            first.slack + second.slack,
            first.changes,
        )
    else:
        one, other = first.interval(), second.interval()
        result = Interval(
            one.clean + other.clean, one.centre + other.centre, one.radius + other.radius
        )
    return Step(result, lambda lines: Pulled((lines, lines), _nothing(lines)))


def joined(values: Sequence[Bounded], dim: int) -> Step:
    """Return the step of a concatenation along `dim`, which is not the first."""
    parts = [value.interval() for value in values]
    dim = dim % parts[0].clean.ndim
    sizes = [part.clean.shape[dim] for part in parts]
    result = Interval(
        torch.cat([part.clean for part in parts], dim),
        torch.cat([part.centre for part in parts], dim),
        torch.cat([part.radius for part in parts], dim),
    )

    def pull(coefficients: Tensor) -> Pulled:
        return Pulled(torch.split(coefficients, sizes, dim + 1), _nothing(coefficients))

    return Step(result, pull)


def monotone(value: Bounded, apply: Linear) -> Step:
    """Return the step of an operation that never falls; lines end in its interval."""
    result = value.monotone(apply)

    def pull(coefficients: Tensor) -> Pulled:
        return Pulled((None,), lowest(coefficients, result))

    return Step(result, pull)


def dipping(value: Bounded, apply: Linear, place: float) -> Step:
    """Return the step of a function that falls up to `place` and rises from there.

    Lines end in its interval.
    """
    operand = value.interval()
    turn = torch.full_like(operand.clean, place)
    least = apply(turn.clamp(operand.low, operand.high))
    most = torch.maximum(apply(operand.low), apply(operand.high))
    result = Interval(apply(operand.clean), 0.5 * (least + most), 0.5 * (most - least))

    def pull(coefficients: Tensor) -> Pulled:
        return Pulled((None,), lowest(coefficients, result))

    return Step(result, pull)


def rectified(value: Bounded) -> Step:
    """Return the step of a ReLU: the triangle, its lower slope 0 or 1, whichever leaves less."""
    operand = value.interval()
    result = operand.monotone(torch.relu)

    def pull(coefficients: Tensor) -> Pulled:
        low, high = operand.low.clamp(max=0), operand.high.clamp(min=0)
        upper = high / (high - low).clamp(min=1e-12)
        lower = (high > -low).to(low.dtype)
        return between_lines(coefficients, (lower, torch.zeros_like(low)), (upper, -upper * low))

    return Step(result, pull)


def clamped(value: Bounded, least: float, most: float, rounding: float | Tensor = 0.0) -> Step:
    """Return the step of a clamp, behind a rounding by at most `rounding` where lines pass it.

    An element that stays between the limits passes as it is, one that cannot reach the upper limit
    as a ReLU does; any other ends in its interval.
    """
    operand = value.interval()
    result = operand.monotone(lambda each: each.clamp(least, most))

    def pull(coefficients: Tensor) -> Pulled:
        low, high = operand.low, operand.high
        floor = result.low
        free = high <= most
        span = (high - low).clamp(min=1e-12)
        rise = ((high - least).clamp(min=0) / span).clamp(max=1.0)
        upper = torch.where(free, torch.where(low >= least, 1.0, rise), 0.0)
        height = torch.where(free, torch.where(low >= least, 0.0, least - rise * low), result.high)
        height = torch.where(free & (high <= least), least, height)
        upper = torch.where(free & (high <= least), 0.0, upper)
        steep = free & ((high - least) > (least - low))
        lower = torch.where(steep, 1.0, 0.0)
        depth = torch.where(steep, 0.0, floor)
        return between_lines(coefficients, (lower, depth - rounding), (upper, height + rounding))

    return Step(result, pull)


def between_lines(
    coefficients: Tensor, lower: tuple[Tensor, Tensor], upper: tuple[Tensor, Tensor]
) -> Pulled:
    """Pull back through an elementwise operation that lies between two lines.

    Args:
        coefficients: [n, k, ...].
        lower: Slope and height of the line below, [n, ...] each.
        upper: Slope and height of the line above.
    """
    positive, negative = coefficients.clamp(min=0), coefficients.clamp(max=0)
    back = positive * lower[0][:, None] + negative * upper[0][:, None]
    constant = _weigh(positive, lower[1]) + _weigh(negative, upper[1])
    return Pulled((back,), constant)


def lowest(coefficients: Tensor, value: Bounded) -> Tensor:
    """Return the least of `<coefficients, value>`: [n, k, ...] to [n, k]."""
    middle = _weigh(coefficients, value.centre)
    if isinstance(value, Related):
        along = torch.einsum("nk...,l...->nkl", coefficients, value.response)
        spread = value.changes.own_support(along)
        return middle - spread - _weigh(coefficients.abs(), value.slack)
    return middle - _weigh(coefficients.abs(), value.radius)


def transposed(apply: Linear, coefficients: Tensor, shape: Sequence[int]) -> Tensor:
    """Return what coefficients on the result of a linear operation are on its operand.

    Args:
        apply: The operation, without a constant part.
        coefficients: [n, k, ...].
        shape: Shape of the operand, without its first axis.
    """
    count, lines = coefficients.shape[:2]
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        start = torch.zeros(count * lines, *shape, requires_grad=True)
        (back,) = torch.autograd.grad(
            apply(start), start, coefficients.flatten(0, 1), create_graph=keep
        )
    return back.reshape(count, lines, *shape)


def _weigh(coefficients: Tensor, value: Tensor) -> Tensor:
    return (coefficients * value[:, None]).flatten(2).sum(2)


def _nothing(coefficients: Tensor) -> Tensor:
    return coefficients.new_zeros(coefficients.shape[:2])
