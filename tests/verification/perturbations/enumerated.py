"""All members of a set around seven samples, written out from the words of its description."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations, pairwise, product

import numpy as np

Members = Callable[[np.ndarray, tuple[int, int]], np.ndarray]


def _clipped(rows: Iterator[np.ndarray], limits: tuple[int, int]) -> np.ndarray:
    return np.unique(np.clip(np.array(list(rows)), *limits), axis=0).astype(np.int16)


def _linf(raw: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    return _clipped((raw + change for change in product((-1, 0, 1), repeat=7)), limits)


def _l2(raw: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    changes = np.array(list(product(range(-2, 3), repeat=7)))
    return _clipped(iter(raw + changes[(changes**2).sum(axis=1) <= 4]), limits)


def _l0(raw: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    def rows() -> Iterator[np.ndarray]:
        for places in combinations(range(7), 2):
            for values in product(range(limits[0], limits[1] + 1), repeat=2):
                changed = raw.copy()
                changed[list(places)] = values
                yield changed

    return _clipped(rows(), limits)


def _band(raw: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    def rows() -> Iterator[np.ndarray]:
        for start in range(6):
            for values in product(range(limits[0], limits[1] + 1), repeat=2):
                changed = raw.copy()
                changed[start : start + 2] = values
                yield changed

    return _clipped(rows(), limits)


def _flat(raw: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    def rows() -> Iterator[np.ndarray]:
        for start in range(-3, 8):
            for level in range(limits[0], limits[1] + 1):
                changed = raw.copy()
                changed[max(start, 0) : max(start + 3, 0)] = level
                yield changed

    return _clipped(rows(), limits)


def _offset(raw: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    return _clipped((raw + shift for shift in (-2, -1, 0, 1, 2)), limits)


def _gain(raw: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    """Between two gains at which some sample is halfway between counts nothing changes."""
    halves = {
        Fraction(2 * count + 1, 2 * int(sample)) - 1
        for sample in raw.tolist()
        if sample
        for count in range(-40, 40)
    }
    most = Fraction(1, 2)
    inner = sorted({each for each in halves if -most <= each <= most} | {-most, most})
    middles = [(a + b) / 2 for a, b in pairwise(inner)]

    def rows() -> Iterator[np.ndarray]:
        for share in (*inner, *middles):
            exact = [sample * (1 + share) for sample in raw.tolist()]
            low = [-((1 - 2 * value) // 2) for value in exact]
            high = [(2 * value + 1) // 2 for value in exact]
            choices = [sorted({a, b}) for a, b in zip(low, high, strict=True)]
            for values in product(*choices):
                yield np.array([int(value) for value in values])

    return _clipped(rows(), limits)


# The converter of these windows counts 5 uV at 100 Hz.
ENUMERATED: dict[str, Members] = {
    "linf:5uV": _linf,
    "l2:10uV": _l2,
    "l0:2": _l0,
    "band:20ms": _band,
    "flat:30ms": _flat,
    "offset:10uV": _offset,
    "gain:50%": _gain,
}
