"""What gradient attacks raise: losses of logits, with their slopes by the logits.

All take logits float64 [n, classes] and the right class of each [n], and return the loss [n] and
its slope by each logit [n, classes].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Loss = Callable[[Float64Array, Int64Array], tuple[Float64Array, Float64Array]]

# Ratios of logits that are nearly equal are not taken.
_LEAST_SPAN = 1e-12


def cross_entropy(logits: Float64Array, labels: Int64Array) -> tuple[Float64Array, Float64Array]:
    """Return the cross-entropy of the right class."""
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=1)
    slope = exponentials / total[:, np.newaxis]
    slope[rows, labels] -= 1
    return np.log(total) - shifted[rows, labels], slope


def margin(logits: Float64Array, labels: Int64Array) -> tuple[Float64Array, Float64Array]:
    """Return how far the best wrong class lies above the right one."""
    return towards(logits, labels, best_other(logits, labels))


def towards(
    logits: Float64Array, labels: Int64Array, targets: Int64Array
) -> tuple[Float64Array, Float64Array]:
    """Return how far given wrong classes [n] lie above the right one."""
    rows = np.arange(len(labels))
    slope = np.zeros_like(logits)
    slope[rows, targets] += 1
    slope[rows, labels] -= 1
    return logits[rows, targets] - logits[rows, labels], slope


def logits_ratio(logits: Float64Array, labels: Int64Array) -> tuple[Float64Array, Float64Array]:
    """Return the difference of logits ratio (Croce and Hein 2020, equation 6).

    The margin over the span between the largest and the third largest logit, so that neither
    scaling nor shifting the logits changes it. Of two classes it is the margin.
    """
    return _over_span(*margin(logits, labels), logits, lowest=(2,))


def targeted_ratio(targets: Int64Array) -> Loss:
    """Return the targeted difference of logits ratio (Croce and Hein 2020, equation 7).

    The margin of the target over the span between the largest logit and the mean of the third and
    fourth largest; with three classes, the third. Of two classes it is the margin.

    Args:
        targets: The class that each row drives towards [n].
    """

    def loss(logits: Float64Array, labels: Int64Array) -> tuple[Float64Array, Float64Array]:
        lowest = (2, 3) if logits.shape[1] > 3 else (2,)
        return _over_span(*towards(logits, labels, targets), logits, lowest=lowest)

    return loss


def best_other(logits: Float64Array, labels: Int64Array) -> Int64Array:
    """Return the wrong class with the largest logit [n]."""
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return np.asarray(others.argmax(axis=1))


def _over_span(
    value: Float64Array, slope: Float64Array, logits: Float64Array, lowest: tuple[int, ...]
) -> tuple[Float64Array, Float64Array]:
    """Return a difference of logits over the span from the largest to the mean of some others."""
    if logits.shape[1] < 3:
        return value, slope
    rows = np.arange(len(logits))
    order = np.argsort(-logits, axis=1, kind="stable")
    span_slope = np.zeros_like(logits)
    span_slope[rows, order[:, 0]] += 1
    for place in lowest:
        span_slope[rows, order[:, place]] -= 1 / len(lowest)
    span = np.maximum((span_slope * logits).sum(axis=1), _LEAST_SPAN)[:, np.newaxis]
    ratio = value[:, np.newaxis] / span
    return ratio[:, 0], (slope - ratio * span_slope) / span
