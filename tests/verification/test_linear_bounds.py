"""Linear bounds against brute force: never contradicted, never looser than intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeprune.network import IntegerNetwork
from edgeprune.verification import box, output_bounds
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_bounds import BoundSettings, linear_bounds
from tests.network.strategies import Case, cases

quietly = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


def boxes_of(
    case: Case, radius: int, moving: int, random: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return boxes around the case's inputs in which only some values move."""
    boxes = []
    for values in case.inputs:
        free = random.permuted(
            np.broadcast_to(np.arange(values[0].size) < moving, (len(values), values[0].size)),
            axis=1,
        ).reshape(values.shape)
        boxes.append(box(values, np.where(free, radius, 0)))
    return boxes


def every_member(low: list[np.ndarray], high: list[np.ndarray], most: int) -> list[np.ndarray]:
    """Return all integer inputs of one window's boxes, or a random selection of the many."""
    flat_low = np.concatenate([part.ravel() for part in low]).astype(np.int64)
    flat_high = np.concatenate([part.ravel() for part in high]).astype(np.int64)
    sizes = flat_high - flat_low + 1
    count = float(np.prod(sizes.astype(np.float64)))
    if count <= most:
        grid = np.stack(np.unravel_index(np.arange(int(count)), tuple(sizes[sizes > 1]) or (1,)), 1)
        every = np.repeat(flat_low[np.newaxis], int(count), axis=0)
        every[:, sizes > 1] += grid[:, : (sizes > 1).sum()]
    else:
        random = np.random.default_rng(1)
        every = random.integers(flat_low, flat_high + 1, (most, len(sizes)))
        corners = random.random(every.shape) < 0.8
        sides = np.where(random.random(every.shape) < 0.5, flat_low, flat_high)
        every = np.where(corners, sides, every)
    parts = np.split(every, np.cumsum([part.size for part in low])[:-1], axis=1)
    return [
        part.reshape(len(every), *own.shape).astype(np.int8)
        for part, own in zip(parts, low, strict=True)
    ]


def objectives_for(network: IntegerNetwork, count: int, random: np.random.Generator) -> np.ndarray:
    """Return each logit both ways, and random forms."""
    outputs = network.output_tensor.size
    forms = np.concatenate([np.eye(outputs), -np.eye(outputs), random.normal(0, 1, (2, outputs))])
    return np.repeat(forms[np.newaxis], count, axis=0)


@pytest.mark.parametrize("settled", [{"refines": False}, {}, {"iterations": 6}])
@settings(max_examples=70, **quietly)
@given(
    case=cases(count=2),
    radius=st.integers(1, 6),
    moving=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_input_of_the_set_is_below_the_bound(
    settled: dict[str, int], case: Case, radius: int, moving: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    boxes = boxes_of(case, radius, moving, random)
    sets = InputSets(tuple(low for low, _ in boxes), tuple(high for _, high in boxes))
    objectives = objectives_for(case.network, 2, random)
    found = linear_bounds(
        bound_graph(case.network), sets, objectives, settings=BoundSettings(**settled)
    )
    low, high = output_bounds(case.network, boxes)
    for window in range(2):
        members = every_member(
            [part[window] for part, _ in boxes], [part[window] for _, part in boxes], 1500
        )
        outputs = case.network.run(*members).astype(np.float64)
        least = (outputs @ objectives[window].T).min(axis=0)
        assert (found.lower[window] <= least + 1e-9).all()
        # Each node's own bounds hold too, and are never looser than the interval's.
        own_low = found.activations.low[-1][window]
        own_high = found.activations.high[-1][window]
        assert (own_low <= outputs.min(axis=0)).all()
        assert (own_high >= outputs.max(axis=0)).all()
        assert (own_low >= low[window]).all()
        assert (own_high <= high[window]).all()
