"""The exact search of the arena against every order of first fit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.firmware.allocation import Buffer, allocate, peak_load

DRAWN = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 5), st.integers(0, 4), st.sampled_from([1, 4, 8])),
    min_size=1,
    max_size=6,
)


def overlap(one: Buffer, two: Buffer) -> bool:
    return one.first <= two.last and two.first <= one.last


def smallest_arena(buffers: list[Buffer]) -> int:
    """Return the true optimum: first fit in every order reaches it for some order."""
    best = 10**9
    for order in itertools.permutations(buffers):
        placed: list[tuple[int, Buffer]] = []
        for buffer in order:
            step = buffer.alignment
            tops = [0, *(start + other.size for start, other in placed)]
            candidates = [-(-top // step) * step for top in tops]
            fits = [
                offset
                for offset in candidates
                if all(
                    not overlap(buffer, other)
                    or offset + buffer.size <= start
                    or start + other.size <= offset
                    for start, other in placed
                )
            ]
            placed.append((min(fits), buffer))
        best = min(best, max(start + buffer.size for start, buffer in placed))
    return best


def check(buffers: list[Buffer], offsets: dict[str, int], arena_bytes: int) -> None:
    for buffer in buffers:
        assert offsets[buffer.name] % buffer.alignment == 0
        assert 0 <= offsets[buffer.name] <= arena_bytes - buffer.size
    for one, two in itertools.combinations(buffers, 2):
        if overlap(one, two):
            apart = (
                offsets[one.name] + one.size <= offsets[two.name]
                or offsets[two.name] + two.size <= offsets[one.name]
            )
            assert apart


@given(DRAWN)
@settings(max_examples=300, deadline=None)
def test_the_search_finds_the_optimum_and_says_so(drawn: list[tuple[int, int, int, int]]) -> None:
    buffers = [
        Buffer(f"b{index}", 4 * size, first, first + length, alignment)
        for index, (size, first, length, alignment) in enumerate(drawn)
    ]
    found = allocate(buffers)
    check(buffers, dict(found.offsets), found.arena_bytes)
    assert found.proven_minimal
    assert found.arena_bytes == smallest_arena(buffers)
    assert found.lower_bound_bytes == peak_load(buffers)[0] <= found.arena_bytes


def random_buffers(seed: int, count: int) -> list[Buffer]:
    random = np.random.default_rng(seed)
    starts = random.integers(0, 12, count)
    return [
        Buffer(f"b{index}", 4 * int(random.integers(1, 40)), int(start), int(start + length))
        for index, (start, length) in enumerate(
            zip(starts, random.integers(0, 6, count), strict=True)
        )
    ]


def test_the_search_beats_first_fit() -> None:
    better = [
        seed
        for seed in range(60)
        if allocate(random_buffers(seed, 12)).arena_bytes
        < allocate(random_buffers(seed, 12), nodes=0).arena_bytes
    ]
    assert better


def fits_into(buffers: list[Buffer], words: int) -> bool:
    """Try every offset of every buffer, in words."""
    placed: list[tuple[int, Buffer]] = []

    def place(index: int) -> bool:
        if index == len(buffers):
            return True
        buffer = buffers[index]
        for offset in range(words - buffer.size + 1):
            if all(
                not overlap(buffer, other)
                or offset + buffer.size <= start
                or start + other.size <= offset
                for start, other in placed
            ):
                placed.append((offset, buffer))
                if place(index + 1):
                    return True
                placed.pop()
        return False

    return place(0)


def test_an_optimum_above_the_bound_is_proven() -> None:
    lives = [(2, 0, 0), (2, 0, 1), (1, 2, 2), (1, 1, 3), (1, 3, 3), (1, 1, 4), (1, 2, 4)]
    lives += [(2, 4, 5), (2, 5, 5)]
    buffers = [Buffer(f"b{index}", *life) for index, life in enumerate(lives)]
    found = allocate(buffers)
    assert (found.lower_bound_bytes, found.arena_bytes, found.proven_minimal) == (4, 5, True)
    assert not fits_into(buffers, 4)
    assert fits_into(buffers, 5)


def test_a_search_that_is_cut_short_claims_nothing() -> None:
    hard = next(
        buffers
        for buffers in (random_buffers(seed, 12) for seed in range(300))
        if allocate(buffers, nodes=0).arena_bytes > peak_load(buffers)[0]
    )
    cut = allocate(hard, nodes=0)
    assert not cut.proven_minimal
    check(hard, dict(cut.offsets), cut.arena_bytes)
    assert allocate(hard).arena_bytes <= cut.arena_bytes


@pytest.mark.parametrize("count", [0, 1])
def test_next_to_nothing(count: int) -> None:
    found = allocate([Buffer("only", 8, 0, 0)][:count])
    assert (found.arena_bytes, found.proven_minimal) == (8 * count, True)
