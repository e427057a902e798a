"""The same block as a loop over the pairs of input channels: little code, any number of channels.

Two registers hold inputs: of each tap the words of two positions, then of the next two. Those are
the first two of the tap that begins two words further on, which therefore comes next.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.dsp.emission import add_constant
from edgeprune.firmware.kernels.dsp.geometry import LANES, Geometry, Layout, Visit
from edgeprune.firmware.kernels.dsp.sliding import ACCUMULATORS

_POINTER, _WEIGHTS = "lr", "r12"
_MOST_OFFSET = 1020
_MOST_UNROLLED_TAPS = 10


@dataclass(frozen=True)
class Place:
    """Where biases and weights lie.

    Attributes:
        offset: From sp, in bytes.
        indirect: Whether that place holds their address.
    """

    offset: int
    indirect: bool = False

    def load(self, asm: Assembler, register: str, further: int = 0) -> None:
        """Write the load of their address, `further` bytes on."""
        if not self.indirect:
            asm.emit(f"addw {register}, sp, #{self.offset + further}")
            return
        asm.emit(f"ldr.w {register}, [sp, #{self.offset}]")
        add_constant(asm, register, further, "r1")


def fits(geometry: Geometry) -> bool:
    """Whether the offsets fit into the instructions."""
    return 4 * (geometry.reach + LANES) <= _MOST_OFFSET


def ordered(geometry: Geometry) -> list[Visit]:
    """Return the visits in the order in which the block's weights must come."""
    visits: list[Visit] = []
    for _, group in groupby(geometry.visits, key=lambda visit: visit.plane):
        left = list(group)
        while left:
            visit = left.pop(0)
            visits.append(visit)
            while following := [v for v in left if v.start == visits[-1].start + 2]:
                left.remove(following[0])
                visits.append(following[0])
    return visits


def emit_block(
    asm: Assembler, geometry: Geometry, layout: Layout, channels: int, place: Place
) -> None:
    """Write the sums of a block; lr points to its first tile and leaves at the next.

    Args:
        asm: Where it is written.
        geometry: The convolution.
        layout: Of the inputs' words, by plane.
        channels: 1 or 2.
        place: Of what `emit_biases` wrote and of the weights behind it, in the order of `ordered`.
    """
    registers = ", ".join(name for names in ACCUMULATORS[:channels] for name in names)
    place.load(asm, _WEIGHTS)
    asm.emit(f"ldmia {_WEIGHTS}!, {{{registers}}}")
    visits = ordered(geometry)
    planes = geometry.planes
    done = 0
    for _, group in groupby(planes, key=lambda plane: (plane.phase, plane.pairs_taps)):
        alike, first = len(list(group)), done
        done += alike
        taps = [visit.start for visit in visits if visit.plane == first]
        unrolled = _unrolled(alike, len(taps), layout.plane_bytes, max(taps))
        read = 4 * channels * sum(visit.plane < done for visit in visits)
        loop = asm.label("plane")
        asm.place(loop)
        with asm.repeated(alike // unrolled):
            for plane in range(unrolled):
                _plane(asm, taps, plane * layout.plane_bytes, channels)
            add_constant(asm, _POINTER, unrolled * layout.plane_bytes, "r0")
            if alike > unrolled:
                place.load(asm, "r0", bias_bytes(channels) + read)
                asm.emit(f"cmp {_WEIGHTS}, r0", f"bne.w {loop}")
    add_constant(asm, _POINTER, layout.tile_bytes - len(planes) * layout.plane_bytes, "r0")


def bias_bytes(channels: int) -> int:
    """Return the size of what `emit_biases` writes."""
    return 4 * LANES * channels


def emit_biases(asm: Assembler, channels: int) -> None:
    """Write the store of each bias, in r0 and r1, for each position to lr, which moves on."""
    for register in ("r0", "r1")[:channels]:
        for _ in range(LANES // 2):
            asm.emit(f"strd {register}, {register}, [lr], #8")


def _unrolled(pairs: int, taps: int, plane_bytes: int, reach: int) -> int:
    """Return how many planes a round of the loop computes."""
    for count in (4, 3, 2):
        farthest = (count - 1) * plane_bytes + 4 * (reach + LANES)
        if pairs % count == 0 and count * taps <= _MOST_UNROLLED_TAPS and farthest <= _MOST_OFFSET:
            return count
    return 1


def _plane(asm: Assembler, taps: list[int], offset: int, channels: int) -> None:
    """The taps of one plane."""
    held = None
    for start in taps:
        loaded = ("r2", "r3")[:channels]
        asm.emit(
            f"{'ldrd' if channels == 2 else 'ldr'} {', '.join(loaded)}, [{_WEIGHTS}], "
            f"#{4 * channels}"
        )
        for half in (0, 2):
            if held != start + half:
                asm.emit(f"ldrd r0, r1, [{_POINTER}, #{offset + 4 * (start + half)}]")
                held = start + half
            for lane in (0, 1):
                for channel in range(channels):
                    total = ACCUMULATORS[channel][half + lane]
                    asm.emit(f"smlad {total}, r{lane}, {loaded[channel]}, {total}")
