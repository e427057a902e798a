"""The steps of a firmware: which operations each function computes, and with which code."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from edgeprune.firmware.kernels import (
    InstructionSet,
    KernelCode,
    KernelRequest,
)
from edgeprune.firmware.kernels.generators import candidates
from edgeprune.firmware.streaming import StreamingPlan
from edgeprune.network import CCall, IntegerNetwork, Operation, Tensor
from edgeprune.network.convolution import Convolution
from edgeprune.network.windows import Sliding

_LONGEST_CHAIN = 3
_FUSED = frozenset({"max_pool1d", "average_pool1d", "add"})
# What may follow a table, and two convolutions that take turns.
_AFTER_TABLE = frozenset({"average_pool1d", "reshape"})
_AFTER_PAIR = _AFTER_TABLE | {"table"}
# Portable kernels that read element i only before they write element i.
_ELEMENTWISE = frozenset({"add", "mul", "requantize", "sub", "table"})
_WEIGHTED = frozenset({"conv1d", "depthwise_conv1d", "dense"})
# Portable kernels that can hand rows on one by one, and the least height for which that pays: a
# convolution works on blocks of four positions of a row.
_BY_ROW = frozenset({"conv2d", "depthwise_conv2d"})
_LEAST_HEIGHT = 4


@dataclass(frozen=True, eq=False)
class Step:
    """One function of the firmware.

    Attributes:
        index: Position of its last operation in the network: when it runs.
        operations: What it computes, in order; only the last one's output exists in memory.
        calls: The portable C kernels that compute it, empty for assembly and where no work is left.
        code: The assembly that computes it; None for portable C.
    """

    index: int
    operations: tuple[Operation, ...]
    calls: tuple[CCall, ...]
    code: KernelCode | None = None

    @property
    def output(self) -> str:
        """Name of the tensor that it writes."""
        return self.operations[-1].output

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that it reads, in the order of the operations."""
        made = {operation.output for operation in self.operations}
        names = [name for operation in self.operations for name in operation.inputs]
        return tuple(dict.fromkeys(name for name in names if name not in made))

    @property
    def operands(self) -> tuple[str, ...]:
        """The tensors that assembly is handed: input and, where there is one, the other."""
        made = {operation.output for operation in self.operations}
        names = [name for operation in self.operations for name in operation.inputs]
        return tuple(name for name in names if name not in made)

    @property
    def name(self) -> str:
        """The operations' names."""
        return " + ".join(operation.name for operation in self.operations)

    @property
    def kernel(self) -> str:
        """What computes it, empty where no work is left to do."""
        if self.code is not None or self.is_by_row:
            return _kernel_of(self.operations)
        return self.calls[0].kernel if self.calls else ""

    @property
    def symbol(self) -> str:
        """The function's name, empty where no work is left to do."""
        return symbol_of(self.index, self.kernel) if self.kernel else ""

    @property
    def is_by_row(self) -> bool:
        """Whether portable kernels take turns at each row: of what is between them one is kept."""
        return self.code is None and len(self.operations) > 1

    @property
    def row_at(self) -> int:
        """Where in the scratch memory that row lies: behind what the kernels themselves need."""
        return -(-max(map(scratch_bytes, self.calls), default=0) // 8) * 8

    @property
    def scratch_bytes(self) -> int:
        """Scratch memory that it needs."""
        if self.code is not None:
            return self.code.scratch_bytes
        if self.is_by_row:
            first = self.calls[0].parameters
            return self.row_at + first["output_height"] * first["output_channels"]
        return max(map(scratch_bytes, self.calls), default=0)

    @property
    def overwritable(self) -> tuple[str, ...]:
        """The inputs at whose place the output may be written."""
        if self.code is None:
            if not {call.kernel for call in self.calls} <= _ELEMENTWISE:
                return ()
            # What repeats is read again after its first element would be overwritten.
            repeats = any(
                values.get("second_elements", values["elements"]) < values["elements"]
                for values in (call.parameters for call in self.calls)
            )
            return self.inputs[:1] if repeats else self.inputs
        flags = (self.code.overwrites_input, self.code.overwrites_other)
        return tuple(name for name, flag in zip(self.inputs, flags, strict=False) if flag)

    def output_tensor(self, network: IntegerNetwork) -> Tensor:
        """Return the tensor that it writes."""
        return network.tensors[self.output]


@dataclass(frozen=True, eq=False)
class Choice:
    """A step for which code is still to be chosen.

    Attributes:
        step: The step in portable C; of several operations only if there are codes, or if portable
            kernels take turns.
        codes: Every way to compute it in assembly.
    """

    step: Step
    codes: tuple[KernelCode, ...]


def _kernel_of(operations: Sequence[Operation]) -> str:
    """Return the name of what computes several operations; a reshape is no work."""
    return "_".join(each.kind for each in operations if not each.aliases_input)


def symbol_of(index: int, kernel: str) -> str:
    """Return the name of a step's function."""
    return f"edgeprune_layer_{index:02d}_{kernel}"


def scratch_bytes(call: CCall) -> int:
    """Return the scratch memory of one call: the macros of edgeprune_kernels.h in Python."""
    values = call.parameters
    if call.kernel == "conv1d":
        depth = values["kernel"] * (values["input_channels"] // values["groups"])
        return (depth + 1) // 2 * 16
    if call.kernel == "conv2d":
        cells = values["kernel_length"] * values["kernel_height"]
        return (cells * (values["input_channels"] // values["groups"]) + 1) // 2 * 16
    if call.kernel == "dense":
        return (values["input_features"] + 1) // 2 * 4
    return 0


def portable_steps(network: IntegerNetwork) -> tuple[Step, ...]:
    """Return one step an operation, or one for two that take turns; all in portable C."""
    readers = _readers(network)
    found = (_pair(network, readers, index) for index in range(len(network.operations)))
    pairs = [pair for pair in found if pair is not None and _pays_by_row(network, pair)]
    handed = {_places(network, pair)[0] for pair in pairs}
    second = {pair.index: pair for pair in pairs}
    return tuple(
        second.get(index) or Step(index, (operation,), tuple(operation.c_calls(network.tensors)))
        for index, operation in enumerate(network.operations)
        if index not in handed
    )


def _pair(network: IntegerNetwork, readers: dict[str, list[int]], index: int) -> Step | None:
    """Return the step that computes an operation row by row for the only one that reads it.

    The reader's row i must read nothing but row i. What lies between the two is often the largest
    tensor of a network of many electrodes: filters in time, before the electrodes are weighed up.
    """
    first = network.operations[index]
    if first.kind not in _BY_ROW or first.output in network.outputs:
        return None
    if len(readers[first.output]) != 1:
        return None
    place = readers[first.output][0]
    second = network.operations[place]
    if second.kind not in _BY_ROW or not isinstance(second, Convolution):
        return None
    if second.sliding != Sliding(1):
        return None
    following = _pair(network, readers, place)
    if following is not None and _pays_by_row(network, following):
        return None
    (give,), (take,) = first.c_calls(network.tensors), second.c_calls(network.tensors)
    give = replace(give, parameters={**give.parameters, "output_row": 0})
    take = replace(take, parameters={**take.parameters, "input_row": 0})
    return Step(place, (first, second), (give, take))


def _pays_by_row(network: IntegerNetwork, pair: Step) -> bool:
    """Whether the pair is worth it in portable C."""
    return network.tensors[pair.operations[0].output].shape[1] >= _LEAST_HEIGHT


def _places(network: IntegerNetwork, pair: Step) -> tuple[int, int]:
    """Return where in the network the two operations of a pair stand."""
    return network.operations.index(pair.operations[0]), pair.index


def choices(
    network: IntegerNetwork,
    instructions: InstructionSet,
    stream: StreamingPlan | None = None,
    *,
    divisible: bool = False,
) -> tuple[Choice, ...]:
    """Fuse operations as far as the generators can, and return what they offer for each step.

    The longest chain wins: it saves writing and reading the tensors between. In a stream, a chain
    ends where rows can no longer be kept; where every step must be divisible, it ends before rows
    become one.
    """
    readers = _readers(network)
    aligned = _aligned(network)
    taken: set[int] = set()
    found: list[Choice] = []
    for index, operation in enumerate(network.operations):
        if index in taken:
            continue
        pair = _pair(network, readers, index)
        chain: tuple[int, ...] = (index,)
        if operation.kind in _WEIGHTED:
            chain = _chain(network, readers, index, taken, _FUSED, _LONGEST_CHAIN)
        elif operation.kind == "table":
            chain = _chain(network, readers, index, taken, _AFTER_TABLE, _LONGEST_CHAIN)
        elif pair is not None:
            chain = (
                index,
                *_chain(network, readers, pair.index, taken, _AFTER_PAIR, len(network.operations)),
            )
        if stream is not None:
            chain = _kept_chain(network, chain, stream)
        if divisible:
            chain = _divisible_chain(network, chain)
        offers = (
            _choice(network, chain[:length], instructions, aligned)
            for length in range(len(chain), 0, -1)
        )
        choice = next((each for each in offers if each.codes), None)
        if choice is None and pair is not None and _pays_by_row(network, pair):
            choice = Choice(pair, ())
        choice = choice or _choice(network, chain[:1], instructions, aligned)
        taken.update(map(network.operations.index, choice.step.operations))
        found.append(choice)
    return tuple(sorted(found, key=lambda item: item.step.index))


def _kept_chain(
    network: IntegerNetwork, chain: tuple[int, ...], stream: StreamingPlan
) -> tuple[int, ...]:
    """Return the part of a chain whose rows are kept, or the chain if none of its are."""
    kept = [stream.overlaps[network.operations[index].output].kept > 0 for index in chain]
    return chain[: kept.index(False)] if kept[0] and not all(kept) else chain


def _divisible_chain(network: IntegerNetwork, chain: tuple[int, ...]) -> tuple[int, ...]:
    """Return the part of a chain that has rows, or the chain if its first operation has none."""
    outputs = [network.tensors[network.operations[index].output] for index in chain]
    rows = [output.is_map and output.shape[0] > 1 for output in outputs]
    return chain[: rows.index(False)] if rows[0] and not all(rows) else chain


def _readers(network: IntegerNetwork) -> dict[str, list[int]]:
    readers: dict[str, list[int]] = {name: [] for name in network.tensors}
    for index, operation in enumerate(network.operations):
        for name in operation.inputs:
            readers[name].append(index)
    return readers


def _chain(
    network: IntegerNetwork,
    readers: dict[str, list[int]],
    first: int,
    taken: Collection[int],
    kinds: Collection[str],
    longest: int,
) -> tuple[int, ...]:
    """Return the operations from `first` on that could be computed without memory between.

    What is taken belongs to another chain: of two convolutions that are added, one takes the sum.
    """
    chain = [first]
    while len(chain) < longest:
        output = network.operations[chain[-1]].output
        if len(readers[output]) != 1 or output in network.outputs:
            break
        following = readers[output][0]
        operation = network.operations[following]
        fits = operation.kind in kinds and operation.inputs.count(output) == 1
        if not fits or following in taken:
            break
        chain.append(following)
    return tuple(chain)


def _aligned(network: IntegerNetwork) -> frozenset[str]:
    """Return the tensors that will begin at a multiple of four bytes.

    The caller's memory may lie anywhere, and so may the pieces of a concatenation.
    """
    loose = {*network.inputs, *network.outputs}
    while True:
        before = len(loose)
        for operation in network.operations:
            names = {*operation.inputs, operation.output}
            if operation.kind == "concat" or (operation.aliases_input and names & loose):
                loose |= names
        if len(loose) == before:
            return frozenset(network.tensors) - loose


def _choice(
    network: IntegerNetwork,
    chain: Sequence[int],
    instructions: InstructionSet,
    aligned: frozenset[str],
) -> Choice:
    operations = tuple(network.operations[index] for index in chain)
    calls = tuple(operations[0].c_calls(network.tensors)) if len(chain) == 1 else ()
    step = Step(chain[-1], operations, calls)
    if operations[0].aliases_input or len(step.inputs) > 2:
        return Choice(step, ())
    symbol = symbol_of(step.index, _kernel_of(operations))
    names = (*step.inputs, *step.inputs[:1])[:2]
    request = KernelRequest(
        symbol,
        operations,
        network.tensors,
        (names[0] in aligned, names[1] in aligned, step.output in aligned),
    )
    return Choice(step, candidates(request, instructions))
