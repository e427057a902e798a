"""Bounds of the float networks that an integer network was made from, for comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeprune.data import FrontEnd
from edgeprune.data.held import HeldWindows
from edgeprune.evaluation import Decisions, Found
from edgeprune.executor import Codec, Executor, Task
from edgeprune.progress import Progress
from edgeprune.verification.bound_nodes import BoundGraph
from edgeprune.verification.linear_bounds import linear_bounds, margins
from edgeprune.verification.perturbations import Perturbation

if TYPE_CHECKING:
    from torch import nn

_GROUP = 25

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A float classifier as bounds see it.

    Attributes:
        graph: Its layers.
    """

    graph: BoundGraph

    @staticmethod
    def of(model: nn.Module, front_end: FrontEnd) -> FloatNetwork:
        """Return the classifier behind a front end's integers."""
        # Imported here: workers need neither torch nor onnx.
        from edgeprune.pipeline.given_network import front_end_tensors
        from edgeprune.quantization import to_float_onnx
        from edgeprune.verification.float_graph import float_graph

        graph = to_float_onnx(model, front_end.signal_shape, front_end.rhythm_features)
        inputs = front_end_tensors(front_end)[: len(graph.graph.input)]
        return FloatNetwork(float_graph(graph, inputs))

    def decide(self, inputs: Sequence[Int8Array]) -> npt.NDArray[np.int64]:
        """Return what it decides of windows [n]."""
        logits = self.graph.run(tuple(inputs))[self.graph.output]
        return np.asarray(logits.argmax(axis=1), np.int64)


@dataclass(frozen=True, eq=False)
class _Group:
    held: HeldWindows
    decisions: npt.NDArray[np.int64]


def float_found(
    network: FloatNetwork,
    held: HeldWindows,
    sets: Sequence[Perturbation],
    decisions: Decisions,
    stage: str,
    executor: Executor,
    progress: Progress,
) -> Iterator[Found]:
    """Bound a float network under each set; what is not proved is unknown.

    A window that is not proved within a ball is not tried within a larger one.

    Args:
        network: The network.
        held: The windows as raw samples [n].
        sets: What they must withstand, by rising radius.
        decisions: What the network decides of them.
        stage: What to call the network.
        executor: Where the work is done.
        progress: Told of the windows done.
    """
    left = np.arange(len(held))
    for each in sets:
        groups = [left[start : start + _GROUP] for start in range(0, len(left), _GROUP)]
        proved = executor.below(each.text.replace(":", "-")).run(
            partial(_prove, network.graph, each),
            [
                Task(
                    f"{group[0]} to {group[-1]}",
                    _Group(held.select(group), decisions.predictions[group]),
                    len(group),
                )
                for group in groups
            ],
            Codec(_encode, json.loads),
            progress=progress,
            description=f"bounds of the {stage} network under {each.text}",
            unit="window",
        )
        mask = np.concatenate([np.zeros(0, np.bool_), *map(np.asarray, proved)])
        left = left[mask]
        outcomes = np.full(len(held), "unknown", dtype="<U7")
        outcomes[left] = "proved"
        yield Found(
            each.text, each.describe(), outcomes.tolist(), ["linear"] * len(held), decisions
        )


def _prove(graph: BoundGraph, perturbation: Perturbation, group: _Group) -> list[bool]:
    classes = graph.nodes[graph.output].size
    bounds = linear_bounds(
        graph, perturbation.input_sets(group.held), margins(group.decisions, classes)
    )
    # Real logits: what is not above 0 may be a tie.
    return [bool(holds) for holds in (bounds.lower > 0).all(axis=1)]


def _encode(proved: list[bool]) -> bytes:
    return json.dumps(proved).encode()
