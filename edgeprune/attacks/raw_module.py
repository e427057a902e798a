"""A float classifier as a torch module of raw counts."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgeprune.attacks.raw_slopes import RawSlopes
from edgeprune.attacks.victims import InputScaling, Seen, Victim
from edgeprune.classifiers import logits_of
from edgeprune.verification.falsify import Windows
from edgeprune.verification.outcomes import Int16Array

Float64Array = npt.NDArray[np.float64]
Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]


class RawModule:
    """A classifier behind the exact front end.

    Args:
        model: The classifier; a copy of it is used in evaluation mode.
        scaling: Which real numbers the integer inputs stand for.
        slopes: The front end run backwards.
    """

    def __init__(self, model: nn.Module, scaling: InputScaling, slopes: RawSlopes) -> None:
        # A copy: attacks leave the caller's model as it was.
        self._model = copy.deepcopy(model).eval()
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)
        self._slopes = slopes
        self._scales = (scaling.signal_scale, scaling.rhythm_scale)
        self._zero_points = (scaling.signal_zero_point, scaling.rhythm_zero_point)

    def classes(self, held: Windows) -> int:
        """Return the number of logits."""
        return self.numbers(held.select(np.arange(1)), held.raw[:1]).shape[1]

    def numbers(self, held: Windows, raw: Int16Array) -> Float64Array:
        """Return the logits of candidates [m, classes]."""
        with torch.no_grad():
            logits = self._forward(self._tensors(held.inputs(raw)))
        return logits.numpy().astype(np.float64)

    def look(self, held: Windows, raw: Int16Array) -> Seen:
        """Return decisions, logits and the way to the gradient of candidates."""
        inputs = held.inputs(raw)
        tensors = tuple(each.requires_grad_(True) for each in self._tensors(inputs))
        with torch.enable_grad():
            logits = self._forward(tensors)
        found = logits.detach().numpy().astype(np.float64)

        def pull(weights: Float64Array) -> Float64Array:
            outer = torch.from_numpy(weights.astype(np.float32))
            slopes = torch.autograd.grad(
                logits, tensors, outer, retain_graph=True, allow_unused=True
            )
            return self._through(held, raw, inputs, slopes)

        return Seen(found.argmax(axis=1), found, pull)

    def _forward(self, tensors: tuple[Tensor, ...]) -> Tensor:
        return logits_of(self._model, tensors[0], tensors[-1])

    def _tensors(self, inputs: tuple[Int8Array, ...]) -> tuple[Tensor, ...]:
        """Return the real numbers that inputs stand for; signals with channels first."""
        found = []
        for values, scale, zero in zip(inputs, self._scales, self._zero_points, strict=False):
            ordered = np.swapaxes(values, 1, 2) if values.ndim == 3 else values
            real = (ordered.astype(np.float32) - np.float32(zero)) * np.float32(scale)
            found.append(torch.from_numpy(np.ascontiguousarray(real)))
        return tuple(found)

    def _through(
        self,
        held: Windows,
        raw: Int16Array,
        inputs: tuple[Int8Array, ...],
        slopes: tuple[Tensor | None, ...],
    ) -> Float64Array:
        """Return slopes by raw counts, given those by the tensors."""
        found = []
        for values, slope, scale in zip(inputs, slopes, self._scales, strict=False):
            if slope is None:
                found.append(np.zeros(values.shape))
                continue
            numbers = slope.numpy().astype(np.float64) * scale
            found.append(np.swapaxes(numbers, 1, 2) if values.ndim == 3 else numbers)
        return self._slopes.of(held, raw, inputs, tuple(found))


def module_of(victim: Victim, rows: Int64Array) -> nn.Module:
    """Return a victim as a torch module, for other libraries: raw counts -> logits.

    Args:
        victim: Any victim with a gradient, float or integer.
        rows: Whose windows the rows of every batch are of, int64 [m].

    Returns:
        A module in evaluation mode that maps float [m, reach] (any real numbers; they are rounded
        to counts and cut to the converter's range on the way) to logits [m, classes] of the same
        type. Its gradient passes straight through all roundings.
    """
    return _VictimModule(victim, rows)


class _VictimModule(nn.Module):
    def __init__(self, victim: Victim, rows: Int64Array) -> None:
        super().__init__()
        self._victim = victim
        self._rows = rows
        self.eval()

    def forward(self, raw: Tensor) -> Tensor:
        apply: Any = _Logits.apply
        logits: Tensor = apply(raw, self._victim, self._rows)
        return logits


class _Logits(torch.autograd.Function):
    """Logits of rounded counts, with the straight-through gradient."""

    @staticmethod
    def forward(context: Any, raw: Tensor, victim: Victim, rows: Int64Array) -> Tensor:
        least, greatest = victim.held.count_range
        counts = np.clip(np.rint(raw.detach().cpu().numpy()), least, greatest).astype(np.int16)
        context.seen = victim.look(counts, rows)
        context.dtype = raw.dtype
        return torch.from_numpy(context.seen.logits).to(raw.dtype)

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        found = context.seen.gradient(slopes[0].detach().numpy().astype(np.float64))
        return torch.from_numpy(found).to(context.dtype), None, None
