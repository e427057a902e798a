"""What a kernel generator is asked for and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from edgeprune.network import IntegerNetwork, Operation, Tensor
from edgeprune.targets import MICROCONTROLLER, Target


class InstructionSet(StrEnum):
    """What a generator writes for: the names that the generated files carry."""

    THUMB_1 = "thumb-1"
    THUMB_2 = "thumb-2"
    DSP = "dsp"
    MVE = "mve"


def instruction_set(target: Target) -> InstructionSet | None:
    """Return the instruction set of a target's core; None where the compiler chooses: not on M."""
    if target.kind != MICROCONTROLLER:
        return None
    if target.isa == "armv6-m":
        return InstructionSet.THUMB_1
    if target.has_mve:
        return InstructionSet.MVE
    return InstructionSet.DSP if target.has_dsp else InstructionSet.THUMB_2


@dataclass(frozen=True, eq=False)
class KernelRequest:
    """One or several operations in a row that a single function shall compute.

    Every operation but the last has exactly one reader: the next. Their outputs need not exist in
    memory. The first operation reads `input`, and `other` too if it is an add of two tensors; a
    later add reads its other operand from `other`.

    Attributes:
        symbol: Name of the function.
        operations: What it computes, in order.
        tensors: The network's tensors.
        aligned: Whether input, other and output start at multiples of four bytes.
    """

    symbol: str
    operations: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    aligned: tuple[bool, bool, bool] = (False, False, False)

    @property
    def source(self) -> Tensor:
        """The tensor that the first operation reads first."""
        return self.tensors[self.operations[0].inputs[0]]

    @property
    def other(self) -> Tensor | None:
        """The second tensor that the function reads, if there is one."""
        made = {operation.output for operation in self.operations}
        names = [name for operation in self.operations for name in operation.inputs]
        outside = [name for name in names[1:] if name not in made]
        return self.tensors[outside[0]] if outside else None

    @property
    def output(self) -> Tensor:
        """The tensor that the function writes."""
        return self.tensors[self.operations[-1].output]


@dataclass(frozen=True, eq=False)
class KernelCode:
    """A function in assembly that computes a request.

    It follows the procedure call standard of Arm:

        void symbol(const int8_t *input, const int8_t *other, int8_t *output, int32_t *scratch,
                    int32_t first, int32_t count);

    `other` is NULL where the request has none. The function computes output positions
    `first .. first + count - 1` (rows of a feature map) of the whole output that begins at
    `output`, reading the whole input that begins at `input`; both are given for the whole window.
    A vector is computed whole: first 0, count 1. `scratch` lies at a multiple of eight bytes. It
    branches on addresses and counts only, never on data.

    Attributes:
        symbol: Name of the function.
        text: The assembly, GNU syntax, `.text` only; every label begins with `.L` and the symbol.
        constants: What it reads at the label `<symbol>_constants`, which the writer places at a
            multiple of four bytes.
        scratch_bytes: Size of the scratch memory.
        stack_bytes: What it pushes and subtracts from sp, at most.
        instructions: Of one call that computes the whole output, counted while it was written.
        code_bytes: Size of the machine code (an upper bound).
        approach: How it computes, in words: "direct, 2 channels x 4 positions".
        slower: Why this case cannot take the quickest approach; empty if it does.
        unit: `first` must be a multiple of it and `count` too, or reach the output's end.
            0: only the whole output can be computed.
        overwrites_input: The output may begin where the input begins, if the whole is computed.
        overwrites_other: The same for the other input.
        block: Output positions that are computed together: fewer take about as long.
    """

    symbol: str
    text: str
    constants: bytes
    scratch_bytes: int
    stack_bytes: int
    instructions: int
    code_bytes: int
    approach: str
    slower: str = ""
    unit: int = 0
    overwrites_input: bool = False
    overwrites_other: bool = False
    block: int = 1

    @property
    def flash_bytes(self) -> int:
        """Code and constants."""
        return self.code_bytes + len(self.constants)


Generator = Callable[[KernelRequest], tuple[KernelCode, ...]]
"""Answers every way in which it can compute a request, empty where it knows none."""


def single_request(network: IntegerNetwork, first: int = 0, count: int = 1) -> KernelRequest:
    """Return the request for operations `first .. first + count - 1` of a network."""
    operations = network.operations[first : first + count]
    symbol = f"edgeprune_layer_{first:02d}_{operations[0].kind}"
    return KernelRequest(symbol, operations, network.tensors)
