"""Two bundles without a build: a small network, its test windows, and evidence about both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeprune.config import BuildConfig
from edgeprune.data import Windows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.evaluation import Bootstrap, decisions_of, evaluate
from edgeprune.evidence import (
    AdcEvidence,
    ClassCount,
    ClassDescription,
    Comparison,
    ConfigEntry,
    DataEvidence,
    DeviceEvidence,
    Evidence,
    FirmwareEvidence,
    Identity,
    InstructionCount,
    MemoryEvidence,
    ParityRow,
    Quantity,
    Reproduction,
    Split,
    Versions,
    Where,
    WindowEvidence,
    judge,
    write_evidence,
)
from edgeprune.network import IntegerNetwork
from edgeprune.network.weighted import WeightedOperation
from edgeprune.pipeline.products import inputs_of, save_windows
from tests import certified_beats
from tests.devices.results import seal, turned_over, write_result

INT8 = "int8 as flashed"
PERTURBATION = "linf:5uV"
BEATS, RECORDS = 60, 4


def beats() -> HeldBeats:
    return certified_beats.beats(BEATS)


def windows(held: HeldBeats, network: IntegerNetwork) -> Windows:
    """Return windows of four patients, labelled as a network decides but for every ninth."""
    label = network.predict(*held.inputs())
    label[::9] = (label[::9] + 1) % len(certified_beats.CLASSES)
    names = tuple(f"r{number}" for number in range(RECORDS))
    return replace(
        certified_beats.windows(held, label),
        record=np.sort(np.arange(BEATS) % RECORDS),
        record_names=names,
        patients=tuple(f"patient {name}" for name in names),
    )


def updated(network: IntegerNetwork, step: int, seed: int = 1) -> IntegerNetwork:
    """Return the network with every weight of its last layer moved by up to some steps."""
    random = np.random.default_rng(seed)
    last = network.operations[-1]
    assert isinstance(last, WeightedOperation)
    moved = last.weights.astype(np.int64) + random.integers(-step, step + 1, last.weights.shape)
    changed = replace(last, weights=np.clip(moved, -127, 127).astype(np.int8))
    return replace(network, operations=(*network.operations[:-1], changed))


def evidence_of(network: IntegerNetwork, test: Windows) -> Evidence:
    """Return what a build would tell of a network, as far as comparisons read it."""
    decisions = decisions_of(test, network.predict(*inputs_of(network, test)))
    performance = evaluate(INT8, "test", decisions, Bootstrap(1))
    counts = np.bincount(test.label, minlength=len(test.class_names))
    part = Split(
        "test",
        "to evaluate only",
        test.record_names,
        test.patients,
        len(test),
        tuple(map(ClassCount, test.class_names, counts.tolist())),
    )
    return Evidence(
        identity=Identity(
            "0.1.0", 1, "cortex-m7", "a core", "synthetic-ecg", "invented", True, network.sha256
        ),
        versions=Versions("3.11", ()),
        reproduction=Reproduction(()),
        config=(ConfigEntry("protocol", ""), ConfigEntry("fold", "")),
        data=DataEvidence(
            "made up",
            "none",
            "none",
            "one lead",
            AdcEvidence(360.0, 5.0, 11),
            WindowEvidence(96, 2, 18, 0.8),
            tuple(ClassDescription(name, name) for name in test.class_names),
            (part,),
        ),
        performance=(performance,),
        parity=(ParityRow("C", "1", Where.EMULATOR, "unicorn", 8, "logits", 24, 0, 0),),
        device=DeviceEvidence(
            "cortex-m7",
            (),
            MemoryEvidence(100, 0, (), ()),
            InstructionCount(900, 950, 1000, 8),
            firmware=FirmwareEvidence("zig", "-O3", 20_000, 5_000, 10**6, 10**5, ()),
        ),
        requirements=(
            judge(
                "flash_bytes",
                "flash",
                Comparison.AT_MOST,
                30_000,
                "byte",
                Quantity(20_000, "byte", Where.IMAGE),
                "device.firmware.flash_bytes",
            ),
        ),
    )


def write_bundle(
    folder: Path,
    network: IntegerNetwork,
    test: Windows,
    held: HeldBeats,
    policy: str = "",
    *,
    kept: bool = True,
) -> Path:
    """Write a bundle, its policy where there is one, and the test windows that a build keeps."""
    config = BuildConfig(target="cortex-m7", dataset="synthetic-ecg", seed=1)
    write_result(folder, config, network, held, test, {"turned": turned_over(test, 2)})
    write_evidence(folder / "evidence.json", evidence_of(network, test))
    if policy:
        (folder / "policy.toml").write_text(policy)
    seal(folder)
    if kept:
        save_windows(folder.with_name(f"{folder.name}.work") / "data" / "test.npz", test)
    return folder


def rewrite(folder: Path, evidence: Evidence) -> None:
    """Replace the evidence of a bundle and list it anew."""
    write_evidence(folder / "evidence.json", evidence)
    seal(folder)
