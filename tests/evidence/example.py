"""A made-up but realistic evidence: every figure is invented, none was ever measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from edgeprune.evaluation import (
    Bootstrap,
    Decisions,
    Found,
    LeftOut,
    compare,
    evaluate,
    perturbation_certificates,
    right_share,
    spread,
)
from edgeprune.evidence import (
    AdcEvidence,
    CertificateEvidence,
    CertificateFile,
    ClassCount,
    ClassDescription,
    ClassifierEvidence,
    Comparison,
    Component,
    ConfigEntry,
    CycleEvidence,
    DataEvidence,
    DeviceEvidence,
    EpochEvidence,
    Evidence,
    Exclusion,
    FirmwareEvidence,
    Identity,
    InstructionClass,
    InstructionCount,
    LayerEvidence,
    MemoryEvidence,
    ModelRange,
    NetworkCertificates,
    ParityRow,
    PerturbationCertificates,
    PlannedTensor,
    PruningEvidence,
    PruningStepEvidence,
    Quantity,
    QuantizationEvidence,
    Reproduction,
    Requirement,
    Section,
    Split,
    TrainingEvidence,
    Versions,
    Where,
    WindowEvidence,
    judge,
    shared_patients,
)
from tests.evidence.example_attacks import example_attacks, example_disturbances
from tests.evidence.example_guard import example_guard
from tests.evidence.example_scores import (
    example_beats,
    example_monitor,
    example_probabilities,
    example_seizures,
)
from tests.evidence.example_sweep import example_sweep

CLASSES = (
    ClassDescription("N", "normal and bundle branch block beat"),
    ClassDescription("S", "supraventricular ectopic beat"),
    ClassDescription("V", "ventricular ectopic beat"),
    ClassDescription("F", "fusion of ventricular and normal beat"),
    ClassDescription("Q", "beat that cannot be classified"),
)
NAMES = tuple(description.name for description in CLASSES)
RECORDS = tuple(f"fx{number}" for number in range(200, 222))
STAGES = ("float", "pruned float", "int8 as flashed")


@cache
def example_decisions(stage: int) -> Decisions:
    """Return invented decisions of one stage; record fx211 holds most S beats and is hard."""
    random = np.random.default_rng(2024)
    windows = 24_000
    records = np.sort(random.integers(0, len(RECORDS), windows))
    shares = np.array([[0.905, 0.012, 0.073, 0.0099, 0.0001]] * len(RECORDS))
    shares[11] = [0.22, 0.775, 0.005, 0, 0]
    shares[4:9, 2] = 0
    cumulated = (shares / shares.sum(axis=1, keepdims=True)).cumsum(axis=1)
    labels = (random.random(windows)[:, None] > cumulated[records]).sum(axis=1).clip(max=4)
    skill = np.array([0.985, 0.74, 0.96, 0.35, 0.0])[labels]
    skill = skill - 0.1 * (records == 11) - 0.04 * (records % 5 == 0)
    guess = random.choice(4, windows, p=[0.55, 0.2, 0.2, 0.05])
    predictions = np.where(random.random(windows) < skill, labels, guess)
    for later in range(stage):
        changed = random.random(windows) < (0.004, 0.0015)[later]
        predictions = np.where(changed, random.integers(0, 4, windows), predictions)
    patients = tuple(f"patient {record[2:]}" for record in RECORDS)
    return Decisions(labels, predictions, records, RECORDS, patients, NAMES)


@cache
def example_evidence(*, synthetic: bool = False) -> Evidence:
    """Return a complete evidence in which every section is filled with invented figures."""
    bootstrap = Bootstrap(seed=7)
    performance = tuple(
        evaluate(
            stage,
            "test",
            example_decisions(index),
            bootstrap,
            (LeftOut(("fx211",), "holds three quarters of all S beats"),),
        )
        for index, stage in enumerate(STAGES)
    )
    device = _device()
    scores = performance[-1].scores
    firmware = device.firmware
    assert firmware is not None
    assert device.instructions is not None
    requirements: tuple[Requirement, ...] = (
        judge(
            "accuracy",
            "Share of test windows decided rightly",
            Comparison.AT_LEAST,
            0.93,
            "1",
            scores.accuracy,
            "performance.2.scores.accuracy",
        ),
        judge(
            "sensitivity.V",
            "Sensitivity of class V",
            Comparison.AT_LEAST,
            0.92,
            "1",
            scores.classes[2].sensitivity,
            "performance.2.scores.classes.2.sensitivity",
        ),
        judge(
            "f1.S",
            "F1 of class S",
            Comparison.AT_LEAST,
            0.9,
            "1",
            scores.classes[1].f1,
            "performance.2.scores.classes.1.f1",
        ),
        judge(
            "flash_bytes",
            "Flash of the firmware image",
            Comparison.AT_MOST,
            65536,
            "byte",
            Quantity(firmware.flash_bytes, "byte", Where.IMAGE),
            "device.firmware.flash_bytes",
        ),
        judge(
            "instructions",
            "Instructions of one window",
            Comparison.AT_MOST,
            2_000_000,
            "instruction",
            Quantity(
                device.instructions.maximum, "instruction", Where.EMULATOR, n=16, n_of="windows"
            ),
            "device.instructions.maximum",
        ),
        judge(
            "latency",
            "Time of one window on the board",
            Comparison.AT_MOST,
            20.0,
            "ms",
            None,
        ),
    )
    return Evidence(
        identity=Identity(
            edgeprune="0.1.0",
            seed=7,
            target="cortex-m7",
            target_title="Arm Cortex-M7 with DSP and FPU, 216 MHz",
            dataset="fixture",
            dataset_title="Fixture of the tests: invented figures",
            synthetic=synthetic,
            network_sha256="8f0c6c1f0a5bb9e2" * 4,
            firmware_sha256="41d7e00b6f3a9c58" * 4,
        ),
        versions=Versions(
            python="3.11.2",
            packages=(
                Component("numpy", "1.26.4"),
                Component("onnx", "1.23.2"),
                Component("onnxruntime", "1.31.1"),
                Component("torch", "2.13.0"),
                Component("tflite-runtime", "2.14.0"),
                Component("unicorn", "2.1.4"),
            ),
            tools=(Component("zig cc (clang)", "0.17.0 (22.1)"),),
        ),
        reproduction=Reproduction(
            commands=(
                "pip install edgeprune==0.1.0",
                "edgeprune build --config resolved.toml --out result",
            ),
            notes=("The recordings, as their publisher's checksums name them.",),
        ),
        config=(
            ConfigEntry("target", "cortex-m7"),
            ConfigEntry("seed", 7),
            ConfigEntry("training.epochs", 24),
            ConfigEntry("training.learning_rate", 0.002),
            ConfigEntry("pruning.ratio", 0.5),
            ConfigEntry("quantization.quantizer", "onnxruntime"),
            ConfigEntry("verification.enabled", True),
            ConfigEntry("quantization.calibration", None),
        ),
        data=_data(),
        classifier=ClassifierEvidence(
            "residual-ecg", "compact residual 1-D CNN with a rhythm input", 31_237, 1_420_880
        ),
        training=TrainingEvidence(
            summary="Cross-entropy weighted by class, AdamW with a one-cycle rate, sensor-like "
            "augmentation (gain, wander, noise, shift).",
            best_epoch=19,
            selected_by="validation macro-F1",
            validation=Quantity(0.7012, "1", Where.HOST, n=9_120, n_of="windows"),
            epochs=tuple(
                EpochEvidence(
                    epoch,
                    round(1.2 * 0.86**epoch + 0.11 + 0.01 * (epoch % 3), 4),
                    round(0.705 - 0.42 * 0.82**epoch - 0.012 * (epoch % 4), 4),
                )
                for epoch in range(1, 25)
            ),
        ),
        pruning=PruningEvidence(
            method="channel: structured, whole channels by group norm",
            aim="half of the parameters",
            steps=(
                PruningStepEvidence(
                    "unpruned", 31_237, 1_420_880, 47_312, 13_056, _validation(0.7012), 31_237, 1.0
                ),
                PruningStepEvidence(
                    "step 1, fine-tuned",
                    21_880,
                    1_033_728,
                    37_904,
                    11_264,
                    _validation(0.6987),
                    21_880,
                    1.43,
                ),
                PruningStepEvidence(
                    "step 2, fine-tuned",
                    15_402,
                    748_160,
                    31_392,
                    9_216,
                    _validation(0.6941),
                    15_402,
                    2.03,
                ),
            ),
            guard=example_guard(),
            importance="l1: magnitude, L1",
            scope="global: the pieces of all layers are ranked together",
            schedule="iterative: equal steps",
            fine_tune="natural",
        ),
        sweep=example_sweep(1, (0.5,)),
        quantization=QuantizationEvidence(
            quantizer="onnxruntime 1.31.1",
            scheme="int8 activations per tensor, int8 weights per output channel, int32 sums, "
            "double-rounded requantization",
            calibration_windows=2_048,
            parameters=15_402,
            operators=("add", "average_pool1d", "concat", "conv1d", "dense"),
        ),
        performance=performance,
        comparisons=(
            compare(STAGES[0], example_decisions(0), STAGES[1], example_decisions(1), bootstrap),
            compare(STAGES[0], example_decisions(0), STAGES[2], example_decisions(2), bootstrap),
        ),
        foreword="These figures are invented.",
        beats=(example_beats(STAGES[2], example_decisions(2), bootstrap),),
        seizures=(example_seizures(STAGES[2], bootstrap),),
        probabilities=example_probabilities(STAGES, _every(30), bootstrap),
        parity=_parity(),
        device=device,
        certificates=_certificates(bootstrap),
        attacks=example_attacks(STAGES, _every(60), bootstrap),
        disturbances=example_disturbances(STAGES[2], example_decisions(2), bootstrap),
        monitor=example_monitor(_every(30)[2], bootstrap),
        requirements=requirements,
        limits=(
            "Instructions were counted by an emulator: they are not a time.",
            "The proof covers changes of the signal input, not of the rhythm input.",
        ),
        not_tested=("No board was attached: nothing was measured on silicon.",),
    )


def _every(nth: int) -> tuple[Decisions, ...]:
    mask = np.arange(len(example_decisions(0).labels)) % nth == 0
    return tuple(example_decisions(index).select(mask) for index in range(len(STAGES)))


def minimal_evidence() -> Evidence:
    """Return an evidence with nothing but what every build has."""
    full = example_evidence(synthetic=True)
    return Evidence(
        identity=replace(full.identity, firmware_sha256=None),
        versions=full.versions,
        reproduction=full.reproduction,
    )


def _validation(value: float) -> Quantity:
    return Quantity(value, "1", Where.HOST, n=9_120, n_of="windows")


def _data() -> DataEvidence:
    test = example_decisions(0)
    splits = (
        Split(
            "train",
            "fits the weights and the ranges",
            tuple(f"fx{number}" for number in range(100, 118)),
            tuple(f"patient {number}" for number in range(100, 118)),
            41_890,
            _counts(37_903, 781, 2_820, 380, 6),
        ),
        Split(
            "validation",
            "chooses epoch and pruning step",
            ("fx118", "fx119", "fx120", "fx121"),
            ("patient 118", "patient 119", "patient 120", "patient 121"),
            9_120,
            _counts(7_944, 163, 978, 33, 2),
        ),
        Split(
            "test",
            "used once, for the figures of this report",
            RECORDS,
            test.patients,
            len(test.labels),
            _counts(*np.bincount(test.labels, minlength=5).tolist()),
        ),
    )
    return DataEvidence(
        origin="https://example.org/fixture",
        licence="none: invented",
        citation="Nobody. Figures that were never measured. Journal of Fixtures 1:1 (2026).",
        lead="MLII",
        adc=AdcEvidence(
            360.0, 5.0, 11, Quantity(0.00021, "1", Where.HOST, n=31_200_000, n_of="samples")
        ),
        window=WindowEvidence(192, 2, 10, 0.533, spread(_microvolts())),
        classes=CLASSES,
        splits=splits,
        excluded=(
            Exclusion("paced rhythm", 8_030, ("fx902", "fx904", "fx907", "fx917")),
            Exclusion("window would leave the recording", 88),
        ),
        shared_patients=shared_patients(splits),
        notes=("Beat times are the annotators': a beat detector was not part of the test.",),
    )


def _microvolts() -> npt.NDArray[np.float64]:
    return np.random.default_rng(3).lognormal(2.3, 0.35, len(example_decisions(0).labels))


def _counts(*counts: int) -> tuple[ClassCount, ...]:
    return tuple(ClassCount(name, count) for name, count in zip(NAMES, counts, strict=True))


def _parity() -> tuple[ParityRow, ...]:
    host, emulator = Where.HOST, Where.EMULATOR
    rows = [
        ParityRow(
            "tflite-runtime, reference kernels",
            "2.14.0",
            host,
            "x86-64",
            10_000,
            "every layer",
            148_320_000,
            0,
            0,
        ),
        ParityRow(
            "tflite-micro",
            "0.dev20261023",
            host,
            "x86-64",
            10_000,
            "every layer",
            148_320_000,
            0,
            0,
        ),
        ParityRow("generated C", "0.1.0", host, "x86-64", 10_000, "every layer", 148_320_000, 0, 0),
        ParityRow(
            "tflite-runtime, default kernels",
            "2.14.0",
            host,
            "x86-64",
            10_000,
            "logits",
            50_000,
            7_411,
            2,
            gate=False,
        ),
    ]
    rows += [
        ParityRow("firmware", "0.1.0", emulator, f"unicorn, {core}", 1_000, "logits", 5_000, 0, 0)
        for core in ("cortex-m0plus", "cortex-m4", "cortex-m7")
    ]
    return tuple(rows)


def _device() -> DeviceEvidence:
    plan = (
        ("stem", "conv1d", (96, 16), 43_008, 464, 182_344),
        ("block1.conv1", "conv1d", (48, 20), 76_800, 1_700, 141_020),
        ("block1.conv2", "conv1d", (48, 20), 96_000, 2_100, 165_730),
        ("block1.shortcut", "conv1d", (48, 20), 15_360, 420, 38_112),
        ("block1.add", "add", (48, 20), 0, 0, 25_940),
        ("block2.conv1", "conv1d", (24, 24), 57_600, 2_520, 92_448),
        ("block2.conv2", "conv1d", (24, 24), 69_120, 3_000, 108_220),
        ("block2.shortcut", "conv1d", (24, 24), 11_520, 576, 24_806),
        ("block2.add", "add", (24, 24), 0, 0, 15_702),
        ("pool", "average_pool1d", (24,), 0, 0, 3_911),
        ("join", "copy", (34,), 0, 0, 214),
        ("hidden", "dense", (32,), 1_088, 1_216, 3_904),
        ("output", "dense", (5,), 160, 185, 611),
    )
    layers = tuple(
        LayerEvidence(
            index=index,
            name=name,
            kernel=kernel,
            output_shape=shape,
            macs=macs,
            parameters=parameters,
            flash_bytes=parameters + 4 * shape[-1] + 180,
            arena_bytes=(9_216, 8_200, 7_040)[min(index // 4, 2)] - 211 * index,
            instructions=InstructionCount(instructions - 90, instructions, instructions + 130, 16),
            instruction_classes=(
                InstructionClass("multiply-accumulate", macs // 2),
                InstructionClass("load and store", instructions // 4),
            ),
            cycles=ModelRange(0.7 * instructions, 0.8 * instructions, 1.5 * instructions),
        )
        for index, (name, kernel, shape, macs, parameters, instructions) in enumerate(plan)
    )
    total = sum(instructions for *_, instructions in plan) + 2_410
    tensors = (
        PlannedTensor("signal", 0, 384, 0, 0),
        PlannedTensor("rhythm", 9_206, 10, 0, 10),
        PlannedTensor("stem", 384, 1_536, 0, 3),
        PlannedTensor("block1.conv1", 1_920, 960, 1, 2),
        PlannedTensor("block1.conv2", 2_880, 960, 2, 4),
        PlannedTensor("block1.shortcut", 3_840, 960, 3, 4),
        PlannedTensor("block1.add", 1_920, 960, 4, 7),
        PlannedTensor("block2.conv1", 0, 576, 5, 6),
        PlannedTensor("block2.conv2", 2_880, 576, 6, 8),
        PlannedTensor("block2.shortcut", 0, 576, 7, 8),
        PlannedTensor("block2.add", 576, 576, 8, 9),
        PlannedTensor("scratch", 4_800, 4_406, 0, 8),
        PlannedTensor("pool", 0, 24, 9, 10),
        PlannedTensor("join", 24, 34, 10, 11),
        PlannedTensor("hidden", 0, 32, 11, 12),
        PlannedTensor("logits", 32, 5, 12, 12),
    )
    return DeviceEvidence(
        core="Arm Cortex-M7",
        layers=layers,
        memory=MemoryEvidence(
            arena_bytes=9_216,
            peak_layer=2,
            peak_tensors=("stem", "block1.conv1", "block1.conv2", "scratch"),
            tensors=tensors,
            stack_bound_bytes=744,
            stack_measured=Quantity(612, "byte", Where.EMULATOR, n=16, n_of="windows"),
        ),
        instructions=InstructionCount(total - 1_020, total, total + 1_640, 16),
        cycles=CycleEvidence(
            cycles=ModelRange(563_000, 644_000, 1_206_000),
            microseconds=ModelRange(1407.5, 1610.0, 3015.0),
            windows=16,
            source="published measurements",
            assumptions=("every branch is predicted", "a line misses the cache once"),
            microjoules=ModelRange(510.93, 584.43, 1094.45),
        ),
        instruction_classes=(
            InstructionClass("multiply-accumulate", 185_000),
            InstructionClass("load and store", 214_600),
            InstructionClass("arithmetic", 288_500),
            InstructionClass("branch", 61_200),
            InstructionClass("other", 56_072),
        ),
        firmware=FirmwareEvidence(
            toolchain="zig cc 0.17.0 (clang 22)",
            flags="-mcpu=cortex_m7+fp_armv8d16 -O3",
            flash_bytes=31_392,
            ram_bytes=11_344,
            flash_available=2_097_152,
            ram_available=524_288,
            sections=(
                Section(".vectors", "flash", 64, "interrupt vectors"),
                Section(".text", "flash", 12_480, "code"),
                Section(".rodata", "flash", 18_848, "weights and tables"),
                Section(".bss", "ram", 10_320, "arena and front end"),
                Section(".stack", "ram", 1_024, "reserved stack"),
            ),
        ),
        clock_hz=216_000_000,
    )


def _certificates(bootstrap: Bootstrap) -> CertificateEvidence:
    mask = np.arange(len(example_decisions(2).labels)) % 16 == 0
    networks = tuple(
        NetworkCertificates(
            stage=stage,
            network_sha256="8f0c6c1f0a5bb9e2" * 4 if index == 2 else None,
            arithmetic="the integers as flashed" if index == 2 else "real numbers",
            method="bounds, attacks, then branch and bound" if index == 2 else "linear bounds",
            right_share=right_share(example_decisions(index).select(mask), bootstrap),
            perturbations=tuple(_perturbations(index, mask, bootstrap)),
        )
        for index, stage in enumerate(STAGES)
    )
    return CertificateEvidence(
        runtime="firmware",
        threat_model="The raw samples of the window may change; what is remembered is held.",
        seconds=10.0,
        windows="every 16th window of the test part",
        networks=networks,
        files=(
            CertificateFile("certificates/linf-20uV.safetensors", "linf:20uV", 712, 12, 12),
            CertificateFile("certificates/gain-10.safetensors", "gain:10%", 640, 0, 0),
        ),
    )


def _perturbations(
    stage: int, mask: npt.NDArray[np.bool_], bootstrap: Bootstrap
) -> Iterator[PerturbationCertificates]:
    decisions = example_decisions(stage).select(mask)
    random = np.random.default_rng(5)
    strength = random.gamma(2.2, 12 - 2 * (2 - stage), mask.sum()) * (1 + (decisions.labels == 0))
    effort = random.gamma(2, 0.02, mask.sum())
    texts = {f"linf:{radius}uV": radius for radius in (5, 10, 20, 50)}
    if stage == 2:
        texts |= {"gain:10%": 15, "wander:500uV@0.5Hz": 22, "hum:100uV@50Hz": 40}
    for text, radius in texts.items():
        proved, attacked = strength > radius, strength < 0.6 * radius * (stage == 2)
        late = ~proved & ~attacked & (effort > 0.06)
        outcomes = np.select(
            [proved, attacked, late], ["proved", "falsified", "timeout"], default="unknown"
        )
        method = np.select(
            [strength > 2 * radius, attacked, strength > 1.3 * radius],
            ["interval", "attack", "linear"],
            default="branching",
        )
        found = Found(text, f"invented: {text}", outcomes, method, decisions, effort)
        yield perturbation_certificates(found, bootstrap)
