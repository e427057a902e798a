"""Do proofs for any runtime hold on those that are installed? Members of proved sets are run.

A proof for any runtime assumes that no layer of a runtime is more than an LSB away from the
specification, whatever integers it is given. `layer_spread` measures that, `flips` looks for what
the proof excludes: a member of a proved set that a runtime decides otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count as numbers

import numpy as np

from edgeprune.data.held import HeldWindows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array, Int64Array
from edgeprune.progress import Progress, Silent
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.falsify import AttackSettings, Judge, Target, attack
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.linear_bounds import gradient
from edgeprune.verification.perturbations import Perturbation
from edgeprune.verification.runtimes import RUNTIMES, compare_layers

OTHER_RUNTIMES = ("tflite-runtime default", "ai-edge-litert default", "onnxruntime")
"""Runtimes whose rounding is not that of the specification."""

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class Members:
    """Members of the sets of some windows.

    Args:
        window: The window of each member [m].
        inputs: What the network reads, int8 [m, ...] for each of its inputs.
    """

    window: Int64Array
    inputs: tuple[Int8Array, ...]

    def __len__(self) -> int:
        return len(self.window)


@dataclass(frozen=True)
class FlipCount:
    """What one runtime decided of members of proved sets.

    Args:
        implementation: Name in `RUNTIMES`.
        members: Members run.
        windows: Windows that they are of.
        flips: Members decided otherwise than the window; 0 if the proofs hold.
        differing: Members of which some logit differs from the specification's.
    """

    implementation: str
    members: int
    windows: int
    flips: int
    differing: int


@dataclass(frozen=True)
class Spread:
    """How far the layers of one operator are off in a runtime, each given exact inputs.

    Args:
        implementation: Name in `RUNTIMES`.
        kind: The operator.
        layers: Layers of that operator.
        values: Values compared.
        mismatches: Values that differ.
        largest_difference: In LSB; a proof for any runtime assumes at most 1.
    """

    implementation: str
    kind: str
    layers: int
    values: int
    mismatches: int
    largest_difference: int


def attacked_members(
    network: IntegerNetwork,
    held: HeldWindows | HeldInputs,
    perturbation: Perturbation,
    least: int,
    random: np.random.Generator,
) -> Members:
    """Return at least `least` members, equally many of each window, most of them hard ones.

    The member with the least margin that a search finds; then in turn random members, extreme ones
    in a random direction, and extreme ones against the gradient towards each rival class.

    Args:
        network: The network.
        held: The windows, all with sets that are proved.
        perturbation: Their sets.
        least: Members in all.
        random: Decides them.
    """
    place = perturbation.place(held)
    graph = bound_graph(network)
    inputs = place.inputs()
    decisions = network.predict(*inputs)
    target = Target(
        network, place, perturbation, decisions, lambda at, rows: gradient(graph, at, rows)
    )
    found = attack(target, AttackSettings(restarts=1), random, Judge(network))
    batches = [place.inputs(found.raw)]
    classes = network.output_tensor.size
    for turn in numbers():
        if len(batches) * len(place) >= least or len(place) == 0:
            break
        raw = perturbation.random(place, random)
        size = network.input_tensors[0].shape[0] if isinstance(place, HeldBeats) else None
        length = size or network.input_tensors[0].size
        if turn % 3 == 1:
            raw = perturbation.vertex(place, random.normal(size=(len(place), length)))
        elif turn % 3 == 2:
            rivals = (decisions + 1 + turn // 3 % (classes - 1)) % classes
            rows = np.zeros((len(place), classes))
            rows[np.arange(len(place)), rivals] += 1
            rows[np.arange(len(place)), decisions] -= 1
            slopes = gradient(graph, place.inputs(raw), rows)[0]
            ahead = slopes.reshape(len(place), length, -1).sum(axis=2)
            raw = perturbation.vertex(place, ahead)
        batches.append(place.inputs(raw))
    return Members(
        np.tile(np.arange(len(place)), len(batches)),
        tuple(np.concatenate(values) for values in zip(*batches, strict=True)),
    )


def flips(
    network: IntegerNetwork,
    members: Members,
    decisions: Int64Array,
    implementations: Sequence[str] = OTHER_RUNTIMES,
    *,
    progress: Progress | None = None,
) -> tuple[FlipCount, ...]:
    """Run members of proved sets on other runtimes and count decisions that changed.

    Args:
        network: The network.
        members: See `attacked_members`.
        decisions: The proved decision of each window.
        implementations: Names in `RUNTIMES`.
        progress: Told of the members done.

    Raises:
        MissingToolError: A runtime is not installed.
    """
    exact = network.run(*members.inputs)
    wanted = decisions[members.window]
    found = []
    for name in implementations:
        run = RUNTIMES.get(name).open(network)
        changed = differing = 0
        with (progress or Silent()).task(f"running {name}", len(members), "window") as advance:
            for start in range(0, len(members), _CHUNK):
                part = slice(start, start + _CHUNK)
                logits = run([values[part] for values in members.inputs])[network.output]
                changed += int((logits.argmax(axis=1) != wanted[part]).sum())
                differing += int((logits != exact[part]).any(axis=1).sum())
                advance(len(logits))
        windows = len(np.unique(members.window))
        found.append(FlipCount(name, len(members), windows, changed, differing))
    return tuple(found)


def layer_spread(
    network: IntegerNetwork,
    inputs: Sequence[Int8Array],
    implementations: Sequence[str] = OTHER_RUNTIMES,
) -> tuple[Spread, ...]:
    """Measure how far each runtime's layers are off when each is given exact inputs.

    Args:
        network: The network.
        inputs: int8 values for each input of the network.
        implementations: Names in `RUNTIMES`.

    Returns:
        One row a runtime and operator, by the network's order.

    Raises:
        MissingToolError: A runtime is not installed.
    """
    found = []
    for name in implementations:
        rows = compare_layers(network, inputs, name, each_alone=True)
        for kind in dict.fromkeys(row.kind for row in rows):
            own = [row for row in rows if row.kind == kind]
            found.append(
                Spread(
                    name,
                    kind,
                    len(own),
                    sum(row.values for row in own),
                    sum(row.mismatches for row in own),
                    max(row.largest_difference for row in own),
                )
            )
    return tuple(found)
