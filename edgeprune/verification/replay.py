"""Counterexamples run again where it counts: on a device, or on any other implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeprune.network.tensor import Int8Array
from edgeprune.verification.outcomes import VerificationRun

Classify = Callable[[tuple[Int8Array, ...]], Int8Array]


@dataclass(frozen=True)
class Replay:
    """How the counterexamples of a run fared.

    Args:
        windows: Counterexamples that were run.
        failures: The numbers of the windows whose logits were not those of the specification.
    """

    windows: int
    failures: tuple[int, ...]


def replay(run: VerificationRun, classify: Classify) -> Replay:
    """Give every counterexample to another implementation and compare its logits.

    Args:
        run: A verification.
        classify: Maps the network's inputs, int8 [n, ...] each, to logits int8 [n, classes]; for an
            image on the emulated device: `edgeprune.devices.run_image(...).logits`.
    """
    found = [
        (number, result.counterexample)
        for number, result in enumerate(run.results)
        if result.counterexample is not None
    ]
    if not found:
        return Replay(0, ())
    inputs = tuple(
        np.stack(values) for values in zip(*(each.inputs for _, each in found), strict=True)
    )
    wanted = np.stack([each.logits for _, each in found])
    same = (classify(inputs) == wanted).all(axis=1)
    return Replay(
        len(found), tuple(number for (number, _), ok in zip(found, same, strict=True) if not ok)
    )
