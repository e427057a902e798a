"""The search for counterexamples: gradients lead, the exact integers decide.

Every step moves the raw counts to a member of the set and computes the exact front end and the
exact network. The gradient passes straight through all roundings; it says where to look and
nothing else. The steps are those of Frank and Wolfe (1956), which need only the member that goes
furthest in a direction: towards it by a share that falls, from the centre and from random
members (Madry et al. 2018, the restarts). A search over blocks of samples follows, because
gradients do not see what roundings do (Croce et al. 2022, square attack).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeprune.data.held import HeldWindows
from edgeprune.data.held_front_end import HeldBeats, centred
from edgeprune.errors import ConfigurationError
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array, Int64Array
from edgeprune.network.weighted import WeightedOperation
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.outcomes import BoolArray, Counterexample, Int16Array
from edgeprune.verification.perturbations import Perturbation

Windows = HeldWindows | HeldInputs
Float64Array = npt.NDArray[np.float64]
Gradient = Callable[[tuple[Int8Array, ...], Float64Array], tuple[Float64Array, ...]]

# Members tried at a time: as many as keep intermediates small.
_CHUNK = 1024
# Steps from vertex to vertex in low-dimensional sets, which soon repeat themselves.
_WHOLE_STEPS = 4
# Raw samples in a block that the search over blocks moves.
_BLOCKS = (1, 2, 3, 6, 12, 24, 48, 96)


@dataclass(frozen=True)
class AttackSettings:
    """How hard counterexamples are searched for.

    Args:
        restarts: Starts for each class that could win; the first is the window itself.
        steps: Steps of each start.
        rounds: Rounds of the search over blocks of samples, from the best members found.
        proposals: Members tried a round.
    """

    restarts: int = 2
    steps: int = 20
    rounds: int = 60
    proposals: int = 16

    def __post_init__(self) -> None:
        if min(self.restarts, self.steps) < 1 or min(self.rounds, self.proposals) < 0:
            raise ConfigurationError(
                "an attack needs at least one start and one step", where="verification.attack"
            )


QUICK = AttackSettings(restarts=1, steps=4, rounds=0)


@dataclass(frozen=True, eq=False)
class Attacked:
    """How near the search came, window by window.

    Args:
        raw: int16 [n, reach], the member with the least margin found.
        margin: Its least margin before the last rounding and clamp, in LSB of the logits [n].
        falsified: Whether the network decides this member otherwise, exactly [n].
    """

    raw: Int16Array
    margin: Float64Array
    falsified: BoolArray

    def better_of(self, other: Attacked) -> Attacked:
        """Return, for each window, the member that came nearer."""
        better = ~self.falsified & (other.falsified | (other.margin < self.margin))
        return Attacked(
            np.where(better[:, np.newaxis], other.raw, self.raw),
            np.where(better, other.margin, self.margin),
            self.falsified | other.falsified,
        )


@dataclass(frozen=True, eq=False)
class Target:
    """What is attacked.

    Args:
        network: The network.
        held: The windows, in the space of the perturbation (see `Perturbation.place`).
        members: The set around each.
        decisions: What the network decides without any change [n].
        gradient: Maps inputs and objectives [n, classes] to the derivative of their product with
            the logits by each input, straight through all roundings.
    """

    network: IntegerNetwork
    held: Windows
    members: Perturbation
    decisions: Int64Array
    gradient: Gradient

    def select(self, chosen: Int64Array) -> Target:
        """Return some of the windows, also more than once."""
        return replace(self, held=self.held.select(chosen), decisions=self.decisions[chosen])


class Judge:
    """Computes margins before the last rounding and clamp, and the exact decision.

    Args:
        network: The network.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self._network = network
        last = network.operations[-1]
        self._last = last if isinstance(last, WeightedOperation) else None
        self._trunk = None
        if self._last is not None and len(network.operations) > 1:
            source = last.inputs[0]
            rest = network.operations[:-1]
            if source in {operation.output for operation in rest}:
                kept = {name: t for name, t in network.tensors.items() if name != last.output}
                self._trunk = replace(network, tensors=kept, outputs=(source,), operations=rest)

    def logits(self, inputs: Sequence[Int8Array]) -> tuple[Float64Array, Int64Array]:
        """Return real-valued logits [n, classes] and the exact decisions [n]."""
        if self._last is None or self._trunk is None:
            exact = self._network.run(*inputs)
            return exact.astype(np.float64), exact.argmax(axis=1)
        tensors = self._network.tensors
        features = self._trunk.run(*inputs)
        exact = self._last.run(tensors, features)
        centred = features.astype(np.float64) - tensors[self._last.inputs[0]].zero_point
        sums = self._last.weighted_sums(centred, self._last.weights.astype(np.float64))
        multiplier = self._last.multiplier(tensors)
        factors = np.ldexp(multiplier.mantissa.astype(np.float64), multiplier.exponent - 31)
        fine = (sums + self._last.bias) * factors + tensors[self._last.output].zero_point
        return np.asarray(fine), exact.argmax(axis=1)


def attack(
    target: Target, settings: AttackSettings, random: np.random.Generator, judge: Judge
) -> Attacked:
    """Search the sets of all windows for a member that is decided otherwise.

    Args:
        target: What is attacked.
        settings: How hard.
        random: Decides starts and blocks.
        judge: Of the same network.
    """
    state = State(target, judge)
    state.take(np.arange(len(target.decisions)), target.held.raw)
    steps = min(settings.steps, _WHOLE_STEPS) if target.members.dimensions else settings.steps
    for start in range(settings.restarts):
        rows, others = _rows(state, settings.restarts > 1)
        if len(rows):
            _walk(state, rows, others, steps, random, from_centre=start == 0)
    for _ in range(0 if target.members.dimensions else settings.rounds):
        rows = state.open()
        if len(rows):
            _search(state, rows, settings.proposals, random)
    return Attacked(state.raw, state.margin, state.falsified)


def counterexample(target: Target, window: int, raw: Int16Array) -> Counterexample | None:
    """Check one member with the specification, apart from the search that found it.

    Returns:
        None where it is no member, or where the decision is the same.
    """
    one = np.array([window])
    held = target.held.select(one)
    if not bool(target.members.contains(held, raw[np.newaxis])[0]):
        return None
    inputs = held.inputs(raw[np.newaxis])
    logits = target.network.run(*inputs)[0]
    decision = int(logits.argmax())
    if decision == int(target.decisions[window]):
        return None
    return Counterexample(raw.copy(), tuple(each[0] for each in inputs), logits, decision)


class State:
    """The best member of each window so far.

    Args:
        target: What is attacked.
        judge: Of the same network.
    """

    def __init__(self, target: Target, judge: Judge) -> None:
        count = len(target.decisions)
        self.target = target
        self.judge = judge
        self.raw: Int16Array = np.array(target.held.raw)
        self.margin: Float64Array = np.full(count, np.inf)
        self.logits: Float64Array = np.zeros((count, target.network.output_tensor.shape[0]))
        self.falsified: BoolArray = np.zeros(count, np.bool_)

    def open(self) -> Int64Array:
        """Return the windows that are not falsified."""
        return np.flatnonzero(~self.falsified)

    def take(self, rows: Int64Array, raw: Int16Array) -> tuple[tuple[Int8Array, ...], Float64Array]:
        """Judge members of windows `rows`, keep the best, return their inputs and margins."""
        inputs = self.target.held.select(rows).inputs(raw)
        fine, decided = self.judge.logits(inputs)
        own = self.target.decisions[rows]
        least = least_margin(fine, own)
        flipped = decided != own
        # An exact flip comes before any margin.
        rank = np.where(flipped, -np.inf, least)
        order = np.lexsort((rank, rows))
        first = order[np.r_[True, np.diff(rows[order]) != 0]]
        window = rows[first]
        better = (rank[first] < self.margin[window]) & ~self.falsified[window]
        first, window = first[better], window[better]
        self.raw[window] = raw[first]
        self.margin[window] = least[first]
        self.logits[window] = fine[first]
        self.falsified[window] = flipped[first]
        return inputs, least


def least_margin(logits: Float64Array, own: Int64Array) -> Float64Array:
    """Return how far the own class's logit lies above all others, [n]."""
    rows = np.arange(len(own))
    gaps = logits[rows, own][:, np.newaxis] - logits
    gaps[rows, own] = np.inf
    return np.asarray(gaps.min(axis=1))


def _rows(state: State, every_class: bool) -> tuple[Int64Array, Int64Array]:
    """Return windows and the class that each row drives towards: every one, or the nearest."""
    rows = state.open()
    own = state.target.decisions[rows]
    classes = state.logits.shape[1]
    if not every_class or classes == 2:
        logits = state.logits[rows].copy()
        logits[np.arange(len(rows)), own] = -np.inf
        return rows, np.asarray(logits.argmax(axis=1))
    offsets = np.arange(1, classes)
    others = (own[:, np.newaxis] + offsets) % classes
    return np.repeat(rows, classes - 1), others.reshape(-1)


def _walk(
    state: State,
    rows: Int64Array,
    others: Int64Array,
    steps: int,
    random: np.random.Generator,
    *,
    from_centre: bool,
) -> None:
    target = state.target
    if from_centre:
        raw = target.held.raw[rows]
    else:
        raw = target.members.random(target.held.select(rows), random)
    position = raw.astype(np.float64)
    heading = np.zeros((len(rows), 1))
    for step in range(steps):
        # Windows that another row has falsified meanwhile walk no further.
        going = ~state.falsified[rows]
        rows, others, position, raw = rows[going], others[going], position[going], raw[going]
        heading = heading[going] if step else heading
        if not len(rows):
            return
        held = target.held.select(rows)
        inputs, _ = state.take(rows, raw)
        slope = _direction(target, held, rows, others, inputs, raw)
        scale = np.maximum(np.abs(slope).max(axis=1, keepdims=True), 1e-30)
        heading = 0.5 * heading + slope / scale if step else slope / scale
        vertex = target.members.vertex(held, heading)
        if target.members.dimensions:
            # Between members of a low-dimensional set lies none.
            raw = vertex
            continue
        share = 1.0 if step == 0 and from_centre else 2.0 / (step + 3)
        position += share * (vertex - position)
        raw = _member(target, held, position, vertex)
    state.take(rows, raw)


def _member(
    target: Target, held: Windows, position: Float64Array, fallback: Int16Array
) -> Int16Array:
    """Round positions to members; where that fails, project them; else take the fallback."""
    raw = np.rint(position).astype(np.int16)
    outside = np.flatnonzero(~target.members.contains(held, raw))
    if len(outside):
        part = held.select(outside)
        near = target.members.project(part, raw[outside])
        if near is None:
            raw[outside] = fallback[outside]
        else:
            kept = target.members.contains(part, near)
            raw[outside] = np.where(kept[:, np.newaxis], near, fallback[outside])
    return raw


def _direction(
    target: Target,
    held: Windows,
    rows: Int64Array,
    others: Int64Array,
    inputs: tuple[Int8Array, ...],
    raw: Int16Array,
) -> Float64Array:
    """Return how the other class gains on the decision with a change of each sample.

    Returns:
        float64 [n, length], or [n, size] for sets of the network's inputs themselves.
    """
    count = np.arange(len(rows))
    objectives = np.zeros((len(rows), target.network.output_tensor.shape[0]))
    objectives[count, others] += 1
    objectives[count, target.decisions[rows]] -= 1
    slopes = target.gradient(inputs, objectives)
    if not isinstance(held, HeldBeats):
        return slopes[0].reshape(len(rows), -1)
    direction: Float64Array = slopes[0].sum(axis=2)
    if len(slopes) > 1:
        direction += through_form(held, raw, slopes[1][:, -3:])
    return direction


def through_form(held: HeldBeats, raw: Int16Array, slopes: Float64Array) -> Float64Array:
    """Return what the rhythm features of the beat's form add to the slope of each sample.

    A feature is 32 log2 of an energy, or half of that; roundings are passed straight through.

    Args:
        held: The beats.
        raw: int16 [n, reach].
        slopes: By the three features of the form [n, 3].
    """
    front_end = held.front_end
    counts = centred(front_end, raw.astype(np.int64))
    conditioned = front_end.round_conditioned(counts).astype(np.float64)
    difference = conditioned - held.template
    result = np.zeros_like(conditioned)
    for feature, (values, zone, share) in enumerate(
        (
            (difference, front_end.qrs, 0.5),
            (difference, front_end.p_wave, 0.5),
            (conditioned, front_end.qrs, 1.0),
        )
    ):
        part = values[:, slice(*zone)]
        energy = (part * part).sum(axis=1, keepdims=True) + 256.0
        steepness = share * 64.0 / np.log(2.0) * part / energy
        result[:, slice(*zone)] += slopes[:, feature, np.newaxis] * steepness
    return np.asarray(result * (2.0**14 / held.gain)[:, np.newaxis])


def _search(state: State, rows: Int64Array, proposals: int, random: np.random.Generator) -> None:
    """Try changes of each window's best member: blocks of other members, and steps towards them.

    A block of another member leads to a member only in sets that bound each sample on its own;
    a projected step does in all.
    """
    target = state.target
    raw = state.raw[rows]
    held = target.held.select(rows)
    logits = state.logits[rows].copy()
    logits[np.arange(len(rows)), target.decisions[rows]] = -np.inf
    inputs = held.inputs(raw)
    slope = _direction(target, held, rows, logits.argmax(axis=1), inputs, raw)
    vertex = target.members.vertex(held, slope)
    tried = np.repeat(rows, proposals)
    held = target.held.select(tried)
    best = np.repeat(raw, proposals, axis=0)
    other = target.members.random(held, random)
    guided = random.random(len(tried)) < 0.5
    other[guided] = np.repeat(vertex, proposals, axis=0)[guided]
    reach = raw.shape[1]
    length = random.choice(_BLOCKS, len(tried))
    first = random.integers(-length + 1, reach)
    place = np.arange(reach)
    block = (place >= first[:, np.newaxis]) & (place < (first + length)[:, np.newaxis])
    candidate = np.where(block, other, best)
    outside = np.flatnonzero(~target.members.contains(held, candidate))
    if len(outside):
        share = 2.0 ** -random.integers(0, 6, (len(outside), 1))
        step = best[outside] + share * (other[outside].astype(np.float64) - best[outside])
        candidate[outside] = _member(target, held.select(outside), step, other[outside])
    for start in range(0, len(tried), _CHUNK):
        part = slice(start, start + _CHUNK)
        state.take(tried[part], candidate[part])
