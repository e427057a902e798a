"""Recordings of made-up beats, the same on every machine, and a slow search for the best pairs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from edgeprune.data.episodes import Episodes
from edgeprune.evaluation import AnnotatedBeats, DetectedBeats

CLASSES = "NSVFQ"


def _numbers(seed: int) -> Iterator[int]:
    """Knuth's generator of MMIX, upper 31 bits: no library decides what comes next."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def made_up(
    seed: int, gap: int, jitter: int, *, rate: int = 360, beats: int = 900
) -> tuple[AnnotatedBeats, DetectedBeats]:
    """Return beats and what a poor detector found: some shifted, some missed, some from nowhere.

    The detector shuts itself down for 20 s and the reference has 15 s of flutter and 10 s that
    cannot be read, all after the learning period of 300 s.

    Args:
        seed: Decides everything.
        gap: Mean distance of two beats in samples.
        jitter: Largest shift of a found beat in samples.
        rate: Samples a second.
        beats: Reference beats drawn.
    """
    number = _numbers(seed)
    shift = 295 * rate
    found: dict[int, int] = {}
    annotated: dict[int, int] = {}
    at = shift
    for _ in range(beats):
        at += gap // 2 + next(number) % gap
        label = _label(next(number))
        annotated[at] = label
        if next(number) % 20:
            moved = at + next(number) % (2 * jitter + 1) - jitter
            found[moved] = label if next(number) % 8 else _label(next(number) // 3)
        if next(number) % 15 == 0:
            found[at + next(number) % gap] = _label(next(number))
    length = at + 10 * rate
    middle = (shift + at) // 2
    flutter = (middle, middle + 15 * rate)
    unreadable = (middle + 30 * rate, middle + 40 * rate)
    shutdown = (middle + 35 * rate, middle + 55 * rate)
    # What cannot be read has no beats; a detector that is shut down finds nothing.
    annotated = {at: label for at, label in annotated.items() if not _in(at, unreadable)}
    found = {at: label for at, label in found.items() if not _in(at, shutdown)}
    return (
        AnnotatedBeats(
            f"made{seed}",
            f"patient{seed}",
            "test",
            rate,
            length,
            np.array(sorted(annotated)),
            np.array([annotated[at] for at in sorted(annotated)]),
            Episodes((_seconds(flutter, rate),), (_seconds(unreadable, rate),)),
        ),
        DetectedBeats(
            np.array(sorted(found)),
            np.array([found[at] for at in sorted(found)]),
            (_seconds(shutdown, rate),),
        ),
    )


def best_pairs(reference: list[int], test: list[int], tolerance: int) -> tuple[int, int]:
    """Return the most pairs that keep the order, and the least sum of distances with so many."""

    @cache
    def best(i: int, j: int) -> tuple[int, int]:
        """Return minus the pairs, and the distances, from beats i and j on."""
        if i == len(reference) or j == len(test):
            return 0, 0
        choices = [best(i + 1, j), best(i, j + 1)]
        apart = abs(reference[i] - test[j])
        if apart <= tolerance:
            pairs, distance = best(i + 1, j + 1)
            choices.append((pairs - 1, distance + apart))
        return min(choices)

    pairs, distance = best(0, 0)
    return -pairs, distance


def _label(number: int) -> int:
    return (0, 0, 0, 0, 0, 1, 2, 2, 3, 4)[number % 10]


def _in(at: int, span: tuple[int, int]) -> bool:
    return span[0] <= at <= span[1]


def _seconds(span: tuple[int, int], rate: int) -> tuple[float, float]:
    return span[0] / rate, span[1] / rate
