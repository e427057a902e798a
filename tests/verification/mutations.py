"""Bounds broken on purpose, one rule at a time: would the search for contradictions notice?

`try_mutations()` gives one row for each; a mutation that is not caught either cannot be seen by
running members (`expected` is False and `why` says so) or shows that the search is too weak.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from edgeprune.network.operation import Bounds, Tensors
from edgeprune.network.weighted import WeightedOperation
from edgeprune.network.windows import Windows
from tests.verification import provers
from tests.verification.soundness import Prover, search
from tests.verification.tiny_networks import TinyCase, tiny_case

Patch = Callable[[pytest.MonkeyPatch], None]

MOST_NETWORKS = 1500


@dataclass(frozen=True)
class Mutation:
    """A rule and how it is broken.

    Args:
        rule: What the rule is about.
        change: What is done to it.
        prover: Who uses the rule.
        apply: Breaks it until the patch is undone.
        draw: The networks on which it is tried.
        expected: Whether running members can show that it is wrong.
        why: Why it cannot.
    """

    rule: str
    change: str
    prover: Prover
    apply: Patch
    draw: Callable[[int], TinyCase] = tiny_case
    expected: bool = True
    why: str = ""


@dataclass(frozen=True)
class MutationRow:
    """What became of a mutation.

    Args:
        rule: See `Mutation`.
        change: See `Mutation`.
        caught: Whether a claim was contradicted.
        networks: Networks tried until then, or in all.
        what: The contradiction.
        expected: See `Mutation`.
        why: See `Mutation`.
    """

    rule: str
    change: str
    caught: bool
    networks: int
    what: str
    expected: bool
    why: str


def try_mutation(mutation: Mutation, most: int = MOST_NETWORKS) -> MutationRow:
    """Break one rule and search until a claim is contradicted."""
    with pytest.MonkeyPatch.context() as patch:
        mutation.apply(patch)
        found = search(mutation.prover, range(most), draw=mutation.draw, stop_at_first=True)
    what = found.contradictions[0].what if found.contradictions else ""
    return MutationRow(
        mutation.rule,
        mutation.change,
        bool(found.contradictions),
        found.networks,
        what,
        mutation.expected,
        mutation.why,
    )


def try_mutations(
    mutations: Sequence[Mutation], most: int = MOST_NETWORKS
) -> tuple[MutationRow, ...]:
    """Return one row for each mutation."""
    return tuple(try_mutation(each, most) for each in mutations)


# Interval bounds.


def _signed_radius(patch: pytest.MonkeyPatch) -> None:
    def interval(self: WeightedOperation, tensors: Tensors, *bounds: Bounds) -> Bounds:
        ((low, high),) = bounds
        first, second = self.run(tensors, low), self.run(tensors, high)
        return np.minimum(first, second), np.maximum(first, second)

    patch.setattr(WeightedOperation, "interval", interval)


def _other_zero_point(patch: pytest.MonkeyPatch) -> None:
    exact = WeightedOperation.interval

    def interval(self: WeightedOperation, tensors: Tensors, *bounds: Bounds) -> Bounds:
        source = tensors[self.inputs[0]]
        moved = max(-128, source.zero_point - 1)
        return exact(self, {**tensors, source.name: replace(source, zero_point=moved)}, *bounds)

    patch.setattr(WeightedOperation, "interval", interval)


def _padding_is_integer_zero(patch: pytest.MonkeyPatch) -> None:
    exact_interval, exact_pad = WeightedOperation.interval, Windows.pad

    def interval(self: WeightedOperation, tensors: Tensors, *bounds: Bounds) -> Bounds:
        zero_point = tensors[self.inputs[0]].zero_point
        with pytest.MonkeyPatch.context() as inner:
            # Both products of `interval` are padded: the sum of the ends, and their width.
            fills = iter((-2 * zero_point, 0))
            inner.setattr(Windows, "pad", lambda me, each, _: exact_pad(me, each, next(fills)))
            return exact_interval(self, tensors, *bounds)

    patch.setattr(WeightedOperation, "interval", interval)


def _ties_are_kept(patch: pytest.MonkeyPatch) -> None:
    def decides(low: Any, high: Any, decisions: Any) -> Any:
        rows = np.arange(len(decisions))
        own = low[rows, decisions][:, np.newaxis]
        beaten = high <= own
        beaten[rows, decisions] = True
        return beaten.all(axis=1)

    patch.setattr(provers, "decides", decides)


INTERVAL_MUTATIONS = (
    Mutation(
        "interval, weights", "negative weights are not split off", provers.interval, _signed_radius
    ),
    Mutation(
        "interval, zero point",
        "the input's zero point is off by one",
        provers.interval,
        _other_zero_point,
    ),
    Mutation(
        "interval, padding",
        "padding counts as the integer 0, not as the zero point",
        provers.interval,
        _padding_is_integer_zero,
    ),
    Mutation(
        "decision, ties",
        "an equal logit before the decision is not counted as a loss",
        provers.interval,
        _ties_are_kept,
    ),
)
