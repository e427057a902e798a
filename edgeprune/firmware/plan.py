"""Where every tensor of a network lies in the device's one static arena, decided offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgeprune.errors import NetworkError
from edgeprune.network import CCall, IntegerNetwork, Operation

ALIGNMENT = 4

# Kernels that read element i only before they write element i.
_ELEMENTWISE = frozenset({"add", "requantize"})


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
class MemoryPlan:
    """The offline plan of the arena.

    Attributes:
        arena_bytes: Bytes of the arena, exactly.
        lower_bound_bytes: No plan can be smaller than this: what is alive during the peak.
        places: Place of every tensor, by name.
        scratch: Arena offset of the scratch memory of each operation that needs some, by name.
        in_place: Copies of concatenations that need not run, as (operation, index of its call).
        peak_operation: The operation during which most bytes are alive.
        peak: What is alive then, as (tensor or "scratch of NAME", bytes), largest first.
    """

    arena_bytes: int
    lower_bound_bytes: int
    places: Mapping[str, Place]
    scratch: Mapping[str, int]
    in_place: frozenset[tuple[str, int]]
    peak_operation: str
    peak: tuple[tuple[str, int], ...]

    @property
    def offsets(self) -> Mapping[str, int]:
        """Arena offset of every tensor that lies in the arena."""
        return {
            name: place.offset for name, place in self.places.items() if place.region == "arena"
        }


@dataclass(frozen=True)
class Buffer:
    """Bytes that are alive from operation `first` to operation `last`, both included."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both are alive at the same time."""
        return self.first <= other.last and other.first <= self.last


def scratch_bytes(call: CCall) -> int:
    """Return the scratch memory of one call: the macros of edgeprune_kernels.h in Python."""
    values = call.parameters
    if call.kernel == "conv1d":
        depth = values["kernel"] * (values["input_channels"] // values["groups"])
        return (depth + 1) // 2 * 16
    if call.kernel == "dense":
        return (values["input_features"] + 1) // 2 * 4
    return 0


def memory_plan(network: IntegerNetwork) -> MemoryPlan:
    """Plan the arena of a network.

    Tensors that are never alive together may share bytes. A reshape is its input; a concatenation
    of whole pieces is written in place; an element-wise operation overwrites an input that nobody
    reads any more. Inputs and logits stay in the caller's memory.

    Raises:
        NetworkError: The network has not one or two inputs and one output.
    """
    regions = _caller_regions(network)
    aliases = _Aliases(network, regions)
    buffers = aliases.buffers() + _scratch_buffers(network)
    offsets = allocate(buffers)
    lower_bound, peak_index = peak_load(buffers)
    places = {}
    for name in network.tensors:
        root, offset = aliases.find(name)
        region = regions.get(root, "arena")
        places[name] = Place(region, offset + (offsets[root] if region == "arena" else 0))
    scratch = {
        operation.name: offsets[_scratch_name(operation.name)]
        for operation in network.operations
        if _scratch_name(operation.name) in offsets
    }
    alive = sorted(
        (buffer for buffer in buffers if buffer.first <= peak_index <= buffer.last),
        key=lambda buffer: (-buffer.size, buffer.name),
    )
    return MemoryPlan(
        arena_bytes=max((offsets[buffer.name] + buffer.size for buffer in buffers), default=0),
        lower_bound_bytes=lower_bound,
        places=places,
        scratch=scratch,
        in_place=frozenset(aliases.in_place),
        peak_operation=network.operations[peak_index].name if network.operations else "",
        peak=tuple((buffer.name, buffer.size) for buffer in alive),
    )


def peak_load(buffers: Sequence[Buffer]) -> tuple[int, int]:
    """Return the most bytes that are alive at once, and the first operation where they are."""
    moments = sorted({buffer.first for buffer in buffers}) or [0]
    loads = [sum(b.size for b in buffers if b.first <= moment <= b.last) for moment in moments]
    largest = max(loads)
    return largest, moments[loads.index(largest)]


def allocate(buffers: Sequence[Buffer]) -> Mapping[str, int]:
    """Give every buffer an offset so that buffers alive together do not overlap.

    First fit in several orders (largest first, longest-lived first, busiest moment first); the
    smallest arena wins.
    """
    lower_bound, _ = peak_load(buffers)
    loads = {
        buffer.name: sum(other.size for other in buffers if buffer.meets(other))
        for buffer in buffers
    }
    orders = (
        lambda b: (-b.size, b.first, b.name),
        lambda b: (b.first - b.last, -b.size, b.name),
        lambda b: (-loads[b.name], -b.size, b.name),
        lambda b: (b.first, -b.size, b.name),
    )
    best: Mapping[str, int] = {}
    best_bytes = -1
    for order in orders:
        offsets = _first_fit(sorted(buffers, key=order))
        used = max((offsets[buffer.name] + buffer.size for buffer in buffers), default=0)
        if best_bytes < 0 or used < best_bytes:
            best, best_bytes = offsets, used
        if best_bytes == lower_bound:
            break
    return best


def _first_fit(buffers: Iterable[Buffer]) -> Mapping[str, int]:
    placed: list[tuple[int, Buffer]] = []
    for buffer in buffers:
        offset = 0
        for start, other in sorted(placed, key=lambda item: (item[0], item[1].name)):
            if buffer.meets(other) and start < offset + buffer.size and offset < start + other.size:
                offset = start + other.size
        placed.append((offset, buffer))
    return {buffer.name: offset for offset, buffer in placed}


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _scratch_name(operation: str) -> str:
    return f"scratch of {operation}"


def _scratch_buffers(network: IntegerNetwork) -> list[Buffer]:
    buffers = []
    for index, operation in enumerate(network.operations):
        need = max(map(scratch_bytes, operation.c_calls(network.tensors)), default=0)
        if need:
            buffers.append(Buffer(_scratch_name(operation.name), _aligned(need), index, index))
    return buffers


def _caller_regions(network: IntegerNetwork) -> dict[str, str]:
    """Return the region of each of the caller's tensors, by tensor name."""
    if len(network.inputs) not in (1, 2) or len(network.outputs) != 1:
        raise NetworkError(
            f"firmware needs one or two inputs and one output, this network has "
            f"{len(network.inputs)} and {len(network.outputs)}",
            hint="the first input is the signal, the second the rhythm features",
        )
    return dict(zip(network.inputs, ("signal", "rhythm"), strict=False))


class _Aliases:
    """Which tensors are parts of which others (a forest with byte offsets)."""

    def __init__(self, network: IntegerNetwork, regions: dict[str, str]) -> None:
        self.in_place: set[tuple[str, int]] = set()
        self._tensors = network.tensors
        self._parents: dict[str, tuple[str, int]] = {}
        self._inputs = frozenset(network.inputs)
        self._produced = dict.fromkeys(network.inputs, -1)
        self._used: dict[str, int] = {}
        for index, operation in enumerate(network.operations):
            self._produced[operation.output] = index
            for name in (*operation.inputs, operation.output):
                self._used[name] = index
        (output,) = network.outputs
        self._used[output] = len(network.operations)
        for operation in network.operations:
            if operation.aliases_input:
                self._parents[operation.output] = (operation.inputs[0], 0)
        for operation in network.operations:
            self._place_concatenation(operation)
        for index, operation in enumerate(network.operations):
            self._place_elementwise(operation, index)
        self._regions = regions
        root, _ = self.find(output)
        if root not in self._inputs and self._size(root) == self._size(output):
            regions[root] = "logits"

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
        return self._tensors[name].size

    def _last_use(self, root: str) -> int:
        return max(used for name, used in self._used.items() if self.find(name)[0] == root)

    def _place_concatenation(self, operation: Operation) -> None:
        for index, call in enumerate(operation.c_calls(self._tensors)):
            if call.kernel != "copy" or call.parameters["rows"] != 1:
                continue
            source = operation.inputs[call.inputs[0]]
            root, _ = self.find(source)
            free = root not in self._inputs and self._size(root) == self._size(source)
            if free and root != self.find(operation.output)[0]:
                self._parents[root] = (operation.output, call.parameters["output_offset"])
                self.in_place.add((operation.name, index))

    def _place_elementwise(self, operation: Operation, index: int) -> None:
        if not {call.kernel for call in operation.c_calls(self._tensors)} <= _ELEMENTWISE:
            return
        if operation.aliases_input:
            return
        for source in operation.inputs:
            root, _ = self.find(source)
            free = root not in self._inputs and self._size(root) == self._size(source)
            if free and self._last_use(root) == index and root != self.find(operation.output)[0]:
                self._parents[root] = (operation.output, 0)
                return
