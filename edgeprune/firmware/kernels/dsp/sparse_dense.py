"""Dense layers that multiply by no weight that is zero: as code, or as a stream of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp.emission import (
    SAVED_BYTES,
    enter,
    leave,
    load_address,
    load_constant,
)
from edgeprune.firmware.kernels.dsp.epilogue import Epilogue
from edgeprune.firmware.kernels.dsp.rescaling import clamp
from edgeprune.network import Dense

_SUMS = ("r4", "r5", "r6", "r7", "r8", "r9")
_SCRATCH = ("r0", "r1", "r2", "r3")
_INPUT, _OUTPUT, _RECORD = "r10", "r11", "r12"
_DENSEST = 0.6
_MOST_CODE_WEIGHTS = 4000
_MOST_OFFSET = 4095
_MOST_FEATURES = 2**16
_UNROLLED = 4


def generate(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels of a dense layer that stands alone and has many zero weights."""
    epilogue = Epilogue.of(request)
    operation = request.operations[0]
    if epilogue is None or not isinstance(operation, Dense) or len(request.operations) > 1:
        return ()
    count = int(np.count_nonzero(operation.weights))
    features = operation.weights.shape[1]
    if count > _DENSEST * operation.weights.size or features > _MOST_FEATURES:
        return ()
    writer = _Writer(request, epilogue, operation)
    kernels = [writer.stream()]
    if count <= _MOST_CODE_WEIGHTS and features <= _MOST_OFFSET + 1:
        kernels.append(writer.straight())
    return tuple(kernels)


@dataclass(frozen=True, eq=False)
class _Writer:
    request: KernelRequest
    epilogue: Epilogue
    operation: Dense

    @property
    def _factor(self) -> int:
        return 2 if self.epilogue.doubled else 1

    def _bias(self, output: int) -> int:
        """Return what a sum begins with: bytes are multiplied as they are."""
        total = int(self.operation.weights[output].sum(dtype=np.int64))
        bias = int(self.operation.bias[output]) - self.request.source.zero_point * total
        return self._factor * bias

    def _code(self, asm: Assembler, constants: bytes, kept: str) -> KernelCode:
        total = self.operation.weights.size
        zeros = total - int(np.count_nonzero(self.operation.weights))
        return KernelCode(
            self.request.symbol,
            asm.text,
            constants,
            0,
            SAVED_BYTES,
            asm.instructions,
            asm.code_bytes,
            f"sparse, {zeros} of {total} weights are zero: {kept}",
        )

    def _begin(self) -> Assembler:
        asm = Assembler(self.request.symbol)
        enter(asm)
        asm.emit(f"mov.w {_INPUT}, r0", f"mov.w {_OUTPUT}, r2")
        load_address(asm, _RECORD, f"{self.request.symbol}_constants")
        return asm

    def _finish(self, asm: Assembler, sums: tuple[str, ...]) -> None:
        """Requantize and store; the record's address moves past what is read."""
        at = 0
        for first in range(0, len(sums), 2):
            values = [[register] for register in sums[first : first + 2]]
            self.epilogue.rescaling.emit(asm, values, at, _SCRATCH, base=_RECORD)
            clamp(asm, values, self.operation.clamp_low, self.operation.clamp_high)
            at += 4 * len(self.epilogue.rescaling.words(range(len(values))))
        asm.emit(f"addw {_RECORD}, {_RECORD}, #{at}")
        asm.emit(*(f"strb.w {register}, [{_OUTPUT}], #1" for register in sums))

    def _rescaling(self, first: int, last: int) -> list[int]:
        words: list[int] = []
        for start in range(first, last, 2):
            words += self.epilogue.rescaling.words(range(start, min(start + 2, last)))
        return words

    def straight(self) -> KernelCode:
        """Write the weights as instructions; up to six outputs share an input's load."""
        asm = self._begin()
        weights, outputs = self.operation.weights, self.operation.outputs
        words: list[int] = []
        for first in range(0, outputs, len(_SUMS)):
            last = min(first + len(_SUMS), outputs)
            sums = _SUMS[: last - first]
            words += [self._bias(output) for output in range(first, last)]
            words += self._rescaling(first, last)
            if len(sums) > 1:
                asm.emit(f"ldmia {_RECORD}!, {{{', '.join(sums)}}}")
            else:
                asm.emit(f"ldr {sums[0]}, [{_RECORD}], #4")
            value = 0
            for feature in np.flatnonzero(weights[first:last].any(axis=0)):
                asm.emit(f"ldrsb.w r0, [{_INPUT}, #{feature}]")
                for total, weight in zip(sums, weights[first:last, feature], strict=True):
                    if weight and weight != value:
                        value = int(weight)
                        scaled = self._factor * value
                        asm.emit(
                            f"mov.w r1, #{scaled}" if scaled > 0 else f"mvn r1, #{-scaled - 1}"
                        )
                    if weight:
                        asm.emit(f"mla {total}, r0, r1, {total}")
            self._finish(asm, sums)
        leave(asm)
        return self._code(asm, _words(words), "weights in the code")

    def stream(self) -> KernelCode:
        """Write a loop over the weights of each output, which come with their input's index."""
        asm = self._begin()
        weights, outputs = self.operation.weights, self.operation.outputs
        indices = "<u1" if weights.shape[1] <= 256 else "<u2"
        load, size = ("ldrb", 1) if indices == "<u1" else ("ldrh", 2)
        constants, loops = b"", 0
        for output in range(outputs):
            chosen = np.flatnonzero(weights[output])
            padded = np.pad(chosen, (0, -len(chosen) % _UNROLLED))
            values = np.pad(weights[output][chosen], (0, len(padded) - len(chosen)))
            loops += len(padded) // _UNROLLED
            record = [self._bias(output), len(padded) // _UNROLLED]
            constants += _words(record)
            for index, value in zip(padded, values, strict=True):
                constants += np.array(index, indices).tobytes() + np.int8(value).tobytes()
            constants += _words(self._rescaling(output, output + 1))
        again, inner, done = (asm.label(stem) for stem in ("output", "weights", "summed"))
        load_constant(asm, "r9", outputs)
        asm.place(again)
        with asm.repeated(outputs):
            asm.emit(f"ldr r4, [{_RECORD}], #4", f"ldr r5, [{_RECORD}], #4", "mov.w r6, #0")
            asm.emit("cmp r5, #0", f"beq.w {done}")
        asm.place(inner)
        with asm.repeated(loops):
            for _ in range(_UNROLLED):
                asm.emit(f"{load} r1, [{_RECORD}], #{size}", f"ldrsb r2, [{_RECORD}], #1")
                asm.emit(f"ldrsb.w r1, [{_INPUT}, r1]", "mla r6, r1, r2, r6")
            asm.emit("subs.w r5, r5, #1", f"bne.w {inner}")
        asm.place(done)
        with asm.repeated(outputs):
            asm.emit(f"add.w r4, r4, r6{', lsl #1' if self._factor == 2 else ''}")
            self._finish(asm, ("r4",))
            asm.emit("subs.w r9, r9, #1", f"bne.w {again}")
        leave(asm)
        return self._code(asm, constants, "a stream of weights")


def _words(words: list[int]) -> bytes:
    return np.array([word & 0xFFFFFFFF for word in words], "<u4").tobytes()
