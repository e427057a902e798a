"""Branch and bound, and the sets behind the front end, broken on purpose; see `mutations`.

Attacks are left out while branch and bound is broken: on sets as small as these they would find
every counterexample before anything wrong could be proved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeprune.verification import activations, branching, slopes, stages
from edgeprune.verification.linear_bounds import BoundSettings
from edgeprune.verification.perturbations import Pieces, gain, perturbation
from edgeprune.verification.perturbations import front_end_sets as conditioned
from edgeprune.verification.verify import VerifySettings
from tests.verification import provers
from tests.verification.mutations import Mutation, Patch
from tests.verification.perturbed_networks import WHOLE, lsb_case, raw_case
from tests.verification.tiny_networks import TinyCase

COMPLETE = provers.complete(VerifySettings(seconds=1.0, iterations=0))
REFINED = provers.linear(BoundSettings())


def gain_case(seed: int) -> TinyCase:
    """Draw a case whose samples are scaled together."""
    return raw_case(seed, "gain:60%")


def whole_case(seed: int) -> TinyCase:
    """Draw a case behind the front end of which every member is run."""
    return raw_case(seed, WHOLE[seed % len(WHOLE)])


def _unattacked(change: Patch) -> Patch:
    """Return the change with all searches for counterexamples left out."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(stages.Stages, "quick_attack", lambda self: None)
        patch.setattr(stages.Stages, "attack", lambda self, settings: None)
        patch.setattr(branching, "probe_worst", lambda *args: {})
        patch.setattr(branching, "probe_pieces", lambda *args: {})
        change(patch)

    return apply


def nothing(patch: pytest.MonkeyPatch) -> None:
    """Leave out the searches and break nothing."""
    _unattacked(lambda _: None)(patch)


# Branch and bound.


def _sides(change: Callable[[Any], Any]) -> Patch:
    def apply(patch: pytest.MonkeyPatch) -> None:
        exact = branching.choose_split

        def choose(*args: Any) -> Any:
            sides = exact(*args)
            return None if sides is None else change(sides)

        patch.setattr(branching, "choose_split", choose)

    return _unattacked(apply)


def _gap(sides: Any) -> Any:
    return sides[0], sides[1]._replace(threshold=sides[1].threshold + 1)


def _one_side(sides: Any) -> Any:
    return sides[:1]


def _stuck_is_proved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(branching, "choose_split", lambda *args: ())


def _exchanged_sides(patch: pytest.MonkeyPatch) -> None:
    exact = activations.cut_by_splits

    def cut(splits: Any, *args: Any) -> None:
        exact(replace(splits, above=~splits.above), *args)

    patch.setattr(activations, "cut_by_splits", cut)


def _negative_multipliers(patch: pytest.MonkeyPatch) -> None:
    exact = slopes.Objectives._constraints

    def constraints(self: Any, multipliers: Any) -> Any:
        return exact(self, multipliers - 0.05)

    patch.setattr(slopes.Objectives, "_constraints", constraints)


def _bounds_of_a_neighbour(patch: pytest.MonkeyPatch) -> None:
    exact = branching.stacked
    patch.setattr(branching, "stacked", lambda parts: exact(parts[::-1]))


def _gap_between_pieces(patch: pytest.MonkeyPatch) -> None:
    exact = perturbation.Perturbation.split

    def split(self: Any, held: Any, pieces: Any) -> Pieces:
        halves = exact(self, held, pieces)
        short = halves.high - 0.9 * (halves.high - halves.low)
        return replace(
            halves, high=np.where(np.arange(len(halves))[:, None] % 2, halves.high, short)
        )

    patch.setattr(perturbation.Perturbation, "split", split)


# The sets behind the front end.


def _sets(change: Callable[[Any, Any], Any]) -> Patch:
    def apply(patch: pytest.MonkeyPatch) -> None:
        exact = perturbation.front_end_sets

        def sets(held: Any, *args: Any) -> Any:
            return change(held, exact(held, *args))

        patch.setattr(perturbation, "front_end_sets", sets)

    return apply


def _correlated(sets: Any, **fields: Any) -> Any:
    return replace(sets, correlated=replace(sets.correlated, **fields))


def _no_slack(_: Any, sets: Any) -> Any:
    return _correlated(sets, slack=np.zeros_like(sets.correlated.slack))


def _half_slack(_: Any, sets: Any) -> Any:
    """Count the rounding of the int8 value, not that of the conditioned sample before it."""
    slack = np.where(sets.correlated.usable, 0.5, sets.correlated.slack)
    return _correlated(sets, slack=slack)


def _clips_forgotten(_: Any, sets: Any) -> Any:
    found = sets.correlated
    rounding = (0.5 * found.scale + 0.5)[:, None, None]
    slack = np.broadcast_to(rounding, found.slack.shape)
    return _correlated(sets, slack=slack, usable=np.ones_like(found.usable))


def _form_is_held(held: Any, sets: Any) -> Any:
    rhythm = held.inputs()[1]
    low, high = (ends[1].copy() for ends in (sets.low, sets.high))
    low[:, -3:], high[:, -3:] = rhythm[:, -3:], rhythm[:, -3:]
    return replace(sets, low=(sets.low[0], low), high=(sets.high[0], high))


def _one_channel(held: Any, sets: Any) -> Any:
    """Only the first channel moves."""
    low, high = (ends[0].copy() for ends in (sets.low, sets.high))
    signal = held.inputs()[0]
    low[:, :, 1], high[:, :, 1] = signal[:, :, 1], signal[:, :, 1]
    return replace(sets, low=(low, sets.low[1]), high=(high, sets.high[1]))


def _narrow_ranges(patch: pytest.MonkeyPatch) -> None:
    exact = conditioned._ranges

    def ranges(shape: Any, blocks: Any, middle: Any) -> Any:
        low, high = exact(shape, blocks, middle)
        return low + (middle - low) // 4, high - (high - middle) // 4

    patch.setattr(conditioned, "_ranges", ranges)


def _gain_rises_only(patch: pytest.MonkeyPatch) -> None:
    exact = gain.Gain.whole

    def whole(self: Any, held: Any) -> Any:
        return [(np.zeros_like(low), high) for low, high in exact(self, held)]

    patch.setattr(gain.Gain, "whole", whole)


def _branch(change: str, apply: Patch, **fields: Any) -> Mutation:
    given = {"prover": COMPLETE, "draw": lsb_case} | fields
    return Mutation("branch and bound", change, apply=apply, **given)


def _set(change: str, apply: Patch, **fields: Any) -> Mutation:
    given = {"prover": REFINED, "draw": whole_case} | fields
    return Mutation("sets behind the front end", change, apply=apply, **given)


COMPLETE_MUTATIONS = (
    _branch("a side begins one too late", _sides(_gap)),
    _branch("one side is forgotten", _sides(_one_side)),
    _branch("what cannot be split counts as proved", _unattacked(_stuck_is_proved)),
    _branch("sides of a threshold are exchanged", _unattacked(_exchanged_sides)),
    _branch("multipliers may be negative", _unattacked(_negative_multipliers)),
    _branch("a problem takes its neighbour's bounds", _unattacked(_bounds_of_a_neighbour)),
    _branch("there is a gap between the pieces", _unattacked(_gap_between_pieces), draw=gain_case),
    _set("no rounding", _sets(_no_slack)),
    _set("one rounding of two", _sets(_half_slack)),
    _set("clips to int8 are forgotten", _sets(_clips_forgotten)),
    _set("the features of the beat's form are held", _sets(_form_is_held)),
    _set("the box of the second channel is held", _sets(_one_channel)),
    _set("ranges are a quarter too narrow", _narrow_ranges),
    _set("a gain only rises", _gain_rises_only, draw=gain_case),
)
