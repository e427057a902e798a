"""Two networks with one input: do they decide alike over a whole set, and what margin is lost?

A float network and its pruned or int8 twin, a network before and after an update, the firmware and
any other runtime. Both networks are bounded in one graph (`pair`): the coefficients of

    (z2[c] - z2[j]) - (z1[c] - z1[j])

meet at the shared input before they are made a number, so that what the two networks have in common
cancels. This is the property of Baninajjar, Rezine and Aminifar (2024, arXiv 2409.16726): a second
network decides as the first does wherever in the set that joint margin is not negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array, Int64Array
from edgeprune.verification.bound_graph import bound_graph, pair
from edgeprune.verification.bound_nodes import BoundGraph
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.linear_bounds import BoundSettings, linear_bounds, margins
from edgeprune.verification.outcomes import BoolArray, Outcome

FloatArray = npt.NDArray[np.float64]
Inputs = tuple[Int8Array, ...]

# Computed logits of a float network that differ by less are not told apart.
_INDISTINCT = 1e-6


@dataclass(frozen=True, eq=False)
class Twin:
    """One of two networks.

    Args:
        name: What to call it.
        graph: The network as bounds see it.
        step: What 1 at the graph's outputs is in real logits.
        integral: Whether the graph's outputs are integers.
        logits: Maps inputs int8 [n, ...] to the graph's outputs, float64 [n, classes].
        least_kink: How far a neuron must reach to either side of a kink to be bounded on its own;
            see `BoundSettings`.
    """

    name: str
    graph: BoundGraph
    step: float
    integral: bool
    logits: Callable[[Inputs], FloatArray]
    least_kink: float = 0.5

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.graph.nodes[self.graph.output].size


def integer_twin(name: str, network: IntegerNetwork, rounding_lsb: int = 0) -> Twin:
    """Return an int8 network as a twin.

    Args:
        name: What to call it.
        network: The network.
        rounding_lsb: By how many LSB a runtime may round differently in each layer.
    """
    return Twin(
        name,
        bound_graph(network, rounding_lsb),
        network.output_tensor.scale,
        integral=True,
        logits=lambda inputs: network.run(*inputs).astype(np.float64),
    )


@dataclass(frozen=True, eq=False)
class TwinRun:
    """What is known about two networks over the set of each of n windows.

    Args:
        first: Name of the first network.
        second: Name of the second.
        decisions: The class that both are asked to decide for [n].
        outcomes: `proved`: both decide for that class over the whole set. `falsified`: for some
            member the two decide differently. Else `unknown`.
        implied: Whether the second network is proved to decide for that class wherever in the set
            the first does, even if the first does not everywhere [n].
        first_margin: Proved lower bound of the first network's least margin, real logits [n].
        second_margin: The same of the second.
        loss_bound: Proved upper bound of the margin that the second network loses against the
            first, over all members and classes, real logits; negative where it gains [n].
        loss_found: The largest loss at a member that was tried, -inf where none was [n].
        counterexamples: Inputs that the two decide differently, for falsified windows.
    """

    first: str
    second: str
    decisions: Int64Array
    outcomes: tuple[Outcome, ...]
    implied: BoolArray
    first_margin: FloatArray
    second_margin: FloatArray
    loss_bound: FloatArray
    loss_found: FloatArray
    counterexamples: tuple[Inputs | None, ...]

    def count(self, outcome: Outcome) -> int:
        """Return how many windows have that outcome."""
        return sum(each == outcome for each in self.outcomes)


def compare_twins(
    first: Twin,
    second: Twin,
    sets: InputSets,
    decisions: Int64Array,
    *,
    members: Iterable[Inputs] = (),
    settings: BoundSettings | None = None,
) -> TwinRun:
    """Prove that two networks decide alike, or find where they do not.

    Args:
        first: The network that is taken as the reference.
        second: The other one; it reads the same inputs.
        sets: What these can be, for each of n windows.
        decisions: The class of each window that both should decide for [n].
        members: Batches of inputs int8 [n, ...], each row a member of its window's set; both
            networks are run on them.
        settings: How much work the bounds are; each twin has its own least kink.
    """
    tried = _tried(first, second, decisions, members)
    objectives = margins(decisions, first.classes)
    settings = settings or BoundSettings()
    alone = [replace(settings, least_kink=twin.least_kink) for twin in (first, second)]
    lower = [
        linear_bounds(twin.graph, sets, objectives, settings=own).lower * twin.step
        for twin, own in zip((first, second), alone, strict=True)
    ]
    joint = np.concatenate([-first.step * objectives, second.step * objectives], axis=2)
    both = pair(first.graph, second.graph)
    finer = min(alone, key=lambda each: each.least_kink)
    difference = linear_bounds(both, sets, joint, settings=finer).lower
    # The second network's margin is the first's and the difference; their sum rounds once.
    lower[1] = np.maximum(lower[1], np.nextafter(lower[0] + difference, -np.inf))
    alike = _hold(first, lower[0], decisions) & _hold(second, lower[1], decisions)
    return TwinRun(
        first.name,
        second.name,
        decisions,
        tuple(
            Outcome.FALSIFIED
            if tried.inputs[window] is not None
            else Outcome.PROVED
            if alike[window]
            else Outcome.UNKNOWN
            for window in range(len(decisions))
        ),
        (difference >= 0).all(axis=1),
        lower[0].min(axis=1),
        lower[1].min(axis=1),
        -difference.min(axis=1),
        tried.loss,
        tuple(tried.inputs),
    )


def box_members(sets: InputSets, random: np.random.Generator, batches: int) -> Iterator[Inputs]:
    """Draw members of sets that are boxes: most values at an end, the others anywhere between."""
    assert sets.correlated is None
    for _ in range(batches):
        batch = []
        for low, high in zip(sets.low, sets.high, strict=True):
            anywhere = random.integers(low, high, endpoint=True)
            end = np.where(random.random(low.shape) < 0.5, low, high)
            at_end = random.random((len(low), *[1] * (low.ndim - 1))) < 0.7
            batch.append(np.where(at_end, end, anywhere).astype(np.int8))
        yield tuple(batch)


@dataclass
class _Tried:
    loss: FloatArray
    inputs: list[Inputs | None]


def _tried(first: Twin, second: Twin, decisions: Int64Array, members: Iterable[Inputs]) -> _Tried:
    """Run both networks on members; keep the largest loss and inputs that they decide apart."""
    count, rows = len(decisions), np.arange(len(decisions))
    tried = _Tried(np.full(count, -np.inf), [None] * count)
    for batch in members:
        logits = [twin.logits(batch) for twin in (first, second)]
        losses = [
            (each[rows, decisions][:, np.newaxis] - each) * twin.step
            for each, twin in zip(logits, (first, second), strict=True)
        ]
        loss = losses[0] - losses[1]
        loss[rows, decisions] = -np.inf
        np.maximum(tried.loss, loss.max(axis=1), out=tried.loss)
        apart = logits[0].argmax(axis=1) != logits[1].argmax(axis=1)
        for twin, each in zip((first, second), logits, strict=True):
            if not twin.integral:
                best = np.sort(each, axis=1)
                apart &= best[:, -1] - best[:, -2] > _INDISTINCT
        for window in np.flatnonzero(apart).tolist():
            if tried.inputs[window] is None:
                tried.inputs[window] = tuple(values[window] for values in batch)
    return tried


def _hold(twin: Twin, lower: FloatArray, decisions: Int64Array) -> BoolArray:
    """Return which decisions hold, given lower bounds of `margins` in real logits.

    The first of equal logits wins: the margin over a class before the decision must be above 0,
    over one after it at least 0, which an integer above -1 is.
    """
    before = np.arange(lower.shape[1]) < decisions[:, np.newaxis]
    # A thousandth of a step more than above -1: the bound was scaled in float64.
    later = lower > -0.999 * twin.step if twin.integral else lower >= 0
    return np.asarray(np.where(before, lower > 0, later).all(axis=1))
