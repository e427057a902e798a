"""Bounds of single problems as rows of a batch, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeprune.verification.activations import Activations
from edgeprune.verification.bound_nodes import BoundGraph
from edgeprune.verification.linear_maps import FloatArray
from edgeprune.verification.outcomes import Lines, Split
from edgeprune.verification.slopes import Slopes
from edgeprune.verification.splits import BoolArray


def interval_margins(
    graph: BoundGraph, activations: Activations, objectives: FloatArray
) -> FloatArray:
    """Return lower bounds [n, k] of objectives by the bounds of each logit alone."""
    low, high = activations.low[graph.output], activations.high[graph.output]
    positive, negative = np.maximum(objectives, 0.0), np.minimum(objectives, 0.0)
    # Logits and objectives are small integers: these sums are exact.
    return np.asarray(
        np.einsum("nkc,nc->nk", positive, low) + np.einsum("nkc,nc->nk", negative, high)
    )


def lines_of(slopes: Slopes, activations: Activations) -> Lines:
    """Return the choices behind a bound of one problem."""
    return Lines(
        {node: values[0] for node, values in slopes.lower.items()},
        {node: values[0] for node, values in slopes.upper.items()},
        slopes.multipliers,
        {node: mask[0] for node, mask in activations.refined.items()},
    )


def row_of(slopes: Slopes, row: int, splits: slice) -> Slopes:
    """Return one problem's slopes, and the multipliers of its splits."""
    one = slice(row, row + 1)
    return Slopes(
        {node: values[one].copy() for node, values in slopes.lower.items()},
        {node: values[one].copy() for node, values in slopes.upper.items()},
        slopes.multipliers[splits].copy(),
    )


def on_steps_of(splits: Sequence[Split], graph: BoundGraph) -> list[tuple[int, int, float, bool]]:
    """Return the splits of accumulators, without those of input values."""
    return [
        (split.node, split.neuron, split.threshold, split.above)
        for split in splits
        if split.node not in graph.sources
    ]


def stacked(parts: Sequence[Activations]) -> Activations:
    """Return the bounds of several problems as those of one batch."""
    return Activations(
        tuple(np.concatenate(rows) for rows in zip(*(part.low for part in parts), strict=True)),
        tuple(np.concatenate(rows) for rows in zip(*(part.high for part in parts), strict=True)),
        {
            node: np.concatenate([_mask(part, node, parts) for part in parts])
            for node in {node for part in parts for node in part.refined}
        },
    )


def _mask(part: Activations, node: int, parts: Sequence[Activations]) -> BoolArray:
    if node in part.refined:
        return part.refined[node]
    like = next(each.refined[node] for each in parts if node in each.refined)
    return np.zeros_like(like)


def joined(
    parts: Sequence[Slopes], on_steps: Sequence[Sequence[tuple[int, int, float, bool]]]
) -> Slopes:
    """Return the slopes of several problems; a split that its parent had not has no multiplier."""
    grown = []
    for part, splits in zip(parts, on_steps, strict=True):
        count, objectives = part.multipliers.shape
        grown.append(np.vstack([part.multipliers, np.zeros((len(splits) - count, objectives))]))
    return Slopes(
        {node: np.concatenate([part.lower[node] for part in parts]) for node in parts[0].lower},
        {node: np.concatenate([part.upper[node] for part in parts]) for node in parts[0].upper},
        np.concatenate(grown),
    )
