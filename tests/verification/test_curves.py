"""Lines of tables and smooth functions against all points between the ends."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.network.functions import FUNCTIONS
from edgeprune.network.tensor import Tensor
from edgeprune.verification.curves import SmoothRule, TableRule


def rules(name: str, random: np.random.Generator) -> list[TableRule]:
    function = FUNCTIONS.get(name)
    parameters = tuple(function.parameters.values())
    found = []
    for _ in range(2):
        scales = np.exp2(random.uniform((-7, -8), (-2, -4))).astype(np.float32)
        points = random.integers(-128, 128, 2)
        source, target = (
            Tensor("t", (1,), float(scale), int(point))
            for scale, point in zip(scales, points, strict=True)
        )
        found.append(TableRule(function.entries(parameters, source, target), spread=len(found)))
    return found


def best_below(places: np.ndarray, values: np.ndarray) -> float:
    """Return the highest that a line below all points can be in the middle, by brute force."""
    middle = 0.5 * (places[0] + places[-1])
    left, right = places <= middle, places >= middle
    run = places[right][np.newaxis] - places[left][:, np.newaxis]
    share = np.where(run > 0, (middle - places[left][:, np.newaxis]) / np.maximum(run, 1), 0.0)
    chords = values[left][:, np.newaxis] * (1 - share) + values[right][np.newaxis] * share
    return float(chords.min())


@pytest.mark.parametrize("name", FUNCTIONS.names())
def test_no_entry_lies_beyond_the_lines_of_a_table_and_none_are_closer(name: str) -> None:
    random = np.random.default_rng(1)
    for rule in rules(name, random):
        ends = np.sort(random.integers(-128, 128, (2, 60)), axis=0).astype(np.float64)
        below, lower, above, upper = rule.lines(ends[0], ends[1])
        least, most = rule.ends(ends[0], ends[1])
        for number, (low, high) in enumerate(ends.T):
            places = np.arange(low, high + 1)
            values = rule.entries[(places + 128).astype(int)].astype(np.float64)
            assert (below[number] * places + lower[number] <= values - rule.spread).all()
            assert (above[number] * places + upper[number] >= values + rule.spread).all()
            assert least[number] == max(values.min() - rule.spread, -128)
            assert most[number] == min(values.max() + rule.spread, 127)
            middle = 0.5 * (low + high)
            gap = (
                best_below(places, values) - rule.spread - (below[number] * middle + lower[number])
            )
            assert gap < 1e-6
            gap = best_below(places, -values) - rule.spread + above[number] * middle + upper[number]
            assert gap < 1e-6


@pytest.mark.parametrize("name", FUNCTIONS.names())
@pytest.mark.parametrize("single_precision", [False, True])
def test_no_value_lies_beyond_the_lines_of_a_function(name: str, single_precision: bool) -> None:
    random = np.random.default_rng(2)
    function = FUNCTIONS.get(name)
    rule = SmoothRule(function, tuple(function.parameters.values()), single_precision)
    low = random.uniform(-6, 5, (3, 100))
    high = low + 2.0 ** random.uniform(-6, 3.5, low.shape)
    below, lower, above, upper = (each[..., np.newaxis] for each in rule.lines(low, high))
    least, most = (each[..., np.newaxis] for each in rule.ends(low, high))
    places = low[..., np.newaxis] + (high - low)[..., np.newaxis] * np.linspace(0, 1, 301)
    values = rule.of(places)
    if single_precision:
        values = values.astype(np.float32).astype(np.float64)
    assert (below * places + lower <= values).all()
    assert (above * places + upper >= values).all()
    assert (least <= values).all()
    assert (most >= values).all()
    # Neither is the range wide without need.
    assert (most - values.max(axis=-1, keepdims=True) < 1e-3).all()
