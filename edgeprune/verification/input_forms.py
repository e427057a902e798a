"""Linear forms of the inputs, bounded over the input sets: the end of every backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeprune.verification.backward import Owners
from edgeprune.verification.bound_nodes import BoundGraph
from edgeprune.verification.input_sets import CorrelatedInput, InputSets
from edgeprune.verification.line_tables import gamma
from edgeprune.verification.linear_maps import FloatArray, Real, Span, widen
from edgeprune.verification.worst_changes import worst_change


@dataclass(frozen=True, eq=False)
class InputForms:
    """The input sets of n problems, flat and in float64.

    Args:
        centre: For each source's number, the middle of its box [n, size]; exact.
        radius: Half its width; exact.
        nominal: An integer input in the middle of the box, which forms count from [n, size].
        sets: The sets themselves.
        signal: The number of the source that `sets.correlated` is about.
    """

    centre: dict[int, FloatArray]
    radius: dict[int, FloatArray]
    nominal: dict[int, FloatArray]
    sets: InputSets
    signal: int

    @staticmethod
    def of(graph: BoundGraph, sets: InputSets) -> InputForms:
        """Prepare the sets of a graph's inputs."""
        centre, radius, nominal = {}, {}, {}
        for number, lows, highs in zip(graph.sources, sets.low, sets.high, strict=True):
            low = lows.reshape(len(lows), -1).astype(np.float64)
            high = highs.reshape(len(highs), -1).astype(np.float64)
            centre[number], radius[number] = 0.5 * (low + high), 0.5 * (high - low)
            nominal[number] = np.floor(centre[number])
        return InputForms(centre, radius, nominal, sets, graph.sources[0])

    def least(self, sources: Mapping[int, tuple[Real, Span]], owners: Owners) -> FloatArray:
        """Return at most the least value of each form of x - nominal, float errors included.

        Args:
            sources: For each source's number, coefficients [r, width] and their columns.
            owners: Whose rows they are.

        Returns:
            float64 [r].
        """
        total = np.zeros(len(owners.problem))
        correlated = self.sets.correlated
        for number, (found, span) in sources.items():
            cut = slice(*span)
            rows = found.astype(np.float64, copy=False)
            centre = (self.centre[number] - self.nominal[number])[:, cut]
            radius = self.radius[number][:, cut]
            error = gamma(rows.shape[1] + 8) * (np.abs(centre) + radius)
            least = _weighted(rows, centre, owners)
            least -= _weighted(np.abs(rows), radius + error, owners)
            if correlated is not None and number == self.signal:
                together = self._least_correlated(correlated, rows, span, owners)
                least = np.maximum(least, together)
            total += least
        return total

    def attained(
        self, graph: BoundGraph, sources: Mapping[int, tuple[Real, Span]], owners: Owners
    ) -> dict[int, FloatArray]:
        """Return nearly where each linear form is least: for each source, [r, size].

        Args:
            graph: The graph.
            sources: As for `least`.
            owners: As for `least`.
        """
        own, found = owners.problem, {}
        for number in graph.sources:
            found[number] = self.centre[number][own]
            if number in sources:
                rows, span = sources[number]
                radius = self.radius[number][own, slice(*span)]
                found[number][:, slice(*span)] -= np.sign(rows) * radius
        if self.sets.correlated is not None and self.signal in sources and owners.objectives:
            rows, span = sources[self.signal]
            own_rows = widen(rows, span, (0, found[self.signal].shape[1]))
            together = self._attained_together(self.sets.correlated, own_rows, owners)
            centre, radius = self.centre[self.signal], self.radius[self.signal]
            low, high = (centre - radius)[own], (centre + radius)[own]
            found[self.signal] = np.clip(together, low, high)
        return found

    def _attained_together(
        self, correlated: CorrelatedInput, rows: Real, owners: Owners
    ) -> FloatArray:
        length, channels = correlated.centre.shape[1:]
        own = owners.problem
        shaped = rows.reshape(len(rows), length, channels)
        usable = correlated.usable[own]
        directions = -(shaped * usable).sum(axis=2)
        change = worst_change(
            correlated, directions.reshape(len(correlated), owners.objectives, length)
        ).reshape(len(rows), length, 1)
        moved = correlated.centre[own] + change - np.sign(shaped) * correlated.slack[own]
        centre, radius = self.centre[self.signal][own], self.radius[self.signal][own]
        boxed = (centre - np.sign(rows) * radius).reshape(shaped.shape)
        return np.asarray(np.where(usable, moved, boxed).reshape(len(rows), -1))

    def _least_correlated(
        self, correlated: CorrelatedInput, rows: Real, span: Span, owners: Owners
    ) -> FloatArray:
        length, channels = correlated.centre.shape[1:]
        rows = widen(rows, span, (0, length * channels))
        flat = len(correlated), length * channels
        own = owners.problem
        usable = correlated.usable.reshape(flat)
        together = correlated.centre.reshape(flat) * usable
        nominal = self.nominal[self.signal]
        centre = together + self.centre[self.signal] * ~usable - nominal
        slack = np.where(usable, correlated.slack.reshape(flat), self.radius[self.signal])
        moving = rows if usable.all() else rows * usable[own]
        directions = -moving.reshape(len(rows), length, channels).sum(axis=2)
        reach = np.repeat(correlated.reach(), channels, axis=1)
        error = gamma(flat[1] + 8) * (np.abs(centre) + slack + reach) + gamma(8) * np.abs(nominal)
        least = _weighted(rows, centre, owners) - _weighted(np.abs(rows), slack + error, owners)
        return least - _support(correlated, directions, owners)


def _support(correlated: CorrelatedInput, directions: FloatArray, owners: Owners) -> FloatArray:
    if owners.objectives:
        shaped = directions.reshape(len(correlated), owners.objectives, -1)
        return correlated.support(shaped).reshape(-1)
    # As many rows for each problem as the one with most has: a support takes equal shares.
    most = max(last - first for _, first, last in owners.runs)
    padded = np.zeros((len(owners.runs), most, directions.shape[1]))
    for place, (_, first, last) in enumerate(owners.runs):
        padded[place, : last - first] = directions[first:last]
    numbers = np.array([problem for problem, _, _ in owners.runs], np.int64)
    found = correlated.select(numbers).support(padded)
    return np.concatenate(
        [found[place, : last - first] for place, (_, first, last) in enumerate(owners.runs)]
    )


def _weighted(rows: Real, values: FloatArray, owners: Owners) -> FloatArray:
    """Return <row, its problem's values> for each row [r]."""
    if owners.objectives:
        shaped = rows.reshape(len(values), owners.objectives, -1)
        return np.asarray(np.matmul(shaped, values[:, :, np.newaxis])).reshape(-1)
    if owners.are_long:
        result = np.empty(len(rows))
        for problem, first, last in owners.runs:
            result[first:last] = rows[first:last] @ values[problem]
        return result
    return np.asarray(np.einsum("rc,rc->r", rows, values[owners.problem]))
