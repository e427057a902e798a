"""How often each straight run of code ran within each attributed function, and where it jumped."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from edgeprune.devices import exchange
from edgeprune.devices.emulator import Emulator
from edgeprune.devices.unicorn_device import emulator_for
from edgeprune.errors import DeviceError
from edgeprune.targets import Target

WINDOW = "edgeprune_classify"
# A window of a stream is one too.
_WINDOWS = frozenset({WINDOW, "edgeprune_stream"})
_ATTRIBUTED = re.compile(
    r"edgeprune_(classify$|stream$|layer_\d+_|front_end_|push_|next_window$|monitor)"
)
_NOWHERE = -1
_OUTSIDE = 0
_PAINT = b"\x5a"
_PAINTED_CALLS = 16
_WORD = 4

Block = tuple[int, int]


@dataclass
class Tally:
    """What one symbol executed within one window, with all that it called.

    Attributes:
        symbol: Its name.
        window: Counted from 1; 0 outside all windows.
        calls: How often it was entered.
        blocks: How often each block (address, size) ran.
        jumps: How often what ran behind a block was not what lies behind it: (block, where to).
        flash_reads: How often data were read from each word of flash; empty unless asked for.
    """

    symbol: str
    window: int
    calls: int = 0
    blocks: dict[Block, int] = field(default_factory=dict)
    jumps: dict[tuple[Block, int], int] = field(default_factory=dict)
    flash_reads: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Frame:
    """An attributed function that has been entered and not left."""

    tally: Tally
    return_address: int
    stack_pointer: int


class BlockCounter:
    """Follows calls and returns of the attributed functions and counts blocks within each.

    The innermost attributed function owns a block: shared kernels and compiler helpers are no
    attributed functions and so count for the layer that called them.

    Args:
        emulator: Not yet run.
        flash_reads: Count reads of data from flash too, which takes time.

    Attributes:
        windows: How often `edgeprune_classify` was entered.
        stack_bytes: The deepest stack below the caller's of an attributed function.
    """

    def __init__(self, emulator: Emulator, *, flash_reads: bool = False) -> None:
        self._emulator = emulator
        self._entries = {
            symbol.address: symbol.name
            for symbol in emulator.program.functions
            if _ATTRIBUTED.match(symbol.name)
        }
        self.windows = 0
        self.stack_bytes = 0
        self._tallies: dict[tuple[str, int], Tally] = {}
        self._frames: list[_Frame] = []
        # What the hook needs for every block, apart from the frames for speed.
        self._return_address = _NOWHERE
        self._blocks: dict[Block, int] = {}
        self._jumps: dict[tuple[Block, int], int] = {}
        self._reads: dict[int, int] = {}
        self._before: Block = (_NOWHERE, 0)
        self._end = _NOWHERE
        emulator.on_block(self._on_block)
        if flash_reads:
            emulator.on_read(emulator.memories.flash, self._on_flash_read)

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """What ran, in the order in which it was first entered."""
        return tuple(self._tallies.values())

    def code(self, block: Block) -> bytes:
        """Return the instructions of a block."""
        return self._emulator.read(*block)

    def _on_flash_read(self, address: int) -> None:
        word = address // _WORD * _WORD
        self._reads[word] = self._reads.get(word, 0) + 1

    def _on_block(self, address: int, size: int) -> None:
        if address != self._end:
            jump = (self._before, address)
            self._jumps[jump] = self._jumps.get(jump, 0) + 1
        if address == self._return_address:
            self._leave(address)
        elif address in self._entries:
            self._enter(self._entries[address])
        key = (address, size)
        count = self._blocks.get(key, 0)
        if count == 0 and self._frames:
            self._note_depth(self._emulator.register("SP"))
        self._blocks[key] = count + 1
        self._before, self._end = key, address + size

    def _enter(self, symbol: str) -> None:
        stack_pointer = self._emulator.register("SP")
        return_address = self._emulator.register("LR") & ~1
        if self._frames:
            top = self._frames[-1]
            if (top.tally.symbol, top.return_address, top.stack_pointer) == (
                symbol,
                return_address,
                stack_pointer,
            ):
                return  # a loop that branches back to the function's first instruction
        window = self._frames[-1].tally.window if self._frames else _OUTSIDE
        if symbol in _WINDOWS:
            self.windows += 1
            window = self.windows
        tally = self._tallies.setdefault((symbol, window), Tally(symbol, window))
        tally.calls += 1
        self._frames.append(_Frame(tally, return_address, stack_pointer))
        self._select()
        if len(self._frames) == 1:
            self._paint(self._frames[0])

    def _leave(self, address: int) -> None:
        stack_pointer = self._emulator.register("SP")
        while self._frames:
            top = self._frames[-1]
            if (top.return_address, top.stack_pointer) != (address, stack_pointer):
                break
            self._frames.pop()
            if not self._frames:
                self._read_paint(top)
        self._select()

    def _select(self) -> None:
        """Let the innermost frame own the blocks that follow."""
        if self._frames:
            self._return_address = self._frames[-1].return_address
            tally = self._frames[-1].tally
            self._blocks, self._jumps, self._reads = tally.blocks, tally.jumps, tally.flash_reads
        else:
            self._return_address = _NOWHERE
            self._blocks, self._jumps, self._reads = {}, {}, {}

    def _paint(self, outermost: _Frame) -> None:
        """Paint the free stack: a leaf may push and pop within one block, unseen by the hook."""
        bottom = self._emulator.program.stack_bottom
        if bottom is not None and outermost.tally.calls <= _PAINTED_CALLS:
            self._emulator.write(bottom, _PAINT * (outermost.stack_pointer - bottom))

    def _read_paint(self, outermost: _Frame) -> None:
        bottom = self._emulator.program.stack_bottom
        if bottom is not None and outermost.tally.calls <= _PAINTED_CALLS:
            below = self._emulator.read(bottom, outermost.stack_pointer - bottom)
            self.stack_bytes = max(self.stack_bytes, len(below.lstrip(_PAINT)))

    def _note_depth(self, stack_pointer: int) -> None:
        self.stack_bytes = max(self.stack_bytes, self._frames[0].stack_pointer - stack_pointer)


def count_blocks(
    elf: Path,
    target: Target,
    request: exchange.Request,
    timeout_seconds: float,
    *,
    flash_reads: bool = False,
) -> BlockCounter:
    """Run an image on unicorn and count its blocks.

    Args:
        elf: The linked image, with symbols.
        target: What it runs on.
        request: What the image is to do.
        timeout_seconds: Wall clock limit.
        flash_reads: Count reads of data from flash too.

    Raises:
        DeviceError: The image faulted, hung, refused the request, answered garbage, or has no
            symbol `edgeprune_classify`; or unicorn has no such core.
        MissingToolError: unicorn is not installed.
    """
    emulator = emulator_for(elf, target)
    if all(symbol.name != WINDOW for symbol in emulator.program.functions):
        raise DeviceError(
            f"the image has no symbol {WINDOW}",
            where=str(elf),
            hint="do not strip the image that is to be profiled",
        )
    counter = BlockCounter(emulator, flash_reads=flash_reads)
    run_request(emulator, elf, target, request, timeout_seconds)
    return counter


def run_request(
    emulator: Emulator,
    elf: Path,
    target: Target,
    request: exchange.Request,
    timeout_seconds: float,
) -> None:
    """Let an emulated image answer a request, and check its answer.

    Raises:
        DeviceError: As `count_blocks`.
    """
    origin = emulator.memories.exchange.origin
    emulator.write(origin, request.content.ljust(request.total_bytes, b"\0"))
    exit_code = emulator.run(timeout_seconds)
    memory = emulator.read(origin, request.total_bytes)
    exchange.unpack(request, memory, exit_code, f"{elf.name} on {target.name}, unicorn")
