"""EEGNet on a Cortex-M7: instructions, memory, and the cycle model beside what was published.

The networks are EEGNet-8,2 of its paper's table 2 with drawn weights: what a window costs does not
depend on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgeprune.devices import count_instructions, run_image
from edgeprune.devices.cycles import CycleEstimate, estimate_cycles
from edgeprune.firmware import compile_image
from edgeprune.targets import load_target
from tests.classifiers.eegnets import quantized
from tests.network.strategies import inputs_for
from tests.studies.firmware import generated
from tests.studies.study import Figure

SECTION = "EEGNet on cortex-m7"
CORE = "cortex-m7"
ELECTRODES = (2, 64)
LENGTHS = (128, 256, 512, 1024)
CLASSES = 4
WINDOWS = 2
SEED = 1


@dataclass(frozen=True)
class Published:
    """EEGNet on a Cortex-M7 as its authors report it.

    Q-EEGNet (arXiv 2004.11690) compares itself by energy with the scaled EEGNet of Wang et al.
    (arXiv 2004.00077), whose abstract has the time and the energy; the multiplications follow.

    Attributes:
        milliseconds: A window (Wang et al.).
        millijoules: A window (Wang et al.).
        gmac_per_joule: Of that implementation (Q-EEGNet's abstract).
    """

    milliseconds: float = 44.0
    millijoules: float = 18.1
    gmac_per_joule: float = 0.082

    @property
    def macs(self) -> float:
        return self.gmac_per_joule * 1e9 * self.millijoules * 1e-3


@dataclass(frozen=True)
class Cost:
    """What a window of a network takes.

    Attributes:
        macs: Multiplications.
        instructions: Counted.
        flash_bytes: Of the image.
        ram_bytes: Of the image, stack included.
        cycles: Modelled.
        mismatches: Logits other than the integer network's.
    """

    macs: int
    instructions: int
    flash_bytes: int
    ram_bytes: int
    cycles: CycleEstimate
    mismatches: int


def eegnet_figures() -> Iterator[Figure]:
    """Yield the figures of every size, and the largest that costs no more than the published."""
    published = Published()
    clock = load_target(CORE).clock_hz
    assert clock is not None
    for electrodes in ELECTRODES:
        for length in LENGTHS:
            found = cost(length, electrodes)
            size = f"C={electrodes}, T={length}"
            a_mac = found.cycles.expected / found.macs
            yield Figure(SECTION, f"{size}: mismatches", found.mismatches, 0, at_most=True)
            yield Figure(
                SECTION,
                f"{size}: instructions",
                found.instructions,
                note=f"{found.macs:,} MACs, {found.instructions / found.macs:.2f} each",
            )
            yield Figure(SECTION, f"{size}: flash", found.flash_bytes, unit="byte")
            yield Figure(SECTION, f"{size}: RAM", found.ram_bytes, unit="byte")
            yield Figure(
                SECTION,
                f"{size}: cycle model",
                found.cycles.expected / clock * 1e3,
                unit="ms",
                note=f"{found.cycles.minimum / clock * 1e3:.2f} to "
                f"{found.cycles.maximum / clock * 1e3:.2f} ms at {clock // 10**6} MHz, "
                f"{a_mac:.2f} cycles a MAC; {published.macs * a_mac / clock * 1e3:.1f} ms for as "
                "many MACs as published",
            )
    yield Figure(
        SECTION,
        "published EEGNet on a Cortex-M7",
        published.milliseconds,
        unit="ms",
        note=f"measured on a board; {published.macs / 1e6:.2f} million MACs follow from "
        f"{published.gmac_per_joule} GMAC/s/W and {published.millijoules} mJ; "
        f"{published.milliseconds * 1e-3 * clock / published.macs:.2f} cycles a MAC if its clock "
        f"was {clock // 10**6} MHz too; arXiv 2004.00077 and 2004.11690",
    )


def cost(length: int, electrodes: int) -> Cost:
    """Build the image of one size, run some windows and count."""
    windows = np.random.default_rng(SEED).normal(0, 1, (8, electrodes, length)).astype(np.float32)
    _, network = quantized((length, electrodes), CLASSES, windows)
    (signal,) = inputs_for(network, WINDOWS, SEED)
    target = load_target(CORE)
    with generated(network, CORE, "balanced") as sources:
        elf = sources.folder.parent / "image.elf"
        image = compile_image(sources, target, elf)
        run = run_image(elf, target, signal, None, CLASSES, backend="unicorn")
        counted = count_instructions(elf, target, signal, None, CLASSES)
        cycles = estimate_cycles(elf, target, signal, None, CLASSES)
    return Cost(
        sum(each.multiply_accumulates(network.tensors) for each in network.operations),
        counted.median,
        image.flash_bytes,
        image.ram_bytes,
        cycles,
        int(np.count_nonzero(run.logits != network.run(signal))),
    )
