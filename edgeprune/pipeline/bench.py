"""The stage that runs the generated C: on this machine, and as its device would."""

from __future__ import annotations

import platform
import shutil
from dataclasses import asdict
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
from edgeprune.errors import ParityError
from edgeprune.evidence import DeviceEvidence, ParityRow, Where
from edgeprune.firmware import FirmwareSources, build_host_library
from edgeprune.firmware.toolchains import host_compiler
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline import device_evidence
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.deploy import (
    DEVICE,
    EVERY_LAYER,
    IMAGE,
    Parity,
    device_row,
    generate_sources,
)
from edgeprune.pipeline.emulation import lacking_emulator
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.products import (
    inputs_of,
    load_record,
    save_array,
    save_record,
    stratified,
)
from edgeprune.pipeline.recordings import replayed_recording
from edgeprune.pipeline.store import Stage

_LOGITS = "logits"
_PROFILED_WINDOWS = 8
_FRONT_END_SECONDS = 120
_HOST_CHUNK = 2048
_NO_TIMES = "instructions and latency: nothing here measures them on a processor that runs Linux"


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
        sources = generate_sources(context, data, network, place, monitor)
        rows = [_host_row(context, sources, test)]
        shutil.rmtree(place)
        absent: tuple[str, ...] = ()
        lacking = lacking_emulator(context.target)
        if context.target.is_host:
            absent = ("the emulated device: the target is the host",)
        elif lacking:
            absent = (f"the command for {context.target.name}: {lacking}", _NO_TIMES)
            save_record(folder / DEVICE, load_record(firmware.file(DEVICE), DeviceEvidence))
        else:
            some = stratified(test, context.config.firmware.parity_windows, context.seed)
            elf = firmware.file(IMAGE)
            run = _run_on_device(context, elf, network, test.select(some))
            rows.append(device_row(context, _LOGITS, [(run.logits, logits[some])]))
            rows.append(_front_end_row(context, elf, data, network))
            profile = _profile(context, elf, network, test)
            estimate = _estimate(context, elf, network, test)
            if context.target.is_linux:
                absent = (_NO_TIMES,)
            elif profile is None:
                absent = (f"instructions: no counting emulator has a {context.target.core}",)
            static = load_record(firmware.file(DEVICE), DeviceEvidence)
            save_record(
                folder / DEVICE,
                device_evidence.with_measurements(
                    static, sources, profile, run.stack_bytes or None, estimate
                ),
            )
        save_array(folder / "logits.npy", logits)
        save_record(folder / "parity.json", Parity(tuple(rows), absent))

    return context.store.run(
        "bench",
        produce,
        reads=[stage for stage in (data, quantized, firmware, monitor) if stage is not None],
        settings={
            "firmware": asdict(context.config.firmware),
            "seed": context.seed,
            "lacking": lacking_emulator(context.target),
        },
        rooms=("network", "firmware", "devices", "data/front_end", "data/segment_front_end"),
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
        compared=EVERY_LAYER,
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


def _front_end_row(context: Context, elf: Path, data: Stage, network: IntegerNetwork) -> ParityRow:
    """Let the device make its own windows of raw samples, and compare them and their logits."""
    front_end = context.front_end
    samples, beats = replayed_recording(context, data, _FRONT_END_SECONDS)
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
