"""What the channels of a layer hand on: its output behind normalization and rectifier.

A forward pass is watched, not the source: every operation that keeps windows and channels apart (a
normalization, a pool, an addition, a dropout) carries a layer's channels on until a rectifier or
until something mixes channels. So the second convolution of a residual block is seen where Jordao
and Pedrini's code sees it, behind the addition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edgeprune.classifiers import deciding
from edgeprune.classifiers.structure import Layer
from edgeprune.errors import ConfigurationError
from edgeprune.pruning.edits import layer_of
from edgeprune.pruning.materials import Materials

_BATCH = 64
_RECTIFIERS = {"relu", "relu_", "relu6", "clamp", "clamp_", "clamp_min", "clamp_min_", "hardtanh"}
_MIXERS = {"conv1d", "conv2d", "linear", "matmul", "mm", "bmm", "einsum", "__matmul__", "addmm"}

Summary = Callable[[Tensor], Tensor]


@torch.no_grad()
def activations(
    model: nn.Module, layers: Sequence[str], materials: Materials, summary: Summary
) -> dict[str, Tensor]:
    """Run the windows through a classifier and return a summary of each layer's channels.

    Args:
        model: The classifier; its mode is restored.
        layers: Qualified names of convolutions and dense layers. Of a layer that is called several
            times, the last call counts.
        materials: Windows.
        summary: Of float [n, channels, positions] (one position behind a dense layer), windows
            first in its result: batches are joined there.

    Raises:
        ModelError: A layer does not exist, or was not called.
        ConfigurationError: There are no windows.
    """
    chosen = {layer_of(model, name): name for name in layers}
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    with deciding(model):
        for inputs in batches(materials):
            with _Watch(chosen) as watch:
                model(*inputs)
            for name, value in watch.handed_on().items():
                found[name].append(summary(value.reshape(*value.shape[:2], -1)))
    return {name: torch.cat(parts) for name, parts in found.items() if parts}


def batches(materials: Materials, number: int | None = None) -> Iterator[tuple[Tensor, ...]]:
    """Yield the windows in batches.

    Args:
        materials: Windows.
        number: How many, spread over all; None for all.

    Raises:
        ConfigurationError: There are none.
    """
    total = len(materials.labels)
    if total == 0:
        raise ConfigurationError(
            "there are no training windows to look at",
            where="pruning.importance",
            hint='prune as part of a build, or take an importance of the weights: "l1", "l2"',
        )
    count = total if number is None else min(number, total)
    chosen = torch.linspace(0, total - 1, count).round().long()
    for start in range(0, count, _BATCH):
        part = chosen[start : start + _BATCH]
        yield tuple(tensor[part] for tensor in materials.inputs)


class _Watch(TorchFunctionMode):
    """Follows the outputs of layers through the operations of one forward pass."""

    def __init__(self, layers: Mapping[Layer, str]) -> None:
        super().__init__()
        self._layers = layers
        self._handles: list[Any] = []
        self._last: dict[str, Tensor] = {}
        # Of tensors that still move on; they are kept alive, so that no id is used again.
        self._carriers: dict[int, tuple[Tensor, set[str]]] = {}

    def __enter__(self) -> _Watch:
        for layer in self._layers:
            self._handles.append(layer.register_forward_hook(self._begin))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *problem: Any) -> None:
        super().__exit__(*problem)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def _begin(self, layer: Any, _: Any, output: Tensor) -> None:
        name = self._layers[layer]
        self._last[name] = output
        self._carriers[id(output)] = output, {name}

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        """Run an operation and let it carry on what reaches it."""
        result = function(*arguments, **(named or {}))
        kind = getattr(function, "__name__", "")
        if not isinstance(result, Tensor) or kind in _MIXERS:
            return result
        names: set[str] = set()
        for value in (*arguments, *(named or {}).values()):
            carried = isinstance(value, Tensor) and id(value) in self._carriers
            if carried and value.shape[:2] == result.shape[:2]:
                names |= self._carriers[id(value)][1]
        if names:
            ends = kind in _RECTIFIERS
            for name in names:
                # A copy, since a later addition may change the rectified tensor itself.
                self._last[name] = result.clone() if ends else result
            self._carriers[id(result)] = result, set() if ends else names
        return result

    def handed_on(self) -> Mapping[str, Tensor]:
        """Return the last tensor that held each layer's channels, [n, channels, ...]."""
        return self._last
