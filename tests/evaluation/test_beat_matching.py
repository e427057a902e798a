"""Pairs of beats against an exhaustive search and by hand; `test_ec57` has bxb's own tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.evaluation.beat_matching import ALONE, Matching, match_beats
from tests.evaluation.beat_cases import best_pairs

TOLERANCE = 54


def match(reference: list[int], test: list[int], start: int = 0, tolerance: int = 54) -> Matching:
    return match_beats(np.array(reference, np.int64), np.array(test, np.int64), tolerance, start)


def pairs(matching: Matching) -> list[tuple[int, int]]:
    partner = matching.reference_partner
    return [(index, int(other)) for index, other in enumerate(partner) if other != ALONE]


@pytest.mark.parametrize(
    ("reference", "test", "expected"),
    [
        ([100], [154], [(0, 0)]),
        ([100], [155], []),
        ([100], [46], [(0, 0)]),
        ([100], [45], []),
        ([100, 300], [100, 300], [(0, 0), (1, 1)]),
        # Two near one: the nearer.
        ([100], [60, 110], [(0, 1)]),
        ([60, 110], [100], [(1, 0)]),
        # Equally near: the later one, since the earlier is not nearer.
        ([100], [90, 110], [(0, 1)]),
        # The case of James Pardey for which bxb was amended in 2002.
        ([96, 160], [128, 185], [(0, 0), (1, 1)]),
        ([128, 185], [96, 160], [(0, 0), (1, 1)]),
        ([], [5], []),
        ([5], [], []),
    ],
)
def test_by_hand(reference: list[int], test: list[int], expected: list[tuple[int, int]]) -> None:
    assert pairs(match(reference, test)) == expected


@pytest.mark.parametrize(
    ("reference", "test", "expected", "counted"),
    [
        # Partners on either side of the border, which is at 1000.
        ([1010], [990], [(0, 0)], [True]),
        # The last one before is farther than the first one after.
        ([1010], [980, 1015], [(0, 1)], [False, True]),
        # The first one after belongs to a beat before: not counted, not wrong.
        ([995, 1400], [1005, 1400], [(1, 1)], [False, True]),
        # Nothing near: an extra beat.
        ([1400], [1100, 1400], [(0, 1)], [True, True]),
        ([400, 1400], [400, 1400], [(1, 1)], [False, True]),
    ],
)
def test_around_the_end_of_the_learning_period(
    reference: list[int], test: list[int], expected: list[tuple[int, int]], counted: list[bool]
) -> None:
    matching = match(reference, test, start=1000)
    assert pairs(matching) == expected
    assert matching.test_scored.tolist() == counted
    assert matching.reference_scored.tolist() == [beat >= 1000 for beat in reference]


beats = st.lists(st.integers(0, 2000), max_size=12, unique=True).map(sorted)


@settings(max_examples=80, deadline=None)
@given(reference=beats, test=beats)
def test_everyone_has_one_partner_in_order_and_near(reference: list[int], test: list[int]) -> None:
    matching = match(reference, test)
    found = pairs(matching)
    assert found == sorted(found)
    assert len({other for _, other in found}) == len(found)
    assert [other for _, other in found] == sorted(other for _, other in found)
    assert all(abs(reference[i] - test[j]) <= TOLERANCE for i, j in found)
    assert {(int(i), j) for j, i in enumerate(matching.test_partner) if i != ALONE} == set(found)
    assert len(found) <= best_pairs(reference, test, TOLERANCE)[0]


@settings(max_examples=80, deadline=None)
@given(
    gaps=st.lists(st.integers(2 * TOLERANCE + 1, 400), min_size=1, max_size=12),
    shifts=st.lists(st.integers(-70, 70), min_size=12, max_size=12),
    missed=st.sets(st.integers(0, 11)),
    extra=st.lists(st.integers(0, 4000), max_size=4),
)
def test_the_best_pairs_where_the_reference_leaves_no_doubt(
    gaps: list[int], shifts: list[int], missed: set[int], extra: list[int]
) -> None:
    """Beats farther apart than twice the window: each found one belongs to one beat at most."""
    reference = np.cumsum(gaps).tolist()
    moved = [at + shifts[i] for i, at in enumerate(reference) if i not in missed]
    test = sorted({*moved, *extra})
    found = pairs(match(reference, test))
    distance = sum(abs(reference[i] - test[j]) for i, j in found)
    assert (len(found), distance) == best_pairs(reference, test, TOLERANCE)


def test_beats_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="order of time"):
        match([5, 5], [1])
    with pytest.raises(ValueError, match="order of time"):
        match([5], [3, 1])
