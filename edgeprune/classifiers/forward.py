"""How a classifier is called: with the rhythm, or with the signal alone."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def deciding(model: nn.Module) -> Iterator[None]:
    """Run a classifier as it decides: nothing is dropped, no statistics are taken."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def takes_rhythm(model: nn.Module) -> bool:
    """Return whether `forward` has a second positional parameter, the rhythm."""
    parameters = inspect.signature(model.forward).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in positional for parameter in parameters) > 1


def logits_of(model: nn.Module, signal: Tensor, rhythm: Tensor) -> Tensor:
    """Return the logits [n, classes] of a classifier, whether or not it takes the rhythm.

    Args:
        model: The classifier.
        signal: Float [n, channels, length].
        rhythm: Float [n, features]; not passed on to a classifier that takes the signal alone.
    """
    logits: Tensor = model(signal, rhythm) if takes_rhythm(model) else model(signal)
    return logits


def example_inputs(
    model: nn.Module, signal_shape: tuple[int, int], rhythm_features: int
) -> tuple[Tensor, ...]:
    """Return zeros for two windows, as `model` takes them.

    Args:
        model: The classifier.
        signal_shape: Length and channels of the signal.
        rhythm_features: Features of the rhythm; left out where the classifier does not take it.
    """
    length, channels = signal_shape
    signal = torch.zeros(2, channels, length)
    return (signal, torch.zeros(2, rhythm_features)) if takes_rhythm(model) else (signal,)
