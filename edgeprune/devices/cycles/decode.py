"""What a pipeline has to know of an instruction: what it is, what it reads and what it writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from edgeprune.devices.instructions import split


class Kind(Enum):
    """What executes an instruction."""

    ARITHMETIC = "arithmetic"
    MOVE = "move"
    SHIFT = "shift"
    DSP = "bitfield, extension, packing, saturation"
    MULTIPLY = "multiply"
    LONG_MULTIPLY = "multiply to 64 bits"
    DIVIDE = "divide"
    LOAD = "load"
    STORE = "store"
    LOAD_MULTIPLE = "load multiple"
    STORE_MULTIPLE = "store multiple"
    BRANCH = "branch"
    CALL = "branch with link"
    CONDITIONAL = "conditional branch"
    INDIRECT = "branch to a register"
    LOAD_PC = "load of the program counter"
    TABLE = "table branch"
    IT = "it"
    NOP = "nop"
    FLOAT = "floating point"
    SYSTEM = "system"


BRANCHES = frozenset(
    {Kind.BRANCH, Kind.CALL, Kind.CONDITIONAL, Kind.INDIRECT, Kind.LOAD_PC, Kind.TABLE}
)
MEMORY = frozenset({Kind.LOAD, Kind.STORE, Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE})
FLAGS = "flags"


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction.

    Attributes:
        address: Where it lies.
        bytes: 2 or 4.
        name: Mnemonic without condition, width and flag suffix: "add".
        kind: What executes it.
        reads: Registers and `FLAGS`, without those of the address, the accumulator and the store.
        writes: Registers and `FLAGS`.
        address_reads: Base and index of a load or store.
        stored: What a store writes to memory.
        accumulator: What a multiply-accumulate adds to.
        shifted: The register that an operand shifts on its way.
        shifted_constant: Its immediate is a byte that was shifted.
        registers: Of a load or store multiple, without the program counter.
        bytes_loaded: Width of a load or store: 1, 2, 4 or 8.
        writeback: It also moves its base.
        base: Base register of a load or store.
        offset: Immediate offset of a load or store; None with an index register.
        is_literal: It loads relative to the program counter.
        is_conditional: It stands in an IT block.
    """

    address: int
    bytes: int
    name: str
    kind: Kind
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    address_reads: frozenset[str] = frozenset()
    stored: frozenset[str] = frozenset()
    accumulator: frozenset[str] = frozenset()
    shifted: frozenset[str] = frozenset()
    shifted_constant: bool = False
    registers: int = 0
    bytes_loaded: int = 4
    writeback: bool = False
    base: str = ""
    offset: int | None = None
    is_literal: bool = False
    is_conditional: bool = False

    @property
    def end(self) -> int:
        """Address of the instruction behind it."""
        return self.address + self.bytes

    @property
    def is_narrow(self) -> bool:
        """Whether it has 16 bits."""
        return self.bytes == 2


_REGISTER = re.compile(r"\b(r1[0-5]|r[0-9]|sp|lr|pc|sb|sl|fp|ip|[sdq]\d+)\b")
_SHIFT = re.compile(r"(\w+), (?:lsl|lsr|asr|ror|rrx)\b")
_MEMORY = re.compile(r"\[([^\]]*)\](!?)(.*)$")
_IMMEDIATE = re.compile(r"#(-?0x[0-9a-f]+|-?\d+)")
_COMPARISONS = ("cmp", "cmn", "tst", "teq")
_SHIFTS = ("lsl", "lsr", "asr", "ror", "rrx")
_MOVES = ("mov", "movw", "movt", "mvn", "adr")
_CARRY = ("adc", "sbc", "rrx", "rsc")
_ARITHMETIC = ("add", "addw", "adc", "sub", "subw", "sbc", "rsb", "rsc", "and", "orr", "orn", "eor", "bic", "neg")  # fmt: skip  # noqa: E501
_NO_OPERATION = ("nop", "hint", "yield", "sev", "dbg", "pld", "pli")
_SYSTEM = ("dmb", "dsb", "isb", "mrs", "msr", "cps", "svc", "bkpt", "wfe", "wfi", "clrex", "sg", "udf")  # fmt: skip  # noqa: E501
_LONG = ("smull", "umull", "smlal", "umlal", "umaal", "smlsld")
_MULTIPLY = ("mul", "mla", "mls", "smul", "smla", "smls", "smmul", "smmla", "smmls", "smuad", "smusd")  # fmt: skip  # noqa: E501
_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("ldm", "ldmdb", "pop"), Kind.LOAD_MULTIPLE),
    **dict.fromkeys(("stm", "stmdb", "push"), Kind.STORE_MULTIPLE),
    **dict.fromkeys(("cbz", "cbnz"), Kind.CONDITIONAL),
    **dict.fromkeys(("bx", "blx"), Kind.INDIRECT),
    **dict.fromkeys(("tbb", "tbh"), Kind.TABLE),
    **dict.fromkeys(("sdiv", "udiv"), Kind.DIVIDE),
    **dict.fromkeys(_NO_OPERATION, Kind.NOP),
    **dict.fromkeys(_SYSTEM, Kind.SYSTEM),
    **dict.fromkeys(_SHIFTS, Kind.SHIFT),
    **dict.fromkeys(_MOVES, Kind.MOVE),
    **dict.fromkeys((*_ARITHMETIC, *_COMPARISONS), Kind.ARITHMETIC),
    "b": Kind.BRANCH,
    "bl": Kind.CALL,
    "it": Kind.IT,
}
_PREFIXES: Sequence[tuple[str | tuple[str, ...], Kind]] = (
    ("ldr", Kind.LOAD),
    ("str", Kind.STORE),
    ("v", Kind.FLOAT),
    (_LONG, Kind.LONG_MULTIPLY),
    (_MULTIPLY, Kind.MULTIPLY),
)
_EXTEND_AND_ADD = ("sxta", "uxta")
_TWO_OPERANDS = ("movt", "bfi", "bfc")


class Decoder:
    """Decodes straight runs of Thumb code."""

    def __init__(self) -> None:
        import capstone

        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        self._capstone: Any = capstone.Cs(capstone.CS_ARCH_ARM, mode)

    def decode(self, address: int, code: bytes) -> tuple[Instruction, ...]:
        """Return the instructions of a block that begins at `address`."""
        return tuple(self._decode(address, code))

    def _decode(self, address: int, code: bytes) -> Iterator[Instruction]:
        conditional = 0
        for offset, content in split(code):
            decoded = next(self._capstone.disasm(content, address + offset, 1), None)
            if decoded is None:
                yield Instruction(address + offset, len(content), "unknown", Kind.SYSTEM)
                continue
            name = str(self._capstone.insn_name(decoded.id))
            sets_flags = _bare(decoded.mnemonic) == f"{name}s" and conditional == 0
            yield describe(
                address + offset,
                content,
                name,
                decoded.mnemonic,
                decoded.op_str,
                sets_flags=sets_flags or name in _COMPARISONS,
                is_conditional=conditional > 0,
            )
            if name == "it":
                mask = content[0] & 15
                conditional = 4 - (mask & -mask).bit_length() + 1
            elif conditional:
                conditional -= 1


def _bare(mnemonic: str) -> str:
    return mnemonic.removesuffix(".w").removesuffix(".n")


def describe(
    address: int,
    content: bytes,
    name: str,
    mnemonic: str,
    operands: str,
    *,
    sets_flags: bool,
    is_conditional: bool,
) -> Instruction:
    """Return an instruction from its text.

    Args:
        address: Where it lies.
        content: Its bytes.
        name: Base mnemonic.
        mnemonic: As the disassembler writes it, with condition.
        operands: As the disassembler writes them.
        sets_flags: It changes the flags.
        is_conditional: It stands in an IT block.
    """
    kind = _kind(name, mnemonic, operands, is_conditional=is_conditional)
    common: dict[str, Any] = {"address": address, "bytes": len(content), "name": name, "kind": kind}
    flags = frozenset({FLAGS}) if sets_flags else frozenset()
    needs = frozenset({FLAGS}) if is_conditional or name in _CARRY else frozenset()
    if kind in (Kind.LOAD, Kind.STORE) or (kind is Kind.LOAD_PC and "[" in operands):
        return _memory(common, name, operands, is_conditional=is_conditional)
    found = _REGISTER.findall(operands)
    if "{" in operands:
        return _multiple(common, operands, found, is_conditional=is_conditional)
    if kind in BRANCHES:
        reads = frozenset(found) | (frozenset({FLAGS}) if kind is Kind.CONDITIONAL else frozenset())
        if name in ("cbz", "cbnz"):
            reads = frozenset(found)
        return Instruction(**common, reads=reads, is_conditional=is_conditional)
    accumulator: frozenset[str] = frozenset()
    if kind is Kind.LONG_MULTIPLY:
        writes, sources = found[:2], found[2:]
        if "al" in name or "ld" in name:
            accumulator = frozenset(writes)
    elif name in _COMPARISONS or kind in (Kind.IT, Kind.NOP):
        writes, sources = [], found
    else:
        writes, sources = found[:1], found[1:]
        if kind is Kind.MULTIPLY and len(found) == 4:
            accumulator, sources = frozenset(found[3:]), found[1:3]
        elif name.startswith(_EXTEND_AND_ADD) and len(found) == 3:
            accumulator, sources = frozenset(found[1:2]), found[2:]
        elif name in _TWO_OPERANDS or (_in_place(name) and operands.count(",") == 1):
            sources = found
    shift = _SHIFT.search(operands)
    shifted = frozenset({shift[1]}) if shift and kind is not Kind.SHIFT else frozenset()
    return Instruction(
        **common,
        reads=frozenset(sources) | needs,
        writes=frozenset(writes) | flags,
        accumulator=accumulator,
        shifted=shifted,
        shifted_constant=_is_shifted_constant(name, content, operands),
        is_conditional=is_conditional,
    )


def _in_place(name: str) -> bool:
    """Whether the two-operand form of an instruction also reads what it writes."""
    return name in _ARITHMETIC or name in _SHIFTS or name == "mul"


def _kind(name: str, mnemonic: str, operands: str, *, is_conditional: bool) -> Kind:
    into_pc = operands.startswith("pc,") or operands.endswith("pc}")
    kind = _KINDS.get(name)
    if kind is None:
        kind = next((kind for prefix, kind in _PREFIXES if name.startswith(prefix)), Kind.DSP)
    if kind is Kind.BRANCH and (is_conditional or _bare(mnemonic) != "b"):
        return Kind.CONDITIONAL
    if into_pc and kind in (Kind.LOAD, Kind.LOAD_MULTIPLE):
        return Kind.LOAD_PC
    return Kind.INDIRECT if into_pc and kind in (Kind.MOVE, Kind.ARITHMETIC) else kind


def _memory(
    common: dict[str, Any], name: str, operands: str, *, is_conditional: bool
) -> Instruction:
    place = _MEMORY.search(operands)
    data = _REGISTER.findall(operands.split("[", maxsplit=1)[0])
    inner = place[1] if place else "pc"
    address = frozenset(_REGISTER.findall(inner)) | (
        frozenset(_REGISTER.findall(place[3])) if place else frozenset()
    )
    base = inner.split(",")[0].strip()
    after = place[3] if place else ""
    writeback = bool(place and (place[2] or "#" in after))
    number = _IMMEDIATE.search(inner)
    indexed = len(_REGISTER.findall(inner)) > 1
    is_store = name.startswith("str")
    width = 8 if name.endswith("d") else 1 if "b" in name[3:] else 2 if "h" in name[3:] else 4
    moved = frozenset({base}) if writeback else frozenset()
    loaded = frozenset() if is_store else frozenset(data)
    return Instruction(
        **common,
        reads=frozenset({FLAGS}) if is_conditional else frozenset(),
        writes=loaded | moved,
        address_reads=address - {"pc"},
        stored=frozenset(data) if is_store else frozenset(),
        registers=len(data),
        bytes_loaded=width,
        writeback=writeback,
        base=base,
        offset=None if indexed else int(number[1], 0) if number else 0,
        is_literal=base == "pc",
        is_conditional=is_conditional,
    )


def _multiple(
    common: dict[str, Any], operands: str, found: list[str], *, is_conditional: bool
) -> Instruction:
    listed = _REGISTER.findall(operands.split("{")[1])
    base = "sp" if operands.startswith("{") else found[0]
    writeback = operands.startswith("{") or "!" in operands
    is_store = common["kind"] is Kind.STORE_MULTIPLE
    moved = frozenset({base}) if writeback else frozenset()
    values = frozenset(listed) - {"pc"}
    return Instruction(
        **common,
        reads=frozenset({FLAGS}) if is_conditional else frozenset(),
        writes=moved if is_store else values | moved,
        address_reads=frozenset({base}),
        stored=values if is_store else frozenset(),
        registers=len(values),
        writeback=writeback,
        base=base,
        is_conditional=is_conditional,
    )


def _is_shifted_constant(name: str, content: bytes, operands: str) -> bool:
    """Whether a 32-bit instruction makes its immediate by shifting a byte."""
    if (
        len(content) == 2
        or "#" not in operands
        or name not in (*_ARITHMETIC, *_COMPARISONS, *_MOVES)
    ):
        return False
    first, second = content[0] | content[1] << 8, content[2] | content[3] << 8
    modified = first >> 11 == 0b11110 and not first & 0x0200 and not second & 0x8000
    return modified and ((first >> 10 & 1) << 4 | second >> 11 & 0b1110 | second >> 7 & 1) >= 8
