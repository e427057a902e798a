"""Which numbers of an integer network an update changes, operation by operation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from edgeprune.evidence.update import LayerChange, NetworkChange
from edgeprune.network import IntegerNetwork
from edgeprune.network.operation import Operation
from edgeprune.network.weighted import WeightedOperation

SAME, CHANGED, RESHAPED, ADDED, REMOVED = "same", "changed", "reshaped", "added", "removed"
_COUNTED = ("weights", "bias", "weight_scales")
_OF_OUTPUT = 2


def network_change(old: IntegerNetwork, new: IntegerNetwork) -> NetworkChange:
    """Return what differs between two networks; operations are matched by their names.

    Args:
        old: The earlier network.
        new: The later network.
    """
    layers = tuple(_layers(old, new))
    moved = {
        change: [each.name for each in layers if each.change == change]
        for change in (ADDED, REMOVED, RESHAPED)
    }
    words = [
        f"{len(names)} {change}: {', '.join(names)}" for change, names in moved.items() if names
    ]
    otherwise = 0
    if not words:
        pairs = zip(_wiring(old), _wiring(new), strict=True)
        otherwise = sum(before != after for before, after in pairs)
    if otherwise:
        words = [f"the same operations, {otherwise} of them connected otherwise"]
    moved_count = sum(map(len, moved.values())) + otherwise
    totals = {
        field: sum(getattr(each, field) for each in layers)
        for field in (
            *("weights", "weights_changed", "biases", "biases_changed"),
            *("scales", "scales_changed"),
        )
    }
    return NetworkChange(old == new, "; ".join(words) or SAME, moved_count, **totals, layers=layers)


def _wiring(network: IntegerNetwork) -> list[tuple[str, tuple[str, ...], str]]:
    return [(each.name, each.inputs, each.output) for each in network.operations]


def _layers(old: IntegerNetwork, new: IntegerNetwork) -> Iterator[LayerChange]:
    earlier = {each.name: each for each in old.operations}
    later = {each.name for each in new.operations}
    for after in new.operations:
        before = earlier.get(after.name)
        if before is None or before.kind != after.kind:
            if before is not None:
                yield _alone(old, before, REMOVED)
            yield _alone(new, after, ADDED)
        else:
            yield _both(old, before, new, after)
    for before in old.operations:
        if before.name not in later:
            yield _alone(old, before, REMOVED)


def _alone(network: IntegerNetwork, operation: Operation, change: str) -> LayerChange:
    weights, biases, scales = _sizes(operation)
    shape = _shape(network, operation)
    return LayerChange(
        operation.name,
        operation.kind,
        change,
        weights,
        weights,
        None,
        biases,
        biases,
        scales,
        scales,
        shapes=f"{shape} {change}",
    )


def _both(
    old: IntegerNetwork, before: Operation, new: IntegerNetwork, after: Operation
) -> LayerChange:
    weights, biases, scales = _sizes(after)
    shapes = _shape(old, before), _shape(new, after)
    settings = tuple(
        field.name
        for field in fields(after)
        if field.name not in ("name", "inputs", "output", *_COUNTED)
        and not np.array_equal(getattr(before, field.name), getattr(after, field.name))
    )
    own, other = new.tensors[after.output], old.tensors[before.output]
    of_output = (own.scale != other.scale) + (own.zero_point != other.zero_point)
    changed: tuple[int, ...] = (0, 0, 0)
    largest: int | None = None
    if isinstance(after, WeightedOperation) and isinstance(before, WeightedOperation):
        changed = tuple(
            _differing(getattr(before, name), getattr(after, name)) for name in _COUNTED
        )
        if before.weights.shape == after.weights.shape:
            steps = np.abs(after.weights.astype(np.int64) - before.weights)
            largest = int(steps.max(initial=0))
    reshaped = shapes[0] != shapes[1]
    differs = any(changed) or bool(settings) or of_output > 0
    return LayerChange(
        after.name,
        after.kind,
        RESHAPED if reshaped else CHANGED if differs else SAME,
        weights,
        changed[0],
        largest,
        biases,
        changed[1],
        scales,
        changed[2] + of_output,
        settings,
        f"{shapes[0]} to {shapes[1]}" if reshaped else "",
    )


def _sizes(operation: Operation) -> tuple[int, int, int]:
    if not isinstance(operation, WeightedOperation):
        return 0, 0, _OF_OUTPUT
    scales = operation.weight_scales.size + _OF_OUTPUT
    return operation.weights.size, operation.bias.size, scales


def _shape(network: IntegerNetwork, operation: Operation) -> str:
    shape = (
        operation.weights.shape
        if isinstance(operation, WeightedOperation)
        else network.tensors[operation.output].shape
    )
    return "x".join(map(str, shape))


def _differing(before: np.ndarray, after: np.ndarray) -> int:  # type: ignore[type-arg]
    if before.shape != after.shape:
        return int(after.size)
    return int(np.count_nonzero(before != after))
