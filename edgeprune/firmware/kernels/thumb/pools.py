"""Maximum and average pools on Cortex-M0+ and Cortex-M3.

Rows in the padding are replaced: by a row of zeros for an average, by another row of the window
for a maximum, which does not change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.thumb.clamping import bound_narrow, clamp_wide
from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler, words
from edgeprune.firmware.kernels.thumb.low_registers import (
    Frame,
    add_number,
    enter,
    leave,
    load_number,
    loop_back,
)
from edgeprune.network import AveragePool1d, MaxPool1d

_MOST_ROWS = 64
_MOST_UNROLLED = 16


@dataclass(frozen=True, eq=False)
class _Pool:
    request: KernelRequest
    operation: MaxPool1d | AveragePool1d
    narrow: bool

    @property
    def length(self) -> int:
        return self.request.source.shape[0]

    @property
    def channels(self) -> int:
        return self.request.source.shape[1]

    @property
    def rows(self) -> int:
        return self.request.output.shape[0]

    @property
    def kernel(self) -> int:
        return self.operation.kernel

    @property
    def averages(self) -> bool:
        return isinstance(self.operation, AveragePool1d)

    @property
    def starts(self) -> list[int]:
        """First row of every window."""
        left = self.operation.padding[0]
        return [row * self.operation.stride - left for row in range(self.rows)]

    @property
    def pads(self) -> bool:
        return self.starts[0] < 0 or self.starts[-1] + self.kernel > self.length

    @cached_property
    def frame(self) -> Frame:
        pointers = [f"p{number}" for number in range(self.kernel if self.pads else 0)]
        return Frame("input", "planes", "constants", "output", "row", "count", *pointers)

    @cached_property
    def division(self) -> tuple[int, dict[int, int]]:
        """A shift and a factor for each number of cells that divide exactly; empty if none do."""
        cells = {min(start + self.kernel, self.length) - max(start, 0) for start in self.starts}
        for shift in range(30, 8, -1):
            factors = {count: (1 << shift) // count + 1 for count in cells}
            if all(_divides(count, factors[count], shift) for count in cells):
                return shift, factors
        return 0, {}

    @property
    def possible(self) -> bool:
        if self.pads and self.kernel > _MOST_ROWS:
            return False
        return not (self.averages and self.narrow) or bool(self.division[0])

    def constants(self) -> bytes:
        """Return a row of zeros, and the factors by number of cells."""
        if not self.averages:
            return b""
        factors = self.division[1] if self.narrow else {}
        row = b"\0" * (-(-self.channels // 4) * 4)
        return row + words(*(factors.get(count, 0) for count in range(self.kernel + 1)))

    def build(self) -> KernelCode:
        """Write the function."""
        request, frame = self.request, self.frame
        code = ThumbAssembler(request.symbol, narrow=self.narrow)
        enter(code, frame, f"{request.symbol}_constants")
        code.put(f"ldr r4,{frame.argument(0)}", f"ldr r5,{frame.argument(1)}")
        code.put(f"str r5,{frame['count']}")
        load_number(code, "r6", self.channels)
        code.put("mov r10,r6", "muls r6,r4,r6", "adds r2,r2,r6", f"str r2,{frame['output']}")
        load_number(code, "r6", self.operation.stride)
        code.put("muls r4,r6,r4")
        add_number(code, "r4", -self.operation.padding[0], "r6")
        code.put(f"str r4,{frame['row']}")
        load_number(code, "r6", self.length)
        code.put("mov r8,r6")
        loop = code.label("row")
        code.place(loop)
        start = code.code_bytes
        with code.times(self.rows):
            code.put(f"ldr r0,{frame['row']}", "mov r1,r10", "muls r1,r0,r1")
            code.put(f"ldr r2,{frame['input']}", "adds r1,r1,r2")
            load_number(code, "r4", self.kernel)
        if self.pads:
            self._pointers(code)
        with code.times(self.rows):
            if self.averages:
                code.put("lsrs r2,r4,#1", "mov r12,r2")
                if self.narrow:
                    code.put(f"ldr r2,{frame['constants']}")
                    add_number(code, "r2", -(-self.channels // 4) * 4, "r3")
                    code.put("lsls r4,r4,#2", "ldr r4,[r2,r4]")
            code.put("mov r11,r1", f"ldr r7,{frame['output']}", "movs r6,#0")
        inner = code.label("channel")
        code.place(inner)
        begin = code.code_bytes
        cells = self.rows * self.channels
        self._window(code, cells)
        with code.times(cells):
            if self.averages:
                self._divide(code)
            self._clamp(code)
            code.put("strb r0,[r7,r6]", "adds r6,#1", "cmp r6,r10")
        loop_back(code, inner, begin, cells, self.rows)
        with code.times(self.rows):
            code.put("add r7,r10", f"str r7,{frame['output']}", f"ldr r0,{frame['row']}")
            add_number(code, "r0", self.operation.stride, "r1")
            code.put(f"str r0,{frame['row']}", f"ldr r0,{frame['count']}", "subs r0,#1")
            code.put(f"str r0,{frame['count']}")
        loop_back(code, loop, start, self.rows, 1)
        leave(code, frame)
        return KernelCode(
            request.symbol,
            code.text,
            self.constants(),
            0,
            frame.stack_bytes,
            code.instructions,
            code.code_bytes,
            "byte by byte, " + ("rows by pointers" if self.pads else "rows in a step"),
            unit=1,
        )

    def _pointers(self, code: ThumbAssembler) -> None:
        """Store where each row of the window lies; r4 becomes the number of cells."""
        frame = self.frame
        inside, chosen = code.label("inside"), code.label("chosen")
        if self.averages:
            with code.times(self.rows):
                code.put(f"ldr r3,{frame['constants']}")
        else:
            left = sum(start < 0 for start in self.starts)
            with code.times(self.rows):
                code.put("movs r3,r2", "cmp r0,#0", f"blt {chosen}")
            with code.times(self.rows - left):
                code.put("mov r5,r8", "subs r5,#1", "mov r6,r10", "muls r6,r5,r6", "adds r3,r3,r6")
            code.place(chosen)
        with code.times(self.rows):
            code.put("mov r9,r3")
        for number in range(self.kernel):
            outside = sum(not 0 <= start + number < self.length for start in self.starts)
            inside = code.label("inside")
            with code.times(self.rows):
                code.put("movs r3,r1", "cmp r0,r8", f"blo {inside}")
            with code.times(outside):
                code.put("mov r3,r9", "subs r4,#1")
            code.place(inside)
            with code.times(self.rows):
                code.put(f"str r3,{frame[f'p{number}']}", "adds r0,#1", "add r1,r10")

    def _window(self, code: ThumbAssembler, cells: int) -> None:
        """Leave the sum or the maximum of a window in r0."""
        rolled = not self.pads and self.kernel > _MOST_UNROLLED
        with code.times(cells):
            if not self.pads:
                code.put("mov r5,r11")
            if rolled or self.averages:
                code.put("movs r0,#0")
                if not self.averages:
                    code.put("subs r0,#128")
            if rolled:
                load_number(code, "r3", self.kernel)
        again = code.label("cell")
        code.place(again)
        start = code.code_bytes
        with code.times(cells * (self.kernel if rolled else 1)):
            for number in range(1 if rolled else self.kernel):
                if self.pads:
                    code.put(f"ldr r5,{self.frame[f'p{number}']}")
                fresh = number == 0 and not rolled and not self.averages
                code.put(f"ldrsb {'r0' if fresh else 'r1'},[r5,r6]")
                if not fresh:
                    self._take(code)
                if not self.pads and (rolled or number < self.kernel - 1):
                    code.put("add r5,r10")
            if rolled:
                code.put("subs r3,#1")
        if rolled:
            loop_back(code, again, start, cells * self.kernel, cells)

    def _take(self, code: ThumbAssembler) -> None:
        if self.averages:
            code.put("adds r0,r0,r1")
        elif self.narrow:
            code.put("subs r1,r0,r1", "asrs r2,r1,#31", "ands r1,r2", "subs r0,r0,r1")
        else:
            code.put("cmp r0,r1", "it lt", "movlt r0,r1")

    def _divide(self, code: ThumbAssembler) -> None:
        if not self.narrow:
            code.put("mov r1,r12", "cmp r0,#0", "it le", "rsble r1,r1,#0")
            code.put("add r0,r0,r1", "sdiv r0,r0,r4")
            return
        code.put("asrs r1,r0,#31", "eors r0,r1", "subs r0,r0,r1", "add r0,r12")
        code.put("muls r0,r4,r0", f"lsrs r0,r0,#{self.division[0]}")
        code.put("eors r0,r1", "subs r0,r0,r1")

    def _clamp(self, code: ThumbAssembler) -> None:
        low, high = self.operation.clamp_low, self.operation.clamp_high
        if not self.narrow:
            clamp_wide(code, "r0", low, high)
            return
        if low > -128:
            bound_narrow(code, "r0", ("r1", "r2"), low, least=True)
        if high < 127:
            bound_narrow(code, "r0", ("r1", "r2"), high, least=False)


def _divides(count: int, factor: int, shift: int) -> bool:
    most = 128 * count + count // 2
    if most * factor >= 2**32:
        return False
    edges = {each for q in range(most // count + 1) for each in (q * count, q * count + count - 1)}
    return all((number * factor) >> shift == number // count for number in edges)


def _pool(request: KernelRequest, *, narrow: bool) -> tuple[KernelCode, ...]:
    operation = request.operations[0]
    if len(request.operations) != 1 or not isinstance(operation, MaxPool1d | AveragePool1d):
        return ()
    pool = _Pool(request, operation, narrow)
    return (pool.build(),) if pool.possible else ()


def pool_narrow(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Answer a pool on Cortex-M0+."""
    return _pool(request, narrow=True)


def pool_wide(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Answer a pool on Cortex-M3."""
    return _pool(request, narrow=False)
