"""Builds tiny images for the tests: the real start-up and main program, a pretended model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jinja2

from edgeprune.resources import resource_folder
from edgeprune.targets import Target

LENGTH, CHANNELS, FEATURES, CLASSES = 8, 1, 3, 4

# The pretended network: logit k is the sum of all inputs plus k, modulo 256.
CLASSIFY = """
#include "edgeprune_model.h"
__attribute__((noinline)) int edgeprune_sum(const int8_t *from, int count) {
    int i, sum = 0;
    for (i = 0; i < count; i++) { sum += from[i]; __asm__ volatile(""); }
    return sum;
}
__attribute__((noinline)) int edgeprune_layer_00_sum(const int8_t *signal) {
    return edgeprune_sum(signal, EDGEPRUNE_SIGNAL_BYTES);
}
__attribute__((noinline)) int edgeprune_layer_01_sum(const int8_t *rhythm) {
    return edgeprune_sum(rhythm, EDGEPRUNE_RHYTHM_BYTES);
}
int edgeprune_classify(const int8_t *signal, const int8_t *rhythm, int8_t *logits) {
    int k, sum;
    BEFORE;
    sum = edgeprune_layer_00_sum(signal) + edgeprune_layer_01_sum(rhythm);
    for (k = 0; k < EDGEPRUNE_CLASS_COUNT; k++) logits[k] = (int8_t)(sum + k);
    return EDGEPRUNE_OK;
}
"""

# A pretended front end: a window a beat, made of the last samples and the beat's position.
FRONT_END = """
#include "edgeprune_model.h"
static int16_t last[EDGEPRUNE_SIGNAL_BYTES];
static int32_t pending;
void edgeprune_start(void) { pending = -1; }
__attribute__((noinline)) void edgeprune_front_end_samples(const int16_t *samples, uint32_t count) {
    uint32_t i;
    int k;
    for (i = 0; i < count; i++) {
        for (k = 1; k < EDGEPRUNE_SIGNAL_BYTES; k++) last[k - 1] = last[k];
        last[EDGEPRUNE_SIGNAL_BYTES - 1] = samples[i];
    }
}
void edgeprune_push_samples(const int16_t *samples, uint32_t count) {
    edgeprune_front_end_samples(samples, count);
}
void edgeprune_push_beat(int32_t position) { pending = position; }
int edgeprune_next_window(int8_t *signal, int8_t *rhythm) {
    int k;
    if (pending < 0) return 0;
    for (k = 0; k < EDGEPRUNE_SIGNAL_BYTES; k++) signal[k] = (int8_t)last[k];
    for (k = 0; k < EDGEPRUNE_RHYTHM_BYTES; k++) rhythm[k] = (int8_t)(pending >> k);
    pending = -1;
    return 1;
}
"""

_HEADER = f"""
#include <stdint.h>
#define EDGEPRUNE_SIGNAL_BYTES {LENGTH * CHANNELS}
#define EDGEPRUNE_RHYTHM_BYTES {FEATURES}
#define EDGEPRUNE_CLASS_COUNT {CLASSES}
#define EDGEPRUNE_OK 0
#define EDGEPRUNE_HAS_FRONT_END 1
int edgeprune_classify(const int8_t *signal, const int8_t *rhythm, int8_t *logits);
void edgeprune_start(void);
void edgeprune_push_samples(const int16_t *samples, uint32_t count);
void edgeprune_push_beat(int32_t position);
int edgeprune_next_window(int8_t *signal, int8_t *rhythm);
"""


def build(
    folder: Path,
    target: Target,
    sources: tuple[str, ...] = (CLASSIFY, FRONT_END),
    *,
    exchange: bool = True,
    before: str = "(void)0",
    stack_bytes: int = 1024,
) -> Path:
    """Compile and link an image with zig.

    Args:
        folder: An empty folder.
        target: Whose memories, flags and start-up to use.
        sources: C texts.
        exchange: Link the real main program over the exchange block; else a source has `main`.
        before: A statement that CLASSIFY executes first.
        stack_bytes: Size of the stack.
    """
    assert target.toolchain is not None
    assert target.memories is not None
    boards = resource_folder("firmware_export") / "boards"
    (folder / "edgeprune_model.h").write_text(_HEADER)
    script = jinja2.Template((boards / "image.ld.j2").read_text())
    (folder / "image.ld").write_text(script.render(target=target, stack_bytes=stack_bytes))
    files = [str(boards / name) for name in ("startup.c", "semihosting.c", "ticks.c")]
    if exchange:
        files.append(str(boards / "exchange_main.c"))
    for number, text in enumerate(sources):
        source = folder / f"source{number}.c"
        source.write_text(text)
        files.append(str(source))
    elf = folder / "image.elf"
    command = [sys.executable, "-m", "ziglang", "cc", *target.toolchain.zig, "-std=c99", "-O2"]
    command += ["-ffreestanding", "-nostdlib", "-ffunction-sections", "-Wl,--gc-sections"]
    command += [f"-DEXCHANGE_ORIGIN={target.memories.exchange.origin}u", "-DEDGEPRUNE_OWN_STRING"]
    command += [f"-DBEFORE={before}", f"-I{boards}", f"-I{folder}"]
    command += ["-T", str(folder / "image.ld"), "-o", str(elf), *files]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return elf
