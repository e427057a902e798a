from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import unicorn

from edgeprune.devices import InstructionProfile, count_front_end, count_instructions, exchange
from edgeprune.devices.emulator import Emulator
from edgeprune.devices.unicorn_device import emulator_for
from edgeprune.errors import DeviceError
from edgeprune.targets import Target, load_target
from tests.devices import images
from tests.devices.conftest import UNICORN_TARGETS, Windows

Image = Callable[[str], tuple[Path, Target]]

# Everything that could confuse a count by blocks: conditional execution, a switch table, straight
# code longer than one translated block, a tail call, a loop to a function's first instruction,
# a layer called twice, and a shared kernel.
TANGLED = (
    """
#include "edgeprune_model.h"
#define N __attribute__((noinline))
volatile int sink;
N int edgeprune_shared(const int8_t *from, int count) {
    int i, sum = 0;
    for (i = 0; i < count; i++) {
        int v = from[i];
        if (v > 3) sum += v; else if (v < -100) sum -= 2 * v;
        switch (v & 7) {
            case 0: sum ^= 5; break; case 1: sum += 11; break; case 2: sum *= 3; break;
            case 3: sink = sum; break; case 5: sum -= 9; break; case 6: sum = -sum; break;
            default: sum |= 1;
        }
    }
    return sum;
}
N int edgeprune_layer_00_tail(const int8_t *from) { return edgeprune_shared(from, 8); }
N int edgeprune_layer_01_long(const int8_t *from) {
    int a = from[0];
    LONG
    return a;
}
__attribute__((naked, noinline)) void edgeprune_layer_02_loop(unsigned n) {
    __asm__ volatile(".syntax unified\\n subs r0, #1\\n bne edgeprune_layer_02_loop\\n bx lr");
}
N int edgeprune_layer_03_nested(const int8_t *from) {
    return edgeprune_layer_00_tail(from) + edgeprune_shared(from, 2);
}
int edgeprune_classify(const int8_t *signal, const int8_t *rhythm, int8_t *logits) {
    int k, sum = edgeprune_layer_00_tail(signal);
    sum += edgeprune_layer_01_long(signal);
    edgeprune_layer_02_loop(100);
    sum += edgeprune_layer_03_nested(signal);
    for (k = 0; k < EDGEPRUNE_CLASS_COUNT; k++) logits[k] = (int8_t)(sum + k + rhythm[0]);
    return EDGEPRUNE_OK;
}
""".replace("LONG", "a = a * 7 + (a >> 3); sink = a;\n" * 300),
    images.FRONT_END,
)


def it_block(emulator: Emulator, address: int) -> list[int]:
    """Return the addresses of the instructions that the IT instruction at `address` governs."""
    low, high = emulator.read(address, 2)
    mask = low & 15
    if high != 0xBF or mask == 0:
        return []
    governed = 4 - (mask & -mask).bit_length() + 1
    addresses = []
    address += 2
    for _ in range(governed):
        addresses.append(address)
        address += 4 if emulator.read(address + 1, 1)[0] >> 3 >= 0x1D else 2
    return addresses


def by_single_steps(
    elf: Path, target: Target, signal: np.ndarray, rhythm: np.ndarray
) -> tuple[Counter[str], list[int]]:
    """Count per symbol and per window with a hook on every instruction.

    Unicorn calls this hook only for instructions whose condition holds, so an IT block is counted
    as a whole at its IT instruction.
    """
    emulator = emulator_for(elf, target)
    names = {
        symbol.address: symbol.name
        for symbol in emulator.program.functions
        if symbol.name == "edgeprune_classify" or symbol.name.startswith("edgeprune_layer_")
    }
    counts: Counter[str] = Counter()
    totals: list[int] = []
    stack: list[tuple[str, int, int]] = []

    predicated: set[int] = set()

    def step(_: object, address: int, __: int, ___: object) -> None:
        while stack and (address, emulator.register("SP")) == stack[-1][1:]:
            stack.pop()
        if address in names:
            frame = (names[address], emulator.register("LR") & ~1, emulator.register("SP"))
            if not stack or stack[-1] != frame:
                stack.append(frame)
                if frame[0] == "edgeprune_classify":
                    totals.append(0)
        block = it_block(emulator, address)
        if stack and address not in predicated:
            counts[stack[-1][0]] += 1 + len(block)
            totals[-1] += 1 + len(block)
        predicated.update(block)

    emulator.machine.hook_add(unicorn.UC_HOOK_CODE, step)
    request = exchange.pack_windows(signal, rhythm, images.CLASSES)
    emulator.write(emulator.memories.exchange.origin, request.content.ljust(request.total_bytes))
    assert emulator.run(60) == 0
    return counts, totals


def symbols(profile: InstructionProfile) -> dict[str, int]:
    return {layer.symbol: layer.total for layer in profile.layers}


@pytest.mark.parametrize("name", UNICORN_TARGETS)
def test_blocks_count_what_single_steps_count(name: str, tmp_path: Path, windows: Windows) -> None:
    signal, rhythm, _ = windows
    target = load_target(name)
    elf = images.build(tmp_path, target, TANGLED, stack_bytes=16384)
    profile = count_instructions(elf, target, signal[:3], rhythm[:3], images.CLASSES)
    counts, totals = by_single_steps(elf, target, signal[:3], rhythm[:3])
    assert symbols(profile) == counts
    assert (profile.minimum, profile.median, profile.maximum) == tuple(sorted(totals))
    assert profile.minimum < profile.maximum
    assert sum(totals) == sum(layer.total for layer in profile.layers)
    calls = {layer.symbol: layer.calls for layer in profile.layers}
    assert calls["edgeprune_layer_00_tail"] == 6
    assert calls["edgeprune_layer_02_loop"] == 3
    for layer in profile.layers:
        assert sum(count for _, count in layer.by_class) == layer.total


def test_a_loop_costs_what_its_listing_says(tmp_path: Path, windows: Windows) -> None:
    signal, rhythm, _ = windows
    target = load_target("cortex-m4")
    elf = images.build(tmp_path, target, TANGLED, stack_bytes=16384)
    profile = count_instructions(elf, target, signal[:2], rhythm[:2], images.CLASSES)
    loop = next(layer for layer in profile.layers if layer.symbol.endswith("loop"))
    # 100 times subs and bne, once bx, in each of two windows
    assert loop.total == 2 * (2 * 100 + 1)
    assert dict(loop.by_class)["arithmetic"] == 2 * 100
    assert dict(loop.by_class)["branch"] == 2 * 101
    assert profile.where == "emulator (instructions)"
    assert profile.windows == 2


KNOWN = """
#include "edgeprune_model.h"
__attribute__((naked, noinline)) void edgeprune_layer_00_known(const int8_t *at) {
    __asm__ volatile(".syntax unified\\n"
        "push {r4, r5}\\n ldr r1, [r0]\\n ldrsb r2, [r0, #1]\\n smlad r3, r1, r2, r1\\n"
        "mla r3, r1, r2, r3\\n mul r4, r1, r2\\n smull r4, r5, r1, r2\\n sdiv r4, r1, r2\\n"
        "cmp r1, r1\\n itte ne\\n addne r1, #1\\n strne r1, [r0]\\n moveq r1, r2\\n"
        "ssat r1, #8, r1\\n sub sp, #64\\n add sp, #64\\n nop\\n pop {r4, r5}\\n bx lr");
}
int edgeprune_classify(const int8_t *signal, const int8_t *rhythm, int8_t *logits) {
    edgeprune_layer_00_known(signal);
    logits[0] = rhythm[0];
    return EDGEPRUNE_OK;
}
"""


def test_every_class_is_told_apart_and_skipped_instructions_count(
    tmp_path: Path, windows: Windows
) -> None:
    signal, rhythm, _ = windows
    target = load_target("cortex-m7")
    elf = images.build(tmp_path, target, (KNOWN, images.FRONT_END))
    profile = count_instructions(elf, target, signal[:1], rhythm[:1], images.CLASSES)
    known = next(layer for layer in profile.layers if layer.symbol.endswith("known"))
    assert dict(known.by_class) == {
        "load": 3,
        "store": 2,  # the push, and strne, which is issued and skipped
        "multiply-accumulate": 2,
        "multiply": 2,
        "divide": 1,
        "arithmetic": 5,
        "move": 1,
        "branch": 1,
        "other": 2,  # it and nop
    }


@pytest.mark.parametrize("used", [64, 500])
def test_the_stack_is_measured_below_the_caller(
    used: int, tmp_path: Path, windows: Windows
) -> None:
    signal, rhythm, _ = windows
    text = """
#include "edgeprune_model.h"
__attribute__((naked, noinline)) void edgeprune_layer_00_deep(void) {
    __asm__ volatile("sub sp, #USED\\n str r0, [sp]\\n add sp, #USED\\n bx lr");
}
__attribute__((naked)) int edgeprune_classify(const int8_t *s, const int8_t *r, int8_t *logits) {
    __asm__ volatile("push {r4, lr}\\n bl edgeprune_layer_00_deep\\n movs r0, #0\\n pop {r4, pc}");
}
""".replace("USED", str(used))
    target = load_target("cortex-m4")
    elf = images.build(tmp_path, target, (text, images.FRONT_END))
    profile = count_instructions(elf, target, signal[:1], rhythm[:1], images.CLASSES)
    assert profile.stack_bytes == used + 8


def test_the_front_end_is_counted_beside_the_network(image: Image) -> None:
    elf, target = image("cortex-m4")
    samples = np.arange(100, dtype=np.int16)
    beats = np.array([20, 50, 90], np.int64)
    profile = count_front_end(elf, target, samples, beats, (8, 1), 3, images.CLASSES)
    layers = {layer.symbol: layer for layer in profile.layers}
    assert layers["edgeprune_front_end_samples"].calls == 100
    assert layers["edgeprune_front_end_samples"].total % 100 == 0
    assert layers["edgeprune_classify"].calls == profile.windows == 3
    assert layers["edgeprune_push_samples"].calls == 100
    assert layers["edgeprune_next_window"].calls >= 100
    network = sum(
        layer.total
        for name, layer in layers.items()
        if name.startswith(("edgeprune_classify", "edgeprune_layer_"))
    )
    assert 3 * profile.median == network


def test_images_that_cannot_be_profiled_are_refused(
    tmp_path: Path, image: Image, windows: Windows
) -> None:
    signal, rhythm, _ = windows
    elf, target = image("cortex-m3")
    for count in (0, 17):
        with pytest.raises(ValueError, match="1 to 16 windows"):
            count_instructions(elf, target, signal[:count], rhythm[:count], images.CLASSES)
    bare = images.build(tmp_path, target, ("int main(void) { return 0; }",), exchange=False)
    with pytest.raises(DeviceError, match="no symbol edgeprune_classify"):
        count_instructions(bare, target, signal[:1], rhythm[:1], images.CLASSES)


def test_a_function_of_two_names_is_found_by_both(tmp_path: Path, windows: Windows) -> None:
    signal, rhythm, _ = windows
    target = load_target("cortex-m3")
    text = images.CLASSIFY.replace("int edgeprune_classify", "int zz_other") + (
        '__attribute__((alias("zz_other"))) '
        "int edgeprune_classify(const int8_t *, const int8_t *, int8_t *);"
    )
    elf = images.build(tmp_path, target, (text, images.FRONT_END))
    assert count_instructions(elf, target, signal[:1], rhythm[:1], images.CLASSES).windows == 1


def test_unaligned_access_is_found_where_it_faults(tmp_path: Path, windows: Windows) -> None:
    signal, rhythm, _ = windows
    for name in ("cortex-m0plus", "cortex-m3"):
        target = load_target(name)
        folder = tmp_path / name
        folder.mkdir()
        elf = images.build(folder, target, before="*(volatile int *)(signal + 1)")
        if name == "cortex-m3":
            assert count_instructions(elf, target, signal[:1], rhythm[:1], images.CLASSES)
        else:
            with pytest.raises(DeviceError, match="accesses 4 unaligned bytes at 0x21000081") as e:
                count_instructions(elf, target, signal[:1], rhythm[:1], images.CLASSES)
            assert "edgeprune_classify" in e.value.where
