"""The stages from the integer network to a device: export, firmware, bench."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data import Windows
from edgeprune.devices import (
    CycleEstimate,
    DeviceRun,
    InstructionProfile,
    count_instructions,
    estimate_cycles,
    has_cycle_model,
    run_front_end,
    run_image,
)
from edgeprune.errors import MissingToolError, ParityError
from edgeprune.evidence import DeviceEvidence, ParityRow, Where
from edgeprune.files import write_bytes
from edgeprune.firmware import (
    FirmwareSources,
    Golden,
    Image,
    Labels,
    build_host_library,
    check_fit,
    compile_image,
    generate,
    package,
    predict_footprint,
)
from edgeprune.firmware.toolchains import host_compiler
from edgeprune.network import IntegerNetwork, read_qdq, write_qdq, write_tflite
from edgeprune.pipeline import device_evidence
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.monitor import monitor_of
from edgeprune.pipeline.products import (
    inputs_of,
    load_array,
    load_record,
    save_array,
    save_record,
    stratified,
)
from edgeprune.pipeline.store import Stage
from edgeprune.verification.runtimes import EXACT_RUNTIMES, RUNTIMES, compare_layers

TFLITE = "model.tflite"
ONNX = "model.onnx"
FIRMWARE = "firmware"
PACKAGE = "package"
IMAGE = "firmware.elf"
DEVICE = "device.json"
_EVERY_LAYER = "every layer"
_LOGITS = "logits"
_PROFILED_WINDOWS = 8
_FRONT_END_SECONDS = 120
_HOST_CHUNK = 2048
_PACKAGES = {
    "tflite-runtime": "tflite-runtime",
    "ai-edge-litert": "ai-edge-litert",
    "tflite-micro": "tflite-micro",
    "onnxruntime": "onnxruntime",
}


@dataclass(frozen=True)
class Parity:
    """Implementations compared with the specification, and those that could not be.

    Attributes:
        rows: What was compared.
        absent: What was not, and why, in words.
    """

    rows: tuple[ParityRow, ...]
    absent: tuple[str, ...] = ()


def export_stage(context: Context, data: Stage, quantized: Stage) -> Stage:
    """model.tflite and model.onnx, read again and compared layer by layer."""

    def produce(folder: Path) -> None:
        network = network_of(quantized)
        write_bytes(folder / TFLITE, write_tflite(network))
        write_bytes(folder / ONNX, write_qdq(network))
        if read_qdq(folder / ONNX) != network:
            raise ParityError(
                "model.onnx does not read back to the network it was written from",
                where=ONNX,
                hint="this is a bug of edgeprune: report it with the network's file",
            )
        windows = _parity_windows(context, data)
        rows, absent = [], []
        for name in RUNTIMES:
            try:
                rows.append(_runtime_row(context, name, network, windows))
            except MissingToolError as error:
                absent.append(f"parity with {name}: {error.what}")
        save_record(folder / "parity.json", Parity(tuple(rows), tuple(absent)))

    return context.store.run(
        "export",
        produce,
        reads=[data, quantized],
        settings={"windows": context.config.firmware.parity_windows, "seed": context.seed},
        rooms=("network", "verification/runtimes"),
    )


def _parity_windows(context: Context, data: Stage) -> Windows:
    test = windows_of(data, "test")
    return test.select(stratified(test, context.config.firmware.parity_windows, context.seed))


def _runtime_row(
    context: Context, name: str, network: IntegerNetwork, windows: Windows
) -> ParityRow:
    layers = compare_layers(network, inputs_of(network, windows), name, progress=context.progress)
    package = _PACKAGES[name.split(" ", maxsplit=1)[0]]
    return ParityRow(
        implementation=name,
        version=version(package),
        where=Where.HOST,
        place=platform.machine(),
        windows=len(windows),
        compared=_EVERY_LAYER,
        values=sum(layer.values for layer in layers),
        mismatches=sum(layer.mismatches for layer in layers),
        largest_difference_lsb=max(layer.largest_difference for layer in layers),
        gate=name in EXACT_RUNTIMES,
    )


def firmware_stage(
    context: Context, data: Stage, quantized: Stage, monitor: Stage | None = None
) -> Stage:
    """The C library and the linked test image; refused before compiling where it cannot fit."""

    def produce(folder: Path) -> None:
        network = network_of(quantized)
        sources = _generate(context, data, network, folder / FIRMWARE, monitor)
        layout = context.config.firmware.layout
        if layout:
            golden = _golden(context, data, network)
            package(sources, layout, folder / PACKAGE, golden=golden)
        footprint = predict_footprint(
            sources.program, context.target, context.front_end, monitor=monitor is not None
        )
        check_fit(footprint, context.target)
        image = None
        if not context.target.is_host:
            image = compile_image(
                sources,
                context.target,
                folder / IMAGE,
                toolchain=context.config.firmware.toolchain,
            )
            _check_image(context, image)
        save_record(
            folder / DEVICE,
            device_evidence.device_evidence(context.target, sources, image),
        )

    return context.store.run(
        "firmware",
        produce,
        reads=[stage for stage in (data, quantized, monitor) if stage is not None],
        settings={
            "target": asdict(context.target),
            "toolchain": context.config.firmware.toolchain,
            "optimize": context.config.firmware.optimize,
            "layout": context.config.firmware.layout,
            "hop": context.config.firmware.hop,
            "guards": context.config.firmware.guards,
            "small_steps": context.config.firmware.small_steps,
            "labels": asdict(_labels(context)),
        },
        rooms=("network", "firmware", "data/front_end"),
    )


def _check_image(context: Context, image: Image) -> None:
    check_fit(device_evidence.image_footprint(image), context.target)


def _labels(context: Context) -> Labels:
    return Labels(
        title=f"{context.config.model} for {context.card.name}",
        class_names=context.card.class_names,
        trained_on=context.card.title,
        synthetic=context.card.synthetic,
    )


def _generate(
    context: Context,
    data: Stage,
    network: IntegerNetwork,
    folder: Path,
    monitor: Stage | None,
) -> FirmwareSources:
    return generate(
        network,
        context.front_end,
        context.target,
        _labels(context),
        folder,
        golden=_golden(context, data, network),
        optimize=context.config.firmware.optimize,
        hop=context.config.firmware.hop or None,
        guards=context.config.firmware.guards,
        small_steps=context.config.firmware.small_steps,
        monitor=monitor_of(monitor),
    )


def _golden(context: Context, data: Stage, network: IntegerNetwork) -> Golden:
    test = windows_of(data, "test")
    some = test.select(stratified(test, len(test.record_names), context.seed))
    return Golden(inputs_of(network, some))


def bench_stage(
    context: Context,
    data: Stage,
    quantized: Stage,
    firmware: Stage,
    monitor: Stage | None = None,
) -> Stage:
    """The generated C on this machine and on the emulated device against the specification."""

    def produce(folder: Path) -> None:
        network = network_of(quantized)
        test = windows_of(data, "test")
        logits = network.run(*inputs_of(network, test))
        place = folder / "sources"
        sources = _generate(context, data, network, place, monitor)
        rows = [_host_row(context, sources, test)]
        shutil.rmtree(place)
        absent: tuple[str, ...] = ()
        if context.target.is_host:
            absent = ("the emulated device: the target is the host",)
        else:
            some = stratified(test, context.config.firmware.parity_windows, context.seed)
            elf = firmware.file(IMAGE)
            run = _run_on_device(context, elf, network, test.select(some))
            rows.append(device_row(context, _LOGITS, [(run.logits, logits[some])]))
            rows.append(_front_end_row(context, elf, data, network))
            profile = _profile(context, elf, network, test)
            estimate = _estimate(context, elf, network, test)
            if profile is None:
                absent = (f"instructions: no counting emulator has a {context.target.core}",)
            static = load_record(firmware.file(DEVICE), DeviceEvidence)
            save_record(
                folder / DEVICE,
                device_evidence.with_measurements(
                    static, sources, profile, run.stack_bytes, estimate
                ),
            )
        save_array(folder / "logits.npy", logits)
        save_record(folder / "parity.json", Parity(tuple(rows), absent))

    return context.store.run(
        "bench",
        produce,
        reads=[stage for stage in (data, quantized, firmware, monitor) if stage is not None],
        settings={"firmware": asdict(context.config.firmware), "seed": context.seed},
        rooms=("network", "firmware", "devices", "data/front_end"),
    )


def _host_row(context: Context, sources: FirmwareSources, test: Windows) -> ParityRow:
    """Compare every layer of the generated C, compiled for this machine, on all test windows."""
    compiler = host_compiler()
    library, network = build_host_library(sources, compiler=compiler), sources.network
    mismatches = largest = values = 0
    with context.progress.task("generated C on this machine", len(test), "windows") as advance:
        for start in range(0, len(test), _HOST_CHUNK):
            part = [each[start : start + _HOST_CHUNK] for each in inputs_of(network, test)]
            expected = network.run_layers(*part)
            for name, found in library.run_layers(*part).items():
                difference = np.abs(found.astype(np.int16) - expected[name])
                mismatches += int(np.count_nonzero(difference))
                largest = max(largest, int(difference.max(initial=0)))
                values += found.size
            advance(len(part[0]))
    return ParityRow(
        implementation="generated C",
        version=f"zig {version('ziglang')}" if compiler == "zig" else compiler,
        where=Where.HOST,
        place=platform.machine(),
        windows=len(test),
        compared=_EVERY_LAYER,
        values=values,
        mismatches=mismatches,
        largest_difference_lsb=largest,
    )


def _run_on_device(
    context: Context, elf: Path, network: IntegerNetwork, windows: Windows
) -> DeviceRun:
    signal, rhythm = _device_inputs(network, windows)
    return run_image(
        elf,
        context.target,
        signal,
        rhythm,
        network.output_tensor.size,
        backend=context.config.firmware.emulator,
        progress=context.progress,
    )


def _device_inputs(
    network: IntegerNetwork, windows: Windows
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8] | None]:
    return windows.signal, windows.rhythm if len(network.inputs) == 2 else None


def device_row(
    context: Context,
    compared: str,
    pairs: Sequence[tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]],
) -> ParityRow:
    """Compare what the device computed with what was expected of it.

    Args:
        context: The build.
        compared: What is compared, in words.
        pairs: Found and expected int8 values.
    """
    differences = [np.abs(found.astype(np.int16) - expected).ravel() for found, expected in pairs]
    difference = np.concatenate(differences)
    emulator = context.config.firmware.emulator
    return ParityRow(
        implementation="firmware image",
        version=context.target.name,
        where=Where.EMULATOR,
        place=f"{emulator}, {context.target.core}",
        windows=len(pairs[0][0]),
        compared=compared,
        values=difference.size,
        mismatches=int(np.count_nonzero(difference)),
        largest_difference_lsb=int(difference.max(initial=0)),
    )


def _front_end_row(context: Context, elf: Path, data: Stage, network: IntegerNetwork) -> ParityRow:
    """Let the device make its own windows of raw samples, and compare them and their logits."""
    front_end = context.front_end
    count = round(_FRONT_END_SECONDS * context.adc.rate_hz)
    samples = load_array(data.file("raw_samples.npy")).astype(np.int16)[:count]
    beats = load_array(data.file("raw_beats.npy")).astype(np.int64)
    beats = beats[beats < len(samples)]
    expected = front_end.run(samples, beats)
    features = front_end.rhythm_features if len(network.inputs) == 2 else 0
    signal, rhythm = expected.signal[expected.valid], expected.rhythm[expected.valid, :features]
    logits = network.run(*(signal, rhythm)[: len(network.inputs)])
    run = run_front_end(
        elf,
        context.target,
        samples,
        beats,
        front_end.signal_shape,
        features,
        network.output_tensor.size,
        backend=context.config.firmware.emulator,
    )
    if len(run.logits) != len(logits):
        raise ParityError(
            f"the device made {len(run.logits)} windows of a recording, expected {len(logits)}",
            where=elf.name,
            hint="this is a bug of edgeprune: report it with the recording",
        )
    return device_row(
        context,
        "front end and logits",
        [(run.signal, signal), (run.rhythm, rhythm), (run.logits, logits)],
    )


def _profile(
    context: Context, elf: Path, network: IntegerNetwork, test: Windows
) -> InstructionProfile | None:
    """Count instructions on unicorn; None for a core that it does not have."""
    if context.target.emulator is None:
        return None
    inputs = _profiled_inputs(context, network, test)
    return count_instructions(elf, context.target, *inputs, network.output_tensor.size)


def _estimate(
    context: Context, elf: Path, network: IntegerNetwork, test: Windows
) -> CycleEstimate | None:
    """Model the cycles of the same windows; None for a core without a model."""
    if not has_cycle_model(context.target):
        return None
    inputs = _profiled_inputs(context, network, test)
    return estimate_cycles(elf, context.target, *inputs, network.output_tensor.size)


def _profiled_inputs(
    context: Context, network: IntegerNetwork, test: Windows
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8] | None]:
    some = stratified(test, _PROFILED_WINDOWS, context.seed)[:_PROFILED_WINDOWS]
    return _device_inputs(network, test.select(some))
