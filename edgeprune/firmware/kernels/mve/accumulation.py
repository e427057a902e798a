"""The products of a block: sixteen an instruction, into eight core registers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.mve.emission import ACCUMULATORS, Step, walk
from edgeprune.firmware.kernels.mve.geometry import Block, Layout, Quad, weight_groups
from edgeprune.firmware.kernels.mve.scaling import gather_lanes

_LARGEST_LOAD = 508


@dataclass(frozen=True)
class Vectors:
    """Vector registers of a block: both vectors of outputs, and where windows are loaded."""

    first: str
    second: str
    data: str


class Accumulation:
    """Which weights are in registers when, and the instructions of a block.

    Args:
        layout: How windows lie in the scratch memory, at which r1 points.
        block: What is computed together.
        room: Vectors of weights that registers hold, from q0 on.
        header: Bytes before the weights in a record of constants, at which r3 points.
    """

    def __init__(self, layout: Layout, block: Block, room: int, header: int) -> None:
        self._layout, self._block, self._header = layout, block, header
        self._groups = weight_groups(layout, block, room)
        self.used = max(len(group) for group in self._groups) * block.channels
        resident = len(self._groups) == 1
        last = header + 16 * (layout.vectors * block.channels - 1)
        self._walks = not resident and last > _LARGEST_LOAD
        rounds = len(block.rounds)
        # To and fro: the weights that one round used last are those that the next uses first.
        self._to_and_fro = rounds > 1 and not self._walks
        self._keeps_first = resident or (self._to_and_fro and rounds % 2 == 0)

    @property
    def order(self) -> tuple[int, ...]:
        """The order in which a channel's vectors of weights lie in its record."""
        return tuple(vector for group in self._groups for vector in group)

    def begin(self, asm: Assembler) -> None:
        """Emit the loads of the weights that every block finds in registers."""
        if self._keeps_first:
            asm.emit(*self._loads(0))

    def emit(self, asm: Assembler, vectors: Vectors, advance: int) -> None:
        """Emit the products of a block; both vectors of outputs are whole afterwards.

        Args:
            asm: Where to.
            vectors: Registers.
            advance: Bytes from this block's first window to the next block's.
        """
        steps: list[Step] = []
        begun: set[int] = set()
        held = 0 if self._keeps_first else None
        for turn, quads in enumerate(self._block.rounds):
            backward = self._to_and_fro and turn % 2 == 1
            order = range(len(self._groups))[:: -1 if backward else 1]
            steps += self._products(quads, order, held, vectors.data)
            held = order[-1] if self._keeps_first or self._to_and_fro else None
            for index, quad in enumerate(quads):
                target = (vectors.first, vectors.second)[quad.vector]
                into = vectors.data if quad.vector in begun else target
                lines = gather_lanes(into, ACCUMULATORS[4 * index : 4 * index + 4])
                if quad.vector in begun:
                    lines.append(f"vmax.s32 {target}, {target}, {into}")
                begun.add(quad.vector)
                steps += [Step(line) for line in lines]
        walk(asm, steps, "r1", advance, "r11")

    def _products(
        self, quads: tuple[Quad, ...], order: range, held: int | None, data: str
    ) -> Iterator[Step]:
        """Return the steps of one round; the weights of the group `held` are in registers."""
        layout = self._layout
        cells = [cell for quad in quads for cell in quad.cells]
        started: set[int] = set()
        if self._walks:
            yield Step(f"addw r11, r3, #{self._header}")
        for index in order:
            if index != held:
                yield from map(Step, self._loads(index))
            reads: dict[int, list[tuple[int, int]]] = {}
            for slot, (position, channel) in enumerate(cells):
                for number, vector in enumerate(self._groups[index]):
                    offset = position * layout.step + layout.offsets[vector]
                    weights = number * self._block.channels + channel
                    reads.setdefault(offset, []).append((slot, weights))
            for offset in sorted(reads):
                yield Step(data, offset)
                for slot, weights in reads[offset]:
                    name = "vmladava" if slot in started else "vmladav"
                    started.add(slot)
                    yield Step(f"{name}.s8 {ACCUMULATORS[slot]}, {data}, q{weights}")

    def _loads(self, index: int) -> list[str]:
        """Return the loads of a group's weights into q0 and on, channels alternating."""
        channels = self._block.channels
        begin = sum(len(group) for group in self._groups[:index]) * channels
        lines = []
        for number in range(len(self._groups[index]) * channels):
            place = f"[r3, #{self._header + 16 * (begin + number)}]"
            if self._walks:
                place = "[r11], #16"
            lines.append(f"vldrw.u32 q{number}, {place}")
        return lines
