"""Offsets for buffers in one arena: quick rules, then a search that proves the smallest arena."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Enough for graphs of some twenty buffers, and a fraction of a second for any other.
SEARCH_NODES = 20_000
_MOST_BUFFERS = 200


@dataclass(frozen=True)
class Buffer:
    """Bytes that are alive from operation `first` to operation `last`, both included."""

    name: str
    size: int
    first: int
    last: int
    alignment: int = 1

    def meets(self, other: Buffer) -> bool:
        """Whether both are alive at the same time."""
        return self.first <= other.last and other.first <= self.last

    def at_or_above(self, offset: int) -> int:
        """Return the least offset from `offset` on where this buffer may begin."""
        return -(-offset // self.alignment) * self.alignment


@dataclass(frozen=True)
class Allocation:
    """Where every buffer lies.

    Attributes:
        offsets: Bytes from the arena's start, by name.
        arena_bytes: Bytes of the arena.
        lower_bound_bytes: The most bytes that are alive at once: no arena is smaller.
        proven_minimal: Whether no allocation of these buffers needs a smaller arena.
        nodes: Partial allocations that the search looked at.
    """

    offsets: Mapping[str, int]
    arena_bytes: int
    lower_bound_bytes: int
    proven_minimal: bool
    nodes: int


def allocate(buffers: Sequence[Buffer], nodes: int = SEARCH_NODES) -> Allocation:
    """Give every buffer an offset so that buffers alive together do not overlap.

    First fit in several orders; where none reaches the lower bound, an exact search looks for a
    smaller arena until it has found one at the bound, has seen all, or has looked at `nodes`
    partial allocations.
    """
    lower_bound, _ = peak_load(buffers)
    offsets = _quick(buffers, lower_bound)
    search = _Search(buffers, offsets, lower_bound, nodes)
    finished = search.run()
    return Allocation(
        search.best,
        search.best_bytes,
        lower_bound,
        finished or search.best_bytes == lower_bound,
        search.nodes,
    )


def peak_load(buffers: Sequence[Buffer]) -> tuple[int, int]:
    """Return the most bytes that are alive at once, and the first operation where they are."""
    moments = sorted({buffer.first for buffer in buffers}) or [0]
    loads = [sum(b.size for b in buffers if b.first <= moment <= b.last) for moment in moments]
    largest = max(loads)
    return largest, moments[loads.index(largest)]


def used_bytes(buffers: Iterable[Buffer], offsets: Mapping[str, int]) -> int:
    """Return the bytes from the arena's start to the end of its last buffer."""
    return max((offsets[buffer.name] + buffer.size for buffer in buffers), default=0)


def _quick(buffers: Sequence[Buffer], lower_bound: int) -> Mapping[str, int]:
    """Return the best of first fit: largest, longest-lived, busiest and earliest first."""
    loads = {
        buffer.name: sum(other.size for other in buffers if buffer.meets(other))
        for buffer in buffers
    }
    orders = (
        lambda b: (-b.size, b.first, b.name),
        lambda b: (b.first - b.last, -b.size, b.name),
        lambda b: (-loads[b.name], -b.size, b.name),
        lambda b: (b.first, -b.size, b.name),
    )
    best: Mapping[str, int] = {}
    best_bytes = -1
    for order in orders:
        offsets = _first_fit(sorted(buffers, key=order))
        used = used_bytes(buffers, offsets)
        if best_bytes < 0 or used < best_bytes:
            best, best_bytes = offsets, used
        if best_bytes == lower_bound:
            break
    return best


def _first_fit(buffers: Iterable[Buffer]) -> Mapping[str, int]:
    placed: list[tuple[int, Buffer]] = []
    for buffer in buffers:
        offset = 0
        for start, other in sorted(placed, key=lambda item: (item[0], item[1].name)):
            if buffer.meets(other) and start < offset + buffer.size and offset < start + other.size:
                offset = buffer.at_or_above(start + other.size)
        placed.append((offset, buffer))
    return {buffer.name: offset for offset, buffer in placed}


class _Search:
    """Branch and bound over the allocations in which nothing can be moved down.

    Moving buffers down never makes an arena larger, so one of those is a smallest. Each is built
    exactly once in the order of its offsets: the next buffer then lies on top of everything that
    is alive with it, which a profile of heights over time tells.
    """

    def __init__(
        self, buffers: Sequence[Buffer], offsets: Mapping[str, int], lower_bound: int, limit: int
    ) -> None:
        self.best = offsets
        self.best_bytes = used_bytes(buffers, offsets)
        self.nodes = 0
        self._lower_bound = lower_bound
        self._limit = limit if len(buffers) <= _MOST_BUFFERS else 0
        # Larger buffers are tried first; equal ones keep one order.
        self._buffers = sorted(buffers, key=lambda b: (-b.size, b.first, b.name))
        moments = sorted({buffer.first for buffer in buffers})
        self._spans = [
            [index for index, moment in enumerate(moments) if b.first <= moment <= b.last]
            for b in self._buffers
        ]
        self._heights = [0] * len(moments)
        self._waiting = [0] * len(moments)
        for buffer, span in zip(self._buffers, self._spans, strict=True):
            for index in span:
                self._waiting[index] += buffer.size
        self._remaining = set(range(len(self._buffers)))
        self._offsets: dict[str, int] = {}
        self._seen: set[tuple[frozenset[int], tuple[int, ...], int, int]] = set()

    def run(self) -> bool:
        """Search; return whether everything was seen that could be smaller than `best`."""
        return self.best_bytes == self._lower_bound or self._place_next(0, -1)

    def _place_next(self, floor: int, previous: int) -> bool:
        """Place the remaining buffers at `floor` or above; return whether all ways were seen."""
        if not self._remaining:
            self.best, self.best_bytes = dict(self._offsets), max(self._heights, default=0)
            return True
        if self.nodes >= self._limit:
            return False
        self.nodes += 1
        if self._is_hopeless(floor):
            return True
        state = (frozenset(self._remaining), tuple(self._heights), floor, previous)
        if state in self._seen:
            return True
        places = self._places(floor)
        finished = True
        for offset, number in places:
            if offset == floor and number < previous:
                continue  # the same allocation, built in another order
            finished = self._descend(offset, number) and finished
            if self.best_bytes == self._lower_bound:
                return True
        if finished:
            self._seen.add(state)
        return finished

    def _is_hopeless(self, floor: int) -> bool:
        """Whether no way to place the rest makes an arena smaller than `best`."""
        return any(
            waiting and max(height, floor) + waiting >= self.best_bytes
            for height, waiting in zip(self._heights, self._waiting, strict=True)
        )

    def _places(self, floor: int) -> list[tuple[int, int]]:
        """Return offset and number of each buffer that may come next, the lowest first."""
        heights, found = self._heights, []
        lowest_top = -1
        for number in sorted(self._remaining):
            buffer = self._buffers[number]
            offset = buffer.at_or_above(max(heights[index] for index in self._spans[number]))
            found.append((offset, number))
            top = offset + buffer.size
            lowest_top = top if lowest_top < 0 else min(lowest_top, top)
        # A buffer that would fit below the next one was to be placed before it.
        return sorted(each for each in found if floor <= each[0] < lowest_top)

    def _descend(self, offset: int, number: int) -> bool:
        buffer, span = self._buffers[number], self._spans[number]
        before = [self._heights[index] for index in span]
        for index in span:
            self._heights[index] = offset + buffer.size
            self._waiting[index] -= buffer.size
        self._remaining.remove(number)
        self._offsets[buffer.name] = offset
        finished = self._place_next(offset, number)
        del self._offsets[buffer.name]
        self._remaining.add(number)
        for index, height in zip(span, before, strict=True):
            self._heights[index] = height
            self._waiting[index] += buffer.size
        return finished
