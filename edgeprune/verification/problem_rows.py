"""Bounds of single problems as rows of a batch, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeprune.network.tensor import Int64Array
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


def least_needed(decisions: Int64Array, classes: int) -> FloatArray:
    """Return what a bound of each margin must exceed for the decision to hold [n, classes - 1].

    Logits are integers and the first of equal ones wins: see `linear_bounds.proves`.
    """
    before = np.arange(classes - 1) < decisions[:, np.newaxis]
    needed = np.full(before.shape, -1.0)
    needed[before] = 0.0
    return needed


@dataclass(frozen=True, eq=False)
class SlopeRow:
    """The lines and multipliers of one objective of one problem.

    Args:
        lower: By the number of the Step node, slopes of the lines below [size].
        upper: The same above.
        multipliers: Of the splits that the problem had [splits].
    """

    lower: Mapping[int, npt.NDArray[np.floating[Any]]]
    upper: Mapping[int, npt.NDArray[np.floating[Any]]]
    multipliers: FloatArray

    def narrowed(self) -> SlopeRow:
        """Return it in half the memory; any slopes are a start."""
        return SlopeRow(
            {node: np.asarray(values, np.float32) for node, values in self.lower.items()},
            {node: np.asarray(values, np.float32) for node, values in self.upper.items()},
            self.multipliers,
        )


def slope_rows(
    before: Sequence[SlopeRow] | None,
    found: Slopes,
    row: int,
    chosen: Int64Array,
    splits: slice,
) -> tuple[SlopeRow, ...]:
    """Return the lines of all objectives of a problem: the new ones, else its parent's.

    Args:
        before: Its parent's.
        found: Of a batch.
        row: The problem's row in it.
        chosen: Which objectives were bounded.
        splits: The problem's multipliers among those of the batch.
    """
    rows: list[SlopeRow] = list(before or ())
    for place, objective in enumerate(chosen.tolist()):
        own = SlopeRow(
            {
                node: values[row, min(place, values.shape[1] - 1)].copy()
                for node, values in found.lower.items()
            },
            {
                node: values[row, min(place, values.shape[1] - 1)].copy()
                for node, values in found.upper.items()
            },
            found.multipliers[splits, place].copy(),
        )
        if objective < len(rows):
            rows[objective] = own
        else:
            rows.append(own)
    return tuple(rows)


def lines_of(rows: Sequence[SlopeRow], activations: Activations, splits: int) -> Lines:
    """Return the choices behind a bound of one problem with so many splits of accumulators."""
    return Lines(
        {node: _stack([row.lower[node] for row in rows]) for node in rows[0].lower},
        {node: _stack([row.upper[node] for row in rows]) for node in rows[0].upper},
        np.stack([_grown(row.multipliers, splits) for row in rows], axis=1),
        {node: mask[0] for node, mask in activations.refined.items()},
    )


def _stack(rows: Sequence[npt.NDArray[np.floating[Any]]]) -> FloatArray:
    return np.asarray(np.stack(rows), np.float64)


def _grown(multipliers: FloatArray, splits: int) -> FloatArray:
    """Return the multipliers with 0 for splits that came later."""
    return np.concatenate([multipliers, np.zeros(splits - len(multipliers))])


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


class HasSlopes(Protocol):
    """A problem with its parent's lines."""

    @property
    def slopes(self) -> Sequence[SlopeRow] | None:
        """One for each objective."""


def joined(
    problems: Sequence[HasSlopes],
    chosen: Int64Array,
    on_steps: Sequence[Sequence[tuple[int, int, float, bool]]],
) -> Slopes | None:
    """Return the slopes that a batch starts from; None where a problem has none.

    Args:
        problems: The problems.
        chosen: Objectives of each [problems, k].
        on_steps: Their splits of accumulators.
    """
    rows: list[list[SlopeRow]] = []
    for problem, own in zip(problems, chosen.tolist(), strict=True):
        if problem.slopes is None:
            return None
        rows.append([problem.slopes[objective] for objective in own])
    multipliers = [
        np.stack([_grown(row.multipliers, len(splits)) for row in own], axis=1)
        for own, splits in zip(rows, on_steps, strict=True)
    ]
    return Slopes(
        {
            node: np.stack([_stack([row.lower[node] for row in own]) for own in rows])
            for node in rows[0][0].lower
        },
        {
            node: np.stack([_stack([row.upper[node] for row in own]) for own in rows])
            for node in rows[0][0].upper
        },
        np.concatenate(multipliers),
    )
