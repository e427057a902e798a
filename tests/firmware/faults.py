"""Faults in a linked image: bits of its flash that flip, writes beside its arena."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile

from edgeprune.devices.instructions import Disassembler
from edgeprune.devices.unicorn_device import emulator_for
from edgeprune.firmware import FirmwareSources
from edgeprune.firmware.constants import arrays, assembly_constants
from edgeprune.targets import Target

_RETURN = 0xFFFF_F000


class Device:
    """An image whose functions can be called one by one, and whose memory can be changed."""

    def __init__(self, elf: Path, target: Target) -> None:
        self._emulator = emulator_for(elf, target)
        self._stop = target.memories.flash.origin  # nothing is ever executed there: the vectors
        self._top = self._emulator.program.stack_top
        self._counts = False
        self._blocks: Counter[tuple[int, int]] = Counter()
        with elf.open("rb") as stream:
            table = ELFFile(stream).get_section_by_name(".symtab")
            self.symbols: dict[str, tuple[int, int]] = {}
            self.twin: dict[str, tuple[int, int]] = {}
            file = ""
            for symbol in table.iter_symbols():
                kind = symbol["st_info"]["type"]
                if kind == "STT_FILE":
                    file = symbol.name
                local = symbol["st_info"]["bind"] == "STB_LOCAL"
                # Of arrays that both have, the portable twin's are filed apart.
                names = self.twin if local and "portable" in file else self.symbols
                if kind in ("STT_FUNC", "STT_OBJECT"):
                    names[symbol.name] = (symbol["st_value"] & ~1, symbol["st_size"])
        self.write(target.memories.ram.origin, bytes(target.memories.ram.bytes))

    def call(self, name: str, *arguments: int) -> int:
        """Call a function with up to four words; return its result."""
        from unicorn import arm_const

        machine = self._emulator.machine
        for number, value in enumerate(arguments):
            machine.reg_write(getattr(arm_const, f"UC_ARM_REG_R{number}"), value)
        machine.reg_write(arm_const.UC_ARM_REG_SP, self._top)
        machine.reg_write(arm_const.UC_ARM_REG_LR, self._stop | 1)
        machine.emu_start(self.symbols[name][0] | 1, self._stop)
        return self._emulator.register("R0")

    def count(self, name: str, *arguments: int) -> tuple[int, int]:
        """Call a function; return its result and how many instructions it took."""
        if not self._counts:
            self._emulator.on_block(self._note)
            self._counts = True
        self._blocks.clear()
        result = self.call(name, *arguments)
        disassembler = Disassembler()
        return result, sum(
            times * sum(disassembler.count(self.read(*block)))
            for block, times in self._blocks.items()
        )

    def _note(self, address: int, size: int) -> None:
        self._blocks[address, size] += 1

    def read(self, address: int, size: int) -> bytes:
        return self._emulator.read(address, size)

    def write(self, address: int, content: bytes) -> None:
        self._emulator.write(address, content)


def constant_bytes(device: Device, sources: FirmwareSources) -> list[tuple[int, int]]:
    """Return (address, size) of every constant of the network in an image's flash.

    Each piece is checked to hold what was generated.
    """
    program = sources.program
    pieces: list[tuple[int, int]] = []
    assembly = assembly_constants(program)
    if assembly:
        address, _ = device.symbols["edgeprune_constants"]
        assert device.read(address, len(assembly)) == assembly
        pieces.append((address, len(assembly)))
    for name, _, _, array in arrays(program):
        address, size = device.symbols[name]
        assert size == array.nbytes
        assert device.read(address, size) == array.tobytes()
        pieces.append((address, size))
    return pieces


def random_flips(pieces: list[tuple[int, int]], count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield (address, bit): the first and the last bit of every piece, then random ones."""
    for address, size in pieces:
        yield address, 0
        yield address + size - 1, 7
    random = np.random.default_rng(seed)
    sizes = np.array([size for _, size in pieces])
    for place in random.integers(0, 8 * int(sizes.sum()), max(count - 2 * len(pieces), 0)):
        byte, bit = divmod(int(place), 8)
        which = int(np.searchsorted(np.cumsum(sizes), byte, side="right"))
        yield pieces[which][0] + byte - int(sizes[:which].sum()), bit


def undetected_flips(device: Device, sources: FirmwareSources, count: int, seed: int) -> int:
    """Flip single bits of the constants, one after another; return how many passed unnoticed."""
    assert device.call("edgeprune_check_weights") == 0
    missed = 0
    for address, bit in random_flips(constant_bytes(device, sources), count, seed):
        (byte,) = device.read(address, 1)
        device.write(address, bytes([byte ^ (1 << bit)]))
        missed += device.call("edgeprune_check_weights") == 0
        device.write(address, bytes([byte]))
    assert device.call("edgeprune_check_weights") == 0
    return missed


def undetected_overruns(device: Device, seed: int) -> tuple[int, int]:
    """Write beside the arena, byte by byte and in runs; return (unnoticed, all)."""
    random = np.random.default_rng(seed)
    address, size = device.symbols["arena"]
    guards = [*range(8), *range(size - 8, size)]
    device.call("edgeprune_network_paint")
    paint = {place: device.read(address + place, 1)[0] for place in guards}
    assert device.call("edgeprune_network_is_intact") == 1
    missed = tried = 0
    for place in guards:
        for value in random.permutation(256)[:16].tolist():
            if value == paint[place]:
                continue
            tried += 1
            device.write(address + place, bytes([value]))
            missed += device.call("edgeprune_network_is_intact") == 1
            device.write(address + place, bytes([paint[place]]))
    for length in range(1, 9):
        for start in (8 - length, size - 8):
            tried += 1
            device.write(address + start, random.bytes(length))
            missed += device.call("edgeprune_network_is_intact") == 1
            device.call("edgeprune_network_paint")
    return missed, tried
