"""The cycle models against published cycles of instruction sequences."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprune.devices.cycles import CORES
from edgeprune.devices.cycles.core import BlockRuns
from edgeprune.devices.cycles.decode import BRANCHES, Decoder, Instruction, Kind
from edgeprune.devices.cycles.range import Range
from tests.devices.assembled import assemble

# Cycles of one copy among many, as measured at quinapalus.com/cm7cycles.html (STM32H730) and in
# github.com/jnk0le/random, cortex_m7.md (STM32H743); the copies follow each other without a jump.
CORTEX_M7 = {
    "eor.w r0, r1, r2; eor.w r3, r4, r5": 1,
    "adc.w r0, r1, r2; adc.w r3, r4, r5": 1,
    "adcs.w r0, r1, r2; adcs.w r3, r4, r5": 2,
    "umull r0, r1, r2, r3": 1,
    "umull r0, r1, r2, r3; umull r4, r5, r2, r3": 2,
    "umlal r0, r1, r2, r3": 1,
    "umull r0, r1, r2, r3; eor.w r4, r5, r6": 1,
    "mul r0, r0, r1": 2,
    "mla r0, r1, r2, r0": 1,
    "ldr.w r0, [r1]": 1,
    "ldr.w r0, [r1]; ldr.w r2, [r1]": 2,
    "ldr.w r0, [r1]; ldr.w r2, [r1, #4]": 1,
    "ldr.w r0, [r0]": 3,
    "ldr.w r0, [r1]; adc.w r2, r3, r4": 1,
    "ldr.w r0, [r1]; mla r2, r3, r4, r5": 1,
    "ldr.w r0, [r1]; str.w r2, [r3]": 1,
    "str.w r0, [r1]; str.w r2, [r1, #4]": 2,
    "mul r0, r1, r2; str.w r3, [r4]": 2,
    "smlad r0, r1, r2, r0; sxtb16 r3, r4": 2,
    "sxtb16 r0, r1; uxtb16 r2, r3": 2,
    "uxtb.w r0, r1; eor.w r2, r3, r4": 1,
    "add.w r1, r0, r3; add.w r1, r1, r2": 1,
    "add.w r0, r1, r2, lsl #3; add.w r4, r5, r6, lsl #2": 2,
    "add.w r0, r1, r2, lsl #3; eor.w r4, r5, r6": 1,
    "add.w r0, r1, r2, lsl #3; lsl.w r4, r5, #2": 1,
    "ubfx r0, r1, #3, #4; eor.w r4, r5, r6, lsl #2": 2,
    "movw r0, #1; movt r0, #2": 1,
    "ldmia r0, {r1, r2, r3, r4}": 2,
}
# github.com/jnk0le/random, cortex_m33.md (RP2350).
CORTEX_M33 = {
    "adds r0, r1, #1": 1,
    "adds r0, r1, #1; nop": 1,
    "ldr r0, [r1]; nop": 1,
    "add.w r0, r1, #1; nop.w": 2,
    "ldr r0, [r1]; adds r2, r0, #1": 3,
    "ldr r0, [r1]; str r0, [r2]": 2,
    "ldr r0, [r1]; mla r2, r3, r4, r0": 2,
    "mla r0, r1, r2, r0": 1,
    "mla r0, r1, r2, r0; eor.w r3, r3, r0": 3,
    "smlad r0, r1, r2, r0": 1,
    "sxtab16 r0, r0, r1": 1,
    "muls r0, r1, r0": 2,
    "adds.w r0, r1, #0x1fc0": 2,
    "add.w r0, r1, r0, ror #24": 2,
    "ldmia r6!, {r0, r1, r2, r3}": 4,
    "ldrd r0, r1, [r2]": 2,
    "cmp r0, r1; it eq; addeq r2, r3": 2,
}
# Arm's reference manuals: n pipelined loads take n + 1, a transfer of n registers takes n + 1, an
# address that the instruction before has just computed costs a cycle.
CORTEX_M4 = {
    "ldr r0, [r1]; ldr r2, [r1, #4]; ldr r3, [r1, #8]; adds r4, #1": 5,
    "ldr r0, [r1]; adds r2, r0, #1": 3,
    "ldr r0, [r0]; adds r2, #1": 3,
    "ldmia r0, {r1, r2, r3, r4}": 5,
    "stmia r0, {r1, r2, r3, r4}": 5,
    "str r0, [r1]; adds r2, #1": 2,
    "adds r1, #4; ldr r0, [r1]": 4,
    "smlal r0, r1, r2, r3": 1,
    "smlad r0, r1, r2, r3": 1,
    "mla r0, r1, r2, r3": 1,
    "ssat r0, #8, r1": 1,
}
CORTEX_M3 = {
    "mul r0, r1, r2": 1,
    "mla r0, r1, r2, r3": 2,
    "ldr r0, [r1]; ldr r2, [r1, #4]; ldr r3, [r1, #8]; adds r4, #1": 5,
    "ldmia r0, {r1, r2, r3, r4}": 5,
}
CORTEX_M0PLUS = {
    "adds r0, r1, r2": 1,
    "muls r0, r1, r0": 1,
    "ldr r0, [r1]; ldrb r2, [r1]": 4,
    "strh r0, [r1]": 2,
    "ldm r0!, {r1, r2, r3}": 4,
    "push {r4, r5, r6, lr}": 5,
    "dmb": 3,
}
STRAIGHT = {
    "cortex-m7": CORTEX_M7,
    "cortex-m33": CORTEX_M33,
    "cortex-m4": CORTEX_M4,
    "cortex-m3": CORTEX_M3,
    "cortex-m0plus": CORTEX_M0PLUS,
}
# Cycles of one turn of a loop that runs long. Nordic's nrfx counts 3 for SUBS and BHI on M0+, M4
# and M33; the others on M33 are from cortex_m33.md.
LOOPS = [
    ("cortex-m0plus", "1: subs r0, #3; bhi 1b", 3),
    ("cortex-m4", "1: subs r0, #3; bhi 1b", 3),
    ("cortex-m33", "1: subs r0, #3; bhi 1b", 3),
    ("cortex-m33", "1: subs r7, #1; add r0, r1; bne 1b", 3),
    ("cortex-m33", "1: subs r7, #1; ldmia r6!, {r0, r1, r2, r3}; bne 1b", 6),
    # A jump of the manual's table: B takes 1 + P, BX 2 on M0+, BL 3.
    ("cortex-m0plus", "1: b 1b", 2),
    ("cortex-m0plus", "1: bl 1b", 3),
    ("cortex-m0plus", "bx lr", 2),
    ("cortex-m0plus", "pop {r4, pc}", 5),
]
FEW, MANY = 4, 14


@cache
def repeated(core: str) -> dict[str, tuple[Instruction, ...]]:
    texts = {
        f"{times} {text}": "; ".join([text] * times)
        for text in STRAIGHT[core]
        for times in (FEW, MANY)
    }
    return assemble(core, texts)


@cache
def loops(core: str) -> dict[str, tuple[Instruction, ...]]:
    return assemble(core, {text: text for name, text, _ in LOOPS if name == core})


@pytest.mark.parametrize(
    ("core", "text", "published"),
    [(core, *row) for core, rows in STRAIGHT.items() for row in rows.items()],
)
def test_straight_code_takes_what_was_published(core: str, text: str, published: int) -> None:
    few, many = (
        CORES.get(core).cycles(BlockRuns(repeated(core)[f"{times} {text}"], 1))
        for times in (FEW, MANY)
    )
    assert (many.expected - few.expected) / (MANY - FEW) == published
    assert many.minimum <= many.expected <= many.maximum


@pytest.mark.parametrize(("core", "text", "published"), LOOPS)
def test_loops_take_what_was_published(core: str, text: str, published: int) -> None:
    block = loops(core)[text]
    found = CORES.get(core).cycles(BlockRuns(block, 1000, 1000, ((block[0], 1000),)))
    assert found.expected == 1000 * published
    assert found.minimum <= found.expected <= found.maximum


@pytest.mark.parametrize("core", CORES)
def test_a_branch_that_falls_through_costs_less(core: str) -> None:
    block = assemble(core, {"loop": "1: subs r0, #3; bhi 1b"})["loop"]
    model = CORES.get(core)
    taken = model.cycles(BlockRuns(block, 100, 100, ((block[0], 100),)))
    not_taken = model.cycles(BlockRuns(block, 100))
    assert not_taken.expected <= taken.expected
    mixed = model.cycles(BlockRuns(block, 100, 50, ((block[0], 50),)))
    assert not_taken.minimum <= mixed.minimum <= mixed.expected <= mixed.maximum


def test_mispredictions_on_cortex_m7() -> None:
    block = assemble("cortex-m7", {"loop": "1: subs r0, #3; bhi 1b"})["loop"]
    # The two pair, so a turn takes a cycle; each of the 10 runs of the rarer way goes wrong half
    # of the time, at worst with each run of the other way before it, at 8 cycles.
    found = CORES.get("cortex-m7").cycles(BlockRuns(block, 100, 90, ((block[0], 90),)))
    assert (found.minimum, found.expected) == (100, 100 + 10 / 2 * 8)
    assert found.maximum == 100 + 90 + (2 * 10 + 1) * 8


def test_what_the_decoder_sees() -> None:
    lines = {
        "load": "ldrb r2, [r3], #1",
        "index": "ldr.w r0, [r1, r2, lsl #2]",
        "literal": "ldr r0, [pc, #8]",
        "store": "strd r0, r1, [r2, #8]!",
        "pop": "pop {r4, r5, pc}",
        "long": "smlal r2, r3, r4, r5",
        "extend": "sxtab16 r0, r1, r2",
        "constant": "eor.w r0, r1, #0x1fe0000",
        "pattern": "eor.w r0, r1, #0x1b1b1b1b",
        "it": "itt ne; addne r0, r1; movne r2, #3; adds r0, r1, r2",
        "compare": "cmp r0, r1, lsl #2",
        "return": "bx lr",
        "table": "tbb [pc, r1]",
    }
    seen = assemble("cortex-m4", lines)
    one = {name: block[0] for name, block in seen.items()}
    assert one["load"].writes == {"r2", "r3"}
    assert (one["load"].bytes_loaded, one["load"].writeback, one["load"].base) == (1, True, "r3")
    assert one["index"].address_reads == {"r1", "r2"}
    assert one["index"].offset is None
    assert one["literal"].is_literal
    assert one["store"].stored == {"r0", "r1"}
    assert (one["store"].writes, one["store"].bytes_loaded) == ({"r2"}, 8)
    assert (one["pop"].kind, one["pop"].registers) == (Kind.LOAD_PC, 2)
    assert one["long"].accumulator == {"r2", "r3"}
    assert (one["extend"].accumulator, one["extend"].reads) == ({"r1"}, {"r2"})
    assert one["constant"].shifted_constant
    assert not one["pattern"].shifted_constant
    assert [each.is_conditional for each in seen["it"]] == [False, True, True, False]
    assert ["flags" in each.writes for each in seen["it"]] == [False, False, False, True]
    assert (one["compare"].shifted, one["compare"].writes) == ({"r1"}, {"flags"})
    assert (one["return"].kind, one["table"].kind) == (Kind.INDIRECT, Kind.TABLE)


@given(st.binary(min_size=2, max_size=64).filter(lambda code: len(code) % 2 == 0))
def test_the_three_cases_are_in_order_whatever_runs(code: bytes) -> None:
    block = Decoder().decode(0x1000, code + b"\x00\xbf")
    jumps = 3 if block[-1].kind in BRANCHES else 0
    for core in CORES:
        found = CORES.get(core).cycles(BlockRuns(block, 5, jumps))
        assert 0 <= found.minimum <= found.expected <= found.maximum


def test_ranges_add_up() -> None:
    assert Range(1, 2, 3) + Range.exactly(1) * 2 == Range(3, 4, 5)
