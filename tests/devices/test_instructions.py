from __future__ import annotations

import pytest

from edgeprune.devices.instructions import CLASSES, Disassembler, classify, split


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("bic", "r0, r1", "arithmetic"),
        ("bfi", "r0, r1, #1, #2", "arithmetic"),
        ("b", "#4", "branch"),
        ("pop", "{r4, pc}", "branch"),
        ("pop", "{r4, r5}", "load"),
        ("ldr", "pc, [r0]", "branch"),
        ("ldr", "r0, [pc, #4]", "load"),
        ("ldm", "r0!, {r1, r2}", "load"),
        ("smlal", "r0, r1, r2, r3", "multiply-accumulate"),
        ("smull", "r0, r1, r2, r3", "multiply"),
        ("smmul", "r0, r1, r2", "multiply"),
        ("smmla", "r0, r1, r2, r3", "multiply-accumulate"),
        ("mls", "r0, r1, r2, r3", "multiply-accumulate"),
        ("vmov", "s0, r0", "move"),
        ("svc", "#1", "other"),
    ],
)
def test_classes(name: str, operands: str, expected: str) -> None:
    assert classify(name, operands) == expected


def test_lengths_follow_the_first_halfword() -> None:
    code = bytes.fromhex("00bf 20fb0110 dff804f0 fbd1".replace(" ", ""))
    assert [(offset, len(part)) for offset, part in split(code)] == [
        (0, 2),
        (2, 4),
        (6, 4),
        (10, 2),
    ]


def test_what_no_disassembler_knows_still_counts() -> None:
    # vmla.s8 of Helium, then nop
    counts = Disassembler().count(bytes.fromhex("01ee400e00bf"))
    assert sum(counts) == 2
    assert counts[CLASSES.index("other")] >= 1
