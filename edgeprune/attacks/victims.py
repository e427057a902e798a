"""What is attacked: a network with its windows, seen from the raw counts.

The windows' memory (template, gain, RR history) is held; a candidate is another window of raw
counts in the place of a recorded one. Decisions are exact. Gradients pass straight through every
rounding and stop at clips: they say where to look and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.raw_slopes import RawSlopes
from edgeprune.network import IntegerNetwork
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.bound_nodes import Step
from edgeprune.verification.falsify import Judge, Windows
from edgeprune.verification.linear_bounds import gradient
from edgeprune.verification.outcomes import Int16Array

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "BlackBox",
    "FloatVictim",
    "Guided",
    "InputScaling",
    "IntegerVictim",
    "Seen",
    "SomeWindows",
    "Victim",
]

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]

# Candidates run at a time: as many as keep intermediates small.
_CHUNK = 512


class BlackBox(Protocol):
    """A victim that only answers: a device, or whatever hides its inside."""

    @property
    def name(self) -> str:
        """What it is, for reports: "int8", "float", "device"."""
        ...

    @property
    def classes(self) -> int:
        """Number of logits."""
        ...

    @property
    def held(self) -> Windows:
        """The recorded windows [n]."""
        ...

    def decide(self, raw: Int16Array, rows: Int64Array) -> Int64Array:
        """Return the exact decisions of candidates.

        Args:
            raw: int16 counts [m, reach].
            rows: Whose window each candidate is of, int64 [m], in any order, also repeated.

        Returns:
            int64 [m].
        """
        ...

    def logits(self, raw: Int16Array, rows: Int64Array) -> Float64Array:
        """Return real-valued logits of candidates, float64 [m, classes].

        Of an integer network they are taken before the last rounding and clamp, so that small
        changes show; their largest entry is not always the decision.
        """
        ...


class Victim(BlackBox, Protocol):
    """A victim whose gradient is known."""

    def gradient(self, raw: Int16Array, rows: Int64Array, weights: Float64Array) -> Float64Array:
        """Return d <weights, logits> / d raw count, straight through roundings.

        Args:
            raw: int16 counts [m, reach].
            rows: Whose window each candidate is of [m].
            weights: float64 [m, classes].

        Returns:
            float64 [m, reach]; 0 for what is beside the signal.
        """
        ...

    def look(self, raw: Int16Array, rows: Int64Array) -> Seen:
        """Return decisions, logits and the way to the gradient of candidates in one pass."""
        ...


@dataclass(frozen=True, eq=False)
class Seen:
    """One pass of m candidates.

    Attributes:
        decisions: int64 [m], exact.
        logits: float64 [m, classes]; see `BlackBox.logits`.
        gradient: Maps weights float64 [m, classes] to d <weights, logits> / d raw [m, reach].
    """

    decisions: Int64Array
    logits: Float64Array
    gradient: Callable[[Float64Array], Float64Array]


class IntegerVictim:
    """The network as it is flashed.

    Args:
        network: The network.
        held: Its windows.
        name: What reports call it.
    """

    def __init__(self, network: IntegerNetwork, held: Windows, name: str = "int8") -> None:
        self.network = network
        self.name = name
        self._held = held
        self._judge = Judge(network)
        self._graph = bound_graph(network)
        self._slopes = RawSlopes(held)

    @property
    def classes(self) -> int:
        """Number of logits."""
        return int(self.network.output_tensor.size)

    @property
    def held(self) -> Windows:
        """The recorded windows."""
        return self._held

    def decide(self, raw: Int16Array, rows: Int64Array) -> Int64Array:
        """Return the exact decisions [m]."""
        found = np.empty(len(rows), np.int64)
        for part in _chunks(len(rows)):
            _, found[part] = self._judge.logits(self._held.select(rows[part]).inputs(raw[part]))
        return found

    def logits(self, raw: Int16Array, rows: Int64Array) -> Float64Array:
        """Return the logits before the last rounding and clamp, as real numbers [m, classes]."""
        found = np.empty((len(rows), self.classes))
        for part in _chunks(len(rows)):
            values = self._graph.run(self._held.select(rows[part]).inputs(raw[part]))
            found[part] = self._fine(values)
        return found

    def gradient(self, raw: Int16Array, rows: Int64Array, weights: Float64Array) -> Float64Array:
        """Return d <weights, logits> / d raw [m, reach]."""
        return self.look(raw, rows).gradient(weights)

    def look(self, raw: Int16Array, rows: Int64Array) -> Seen:
        """Return decisions, logits and the way to the gradient."""
        held = self._held.select(rows)
        inputs = held.inputs(raw)
        values = self._graph.run(inputs)

        def pull(weights: Float64Array) -> Float64Array:
            scaled = weights * self.network.output_tensor.scale
            slopes = gradient(self._graph, inputs, scaled, values=values)
            return self._slopes.of(held, raw, inputs, slopes)

        decisions = values[self._graph.output].argmax(axis=1)
        return Seen(decisions, self._fine(values), pull)

    def _fine(self, values: list[Float64Array]) -> Float64Array:
        """Return the real logits before the last rounding and clamp, from all nodes' values."""
        output = self._graph.nodes[self._graph.output]
        logits = values[self._graph.output]
        if isinstance(output, Step):
            logits = output.offset + output.factor * values[output.operand]
        tensor = self.network.output_tensor
        return np.asarray((logits - tensor.zero_point) * tensor.scale)


class InputScaling(Protocol):
    """Which real numbers the int8 inputs stand for; a `FrontEnd` says so."""

    @property
    def signal_scale(self) -> float:
        """Real step of one LSB of the signal."""
        ...

    @property
    def signal_zero_point(self) -> int:
        """The integer that stands for 0."""
        ...

    @property
    def rhythm_scale(self) -> float:
        """Real step of one LSB of the rhythm."""
        ...

    @property
    def rhythm_zero_point(self) -> int:
        """The integer that stands for 0."""
        ...


class FloatVictim:
    """A float classifier behind the exact front end: what was trained, pruned or not.

    Args:
        model: A classifier of `edgeprune.classifiers`; it is used in evaluation mode.
        front_end: Says which real numbers the integer inputs stand for.
        held: Its windows.
        name: What reports call it.
    """

    def __init__(
        self, model: nn.Module, front_end: InputScaling, held: Windows, name: str = "float"
    ) -> None:
        from edgeprune.attacks.raw_module import RawModule

        self.name = name
        self._held = held
        self._slopes = RawSlopes(held)
        self._module = RawModule(model, front_end, self._slopes)
        self._classes = self._module.classes(held)

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self._classes

    @property
    def held(self) -> Windows:
        """The recorded windows."""
        return self._held

    def decide(self, raw: Int16Array, rows: Int64Array) -> Int64Array:
        """Return the decisions of the float classifier behind the integer front end [m]."""
        return np.asarray(self.logits(raw, rows).argmax(axis=1))

    def logits(self, raw: Int16Array, rows: Int64Array) -> Float64Array:
        """Return the logits [m, classes]."""
        found = np.empty((len(rows), self._classes))
        for part in _chunks(len(rows)):
            found[part] = self._module.numbers(self._held.select(rows[part]), raw[part])
        return found

    def gradient(self, raw: Int16Array, rows: Int64Array, weights: Float64Array) -> Float64Array:
        """Return d <weights, logits> / d raw [m, reach]."""
        return self.look(raw, rows).gradient(weights)

    def look(self, raw: Int16Array, rows: Int64Array) -> Seen:
        """Return decisions, logits and the way to the gradient."""
        return self._module.look(self._held.select(rows), raw)

    def module(self, rows: Int64Array) -> nn.Module:
        """Return a torch module: raw counts of some windows -> logits (`raw_module.module_of`)."""
        from edgeprune.attacks.raw_module import module_of

        return module_of(self, rows)


class SomeWindows:
    """A victim with some of another's windows.

    Args:
        victim: The other.
        rows: Which of its windows, int64 [m]; row k here is window `rows[k]` there.
    """

    def __init__(self, victim: Victim, rows: Int64Array) -> None:
        self.name = victim.name
        self._victim = victim
        self._rows = rows
        self._held = victim.held.select(rows)

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self._victim.classes

    @property
    def held(self) -> Windows:
        """The windows that were chosen."""
        return self._held

    def decide(self, raw: Int16Array, rows: Int64Array) -> Int64Array:
        """Return the exact decisions [m]."""
        return self._victim.decide(raw, self._rows[rows])

    def logits(self, raw: Int16Array, rows: Int64Array) -> Float64Array:
        """Return the logits [m, classes]."""
        return self._victim.logits(raw, self._rows[rows])

    def gradient(self, raw: Int16Array, rows: Int64Array, weights: Float64Array) -> Float64Array:
        """Return d <weights, logits> / d raw [m, reach]."""
        return self._victim.gradient(raw, self._rows[rows], weights)

    def look(self, raw: Int16Array, rows: Int64Array) -> Seen:
        """Return decisions, logits and the way to the gradient."""
        return self._victim.look(raw, self._rows[rows])


class Guided:
    """A victim whose gradients are another's: an integer network led by its float twin.

    Decisions and logits are the victim's own, and so are the logits that a loss is taken of; the
    guide only says where to look.

    Args:
        victim: What is attacked.
        guide: Whose gradients lead, with the same windows.
    """

    def __init__(self, victim: Victim, guide: Victim) -> None:
        self.name = victim.name
        self.victim = victim
        self._guide = guide

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.victim.classes

    @property
    def held(self) -> Windows:
        """The recorded windows."""
        return self.victim.held

    def decide(self, raw: Int16Array, rows: Int64Array) -> Int64Array:
        """Return the victim's decisions [m]."""
        return self.victim.decide(raw, rows)

    def logits(self, raw: Int16Array, rows: Int64Array) -> Float64Array:
        """Return the victim's logits [m, classes]."""
        return self.victim.logits(raw, rows)

    def gradient(self, raw: Int16Array, rows: Int64Array, weights: Float64Array) -> Float64Array:
        """Return the guide's gradient [m, reach]."""
        return self._guide.gradient(raw, rows, weights)

    def look(self, raw: Int16Array, rows: Int64Array) -> Seen:
        """Return the victim's decisions and logits, and the way to the guide's gradient."""
        seen = self.victim.look(raw, rows)

        def pull(weights: Float64Array) -> Float64Array:
            return self._guide.gradient(raw, rows, weights)

        return Seen(seen.decisions, seen.logits, pull)


def _chunks(count: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, count, _CHUNK)]
