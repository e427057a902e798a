"""Which beat of a detector is which beat of the reference, by the rules of bxb and EC57.

The rules are those of the beat-by-beat comparison of ANSI/AAMI EC57:1998 as WFDB's
`bxb` carries it out (https://physionet.org/physiotools/wag/bxb-1.htm), its amendment of 2002 for
beats that follow each other within twice the window included. Both lists are walked through once,
from the left; of the two beats at hand the earlier is paired with the later if they are near
enough and the later does not fit the next beat better, or if that next beat has a better partner
itself. Otherwise the earlier one stays alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

ALONE = -1
_NEVER = 1 << 60


@dataclass(frozen=True, eq=False)
class Matching:
    """Who is whose partner.

    Attributes:
        reference_partner: Index of the test beat paired with each reference beat, or `ALONE` [n].
        test_partner: Index of the reference beat paired with each test beat, or `ALONE` [m].
        reference_scored: Reference beats after the learning period [n].
        test_scored: Test beats that count [m]: those after the learning period, and the last one
            within it where it is the partner of a scored reference beat; not the first one after
            it where it is nothing but the partner of a beat before.
    """

    reference_partner: Int64Array
    test_partner: Int64Array
    reference_scored: BoolArray
    test_scored: BoolArray


def match_beats(
    reference: Int64Array, test: Int64Array, tolerance: int, start: int = 0
) -> Matching:
    """Pair the beats of a test with those of a reference.

    Args:
        reference: Sample numbers of the reference beats, increasing [n].
        test: Sample numbers of the test beats, not decreasing [m].
        tolerance: How many samples the beats of a pair may be apart.
        start: First sample after the learning period.

    Raises:
        ValueError: Beats are not in order.
    """
    if (np.diff(reference) <= 0).any() or (np.diff(test) < 0).any():
        raise ValueError("beats must be in the order of time")
    ours = [*reference.tolist(), _NEVER, _NEVER]
    theirs = [*test.tolist(), _NEVER, _NEVER]
    partners = np.full(len(reference), ALONE, np.int64)
    first_ours = int(np.searchsorted(reference, start))
    first_theirs = int(np.searchsorted(test, start))
    i, j = first_ours, first_theirs
    # Around the end of the learning period a beat and its partner may lie on either side.
    gap = ours[i] - theirs[j - 1] if j else _NEVER
    if i < len(reference) and gap <= tolerance and gap < abs(ours[i] - theirs[j]):
        first_theirs = j - 1
        partners[i] = first_theirs
        i += 1
    elif (
        start
        and theirs[j] - start <= tolerance
        and abs(ours[i] - theirs[j + 1]) < abs(ours[i] - theirs[j])
    ):
        j += 1
        first_theirs = j
    while i < len(reference) and j < len(test):
        beat, next_beat = ours[i], ours[i + 1]
        found, next_found = theirs[j], theirs[j + 1]
        rival = abs(beat - next_found) if found < beat else abs(found - next_beat)
        if abs(beat - found) <= tolerance and (
            abs(beat - found) < rival or abs(next_beat - next_found) < rival
        ):
            partners[i] = j
            i, j = i + 1, j + 1
        elif found < beat:
            j += 1
        else:
            i += 1
    test_partner = np.full(len(test), ALONE, np.int64)
    paired = np.flatnonzero(partners != ALONE)
    test_partner[partners[paired]] = paired
    return Matching(
        partners,
        test_partner,
        np.arange(len(reference)) >= first_ours,
        np.arange(len(test)) >= first_theirs,
    )
