"""Lower bounds over a set, in whole numbers: intervals, relaxations, backward substitution.

Coefficients are fixed-point integers. The slopes of a relaxation may be anything: its intercepts
are found here, as the extremes of `stairs - slope * accumulator` over the accumulator's interval.
Where a coefficient is rounded, what is rounded off is multiplied by the box of what it stands
before and added as slack, so that nothing is lost and nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from edgeprune.certificate_checker.elementwise import (
    PLANE_BITS,
    TABLE_BITS,
    Product,
    Table,
)
from edgeprune.certificate_checker.lines import (
    INTERCEPT_BITS,
    RATIO_BITS,
    Lines,
    relax,
    shifted,
    straight,
)
from edgeprune.certificate_checker.network import Copy, Maximum, Network, Node, Step, copied
from edgeprune.certificate_checker.stairs import (
    LEAST,
    NEVER,
    REACH,
    Ints,
    Refused,
    narrow,
    times,
)

CHANGE = "change of the samples"
# Fractional bits of the coefficients of values.
BITS = 24
_ROWS = 256
# Values of a first input beyond which they are bounded one by one: of more, the rows of all sums of
# raw samples would not fit into memory.
_MOST_TOGETHER = 4096


class ChangeSet(Protocol):
    """What may be added to the raw samples."""

    @property
    def low(self) -> Ints:
        """Least change of each sample [n]."""

    @property
    def high(self) -> Ints:
        """Greatest change of each sample [n]."""

    def least(self, coefficients: Ints) -> Ints:
        """Return lower bounds [m] of `coefficients [m, n] . change` over the set."""


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a split: what is split is at most `at` (upper False), or at least `at` (True).

    Attributes:
        step: A step, of which the accumulator is meant; the front end's step or an input's name, of
            which the input value itself is meant.
        neuron: Which one.
        at: See above.
        upper: See above.
    """

    step: str
    neuron: int
    at: int
    upper: bool


@dataclass(eq=False)
class Region:
    """What is known over one part of the set: boxes of tensors, intervals of accumulators.

    Attributes:
        network: The network.
        front: What makes the first input of the change.
        change: The set.
        low, high: Boxes of the tensors so far.
        sums: Interval of each step's accumulators so far.
        lines: Lines of each step so far.
    """

    network: Network
    front: Step
    change: ChangeSet
    low: dict[str, Ints]
    high: dict[str, Ints]
    sums: dict[str, tuple[Ints, Ints]] = field(default_factory=dict)
    lines: dict[str, Lines] = field(default_factory=dict)
    empty: bool = False


Ratios = Mapping[str, Ints]


def explore(
    region: Region,
    refined: Mapping[str, Ints],
    ratios: Ratios,
    sides: Sequence[Side] = (),
    known: Mapping[str, tuple[Ints, Ints]] | None = None,
    *,
    directly: bool = True,
) -> None:
    """Bound every node of a region, front to back.

    Args:
        region: Filled by this; holds the boxes of the change and of the inputs beyond the first.
        refined: Accumulators that are bounded by backward substitution, by step.
        ratios: Slopes as shares of the step's own, times 2^RATIO_BITS, [2, outputs] by step.
        sides: What holds in this region.
        known: Intervals that hold in a region around this one.
        directly: Whether all sums of the first input alone are bounded over the change itself,
            where its samples and channels move together.
    """
    _cut_inputs(region, sides)
    if region.empty:
        return
    for index, node in enumerate(nodes(region)):
        if isinstance(node, Copy):
            region.low[node.output] = copied(node, region.low, region.network.sizes)
            region.high[node.output] = copied(node, region.high, region.network.sizes)
        elif isinstance(node, Table | Product):
            ends = node.ends(region.low, region.high)
            region.low[node.output], region.high[node.output] = ends
        elif isinstance(node, Maximum):
            for box in (region.low, region.high):
                box[node.output] = np.append(box[node.source], LEAST)[node.taps].max(axis=1)
        else:
            low, high = _sums(region, node)
            if known:
                low = np.maximum(low, known[node.name][0])
                high = np.minimum(high, known[node.name][1])
            chosen = refined.get(node.name)
            if directly and known is None and _reads_front(region, node):
                # Where the output is settled, narrower sums change nothing.
                ends = node.low.values(node.rows, low), node.high.values(node.rows, high)
                chosen = np.flatnonzero(ends[0] < ends[1])
            if chosen is not None and len(chosen) and node is not region.front:
                least, greatest = _refine(region, index, node, chosen)
                low[chosen] = np.maximum(low[chosen], least)
                high[chosen] = np.minimum(high[chosen], greatest)
            _cut_sums(region, node, sides, low, high)
            region.empty |= bool((low > high).any())
            if region.empty:
                return
            region.sums[node.name] = low, high
            region.low[node.output] = node.low.values(node.rows, low)
            region.high[node.output] = node.high.values(node.rows, high)
            own = straight(node, low, high) if node is region.front else None
            region.lines[node.name] = relax(node, low, high, ratios.get(node.name, own))


def _cut_inputs(region: Region, sides: Sequence[Side]) -> None:
    """Cut the boxes of inputs by the sides that speak of them."""
    for side in sides:
        if side.step in region.low:
            box, best = (region.low, max) if side.upper else (region.high, min)
            box[side.step] = box[side.step].copy()
            box[side.step][side.neuron] = best(int(box[side.step][side.neuron]), side.at)
            region.empty |= bool((region.low[side.step] > region.high[side.step]).any())


def _cut_sums(region: Region, step: Step, sides: Sequence[Side], low: Ints, high: Ints) -> None:
    """Cut the interval of a step's accumulators, in place."""
    for side in (each for each in sides if each.step == step.name):
        at = side.at if step is not region.front else _sum_at(step, side)
        if side.upper:
            low[side.neuron] = max(int(low[side.neuron]), at)
        else:
            high[side.neuron] = min(int(high[side.neuron]), at)


def _sum_at(step: Step, side: Side) -> int:
    """Return the accumulator from which on, or up to which, an output value is reached."""
    thresholds = step.exact.thresholds[step.rows[side.neuron]]
    first = side.at + (0 if side.upper else 1) - LEAST - 1
    if not 0 <= first < len(thresholds):
        raise Refused("an input value is split where it has no values")
    return int(thresholds[first]) - (0 if side.upper else 1)


def _reads_front(region: Region, step: Step) -> bool:
    """Say whether a step reads the first input alone, as it is or moved."""
    moved = {region.front.output}
    for node in region.network.nodes:
        if isinstance(node, Copy) and {name for name, _ in node.terms} <= moved:
            moved.add(node.output)
    return len(step.terms) == 1 and step.terms[0][0] in moved


def nodes(region: Region) -> tuple[Node, ...]:
    """Return the front end's step and the network's nodes."""
    return (region.front, *region.network.nodes)


def _sums(region: Region, step: Step) -> tuple[Ints, Ints]:
    """Return the interval of a step's accumulators from the boxes of what it reads."""
    if step is region.front:
        ((_, linear),) = step.terms
        if len(step.rows) > _MOST_TOGETHER:
            least, greatest = linear.interval(region.change.low, region.change.high)
            return step.constant + least, step.constant + greatest
        rows = linear.backward(np.eye(len(step.rows), dtype=np.int64))
        return step.constant + region.change.least(rows), step.constant - region.change.least(-rows)
    tables = region.network.additions.get(step.name)
    if tables:
        pairs = [(region.low[name] - LEAST, region.high[name] - LEAST) for name, _ in step.terms]
        # A table rises, or that of what is subtracted falls: the ends are the extremes.
        found = [[table[end] for end in pair] for table, pair in zip(tables, pairs, strict=True)]
        low = np.minimum(*found[0]) + np.minimum(*found[1])
        high = np.maximum(*found[0]) + np.maximum(*found[1])
    else:
        low, high = step.constant.copy(), step.constant.copy()
        for name, linear in step.terms:
            least, greatest = linear.interval(region.low[name], region.high[name])
            low, high = low + least, high + greatest
    if low.min() < -REACH or high.max() > REACH:
        raise Refused(f"an accumulator of '{step.name}' could overflow")
    return low, high


def _refine(region: Region, index: int, step: Step, chosen: Ints) -> tuple[Ints, Ints]:
    """Return bounds of some accumulators by backward substitution, rounded to whole numbers."""
    largest = max(int(np.abs(linear.weights).max()) for _, linear in step.terms)
    bits = max(BITS - largest.bit_length(), 0)
    ends = []
    for start in range(0, len(chosen), _ROWS):
        part = chosen[start : start + _ROWS]
        unit = np.zeros((2 * len(part), len(step.rows)), np.int64)
        unit[np.arange(len(part)), part] = 1 << bits
        unit[len(part) + np.arange(len(part)), part] = -1 << bits
        goals = {name: linear.backward(unit) for name, linear in step.terms}
        least = descend(region, index, goals, bits)
        # No accumulator is further out than int64 reaches.
        whole = np.clip(-((-least) >> (bits + INTERCEPT_BITS)), -NEVER, NEVER)
        ends.append(whole.astype(np.int64).reshape(2, -1))
    found = np.concatenate(ends, axis=1)
    return (
        step.constant[chosen] + step.slack[0] + found[0],
        step.constant[chosen] + step.slack[1] - found[1],
    )


def descend(
    region: Region,
    before: int,
    goals: Mapping[str, Ints],
    bits: int,
    lines: Mapping[str, Lines] | None = None,
    multipliers: Sequence[tuple[Side, Ints]] = (),
) -> Ints:
    """Bound linear functions of tensors from below by substituting lines backwards.

    Args:
        region: What holds.
        before: Only nodes before this index lie under the goals.
        goals: Coefficients [m, n] by tensor, times 2^bits.
        bits: See `goals`.
        lines: Lines to use instead of the region's.
        multipliers: Sides of splits with multipliers of at least 0 [m] in Python's integers,
            times 2^(bits + shift).

    Returns:
        Lower bounds [m], times 2^(bits + INTERCEPT_BITS).
    """
    lines = region.lines if lines is None else lines
    pending = {name: rows.copy() for name, rows in goals.items()}
    count = len(next(iter(goals.values())))
    # Python's integers: whoever writes a certificate chooses slopes and multipliers of any size.
    total = np.zeros(count, object)

    def arrive(name: str, rows: Ints, shift: int) -> None:
        nonlocal total
        rounded, slack = _rounded(rows, shift, region.low[name], region.high[name])
        total = total + slack
        pending[name] = _added(pending[name], rounded) if name in pending else rounded

    for node in reversed(nodes(region)[1:before]):
        rows = pending.pop(node.output, None)
        if isinstance(node, Step):
            held = [each for each in multipliers if each[0].step == node.name]
            if rows is None and not held:
                continue
            if rows is None:
                rows = np.zeros((count, len(node.rows)), np.int64)
            line = lines[node.name]
            sums, constant = _through_step(line, rows)
            total = total + constant
            if held:
                sums = sums.astype(object)
            for side, weights in held:
                sign, slack = (-1, node.slack[1]) if side.upper else (1, node.slack[0])
                sums[:, side.neuron] += sign * weights
                gap = sign * weights * (int(node.constant[side.neuron]) + slack - side.at)
                total = total + shifted(gap, line.shift - INTERCEPT_BITS)
            sums = narrow(sums)
            for name, linear in node.terms:
                arrive(name, linear.backward(sums), line.shift)
        elif rows is not None:
            parts, constant, more = _through(region, node, rows)
            total = total + constant
            for name, part in parts:
                arrive(name, part, more)
    for name, rows in pending.items():
        least = _over_box(rows, region.low[name], region.high[name]).astype(object)
        least = least << INTERCEPT_BITS
        if name == region.front.output:
            least = np.maximum(least, _over_change(region, lines[region.front.name], rows))
        total = total + least
    return total


def _rounded(rows: Ints, shift: int, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Return coefficients rounded by `shift` bits, and the least of what is rounded off."""
    rounded = (rows + ((1 << shift) >> 1)) >> shift
    slack = _over_box(rows - (rounded << shift), low, high)
    return narrow(rounded), shifted(slack.astype(object), shift - INTERCEPT_BITS)


def _added(left: Ints, right: Ints) -> Ints:
    """Return the exact sum, as int64 where that has room for it."""
    return narrow(left.astype(object) + right.astype(object))


def _through_step(line: Lines, rows: Ints) -> tuple[Ints, Ints]:
    """Return coefficients of the sums, times 2^shift more, and what is added to the bound."""
    steepest = int(max(line.slopes[0].max(), line.slopes[1].max(), 1))
    if int(np.abs(rows).max(initial=0)) * steepest >= 2**62:
        rows = rows.astype(object)
    plus, minus = np.maximum(rows, 0), np.minimum(rows, 0)
    constant = times(plus, line.intercepts[0]) + times(minus, line.intercepts[1])
    return plus * line.slopes[0] + minus * line.slopes[1], constant


def _over_change(region: Region, line: Lines, rows: Ints) -> Ints:
    """Bound coefficients of the first input by its lines over the change."""
    ((_, linear),) = region.front.terms
    sums, constant = _through_step(line, rows)
    low, high = region.low[CHANGE], region.high[CHANGE]
    rounded, slack = _rounded(linear.backward(sums), line.shift, low, high)
    least = region.change.least(rounded).astype(object)
    return np.asarray(constant.astype(object) + slack + (least << INTERCEPT_BITS))


def _through(
    region: Region, node: Copy | Maximum | Table | Product, rows: Ints
) -> tuple[Sequence[tuple[str, Ints]], Ints, int]:
    """Return the coefficients of the sources, what is added to the bound, and the former's bits."""
    if isinstance(node, Copy):
        return [(name, rows[:, cells]) for name, cells in node.terms], np.zeros(1, np.int64), 0
    if isinstance(node, Maximum):
        passed, constant = _through_maximum(region, node, rows)
        return [(node.source, passed)], constant, RATIO_BITS
    more = TABLE_BITS if isinstance(node, Table) else PLANE_BITS
    parts, constant = node.back(rows, region.low, region.high)
    return parts, shifted(constant.astype(object), more - INTERCEPT_BITS), more


def _through_maximum(region: Region, node: Maximum, rows: Ints) -> tuple[Ints, Ints]:
    """Return the source's coefficients times 2^RATIO_BITS, and what is added to the bound.

    Below, a maximum is at least any one of its cells. Above, with all other cells at most R, it is
    at most max(x, R) of one cell x, which is convex: a line above its two ends lies above it.
    """
    # A cell of the padding is never chosen.
    low = np.append(region.low[node.source], LEAST - 1)[node.taps]
    high = np.append(region.high[node.source], LEAST - 1)[node.taps]
    own = np.arange(len(node.taps))
    floor_cell, top_cell = (1024 * low + high).argmax(axis=1), high.argmax(axis=1)
    least, most = low[own, top_cell], high[own, top_cell]
    rivals = high.copy()
    rivals[own, top_cell] = LEAST - 1
    rest = np.maximum(rivals.max(axis=1), least)
    slope = (np.maximum(most - rest, 0) << RATIO_BITS) // np.maximum(most - least, 1)
    ends = (
        (rest << RATIO_BITS) - slope * least,
        (np.maximum(most, rest) << RATIO_BITS) - slope * most,
    )
    if np.abs(rows).max(initial=0) >= 2**40:
        rows = rows.astype(object)
    plus, minus = np.maximum(rows, 0), np.minimum(rows, 0)
    passed = np.zeros((len(region.low[node.source]), len(rows)), rows.dtype)
    np.add.at(passed, node.taps[own, floor_cell], (plus << RATIO_BITS).T)
    np.add.at(passed, node.taps[own, top_cell], (minus * slope).T)
    return passed.T, shifted(times(minus, np.maximum(*ends)), RATIO_BITS - INTERCEPT_BITS)


def _over_box(rows: Ints, low: Ints, high: Ints) -> Ints:
    return times(np.maximum(rows, 0), low) + times(np.minimum(rows, 0), high)
