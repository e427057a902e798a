"""Two networks from files, compared over the sets of held windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from edgeprune.data.held import HeldWindows
from edgeprune.data.held import load_held as read_held
from edgeprune.errors import DataError, ModelError
from edgeprune.network import IntegerNetwork, load_onnx, read_qdq
from edgeprune.pipeline.given_network import front_end_tensors
from edgeprune.progress import Progress, Silent
from edgeprune.verification.float_graph import float_twin
from edgeprune.verification.outcomes import Outcome, Runtime
from edgeprune.verification.perturbations import Perturbation
from edgeprune.verification.twins import Twin, TwinRun, compare_twins, integer_twin

_GROUP = 20
_MEMBERS = 8

Int8Array = npt.NDArray[np.int8]


def load_twin(path: Path, held: HeldWindows, runtime: Runtime = Runtime.FIRMWARE) -> Twin:
    """Read a network: the integer network's own file, a QDQ graph, or a float ONNX graph.

    Args:
        path: The file; its name is what the twin is called.
        held: Windows; their front end says what the integers of the inputs stand for.
        runtime: Whose arithmetic an integer network is taken in.

    Raises:
        ModelError: The file is absent or holds no network.
    """
    if not path.is_file():
        raise ModelError("the file does not exist", where=str(path), hint="check the path")
    rounding = 1 if runtime is Runtime.ANY else 0
    if path.suffix != ".onnx":
        return integer_twin(path.name, IntegerNetwork.load(path), rounding)
    model = load_onnx(path)
    if any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        return integer_twin(path.name, read_qdq(model), rounding)
    inputs = front_end_tensors(held.front_end)[: len(model.graph.input)]
    return float_twin(path.name, model, inputs)


def load_held(path: Path) -> HeldWindows:
    """Read windows that a verification left beside its certificates.

    Raises:
        DataError: The file is absent or holds something else.
    """
    try:
        return read_held(path)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise DataError(
            "the file holds no windows to try the networks on",
            where=str(path),
            hint="name certificates/held.npz of a result directory: --held FILE",
        ) from error


def compare_over(
    first: Twin,
    second: Twin,
    held: HeldWindows,
    perturbation: Perturbation,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[TwinRun, ...]:
    """Compare two networks over a perturbation of each window; the first network's decisions count.

    Args:
        first: The reference.
        second: The other.
        held: The windows.
        perturbation: What may happen to them.
        seed: Decides the members that are tried.
        progress: Told of the windows done.

    Returns:
        One run for each group of windows, in order.
    """
    random = np.random.default_rng(seed)
    runs = []
    with (progress or Silent()).task(
        f"twins under {perturbation.text}", len(held), "window"
    ) as advance:
        for start in range(0, len(held), _GROUP):
            part = held.select(slice(start, start + _GROUP))
            part = replace(part, signal_alone=len(first.graph.sources) == 1)
            place = perturbation.place(part)
            decisions = first.logits(place.inputs()).argmax(axis=1).astype(np.int64)
            runs.append(
                compare_twins(
                    first,
                    second,
                    perturbation.input_sets(part),
                    decisions,
                    members=_members(part, perturbation, random),
                )
            )
            advance(len(part))
    return tuple(runs)


def _members(
    held: HeldWindows, perturbation: Perturbation, random: np.random.Generator
) -> Iterator[tuple[Int8Array, ...]]:
    place = perturbation.place(held)
    yield place.inputs()
    for _ in range(_MEMBERS):
        yield place.inputs(perturbation.random(held, random))


def count(runs: tuple[TwinRun, ...], outcome: Outcome) -> int:
    """Return how many windows of all groups have that outcome."""
    return sum(run.count(outcome) for run in runs)
