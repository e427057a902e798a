"""make study-firmware: what the generated firmware takes, beside TFLite Micro and portable C."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeprune.config import load_config
from edgeprune.devices import count_instructions, run_image
from edgeprune.devices.cycles import estimate_cycles
from edgeprune.firmware import FirmwareSources, Image, compile_image, generate
from edgeprune.network import IntegerNetwork
from edgeprune.network.weighted import WeightedOperation
from edgeprune.pipeline.build import build
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.networks import eeg, r1
from tests.network.strategies import inputs_for
from tests.studies.firmware_safety import faults, streaming
from tests.studies.study import CHECKOUT, KEPT, Figure, outcome_of_tests, run_study

SEED = 1
WINDOWS = 8
KIB = 1024
REFERENCES = CHECKOUT / "tests" / "studies" / "references.json"
RANDOM_NETWORKS = 500


@dataclass(frozen=True)
class Measured:
    """What an image showed.

    Attributes:
        image: The image over the exchange block.
        instructions: Of the dearest window.
        spread: Dearest minus cheapest window, in the layers: the first window also paints guards.
        timed: The same by the board's timer in QEMU, None where QEMU is not there.
        mismatches: Logits that differ from the specification.
    """

    image: Image
    instructions: int
    spread: int
    timed: int | None
    mismatches: int


@contextmanager
def generated(network: IntegerNetwork, target: str, optimize: str) -> Iterator[FirmwareSources]:
    """Generate into a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "c"
        words = labels(network)
        yield generate(network, None, load_target(target), words, folder, optimize=optimize)


def measure(
    network: IntegerNetwork,
    core: str,
    optimize: str = "balanced",
    *,
    portable: bool = False,
    program: str = "exchange",
) -> Measured:
    """Build a network for a core and run random windows, in every emulator that has the core."""
    target = load_target(core)
    windows = inputs_for(network, WINDOWS, SEED)
    expected = network.run(*windows)
    signal, rhythm = windows if len(windows) == 2 else (*windows, None)
    classes = network.output_tensor.size
    with generated(network, "host" if portable else core, optimize) as sources:
        elf = sources.folder.parent / "image.elf"
        image = compile_image(sources, target, elf, program=program)
        if program != "exchange":
            return Measured(image, 0, 0, None, 0)
        mismatches, timed, instructions, spread = 0, None, 0, 0
        if target.emulator is not None:
            run = run_image(elf, target, signal, rhythm, classes, backend="unicorn")
            mismatches += int(np.count_nonzero(run.logits != expected))
            profile = count_instructions(elf, target, signal, rhythm, classes)
            instructions = profile.maximum
            spread = sum(
                layer.maximum - layer.minimum
                for layer in profile.layers
                if "_layer_" in layer.symbol
            )
        if target.qemu is not None and shutil.which("qemu-system-arm"):
            run = run_image(elf, target, signal, rhythm, classes, backend="qemu")
            mismatches += int(np.count_nonzero(run.logits != expected))
            assert run.instructions is not None
            timed = run.instructions.maximum
            if target.emulator is None:
                instructions = timed
    return Measured(image, instructions, spread, timed, mismatches)


def pruned(network: IntegerNetwork, share: float) -> IntegerNetwork:
    """Return the network with the smallest weights of each operation set to zero."""

    def without(operation: Any) -> Any:
        if not isinstance(operation, WeightedOperation):
            return operation
        weights = operation.weights.copy().reshape(-1)
        order = np.argsort(np.abs(weights.astype(np.int16)), kind="stable")
        weights[order[: round(share * weights.size)]] = 0
        return replace(operation, weights=weights.reshape(operation.weights.shape))

    operations = tuple(without(operation) for operation in network.operations)
    return IntegerNetwork(network.tensors, network.inputs, network.outputs, operations)


def _at_most(
    section: str,
    name: str,
    found: float | None,
    floor: float | None = None,
    mark: float | None = None,
    *,
    unit: str = "",
    note: str = "",
) -> Figure:
    return Figure(section, name, found, floor, mark, True, unit, note)


def _mismatches(section: str, name: str, measured: Measured) -> Figure:
    note = f"{WINDOWS} windows"
    return _at_most(section, f"{name}, mismatches", measured.mismatches, 0, note=note)


def r1_on_every_core() -> Iterator[Figure]:
    """R1: instructions, flash and RAM, core by core."""
    section, network = "r1", r1()
    dsp = {core: measure(network, core) for core in ("cortex-m7", "cortex-m4", "cortex-m33")}
    first = dsp["cortex-m7"]
    note = f"{first.instructions / network.multiply_accumulates():.3f} a MAC"
    yield _at_most(
        section, "cortex-m7, instructions", first.instructions, 700_000, 600_000, note=note
    )
    serial = measure(network, "cortex-m7", program="serial").image
    yield _at_most(
        section,
        "cortex-m7, flash with the protocol",
        serial.flash_bytes,
        29 * KIB,
        24 * KIB,
        unit="byte",
    )
    yield _at_most(
        section, "cortex-m7, RAM with stack", serial.ram_bytes, 9 * KIB, 6 * KIB, unit="byte"
    )
    for core in ("cortex-m4", "cortex-m33"):
        ratio = dsp[core].instructions / first.instructions
        yield _at_most(section, f"{core}, instructions beside cortex-m7", ratio, 1.05)
    for core, measured in dsp.items():
        yield from _agreement(section, core, measured)
    for core in ("cortex-m3", "cortex-m0plus"):
        ours, c = measure(network, core), measure(network, core, portable=True)
        ratio = c.instructions / ours.instructions
        note = f"{ours.instructions:,} and {c.instructions:,}"
        yield Figure(section, f"{core}, fewer than portable C", ratio, 1.3, 1.8, note=note)
        yield from _agreement(section, core, ours)
    if shutil.which("qemu-system-arm"):
        helium = measure(network, "cortex-m55")
        yield _at_most(
            section,
            "cortex-m55, instructions",
            helium.instructions,
            400_000,
            300_000,
            note="QEMU; the timer's tick is a few instructions",
        )
        yield _mismatches(section, "cortex-m55", helium)
    else:
        yield _at_most(section, "cortex-m55, instructions", None, 400_000, note="no QEMU")
    for optimize in ("speed", "size", "ram"):
        other = measure(network, "cortex-m7", optimize)
        yield Figure(section, f"optimize {optimize}, instructions", other.instructions)
        yield Figure(section, f"optimize {optimize}, flash", other.image.flash_bytes, unit="byte")
        yield Figure(section, f"optimize {optimize}, RAM", other.image.ram_bytes, unit="byte")


def _agreement(section: str, core: str, measured: Measured) -> Iterator[Figure]:
    yield _mismatches(section, core, measured)
    yield _at_most(section, f"{core}, instructions spread over inputs", measured.spread, 0)
    if measured.timed is not None:
        share = abs(measured.timed / measured.instructions - 1)
        note = f"unicorn {measured.instructions:,}, QEMU {measured.timed:,}"
        yield _at_most(section, f"{core}, the two emulators differ by", share, 0.001, note=note)


class Networks:
    """The sections that compare with TFLite Micro.

    Args:
        data: Folder that holds the real recordings.
    """

    def __init__(self, data: Path) -> None:
        self._recordings = (data / "mitdb").resolve()

    def mit_bih(self) -> IntegerNetwork:
        """Return the network of a default build on the real recordings."""
        if not self._recordings.is_dir():
            raise SystemExit(f"the recordings are not in {self._recordings}: pass --data")
        flags = {"dataset": "mit-bih", "data_dir": str(self._recordings), "target": "cortex-m7"}
        out = KEPT / "firmware" / "mit-bih"
        out.parent.mkdir(parents=True, exist_ok=True)
        result = build(load_config(None, flags), out, until="quantize")
        return IntegerNetwork.load(result.stages["quantize"].file("network.safetensors"))

    def beside_tflite_micro(self) -> Iterator[Figure]:
        """Instructions, flash and RAM beside TFLite Micro with CMSIS-NN, on Cortex-M7."""
        references = json.loads(REFERENCES.read_text(encoding="utf-8"))["networks"]
        for name, network in (("r1", r1()), ("eeg", eeg()), ("mit-bih", self.mit_bih())):
            section, reference = "beside tflite-micro", references[name]
            ours = measure(network, "cortex-m7")
            yield Figure(section, f"{name}, instructions", ours.instructions)
            yield Figure(section, f"{name}, flash bytes", ours.image.flash_bytes)
            yield Figure(section, f"{name}, RAM bytes", ours.image.ram_bytes)
            ratio = reference["instructions"] / ours.instructions
            note = f"{ours.instructions:,} and {reference['instructions']:,}"
            yield Figure(section, f"{name}, fewer instructions", ratio, 3, note=note)
            for what, found, limit in (
                ("flash", ours.image.flash_bytes, 0.4),
                ("ram", ours.image.ram_bytes, 0.8),
            ):
                other = reference[f"{what}_bytes"]
                note = f"{found:,} and {other:,} bytes"
                yield _at_most(section, f"{name}, {what}", found / other, limit, note=note)
            yield _mismatches(section, name, ours)


def sparse() -> Iterator[Figure]:
    """R1 with the smallest weights of each layer at zero, beside the same network dense."""
    section = "sparse"
    dense = measure(r1(), "cortex-m7")
    for share, floor, mark in ((0.5, None, None), (0.75, None, None), (0.9, 2.5, 4.0)):
        found = measure(pruned(r1(), share), "cortex-m7")
        name = f"{share:.0%} zeros"
        note = f"{found.instructions:,} and {dense.instructions:,}"
        ratio = dense.instructions / found.instructions
        yield Figure(section, f"{name}, fewer instructions", ratio, floor, mark, note=note)
        share_of_flash = found.image.flash_bytes / dense.image.flash_bytes
        note = f"{found.image.flash_bytes:,} and {dense.image.flash_bytes:,} bytes"
        yield _at_most(section, f"{name}, flash beside dense", share_of_flash, note=note)
        yield _mismatches(section, name, found)


def cycles() -> Iterator[Figure]:
    """The cycle model: R1 core by core, and every published program that could be repeated."""
    section, network = "cycle model", r1()
    windows = inputs_for(network, 2, SEED)
    for core in ("cortex-m7", "cortex-m4", "cortex-m33", "cortex-m3", "cortex-m0plus"):
        target = load_target(core)
        with generated(network, core, "balanced") as sources:
            elf = sources.folder.parent / "image.elf"
            compile_image(sources, target, elf)
            found = estimate_cycles(elf, target, *windows, None, network.output_tensor.size)
        note = f"model, no measurement: {found.minimum:,} to {found.maximum:,}"
        yield Figure(section, f"{core}, R1, cycles expected", found.expected, note=note)
    references = json.loads(REFERENCES.read_text(encoding="utf-8"))["cycles"]
    for row in references["programs"]:
        error = row["model"] / row["published"] - 1
        note = f"{row['model']} and {row['published']} {row['unit']}; {row['source']}"
        yield Figure(section, f"{row['core']}, {row['program']}, error", error, note=note)


def random_networks() -> Iterator[Figure]:
    """Networks over all operators, odd shapes, extreme scales and zero points, on four cores."""
    count = {"EDGEPRUNE_RANDOM_NETWORKS": str(RANDOM_NETWORKS), "OMP_NUM_THREADS": "1"}
    tests = ["tests/firmware/test_random_networks.py", "-n", "2"]
    name = f"{RANDOM_NETWORKS} networks each on M0+, M3, M4 and M7, mismatches"
    yield outcome_of_tests("random networks", name, tests, os.environ | count)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared" / "data")
    networks = Networks(parser.parse_args().data)
    sections = {
        "r1": r1_on_every_core,
        "networks": networks.beside_tflite_micro,
        "sparse": sparse,
        "cycles": cycles,
        "streaming": streaming,
        "faults": faults,
        "random-networks": random_networks,
    }
    raise SystemExit(run_study("firmware", SEED, sections))


if __name__ == "__main__":
    main()
