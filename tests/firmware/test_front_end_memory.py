"""The front end's C under AddressSanitizer: random patients, every buffer of its exact size."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.resources import resource_folder
from edgeprune.targets import Adc

PROGRAM = """
#include "edgeprune_front_end.h"
#include <stdio.h>
#include <stdlib.h>
static uint32_t seed;
static uint32_t draw(uint32_t most) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % (most + 1u);
}
static int32_t drain(const edgeprune_front_end_config *config, edgeprune_front_end_state *state) {
    int8_t *signal = malloc(96 * 2), *rhythm = malloc(18);
    int32_t windows = 0;
    while (edgeprune_front_end_window(config, state, signal, rhythm)) {
        windows++;
    }
    free(signal);
    free(rhythm);
    return windows;
}
int main(void) {
    const edgeprune_front_end_config config = {CONFIG};
    int32_t windows = 0, patient;
    for (patient = 0; patient < 60; patient++) {
        edgeprune_front_end_state *state = malloc(sizeof *state);
        int32_t step;
        seed = (uint32_t)patient;
        edgeprune_front_end_reset(state);
        for (step = 0; step < 400; step++) {
            int32_t count = (int32_t)draw(1u << draw(11u)), place, taken = 0;
            int16_t *samples = malloc(sizeof(int16_t) * (size_t)(count + 1));
            for (place = 0; place < count; place++) {
                samples[place] = (int16_t)(patient % 2 ? (int)draw(65535u) - 32768
                                                       : (draw(1u) ? 32767 : -32768));
            }
            while (taken < count) {
                taken += edgeprune_front_end_samples(&config, state, samples + taken,
                                                     count - taken);
                windows += drain(&config, state);
            }
            free(samples);
            for (place = (int32_t)draw(3u); place > 0; place--) {
                edgeprune_front_end_beat(&config, state, state->taken - draw(1u << draw(31u)));
                windows += drain(&config, state);
            }
        }
        free(state);
    }
    printf("%d", (int)windows);
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not on this machine")
@pytest.mark.parametrize(("rate", "ring"), [(125, 256), (360, 1024), (1000, 2048)])
def test_nothing_outside_the_buffers_is_touched(tmp_path: Path, rate: int, ring: int) -> None:
    runtime = resource_folder("firmware_export") / "runtime"
    constants = BeatFrontEnd.for_adc(Adc(rate, 5.0, 16)).constants().values()
    source = tmp_path / "program.c"
    source.write_text(PROGRAM.replace("CONFIG", ", ".join(map(str, constants))))
    program = tmp_path / "program"
    options = ["-std=c99", "-O1", "-g", f"-I{runtime}", f"-DEDGEPRUNE_FRONT_END_RING={ring}"]
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    files = [str(source), str(runtime / "edgeprune_front_end.c")]
    subprocess.run(["gcc", *options, *checks, *files, "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 1000
