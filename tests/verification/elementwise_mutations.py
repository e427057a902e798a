"""Bounds of tables, products and differences broken on purpose; see `mutations`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeprune.network import Mul, Sub, Table
from edgeprune.network.operation import Bounds, Operation, Tensors
from edgeprune.verification import backward, curves
from edgeprune.verification.linear_bounds import BoundSettings
from tests.verification import provers
from tests.verification.mutations import Mutation, Patch
from tests.verification.soundness import Prover
from tests.verification.tiny_networks import elementwise_case

LINEAR = provers.linear(BoundSettings())


def _at_both_ends(operator: type[Operation]) -> Patch:
    """Return a patch that takes an operation's extremes to be where its inputs' are."""

    def interval(self: Any, tensors: Tensors, *bounds: Bounds) -> Bounds:
        lows, highs = zip(*bounds, strict=True)
        first, second = self.run(tensors, *lows), self.run(tensors, *highs)
        return np.minimum(first, second), np.maximum(first, second)

    return lambda patch: patch.setattr(operator, "interval", interval)


def _ends_of_a_curve(patch: pytest.MonkeyPatch) -> None:
    def ends(self: Any, low: Any, high: Any) -> Any:
        first, second = self.of(low), self.of(high)
        return np.minimum(first, second), np.maximum(first, second)

    patch.setattr(curves.TableRule, "ends", ends)


def _chords(patch: pytest.MonkeyPatch) -> None:
    def under(places: Any, values: Any) -> Any:
        run = places[..., -1] - places[..., 0]
        slope = (values[..., -1] - values[..., 0]) / np.maximum(run, 1)
        return slope, values[..., 0] - slope * places[..., 0]

    patch.setattr(curves, "_under", under)


def _flat_products(patch: pytest.MonkeyPatch) -> None:
    exact = backward._through_product

    def through(node: Any, rows: Any, span: Any, owners: Any, table: Any, passed: Any) -> Any:
        found = exact(node, rows, span, owners, table, passed)
        lost = np.abs(rows) * table.width[owners.problem][:, slice(*span)]
        passed.constant += lost.sum(axis=1)
        return found

    patch.setattr(backward, "_through_product", through)


def _mutation(rule: str, change: str, prover: Prover, apply: Patch) -> Mutation:
    return Mutation(rule, change, prover, apply, draw=elementwise_case)


ELEMENTWISE_MUTATIONS = (
    _mutation("table, interval", "its ends are looked up", provers.interval, _at_both_ends(Table)),
    _mutation("product, interval", "two corners of four", provers.interval, _at_both_ends(Mul)),
    _mutation("difference, interval", "that of a sum", provers.interval, _at_both_ends(Sub)),
    _mutation("table, range", "its ends are looked up", LINEAR, _ends_of_a_curve),
    _mutation("table, lines", "the chord is below and above", LINEAR, _chords),
    _mutation("product, plane", "the plane is the product", LINEAR, _flat_products),
)
