"""What methods and criteria may look at besides the classifier: training windows, never others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeprune.classifiers import example_inputs, takes_rhythm
from edgeprune.quantization import float_inputs

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows

Int64Array = NDArray[np.int64]
WorstLoss = Callable[[nn.Module], Tensor]
Attack = Callable[[nn.Module], WorstLoss]


@dataclass(frozen=True)
class Materials:
    """What a pruning may look at.

    Attributes:
        example: Inputs of two windows to call the classifier with.
        inputs: Training windows as the classifier takes them: signal float32 [n, channels, length]
            and, where it takes it, rhythm float32 [n, features]. Without windows, n is 0.
        labels: Their classes, int64 [n].
        seed: Seed of all draws.
        attack: Attacks training windows of a classifier and returns the mean loss of any classifier
            on what it made of them, with its gradient;
            None where nothing says what an attacker may do.
    """

    example: tuple[Tensor, ...]
    inputs: tuple[Tensor, ...]
    labels: Tensor
    seed: int = 0
    attack: Attack | None = None


def without_windows(
    model: nn.Module, signal_shape: tuple[int, int], rhythm_features: int, seed: int = 0
) -> Materials:
    """Return materials for methods and criteria that look at the weights alone."""
    example = example_inputs(model, signal_shape, rhythm_features)
    return Materials(
        example, tuple(t[:0] for t in example), torch.zeros(0, dtype=torch.int64), seed
    )


def draw_materials(
    model: nn.Module,
    windows: Windows,
    front_end: FrontEnd,
    number: int,
    seed: int,
    attack: Attack | None = None,
) -> Materials:
    """Draw training windows, of every class alike and within a class of every record alike.

    Args:
        model: The classifier, for whether it takes the rhythm.
        windows: The training windows.
        front_end: What made them.
        number: How many to draw at most; each window is drawn once at most.
        seed: Seed of the draw, and of what methods draw.
        attack: See `Materials`.
    """
    chosen = windows.select(drawn(windows.label, windows.record, number, seed))
    inputs = tuple(map(torch.from_numpy, float_inputs(chosen, front_end)))
    example = example_inputs(model, front_end.signal_shape, front_end.rhythm_features)
    taken = inputs if takes_rhythm(model) else inputs[:1]
    labels = torch.from_numpy(chosen.label.astype(np.int64))
    return Materials(example, taken, labels, seed, attack)


def drawn(label: Int64Array, record: Int64Array, number: int, seed: int) -> Int64Array:
    """Return indices of windows, ascending; what a rare class cannot give the others do."""
    order = np.random.default_rng(seed).permutation(len(label))
    by_record = _rounds(label[order] * (int(record.max(initial=0)) + 1) + record[order])
    order = order[np.argsort(by_record, kind="stable")]
    by_class = _rounds(label[order])
    return np.sort(order[np.argsort(by_class, kind="stable")[:number]])


def _rounds(group: Int64Array) -> Int64Array:
    """Return for each entry how many of its group stand before it, int64 [n]."""
    order = np.argsort(group, kind="stable")
    sorted_groups = group[order]
    first = np.searchsorted(sorted_groups, sorted_groups, side="left")
    rounds = np.empty(len(group), np.int64)
    rounds[order] = np.arange(len(group)) - first
    return rounds
