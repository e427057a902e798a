"""How quickly bounds are computed, in processes beside each other."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import numpy as np

from edgeprune.data.held_front_end import HeldBeats
from edgeprune.executor import Codec, Executor, Task
from edgeprune.network import IntegerNetwork
from edgeprune.verification.activations import bound_activations
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.linear_bounds import BoundSettings, linear_bounds, margins
from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.problem_rows import interval_margins

_BATCH = 24
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Work:
    """Windows to bound, and how."""

    parts: tuple[object, ...]
    held: HeldBeats
    perturbation: str
    linear: bool


def rate(
    network: IntegerNetwork, held: HeldBeats, text: str, *, linear: bool, workers: int
) -> float:
    """Return windows a second, summed over processes that work at the same time."""
    parts = dict(network.tensors), network.inputs, network.outputs, network.operations
    shares = np.array_split(np.arange(len(held)), workers)
    tasks = [
        Task(f"{number}", Work(parts, held.select(rows), text, linear))
        for number, rows in enumerate(shares)
    ]
    codec = Codec(_encode, _decode)
    return sum(Executor(workers=workers).run(_rate, tasks, codec))


def _rate(work: Work) -> float:
    """Return the windows a second of the best of some rounds, sets and margins included."""
    network = IntegerNetwork(*work.parts)  # type: ignore[arg-type]
    perturbation = parse_perturbation(work.perturbation)
    graph = bound_graph(network)
    objectives = margins(network.predict(*work.held.inputs()), network.output_tensor.size)
    best = 0.0
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        sets = perturbation.input_sets(work.held)
        for start in range(0, len(work.held), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(work.held)))
            part, rivals = sets.select(rows), objectives[rows]
            if work.linear:
                linear_bounds(graph, part, rivals, settings=BoundSettings(batch=_BATCH))
            else:
                interval_margins(graph, bound_activations(graph, part, refines=False), rivals)
        best = max(best, len(work.held) / (time.perf_counter() - begin))
    return best


def _encode(found: float) -> bytes:
    return json.dumps(found).encode()


def _decode(content: bytes) -> float:
    return float(json.loads(content))
