"""The parts of make study-firmware about streams and about faults that a device must notice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgeprune.devices import count_instructions, run_image
from edgeprune.firmware import compile_image, generate
from edgeprune.firmware.streaming import least_hop, streaming_plan
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.faults import Device, constant_bytes, undetected_flips, undetected_overruns
from tests.firmware.networks import eeg, r1
from tests.firmware.test_streaming import windows
from tests.studies.study import Figure

SEED = 1
BIT_FLIPS = 10_000
CORE = "cortex-m7"
MOVES = 8


def streaming() -> Iterator[Figure]:
    """Windows that move by an eighth, beside the same windows each alone in its own firmware."""
    section, target = "streaming", load_target(CORE)
    # R1's window is a heart beat, short beside its padded edges: MACs alone allow 4.2 there, so it
    # is shown without a floor. The others are windows that slide.
    for name, network, limits in (
        ("r1 over 2,048 samples", r1(length=2048), (4, 6)),
        ("eeg", eeg(), (4, 6)),
        ("r1", r1(), (None, None)),
    ):
        length, step = network.input_tensors[0].shape[0], least_hop(network)
        hop = length // 8 // step * step
        (signal,) = windows(network, hop, SEED, count=MOVES)
        classes = network.output_tensor.size
        found = {}
        for program in ("exchange", "stream"):
            with tempfile.TemporaryDirectory() as folder:
                moves = hop if program == "stream" else None
                words = labels(network)
                sources = generate(
                    network, None, target, words, Path(folder) / "c", optimize="speed", hop=moves
                )
                elf = Path(folder) / "image.elf"
                image = compile_image(sources, target, elf, program=program)
                run = run_image(elf, target, signal, None, classes)
                wrong = int(np.count_nonzero(run.logits != network.run(signal)))
                profile = count_instructions(elf, target, signal, None, classes)
                found[program] = image, profile.median, wrong
        (alone, window, _), (image, moved, wrong) = found["exchange"], found["stream"]
        plan = streaming_plan(network, hop)
        limit = plan.window_multiply_accumulates / plan.multiply_accumulates
        note = (
            f"hop {hop} of {length}: {moved:,} and {window:,}; MACs alone would allow {limit:.2f}"
        )
        yield Figure(section, f"{name}, fewer instructions", window / moved, *limits, note=note)
        note = f"{MOVES} windows"
        yield Figure(section, f"{name}, mismatches", wrong, 0, at_most=True, note=note)
        note = f"{image.ram_bytes:,} and {alone.ram_bytes:,} bytes"
        ratio = image.ram_bytes / alone.ram_bytes
        yield Figure(section, f"{name}, RAM beside windows alone", ratio, at_most=True, note=note)


def faults() -> Iterator[Figure]:
    """Single bits of the constants flip, and something writes beside the arena."""
    section, network = "faults", r1()
    for core in (CORE, "cortex-m0plus"):
        target = load_target(core)
        with tempfile.TemporaryDirectory() as folder:
            sources = generate(network, None, target, labels(network), Path(folder) / "c")
            elf = Path(folder) / "image.elf"
            compile_image(sources, target, elf, program="twin")
            device = Device(elf, target)
            size = sum(count for _, count in constant_bytes(device, sources))
            missed = undetected_flips(device, sources, BIT_FLIPS, SEED)
            note = f"{BIT_FLIPS:,} flips in {size:,} bytes"
            name = f"{core}, flips of a bit that the CRC misses"
            yield Figure(section, name, missed, 0, at_most=True, note=note)
            missed, tried = undetected_overruns(device, SEED)
            name = f"{core}, writes beside the arena that are missed"
            yield Figure(section, name, missed, 0, at_most=True, note=f"{tried} writes")
            signal = windows(network, 32, SEED, count=MOVES)[0]
            run = run_image(elf, target, signal, None, network.output_tensor.size)
            wrong = int(np.count_nonzero(run.logits != network.run(signal)))
            name = f"{core}, mismatches of assembly, steps and portable C on the device"
            yield Figure(section, name, wrong, 0, at_most=True, note=f"{MOVES} windows")
