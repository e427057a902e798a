"""requantize and add in Helium."""

from __future__ import annotations

import numpy as np

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.mve.emission import (
    SAVED_BYTES,
    function,
    set_address,
    set_constant,
    vectors_in,
)
from edgeprune.firmware.kernels.mve.scaling import clamp_bytes
from edgeprune.firmware.kernels.mve.summing import (
    centred,
    halves_matter,
    is_half,
    scaled,
    sum_factors,
)
from edgeprune.network import Add, Requantize
from edgeprune.network.arithmetic import Multiplier
from edgeprune.network.tensor import Int64Array, Tensor


def _elements(asm: Assembler, output: Tensor, saved_bytes: int) -> None:
    """Point r0, r1 and r2 at the first of the asked elements and count them in r12."""
    row = output.row_size
    asm.emit(f"ldr r3, [sp, #{saved_bytes}]", f"ldr r12, [sp, #{saved_bytes + 4}]")
    set_constant(asm, "r4", row)
    asm.emit("mul r3, r3, r4", "mul r12, r12, r4", "add r0, r0, r3", "add r1, r1, r3")
    asm.emit("add r2, r2, r3")


def requantize(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernel for a change of range on its own: a table of all 256 values."""
    operation = request.operations[0]
    if len(request.operations) > 1 or not isinstance(operation, Requantize):
        return ()
    asm = Assembler(request.symbol)
    asm.emit("push {r4, lr}")
    _elements(asm, request.output, 8)
    set_address(asm, "r1")
    loop, done = asm.label("element"), asm.label("done")
    asm.emit(f"wlstp.8 lr, r12, {done}")
    asm.place(loop)
    with asm.repeated(vectors_in(request.output.size)):
        asm.emit("vldrb.u8 q0, [r0], #16", "vldrb.u8 q1, [r1, q0]", "vstrb.8 q1, [r2], #16")
        asm.emit(f"letp lr, {loop}")
    asm.place(done)
    asm.emit("pop {r4, pc}")
    values = np.arange(256, dtype=np.uint8).view(np.int8)
    table = operation.run(request.tensors, values.reshape(1, -1))
    return (_code(asm, table.tobytes(), "Helium, a table of 256 values, 16 at once", 8),)


def add(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels for a sum on its own, eight elements at once."""
    operation = request.operations[0]
    if len(request.operations) > 1 or not isinstance(operation, Add):
        return ()
    factors = sum_factors(request.tensors, operation)
    # A factor that is rounded up to one would be shifted left.
    if max(int(factor.exponent) for factor in factors) > 0:
        return ()
    computed = _sum(request, operation, factors, looks_up=False)
    looked_up = _sum(request, operation, factors, looks_up=True)
    return (computed, looked_up) if looked_up.constants else (computed,)


def _sum(
    request: KernelRequest, operation: Add, factors: tuple[Multiplier, ...], *, looks_up: bool
) -> KernelCode:
    """Write a sum; the operand that is not simply shifted may be looked up."""
    asm = Assembler(request.symbol)
    one, two = (request.tensors[name] for name in operation.inputs)
    output = request.output
    sums = scaled(one, factors[0])[:, np.newaxis] + scaled(two, factors[1])
    multiplier, zero = "r3", "r4"
    hidden = operation.clamp_low >= output.zero_point

    def body(*, masked: bool) -> None:
        for term in terms:
            term.emit(masked=masked)
        asm.emit("vadd.i32 q0, q0, q2", "vadd.i32 q1, q1, q3")
        _rescale(asm, ("q0", "q1"), factors[2], multiplier, sums, hidden)
        asm.emit("vqmovnb.s32 q0, q0", "vqmovnt.s32 q0, q1")
        if output.zero_point:
            asm.emit(f"vqadd.s16 q0, q0, {zero}")
        asm.emit("vqmovnb.s16 q0, q0")
        clamp_bytes(asm, "q0", "q1", (operation.clamp_low, operation.clamp_high))
        if masked:
            asm.emit("vpst", "vstrbt.16 q0, [r2]")
        else:
            asm.emit("vstrb.16 q0, [r2], #8")

    with function(asm):
        _elements(asm, output, SAVED_BYTES)
        terms = (
            _Term(asm, one, factors[0], "r0", ("q0", "q1"), ("r5", "r6"), looks_up),
            _Term(asm, two, factors[1], "r1", ("q2", "q3"), ("r7", "r8"), looks_up),
        )
        set_constant(asm, multiplier, int(factors[2].mantissa))
        set_constant(asm, zero, output.zero_point)
        loop, rest, done = asm.label("element"), asm.label("rest"), asm.label("done")
        asm.emit("lsr lr, r12, #3", f"wls lr, lr, {rest}")
        asm.place(loop)
        with asm.repeated(output.size // 8):
            body(masked=False)
            asm.emit(f"le lr, {loop}")
        asm.place(rest)
        if output.row_size % 8:
            asm.emit("ands r12, r12, #7", f"beq {done}")
            with asm.repeated(int(output.size % 8 > 0)):
                asm.emit("vctp.16 r12")
                body(masked=True)
        asm.place(done)
    table = b"".join(term.table for term in terms)
    way = ", one operand by a table" if table else ""
    return _code(asm, table, f"Helium, 8 elements at once{way}", SAVED_BYTES)


class _Term:
    """One operand of a sum: loaded, widened, scaled."""

    def __init__(
        self,
        asm: Assembler,
        tensor: Tensor,
        multiplier: Multiplier,
        pointer: str,
        vectors: tuple[str, str],
        registers: tuple[str, str],
        looks_up: bool,
    ) -> None:
        self._asm, self._pointer, self._vectors = asm, pointer, vectors
        self._multiplier = multiplier
        self._zero_point = tensor.zero_point
        self._centred = centred(tensor)
        # The coarser operand's factor is a half: a shift by one bit less, nothing to round.
        self._halves = is_half(multiplier)
        self._zero, self._factor = registers
        self.table = b""
        if looks_up and not self._halves:
            # In the order of the bytes as unsigned numbers.
            self.table = np.roll(scaled(tensor, multiplier), 128).astype("<i4").tobytes()
            set_address(asm, self._factor)
            return
        set_constant(asm, self._zero, tensor.zero_point)
        if not self._halves:
            set_constant(asm, self._factor, int(multiplier.mantissa))

    def emit(self, *, masked: bool) -> None:
        """Leave the even elements in the first vector, the odd ones in the second."""
        asm, (even, odd) = self._asm, self._vectors
        kind, into = ("u16", "q4") if self.table else ("s16", even)
        if masked:
            asm.emit("vpst", f"vldrbt.{kind} {into}, [{self._pointer}]")
        else:
            asm.emit(f"vldrb.{kind} {into}, [{self._pointer}], #8")
        if self.table:
            asm.emit("vmovlt.u16 q5, q4", "vmovlb.u16 q4, q4")
            for vector, index in ((even, "q4"), (odd, "q5")):
                asm.emit(f"vldrw.u32 {vector}, [{self._factor}, {index}, uxtw #2]")
            return
        if self._zero_point:
            asm.emit(f"vsub.i16 {even}, {even}, {self._zero}")
        asm.emit(f"vshl.i16 {even}, {even}, #{3 if self._halves else 4}")
        asm.emit(f"vshllt.s16 {odd}, {even}, #16", f"vshllb.s16 {even}, {even}, #16")
        if not self._halves:
            _rescale(asm, self._vectors, self._multiplier, self._factor, self._centred, False)


def _rescale(
    asm: Assembler,
    vectors: tuple[str, str],
    multiplier: Multiplier,
    register: str,
    domain: Int64Array,
    hidden: bool,
) -> None:
    """Emit both roundings for a factor below one; `domain` is every number that can come."""
    right = -int(multiplier.exponent)
    for vector in vectors:
        asm.emit(f"vqrdmulh.s32 {vector}, {vector}, {register}")
    if not right:
        return
    corrects = not hidden and halves_matter(multiplier, domain)
    for index, vector in enumerate(vectors):
        if corrects:
            spare = f"q{4 + index}"
            asm.emit(f"vshr.s32 {spare}, {vector}, #31", f"vadd.i32 {vector}, {vector}, {spare}")
        asm.emit(f"vrshr.s32 {vector}, {vector}, #{right}")


def _code(asm: Assembler, constants: bytes, approach: str, stack_bytes: int) -> KernelCode:
    return KernelCode(
        symbol=asm.symbol,
        text=asm.text,
        constants=constants,
        scratch_bytes=0,
        stack_bytes=stack_bytes,
        instructions=asm.instructions,
        code_bytes=asm.code_bytes,
        approach=approach,
        unit=1,
        overwrites_input=True,
        overwrites_other=True,
    )
