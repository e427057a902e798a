"""Dense layers: a few outputs at a time share the inputs' expansion to 16-bit numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp.emission import (
    SAVED_BYTES,
    add_constant,
    enter,
    leave,
    load_address,
)
from edgeprune.firmware.kernels.dsp.epilogue import Epilogue
from edgeprune.firmware.kernels.dsp.rescaling import clamp
from edgeprune.network import Dense

_SUMS = ("r4", "r5", "r6", "r7", "r8", "r9")
_LOADED = ("r1", "r2", "r3")
_INPUT, _WEIGHTS, _EVEN, _ODD, _SPARE = "r0", "r12", "r10", "r11", "lr"
_SCRATCH = ("r0", "r1", "r2", "r3")
_UNROLLED = (4, 1)

# The stack frame, in bytes from sp; with the saved registers a multiple of eight.
_START, _END, _OUTPUT, _FRAME = 0, 4, 8, 20


def generate(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels of a dense layer that stands alone."""
    operation = request.operations[0]
    epilogue = Epilogue.of(request)
    if epilogue is None or not isinstance(operation, Dense) or len(request.operations) > 1:
        return ()
    outputs, features = operation.weights.shape
    return tuple(
        _Kernel(request, epilogue, operation, _width(outputs), unrolled).code()
        for unrolled in _UNROLLED
        if unrolled == 1 or features >= 4 * unrolled
    )


def _width(outputs: int) -> int:
    """Return how many outputs at a time cost the fewest instructions in all."""
    widths = range(1, min(outputs, len(_SUMS)) + 1)
    return min(widths, key=lambda width: -(-outputs // width) * (3 + 5 * width))


@dataclass(frozen=True, eq=False)
class _Kernel:
    """One kernel: how many outputs share the inputs, how many times its loop is unrolled."""

    request: KernelRequest
    epilogue: Epilogue
    operation: Dense
    width: int
    unrolled: int

    def code(self) -> KernelCode:
        """Write it."""
        asm = Assembler(self.request.symbol)
        enter(asm, _FRAME)
        asm.emit("mov r1, r0")
        add_constant(asm, "r1", 4 * self._looped_quads, "r12")
        asm.emit(f"strd r0, r1, [sp, #{_START}]")
        asm.emit(f"movw r3, #{self._blocks}", f"strd r2, r3, [sp, #{_OUTPUT}]")
        load_address(asm, "r12", f"{self.request.symbol}_constants")
        loop = asm.label("block")
        asm.place(loop)
        with asm.repeated(self._blocks):
            self._products(asm)
            self._finish(asm)
            if self._blocks > 1:
                self._next_block(asm, loop)
        leave(asm, _FRAME)
        return KernelCode(
            self.request.symbol,
            asm.text,
            self._constants(),
            0,
            SAVED_BYTES + _FRAME,
            asm.instructions,
            asm.code_bytes,
            f"dense, {self.width} outputs at a time"
            + (f", {self.unrolled} x 4 inputs unrolled" if self.unrolled > 1 else ""),
            overwrites_input=self._blocks == 1,
        )

    @property
    def _blocks(self) -> int:
        return -(-self.operation.outputs // self.width)

    @property
    def _quads(self) -> int:
        return int(self.operation.weights.shape[1]) // 4

    @property
    def _looped_quads(self) -> int:
        return self._quads // self.unrolled * self.unrolled

    @property
    def _parts(self) -> list[tuple[int, int]]:
        """First output and count of what is requantized together."""
        return [(first, min(2, self.width - first)) for first in range(0, self.width, 2)]

    def _rescaling_words(self, count: int) -> int:
        return len(self.epilogue.rescaling.words(range(count)))

    def _constants(self) -> bytes:
        """Return, block by block, weights of four inputs and all outputs, biases, scales."""
        weights = self.operation.weights
        features = weights.shape[1]
        padded = np.pad(weights, ((0, 0), (0, -features % 4)))
        zero_point = self.request.source.zero_point
        biases = self.operation.bias - zero_point * weights.sum(axis=1, dtype=np.int64)
        constants = b""
        for start in self._starts:
            chosen = padded[start : start + self.width]
            constants += chosen.reshape(self.width, -1, 4).swapaxes(0, 1).tobytes()
            words = [int(bias) for bias in biases[start : start + self.width]]
            if self.epilogue.doubled:
                words = [2 * word for word in words]
            for first, count in self._parts:
                channels = range(start + first, start + first + count)
                words += self.epilogue.rescaling.words(channels)
            constants += np.array([word & 0xFFFFFFFF for word in words], "<u4").tobytes()
        return constants

    @property
    def _starts(self) -> list[int]:
        """First output of each block; the last one repeats some of the block before."""
        last = self.operation.outputs - self.width
        return [min(block * self.width, last) for block in range(self._blocks)]

    def _products(self, asm: Assembler) -> None:
        """Sum the products of all inputs."""
        asm.emit(f"ldr {_INPUT}, [sp, #{_START}]")
        for register in _SUMS[: self.width]:
            asm.emit(f"mov.w {register}, #0")
        loops = self._quads // self.unrolled
        if loops:
            loop = asm.label("inputs")
            asm.place(loop)
            with asm.repeated(loops):
                for _ in range(self.unrolled):
                    self._quad(asm)
                if loops > 1:
                    asm.emit(f"ldr r1, [sp, #{_END}]", f"cmp {_INPUT}, r1", f"bne.w {loop}")
        for _ in range(self._quads % self.unrolled):
            self._quad(asm)
        rest = int(self.operation.weights.shape[1]) % 4
        if rest:
            load = "ldrb.w" if rest == 1 else "ldrh.w"
            asm.emit(f"{load} {_ODD}, [{_INPUT}]")
            if rest == 3:
                asm.emit(f"ldrb.w {_EVEN}, [{_INPUT}, #2]")
                asm.emit(f"orr.w {_ODD}, {_ODD}, {_EVEN}, lsl #16")
            self._multiply(asm)

    def _quad(self, asm: Assembler) -> None:
        asm.emit(f"ldr {_ODD}, [{_INPUT}], #4")
        self._multiply(asm)

    def _multiply(self, asm: Assembler) -> None:
        """Four inputs, in a register as bytes, with the weights of all outputs."""
        asm.emit(f"sxtb16 {_EVEN}, {_ODD}", f"sxtb16 {_ODD}, {_ODD}, ror #8")
        for first in range(0, self.width, len(_LOADED)):
            sums = _SUMS[first : min(first + len(_LOADED), self.width)]
            loaded = _LOADED[: len(sums)]
            if len(loaded) == 1:
                asm.emit(f"ldr {loaded[0]}, [{_WEIGHTS}], #4")
            else:
                asm.emit(f"ldmia {_WEIGHTS}!, {{{', '.join(loaded)}}}")
            for total, weights in zip(sums, loaded, strict=True):
                asm.emit(f"sxtb16 {_SPARE}, {weights}", f"sxtb16 {weights}, {weights}, ror #8")
                asm.emit(f"smlad {total}, {_EVEN}, {_SPARE}, {total}")
                asm.emit(f"smlad {total}, {_ODD}, {weights}, {total}")

    def _finish(self, asm: Assembler) -> None:
        """Add the biases, requantize and store; leave the output's address in r2."""
        shift = ", lsl #1" if self.epilogue.doubled else ""
        for total in _SUMS[: self.width]:
            asm.emit(f"ldr r0, [{_WEIGHTS}], #4", f"add.w {total}, r0, {total}{shift}")
        at = 0
        for first, count in self._parts:
            values = [[register] for register in _SUMS[first : first + count]]
            self.epilogue.rescaling.emit(asm, values, at, _SCRATCH, base=_WEIGHTS)
            at += 4 * self._rescaling_words(count)
            clamp(asm, values, self.operation.clamp_low, self.operation.clamp_high)
        asm.emit(f"addw {_WEIGHTS}, {_WEIGHTS}, #{at}", f"ldrd r2, r3, [sp, #{_OUTPUT}]")
        for index, total in enumerate(_SUMS[: self.width]):
            asm.emit(f"strb.w {total}, [r2, #{index}]")

    def _next_block(self, asm: Assembler, loop: str) -> None:
        """Count the blocks and move the output on; the last block repeats some outputs."""
        repeated = self._blocks * self.width - self.operation.outputs
        asm.emit("subs.w r3, r3, #1", f"add.w r2, r2, #{self.width}")
        if repeated:
            asm.emit("cmp r3, #1", "it eq", f"subeq.w r2, r2, #{repeated}", "cmp r3, #0")
        asm.emit(f"strd r2, r3, [sp, #{_OUTPUT}]", f"bne.w {loop}")
