"""Scores of confusion matrices; any number of matrices at once, 0/0 is undefined (NaN).

Rows are the reference, columns the decision. All functions take `[..., K, K]`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.floating[Any]]


def sensitivity(confusion: Counts) -> Values:
    """Return the share of each reference class that was found [..., K]."""
    return divide(_right(confusion), confusion.sum(axis=-1))


def precision(confusion: Counts) -> Values:
    """Return the share of each decided class that was right [..., K]."""
    return divide(_right(confusion), confusion.sum(axis=-2))


def f1(confusion: Counts) -> Values:
    """Return 2 TP / (2 TP + FP + FN) of each class [..., K]."""
    return divide(2 * _right(confusion), confusion.sum(axis=-1) + confusion.sum(axis=-2))


def accuracy(confusion: Counts) -> Values:
    """Return the share of windows that were right [...]."""
    return divide(_right(confusion).sum(axis=-1), confusion.sum(axis=(-1, -2)))


def macro_f1(confusion: Counts) -> Values:
    """Return the mean F1 over the classes present in the reference [...]."""
    present = confusion.sum(axis=-1) > 0
    total = np.where(present, f1(confusion), 0.0).sum(axis=-1)
    return divide(total, present.sum(axis=-1))


def divide(numerator: npt.NDArray[np.generic], denominator: Counts) -> Values:
    """Divide element by element, NaN where the denominator is 0."""
    quotient = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator) > 0)
    return quotient


def _right(confusion: Counts) -> Counts:
    return np.diagonal(confusion, axis1=-2, axis2=-1)
