"""The learning rate's course: up to its peak and down again, once."""

from __future__ import annotations

import math
from dataclasses import dataclass

_WARM_UP = 0.15
_START = 1 / 25
_END = _START * 1e-4
_MOMENTUM_HIGH = 0.95
_MOMENTUM_LOW = 0.85


@dataclass(frozen=True)
class Pace:
    """Learning rate and momentum of one step.

    Attributes:
        learning_rate: Step size.
        momentum: Decay of the mean gradient, Adam's first beta.
    """

    learning_rate: float
    momentum: float


def one_cycle(step: int, steps: int, peak: float) -> Pace:
    """Return the pace of a step: a cosine up over the first 15 %, a cosine down after.

    The momentum runs the other way (Smith and Topin, arXiv 1708.07120).

    Args:
        step: From 0.
        steps: Steps of the whole training.
        peak: Largest learning rate.
    """
    turn = _WARM_UP * steps - 1
    if step <= turn:
        share = step / turn if turn > 0 else 1.0
        rate = _cosine(_START, 1.0, share)
        momentum = _cosine(_MOMENTUM_HIGH, _MOMENTUM_LOW, share)
    else:
        share = (step - turn) / (steps - 1 - turn) if steps - 1 > turn else 1.0
        rate = _cosine(1.0, _END, share)
        momentum = _cosine(_MOMENTUM_LOW, _MOMENTUM_HIGH, share)
    return Pace(peak * rate, momentum)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
