"""A block of one or two output channels x four positions that slides over its inputs' words.

A word that a tap read serves the next tap for the position before it, so it stays in a register
while there is room: five registers hold inputs and weights, whichever are used soonest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.dsp.geometry import LANES, Geometry, Layout, Visit

ACCUMULATORS = (("r4", "r5", "r6", "r7"), ("r8", "r9", "r10", "r11"))
_FREE = ("r0", "r1", "r2", "r3", "r12")
_POINTER = "lr"
_MOST_LDRD, _MOST_LDR = 1020, 4095

_Key = tuple[str, int, int]
_Step = tuple[str, _Key, _Key, int, int]


def emit_block(
    asm: Assembler, geometry: Geometry, channels: int, record: int, weights: int
) -> None:
    """Write the sums of a block; lr points to its first tile and leaves at the next.

    The inputs' words lie by tile.

    Args:
        asm: Where it is written.
        geometry: The convolution.
        channels: 1 or 2.
        record: Offset from sp of the biases.
        weights: Offset from sp of the weights, in the order of the visits.
    """
    asm.emit(*_lines(geometry, channels, record, weights))


@lru_cache(maxsize=4)
def _lines(geometry: Geometry, channels: int, record: int, weights: int) -> tuple[str, ...]:
    """Return a block's instructions; kernels of one convolution have it in common."""
    lasts = ", ".join(registers[-1] for registers in ACCUMULATORS[:channels])
    first = f"{'ldrd' if channels == 2 else 'ldr'} {lasts}, [sp, #{record}]"
    layout = Layout.by_tile(len(geometry.planes), 1)
    writer = _Writer(layout, channels, weights)
    numbered = enumerate(geometry.visits)
    for plane, group in groupby(numbered, key=lambda entry: entry[1].plane):
        writer.plane(plane, list(group))
    lines = [first, *_hoisted(writer.lines)]
    left = layout.tile_bytes - writer.at
    if left >= 2**12:
        lines += [f"movw r0, #{left}", f"add {_POINTER}, r0"]
    elif left:
        lines.append(f"addw {_POINTER}, {_POINTER}, #{left}")
    return tuple(lines)


class _Writer:
    """The lines of a block while it grows.

    Args:
        layout: Of the inputs' words, by tile.
        channels: 1 or 2.
        weights: Offset from sp of the weights.
    """

    def __init__(self, layout: Layout, channels: int, weights: int) -> None:
        self.lines: list[str] = []
        self.at = 0
        self._layout, self._channels, self._weights = layout, channels, weights
        self._held: dict[str, _Key] = {}
        # The register that was read longest ago comes first: what is loaded into it can be loaded
        # before the last products of the others.
        self._order = list(_FREE)
        self._started = False

    def plane(self, plane: int, visits: Sequence[tuple[int, Visit]]) -> None:
        """Append the taps of one plane."""
        self._held.clear()
        opens = visits[0][1].start == 0 and self.at == 4 * LANES * plane
        if opens:
            # Four words in one instruction, which moves the pointer to the next plane.
            self.lines.append(f"ldmia {_POINTER}!, {{r0, r1, r2, r3}}")
            self.at += 4 * LANES
            self._held = {f"r{lane}": ("input", plane, lane) for lane in range(LANES)}
        steps: list[_Step] = []
        for order, (number, visit) in enumerate(visits):
            # With all four inputs held there is one register for weights: channel by channel.
            by_channel = opens and order == 0
            cells = [(channel, lane) for channel in range(self._channels) for lane in range(LANES)]
            if not by_channel:
                cells.sort(key=lambda cell: cell[1])
            for channel, lane in cells:
                steps.append(
                    (
                        ACCUMULATORS[channel][lane],
                        ("input", plane, visit.start + lane),
                        ("weight", number, channel),
                        channel,
                        lane,
                    )
                )
        for index, (accumulator, data, weight, channel, _) in enumerate(steps):
            for key, other in ((weight, data), (data, weight)):
                if key not in self._held.values():
                    self._load(key, other, steps[index:])
            registers = {key: register for register, key in self._held.items()}
            addend = accumulator if self._started else ACCUMULATORS[channel][-1]
            self.lines.append(
                f"smlad {accumulator}, {registers[data]}, {registers[weight]}, {addend}"
            )
            for register in (registers[data], registers[weight]):
                self._order.remove(register)
                self._order.append(register)
            if index == self._channels * LANES - 1:
                self._started = True
            self._forget(steps[index + 1 :])

    def _forget(self, ahead: Sequence[_Step]) -> None:
        """Free the registers of what is never read again."""
        needed = {key for step in ahead for key in step[1:3]}
        self._held = {register: key for register, key in self._held.items() if key in needed}

    def _load(self, key: _Key, other: _Key, ahead: Sequence[_Step]) -> None:
        """Bring a word into a register, with its neighbour if that is missing too."""
        free = [register for register in self._order if register not in self._held]
        if not free:
            free = [self._evict(other, ahead)]
        neighbour = (key[0], key[1], key[2] + 1)
        wanted = {key for step in ahead for key in step[1:3]}
        missing = neighbour in wanted and neighbour not in self._held.values()
        spare = len(free) - (0 if other in self._held.values() else 1)
        base, offset = self._address(key)
        together = key[0] == "weight" or key[2] % LANES != LANES - 1
        if missing and together and spare >= 2 and offset <= _MOST_LDRD:
            self.lines.append(f"ldrd {free[0]}, {free[1]}, [{base}, #{offset}]")
            self._held |= {free[0]: key, free[1]: neighbour}
            return
        if offset > _MOST_LDR:
            self.lines.append(f"add.w {free[0]}, {base}, #{offset & ~0xFFF}")
            base, offset = free[0], offset & 0xFFF
        self.lines.append(f"ldr {free[0]}, [{base}, #{offset}]")
        self._held[free[0]] = key

    def _evict(self, keep: _Key, ahead: Sequence[_Step]) -> str:
        """Give up the register whose word is read last of all."""

        def next_use(register: str) -> int:
            key = self._held[register]
            return next(index for index, step in enumerate(ahead) if key in step[1:3])

        register = max(
            (name for name in _FREE if self._held.get(name) not in (None, keep)), key=next_use
        )
        del self._held[register]
        return register

    def _address(self, key: _Key) -> tuple[str, int]:
        kind, number, index = key
        if kind == "weight":
            return "sp", self._weights + 4 * (number * self._channels + index)
        return _POINTER, self._layout.offset(number, index) - self.at


def _hoisted(lines: Sequence[str], places: int = 2) -> list[str]:
    """Move loads up a little, away from the instruction that waits for them."""
    moved: list[str] = []
    for line in lines:
        index = len(moved)
        if line.startswith(("ldr ", "ldrd ")) and not line.split("[")[1].startswith("r"):
            targets = line.split("[")[0].split(maxsplit=1)[1].replace(",", " ").split()
            while index > max(len(moved) - places, 0):
                before = moved[index - 1]
                used = before.replace(",", " ").split()
                if not before.startswith("smlad") or any(name in used for name in targets):
                    break
                index -= 1
        moved.insert(index, line)
    return moved
