"""What lines would do in the place of ReLUs: how they fit, what they change, what they save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from edgeprune.classifiers import deciding, takes_rhythm
from edgeprune.pruning.materials import Materials
from edgeprune.training.bounded import Interval
from edgeprune.training.bounds import BoundedClassifier

# Size of the perturbation that tells stable units from unstable ones: a share of the signal's root
# mean square over the windows [our reading; the paper's is the one that is certified].
CHANGE = 0.02
LEAST_SLOPE = 0.01
_BATCH = 64
_RECTIFIERS = {"relu", "relu_"}


@dataclass(frozen=True)
class Graftable:
    """A layer whose channels can be grafted.

    Attributes:
        layer: Qualified name.
        source: Qualified name of what the ReLU reads: the layer or its normalization.
        positions: ReLUs of each channel.
        channels: Channels.
    """

    layer: str
    source: str
    positions: int
    channels: int


@dataclass(frozen=True, eq=False)
class Lines:
    """What lines would do in the place of a layer's ReLUs, over the windows.

    Attributes:
        slopes: Of the best line of each channel, float32 [channels].
        heights: Their heights at 0, float32 [channels].
        effect: How much the loss of a window changes, to first order, [channels].
        unstable: ReLUs of a channel that the perturbation can switch, [channels].
    """

    slopes: Tensor
    heights: Tensor
    effect: Tensor
    unstable: Tensor


def fit_lines(
    model: nn.Module, places: Sequence[Graftable], materials: Materials
) -> Mapping[str, Lines]:
    """Return the best lines in the place of ReLUs, and what they would change and save.

    The lines are the least-squares fit over windows and positions (the released code starts at
    a = 1, b = 0). What they change is the slope of the loss in the ReLU's output times the change
    of that output, over all positions.

    Args:
        model: The classifier; its mode is restored.
        places: Layers.
        materials: Windows, one or more.

    Returns:
        By the layer's qualified name.

    Raises:
        ModelError: Bounds do not go through the classifier.
    """
    with deciding(model):
        unstable = _unstable(model, materials)
        values, gradients = _rectified(model, {p.source: p.layer for p in places}, materials)
    found = {}
    for place in places:
        before = values[place.layer].double()
        after = before.relu()
        mean, mean_after = before.mean((0, 2)), after.mean((0, 2))
        centred = before - mean[:, None]
        spread = centred.square().mean((0, 2))
        slopes = (centred * after).mean((0, 2)) / spread.clamp_min(1e-12)
        # A unit that the windows never activate is not to be lost for good: zeros stay zero.
        slopes = slopes.clamp_min(LEAST_SLOPE)
        heights = mean_after - slopes * mean
        change = slopes[:, None] * before + heights[:, None] - after
        effect = (gradients[place.layer] * change).sum(2).abs().mean(0)
        found[place.layer] = Lines(
            slopes.float(), heights.float(), effect.float(), unstable[place.source]
        )
    return found


@torch.no_grad()
def _unstable(model: nn.Module, materials: Materials) -> dict[str, Tensor]:
    """Return by what a ReLU reads how many a window has of each channel that can switch."""
    bounded = BoundedClassifier(model)
    signal = materials.inputs[0]
    radius = CHANGE * float(signal.square().mean().sqrt())
    total: dict[str, Tensor] = {}
    for inputs in _batches(materials.inputs):
        changed = Interval(inputs[0], inputs[0], torch.full_like(inputs[0], radius))
        rhythm = inputs[1] if takes_rhythm(model) else inputs[0].new_zeros(len(inputs[0]), 0)
        passed = bounded(changed, Interval(rhythm, rhythm, torch.zeros_like(rhythm)))
        for reached in passed.rectified:
            switching = (reached.bounds.low < 0) & (reached.bounds.high > 0)
            counted = switching.reshape(*switching.shape[:2], -1).float().sum((0, 2))
            total[reached.name] = total.get(reached.name, 0) + counted
    return {name: tensor / len(signal) for name, tensor in total.items()}


def _rectified(
    model: nn.Module, sources: Mapping[str, str], materials: Materials
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what ReLUs read, and the loss's slope in what they give, [n, channels, positions].

    Args:
        model: The classifier, in evaluation mode.
        sources: What each ReLU reads, and the name to give it.
        materials: Windows.
    """
    values: dict[str, list[Tensor]] = {name: [] for name in sources.values()}
    gradients: dict[str, list[Tensor]] = {name: [] for name in sources.values()}
    chosen = {model.get_submodule(source): name for source, name in sources.items()}
    starts = range(0, len(materials.labels), _BATCH)
    for start, inputs in zip(starts, _batches(materials.inputs), strict=True):
        with torch.enable_grad(), _Rectifiers(chosen) as watch:
            logits = model(*(each.detach().requires_grad_() for each in inputs))
            label = materials.labels[start : start + _BATCH]
            loss = functional.cross_entropy(logits, label, reduction="sum")
        slopes = torch.autograd.grad(loss, list(watch.after.values()), materialize_grads=True)
        for name, slope in zip(watch.after, slopes, strict=True):
            shape = (*slope.shape[:2], -1)
            values[name].append(watch.before[name].reshape(shape))
            gradients[name].append(slope.reshape(shape))
    return (
        {name: torch.cat(parts) for name, parts in values.items()},
        {name: torch.cat(parts) for name, parts in gradients.items()},
    )


def _batches(inputs: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    starts = range(0, len(inputs[0]), _BATCH)
    return [tuple(each[start : start + _BATCH] for each in inputs) for start in starts]


class _Rectifiers(TorchFunctionMode):
    """Watches what ReLUs read and give in one forward pass.

    Attributes:
        before: What they read, by the name of the layer.
        after: What they give.
    """

    def __init__(self, sources: Mapping[nn.Module, str]) -> None:
        super().__init__()
        self.before: dict[str, Tensor] = {}
        self.after: dict[str, Tensor] = {}
        self._sources = sources
        self._read: dict[int, tuple[Tensor, str]] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> _Rectifiers:
        self._handles = [s.register_forward_hook(self._note) for s in self._sources]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *problem: Any) -> None:
        super().__exit__(*problem)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def _note(self, module: nn.Module, _: Any, output: Tensor) -> None:
        name = self._sources[module]
        self.before[name] = output.detach().clone()  # a ReLU may work in place
        self._read[id(output)] = output, name

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        """Run an operation; note what a ReLU gives."""
        source = arguments[0] if arguments else None
        result = function(*arguments, **(named or {}))
        if getattr(function, "__name__", "") in _RECTIFIERS and id(source) in self._read:
            self.after[self._read[id(source)][1]] = result
        return result
