"""Layers of low rank as two layers, and layers whose condition number is held."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgeprune.classifiers.replacements import Replacement
from edgeprune.classifiers.structure import Layer

_VANISHING = 1e-6


class Factored(Replacement):
    """A layer W = U S V^T as two: first to `rank` values, then to all outputs.

    Of a convolution the first has its kernel, stride and padding, the second a kernel of 1. Both
    hold the square roots of S, so that neither is the larger one.

    Args:
        original: A convolution without groups, or a dense layer.
        rank: Singular values kept. If the original has fewer, as one that is widened later, the
            weights are drawn and not its own.
        limit: Largest condition number of the product; 0 for none.
    """

    kind = "factored"

    def __init__(self, original: Layer, rank: int, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.reduce, self.expand = _two_layers(original, rank)
        if rank <= min(matrix_of(original).shape):
            self.set_matrix(matrix_of(original))
        if original.bias is not None and self.expand.bias is not None:
            self.expand.bias.data.copy_(original.bias.data)

    @property
    def rank(self) -> int:
        """Singular values kept."""
        return len(self.reduce.weight)

    def forward(self, value: Tensor) -> Tensor:
        """Return what the layer returned."""
        result: Tensor = self.expand(self.reduce(value))
        return result

    @torch.no_grad()
    def matrix(self) -> Tensor:
        """Return the product, float64 [outputs, inputs x taps]."""
        product: Tensor = matrix_of(self.expand) @ matrix_of(self.reduce)
        return product

    @torch.no_grad()
    def set_matrix(self, matrix: Tensor) -> None:
        """Take the nearest matrix of this rank and condition number [outputs, inputs x taps]."""
        left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
        roots = conditioned(sizes[: self.rank], self.limit).sqrt()
        _set(self.expand, left[:, : self.rank] * roots)
        _set(self.reduce, roots[:, None] * right[: self.rank])

    @torch.no_grad()
    def hold(self) -> None:
        """Bring the product back to its condition number, both layers changing as little.

        New singular vectors would do, but an optimizer's moments are of the old ones.
        """
        if not self.limit:
            return
        outer, outer_core = torch.linalg.qr(matrix_of(self.expand))
        inner, inner_core = torch.linalg.qr(matrix_of(self.reduce).T)
        left, sizes, right = torch.linalg.svd(outer_core @ inner_core.T)
        wanted = conditioned(sizes, self.limit)
        if torch.equal(wanted, sizes):
            return
        if float(sizes[-1]) <= _VANISHING * float(sizes[0]):
            self.set_matrix(self.matrix())
            return
        roots = (wanted / sizes).sqrt()
        _set(self.expand, outer @ ((left * roots) @ left.T @ outer_core))
        _set(self.reduce, (inner @ ((right.T * roots) @ right @ inner_core)).T)

    @torch.no_grad()
    def joined(self) -> Layer:
        """Return both as one layer."""
        whole = _like(self.reduce, len(self.expand.weight), self.expand.bias is not None)
        _set(whole, self.matrix())
        if whole.bias is not None and self.expand.bias is not None:
            whole.bias.data.copy_(self.expand.bias.data)
        return whole

    def facts(self) -> Mapping[str, Any]:
        """Return rank and limit."""
        return {"rank": self.rank, "limit": self.limit}

    @classmethod
    def build(cls, original: nn.Module, facts: Mapping[str, Any]) -> Replacement:
        """Return the two layers of a layer."""
        return cls(_layer(original), int(facts["rank"]), float(facts["limit"]))


class Conditioned(Replacement):
    """A layer whose weights keep a condition number.

    Args:
        original: A convolution without groups, or a dense layer.
        limit: Largest condition number.
    """

    kind = "conditioned"

    def __init__(self, original: Layer, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.whole = copy.deepcopy(original)
        self.hold()

    def forward(self, value: Tensor) -> Tensor:
        """Return what the layer returns."""
        result: Tensor = self.whole(value)
        return result

    def matrix(self) -> Tensor:
        """Return the weights, float64 [outputs, inputs x taps]."""
        return matrix_of(self.whole)

    @torch.no_grad()
    def hold(self) -> None:
        """Bring the weights back to their condition number."""
        left, sizes, right = torch.linalg.svd(self.matrix(), full_matrices=False)
        wanted = conditioned(sizes, self.limit)
        if not torch.equal(wanted, sizes):
            _set(self.whole, left * wanted @ right)

    def facts(self) -> Mapping[str, Any]:
        """Return the limit."""
        return {"limit": self.limit}

    @classmethod
    def build(cls, original: nn.Module, facts: Mapping[str, Any]) -> Replacement:
        """Return a layer with that limit."""
        return cls(_layer(original), float(facts["limit"]))


@torch.no_grad()
def matrix_of(layer: Layer) -> Tensor:
    """Return a layer's weights as a matrix, float64 [outputs, inputs x taps]."""
    return layer.weight.detach().double().flatten(1)


def conditioned(sizes: Tensor, limit: float) -> Tensor:
    """Return the nearest singular values, by least squares, whose ratio is within a limit.

    Those below a level are raised to it, those above `limit` times the level are lowered to that.
    The sum of squares is convex in the level, and its minimum is where one of the counts of raised
    and lowered values gives back itself.

    Args:
        sizes: Singular values, descending, [rank].
        limit: Largest ratio; 0 for none.
    """
    if not limit or len(sizes) == 0 or float(sizes[0]) <= limit * float(sizes[-1]):
        return sizes
    low, high = float(sizes[-1]), float(sizes[0]) / limit
    # The derivative is piecewise linear and rises; its pieces end where a value is met.
    bends = torch.cat((sizes, sizes / limit)).clamp(low, high).sort().values
    slopes = torch.stack([_slope(sizes, limit, float(bend)) for bend in bends])
    after = int(torch.searchsorted(slopes, torch.zeros((), dtype=slopes.dtype)))
    after = min(max(after, 1), len(bends) - 1)
    middle = float(bends[after - 1] + bends[after]) / 2
    raised, lowered = sizes < middle, sizes > limit * middle
    level = (sizes[raised].sum() + limit * sizes[lowered].sum()) / (
        raised.sum() + limit**2 * lowered.sum()
    )
    return sizes.clamp(level, limit * level)


def _slope(sizes: Tensor, limit: float, level: float) -> Tensor:
    raised = (level - sizes).clamp_min(0).sum()
    lowered = (sizes - limit * level).clamp_min(0).sum()
    return raised - limit * lowered


def _two_layers(original: Layer, rank: int) -> tuple[Layer, Layer]:
    bias = original.bias is not None
    if isinstance(original, nn.Linear):
        return _like(original, rank, bias=False), nn.Linear(rank, original.out_features, bias=bias)
    kind: Any = type(original)
    expand: Layer = kind(rank, original.out_channels, 1, bias=bias)
    return _like(original, rank, bias=False), expand


def _like(original: Layer, outputs: int, bias: bool) -> Layer:
    """Return a layer that reads what another one reads, in the same way."""
    if isinstance(original, nn.Linear):
        return nn.Linear(original.in_features, outputs, bias=bias)
    kind: Any = type(original)
    layer: Layer = kind(
        original.in_channels,
        outputs,
        original.kernel_size,
        original.stride,
        original.padding,
        original.dilation,
        bias=bias,
        padding_mode=original.padding_mode,
    )
    return layer


def _layer(original: nn.Module) -> Layer:
    if isinstance(original, Conditioned):
        original = original.whole
    assert isinstance(original, Layer)
    return original


def _set(layer: Layer, matrix: Tensor) -> None:
    layer.weight.data.copy_(matrix.reshape(layer.weight.shape))
