"""Where every tensor of a network lies in the device's one static arena, decided offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgeprune.errors import NetworkError
from edgeprune.firmware.allocation import SEARCH_NODES, Buffer, allocate, peak_load
from edgeprune.firmware.steps import Step, portable_steps
from edgeprune.network import IntegerNetwork

# Scratch memory holds pairs of words.
ALIGNMENT = 8
GUARD_BYTES = 8


@dataclass(frozen=True)
class Place:
    """Where a tensor lies.

    Attributes:
        region: "arena", "signal", "rhythm" (the caller's inputs) or "logits" (the caller's output).
        offset: Bytes from the region's start.
    """

    region: str
    offset: int


@dataclass(frozen=True)
class Region:
    """A piece of the arena that one tensor (with its parts) or one scratch memory has to itself.

    Attributes:
        name: The tensor, or "scratch of NAME".
        offset: Bytes from the arena's start.
        size: Bytes, a multiple of `ALIGNMENT`; a guard lies behind it where there are guards.
        first: The first step during which it is alive.
        last: The last one.
    """

    name: str
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """The offline plan of the arena.

    Attributes:
        arena_bytes: Bytes of the arena, exactly.
        lower_bound_bytes: No plan can be smaller than this: what is alive during the peak.
        proven_minimal: Whether no arrangement of the same tensors and scratch needs fewer bytes.
        places: Place of every tensor that exists in memory, by name.
        scratch: Arena offset of the scratch memory of each step that needs some, by its index.
        in_place: Copies of concatenations that need not run, as (operation, index of its call).
        peak_operation: The step during which most bytes are alive: its operations' names.
        peak: What is alive then, as (tensor or "scratch of NAME", bytes), largest first.
        regions: What lies in the arena, by offset.
        guard_bytes: Bytes of the guard behind each region.
    """

    arena_bytes: int
    lower_bound_bytes: int
    proven_minimal: bool
    places: Mapping[str, Place]
    scratch: Mapping[int, int]
    in_place: frozenset[tuple[str, int]]
    peak_operation: str
    peak: tuple[tuple[str, int], ...]
    regions: tuple[Region, ...]
    guard_bytes: int = 0

    @property
    def offsets(self) -> Mapping[str, int]:
        """Arena offset of every tensor that lies in the arena."""
        return {
            name: place.offset for name, place in self.places.items() if place.region == "arena"
        }


def memory_plan(
    network: IntegerNetwork,
    steps: Sequence[Step] | None = None,
    kept: frozenset[str] = frozenset(),
    guard_bytes: int = 0,
    *,
    search_nodes: int = SEARCH_NODES,
) -> MemoryPlan:
    """Plan the arena of a network.

    Tensors that are never alive together may share bytes. A reshape is its input; a concatenation
    of whole pieces is written in place; a step that reads each byte before it writes it overwrites
    an input that nobody reads any more. Inputs and logits stay in the caller's memory.

    Args:
        network: The network.
        steps: What each function computes; by default one step an operation, in portable C.
        kept: Tensors that must still be there in the next window; if the signal is one of them,
            it lies in the arena.
        guard_bytes: Bytes behind each region that nothing may write.
        search_nodes: How long to look for a smaller arena than first fit finds.

    Raises:
        NetworkError: The network has not one or two inputs and one output.
    """
    steps = portable_steps(network) if steps is None else steps
    # An output over a larger input keeps the whole of its memory: that may pay or not.
    plans = (
        _plan(network, steps, kept, guard_bytes, search_nodes, shrinks=shrinks)
        for shrinks in (True, False)
    )
    return min(plans, key=lambda plan: plan.arena_bytes)


def _plan(
    network: IntegerNetwork,
    steps: Sequence[Step],
    kept: frozenset[str],
    guard_bytes: int,
    search_nodes: int,
    *,
    shrinks: bool,
) -> MemoryPlan:
    regions = _caller_regions(network, kept)
    aliases = _Aliases(network, steps, regions, kept, shrinks=shrinks)
    buffers = aliases.buffers() + _scratch_buffers(steps)
    buffers = [replace(buffer, size=buffer.size + guard_bytes) for buffer in buffers]
    allocation = allocate(buffers, search_nodes)
    offsets = allocation.offsets
    lower_bound, peak = peak_load(buffers)
    places = {}
    for name in aliases.tensors:
        root, offset = aliases.find(name)
        region = regions.get(root, "arena")
        places[name] = Place(region, offset + (offsets[root] if region == "arena" else 0))
    scratch = {
        place: offsets[_scratch_name(step)]
        for place, step in enumerate(steps)
        if step.scratch_bytes
    }
    alive = sorted(
        (buffer for buffer in buffers if buffer.first <= peak <= buffer.last),
        key=lambda buffer: (-buffer.size, buffer.name),
    )
    return MemoryPlan(
        arena_bytes=allocation.arena_bytes,
        lower_bound_bytes=lower_bound,
        proven_minimal=allocation.proven_minimal,
        places=places,
        scratch={steps[place].index: offset for place, offset in scratch.items()},
        in_place=frozenset(aliases.in_place),
        peak_operation=steps[peak].name if steps else "",
        peak=tuple((buffer.name, buffer.size) for buffer in alive),
        regions=tuple(
            Region(
                buffer.name,
                offsets[buffer.name],
                buffer.size - guard_bytes,
                max(buffer.first, 0),
                buffer.last,
            )
            for buffer in sorted(buffers, key=lambda buffer: (offsets[buffer.name], buffer.name))
        ),
        guard_bytes=guard_bytes,
    )


def step_loads(
    network: IntegerNetwork, steps: Sequence[Step], kept: frozenset[str] = frozenset()
) -> tuple[int, ...]:
    """Return the bytes of tensors that are alive in the arena during each step."""
    buffers = _Aliases(network, steps, _caller_regions(network, kept), kept).buffers()
    return tuple(
        sum(buffer.size for buffer in buffers if buffer.first <= moment <= buffer.last)
        for moment in range(len(steps))
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _scratch_name(step: Step) -> str:
    return f"scratch of {step.name}"


def _scratch_buffers(steps: Sequence[Step]) -> list[Buffer]:
    return [
        Buffer(_scratch_name(step), _aligned(step.scratch_bytes), place, place)
        for place, step in enumerate(steps)
        if step.scratch_bytes
    ]


def _caller_regions(network: IntegerNetwork, kept: frozenset[str]) -> dict[str, str]:
    """Return the region of each of the caller's tensors, by tensor name."""
    if len(network.inputs) not in (1, 2) or len(network.outputs) != 1:
        raise NetworkError(
            f"firmware needs one or two inputs and one output, this network has "
            f"{len(network.inputs)} and {len(network.outputs)}",
            hint="the first input is the signal, the second the rhythm features",
        )
    regions = zip(network.inputs, ("signal", "rhythm"), strict=False)
    return {name: region for name, region in regions if name not in kept}


class _Aliases:
    """Which tensors are parts of which others (a forest with byte offsets)."""

    def __init__(
        self,
        network: IntegerNetwork,
        steps: Sequence[Step],
        regions: dict[str, str],
        kept: frozenset[str],
        *,
        shrinks: bool = True,
    ) -> None:
        self._shrinks = shrinks
        self.in_place: set[tuple[str, int]] = set()
        self._network = network
        self._parents: dict[str, tuple[str, int]] = {}
        self._inputs = frozenset(network.inputs) - kept
        self._produced = dict.fromkeys(network.inputs, -1)
        self._used: dict[str, int] = {}
        for place, step in enumerate(steps):
            self._produced[step.output] = place
            for name in (*step.inputs, step.output):
                self._used[name] = place
        (output,) = network.outputs
        self._used[output] = len(steps)
        self._produced |= dict.fromkeys(sorted(kept), 0)
        self._used |= dict.fromkeys(sorted(kept), len(steps))
        for step in steps:
            if step.operations[0].aliases_input:
                self._parents[step.output] = (step.inputs[0], 0)
        for step in steps:
            self._place_concatenation(step)
        for place, step in enumerate(steps):
            self._place_over_input(step, place)
        self._regions = regions
        root, _ = self.find(output)
        if root not in self._inputs and self._size(root) == self._size(output):
            regions[root] = "logits"

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors that exist in memory."""
        return tuple(self._produced)

    def find(self, name: str) -> tuple[str, int]:
        """Return the tensor whose memory `name` is part of, and where in it `name` starts."""
        offset = 0
        while name in self._parents:
            name, step = self._parents[name]
            offset += step
        return name, offset

    def buffers(self) -> list[Buffer]:
        """Return the arena's buffers: one for each root that is not the caller's."""
        lives: dict[str, tuple[int, int]] = {}
        for name, produced in self._produced.items():
            root, _ = self.find(name)
            used = self._used.get(name, produced)
            first, last = lives.get(root, (produced, used))
            lives[root] = (min(first, produced), max(last, used))
        return [
            Buffer(root, _aligned(self._size(root)), first, last)
            for root, (first, last) in lives.items()
            if root not in self._regions
        ]

    def _size(self, name: str) -> int:
        return self._network.tensors[name].size

    def _last_use(self, root: str) -> int:
        return max(used for name, used in self._used.items() if self.find(name)[0] == root)

    def _is_free(self, root: str, source: str) -> bool:
        """Whether a tensor is its own memory, not the caller's and not part of another."""
        return root not in self._inputs and self._size(root) == self._size(source)

    def _place_concatenation(self, step: Step) -> None:
        operation = step.operations[0]
        for index, call in enumerate(step.calls):
            if call.kernel != "copy" or call.parameters["rows"] != 1:
                continue
            source = operation.inputs[call.inputs[0]]
            root, _ = self.find(source)
            if self._is_free(root, source) and root != self.find(operation.output)[0]:
                self._parents[root] = (operation.output, call.parameters["output_offset"])
                self.in_place.add((operation.name, index))

    def _place_over_input(self, step: Step, place: int) -> None:
        if step.operations[0].aliases_input:
            return
        for source in step.overwritable:
            root, _ = self.find(source)
            target, _ = self.find(step.output)
            free = self._is_free(root, source) and self._last_use(root) == place
            if not free or root == target:
                continue
            if self._size(source) <= self._size(step.output):
                self._parents[root] = (step.output, 0)
                return
            if not self._shrinks:
                continue
            if target == step.output and step.output not in self._network.outputs:
                self._parents[step.output] = (root, 0)
                return
