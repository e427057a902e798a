"""The stage that fits the input monitor, tries it, and asks the device for its reasons."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from edgeprune.data import Windows
from edgeprune.data.held import HeldWindows, hold_windows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.data.recordings import Recording
from edgeprune.devices import count_front_end, run_front_end, run_image
from edgeprune.disturbances import Disturbance, disturbed_windows
from edgeprune.disturbances.sweep import disturb
from edgeprune.errors import ParityError
from edgeprune.evaluation import Bootstrap, Decisions
from edgeprune.evaluation.abstention import monitored_windows
from edgeprune.evidence import Quantity, Where
from edgeprune.evidence.monitor import MonitoredWindows, MonitorEvidence, MonitorLimits
from edgeprune.firmware import Image, Labels, compile_image, generate
from edgeprune.monitor import Fitted, InputMonitor, fitted_monitor
from edgeprune.monitor.input_monitor import margins
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.disturb import disturbances_of, noise_files
from edgeprune.pipeline.emulation import lacking_emulator
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.products import (
    inputs_of,
    load_record,
    save_record,
    stratified,
)
from edgeprune.pipeline.recordings import held_of, recordings_of, replayed_recording
from edgeprune.pipeline.store import Stage

MONITOR = "monitor.json"
MONITOR_EVIDENCE = "monitor_evidence.json"
_DEVICE_WINDOWS = 256
_FRONT_END_SECONDS = 60
_CODE = ("edgeprune_monitor", "monitor_", "watch", "edgeprune_window_reasons")


@dataclass(frozen=True, eq=False)
class _Watched:
    """Windows with what a device has of them: logits, and the raw samples that it looks at."""

    windows: Windows
    logits: npt.NDArray[np.int8]
    raw: npt.NDArray[np.int16] | None


@dataclass(frozen=True)
class _OnDevice:
    """What the emulated device says of the monitor."""

    flash_bytes: Quantity
    ram_bytes: Quantity
    instructions: Quantity | None
    compared: int
    mismatches: int


def monitor_of(stage: Stage | None) -> InputMonitor | None:
    """Return the monitor of a stage; None without one."""
    return None if stage is None else load_record(stage.file(MONITOR), InputMonitor)


def monitor_stage(context: Context, data: Stage, quantized: Stage) -> Stage:
    """The monitor of the int8 network, and what it refuses of clean and of disturbed windows."""
    settings = context.config.monitor

    def produce(folder: Path) -> None:
        network = network_of(quantized)
        training, validation = windows_of(data, "train"), windows_of(data, "validation")
        fitted = fitted_monitor(
            settings, network, training, validation, context.front_end, context.adc
        )
        monitor = fitted.monitor
        save_record(folder / MONITOR, monitor)
        sets = tuple(_sets(context, data, network, monitor))
        device = None
        if context.target.memories is not None and not lacking_emulator(context.target):
            device = _on_device(context, data, network, monitor)
        evidence = MonitorEvidence(_limits(fitted, settings.coverage), sets)
        if device is not None:
            evidence = replace(evidence, **vars(device))
            if device.mismatches:
                raise ParityError(
                    f"the device gave other reasons for {device.mismatches} of "
                    f"{device.compared} windows than the specification",
                    where="monitor",
                    hint="this is a bug of edgeprune: report it with the network's file",
                )
        save_record(folder / MONITOR_EVIDENCE, evidence)

    plan = context.config.disturbances
    return context.store.run(
        "monitor",
        produce,
        reads=[data, quantized],
        settings={
            "monitor": asdict(settings),
            "front_end": asdict(context.front_end),
            "adc": asdict(context.adc),
            "target": asdict(context.target),
            "toolchain": context.config.firmware.toolchain,
            "emulator": context.config.firmware.emulator,
            "lacking": lacking_emulator(context.target),
            "cases": [each.text for each in _severest(context)],
            "windows": plan.windows,
            "noise": noise_files(plan.noise_dir),
            "seed": context.seed,
        },
        rooms=("network", "monitor", "disturbances", "data", "evaluation", "firmware", "devices"),
    )


def _severest(context: Context) -> tuple[Disturbance, ...]:
    """Return the last severity of each kind of disturbance that the build tries."""
    last = {each.name: each for each in disturbances_of(context.config)}
    return tuple(last.values())


def _limits(fitted: Fitted, asked: float) -> MonitorLimits:
    monitor = fitted.monitor
    samples = monitor.samples
    return MonitorLimits(
        features=monitor.feature_names,
        unusual=monitor.unusual,
        margin=monitor.margin,
        rail_samples=samples.rail_samples,
        flat_samples=samples.block,
        flat_range=samples.flat_range,
        asked_coverage=asked,
        fitted_coverage=fitted.coverage,
    )


def _logits(network: IntegerNetwork, windows: Windows) -> npt.NDArray[np.int8]:
    return network.run(*inputs_of(network, windows))


def _sets(
    context: Context, data: Stage, network: IntegerNetwork, monitor: InputMonitor
) -> Iterator[MonitoredWindows]:
    """Yield all undisturbed test windows, then some of them under each severest disturbance."""
    test = windows_of(data, "test")
    raw = _raw_of(monitor, held_of(context, data, test))
    clean = _Watched(test, _logits(network, test), raw)
    yield _scored(context, "undisturbed", monitor, clean)
    some = test.select(stratified(test, context.config.disturbances.windows, context.seed))
    disturbances = _severest(context)
    recordings = recordings_of(context, data, some) if disturbances else ()
    with context.progress.task("monitor", len(disturbances), "disturbances") as advance:
        for disturbance in disturbances:
            parts = [
                _disturbed(context, network, monitor, some, recording, disturbance)
                for recording in recordings
            ]
            name = f"{disturbance.text}: {disturbance.describe()}"
            yield _scored(context, name, monitor, *parts)
            advance(1)


def _disturbed(
    context: Context,
    network: IntegerNetwork,
    monitor: InputMonitor,
    windows: Windows,
    recording: Recording,
    disturbance: Disturbance,
) -> _Watched:
    """Return the windows of one disturbed recording, as far as they are there."""
    own = windows.select(windows.record == windows.record_names.index(recording.name))
    cut = disturbed_windows([recording], own, context.front_end, disturbance, context.seed)
    present = cut.windows.select(cut.present)
    if monitor.raw_before is None:
        return _Watched(present, _logits(network, present), None)
    samples = disturb(recording, disturbance, context.seed).recording.samples
    reach = np.arange(monitor.samples.count) - monitor.raw_before
    places = np.clip(present.beat[:, None] + reach, 0, len(samples) - 1)
    return _Watched(present, _logits(network, present), samples[places])


def _raw_of(monitor: InputMonitor, held: HeldWindows) -> npt.NDArray[np.int16] | None:
    """Return the raw samples that the monitor looks at; None where it looks at the int8 signal."""
    return None if monitor.raw_before is None else monitor.raw_of(cast(HeldBeats, held))


def _scored(
    context: Context, name: str, monitor: InputMonitor, *parts: _Watched
) -> MonitoredWindows:
    """Score the windows of all parts, which share their records, together."""
    first = parts[0].windows
    logits = np.concatenate([part.logits for part in parts])
    labels = np.concatenate([part.windows.label for part in parts])
    records = np.concatenate([part.windows.record for part in parts])
    reasons = [monitor.verdicts(part.windows.signal, part.logits, part.raw) for part in parts]
    decisions = Decisions(
        labels,
        np.argmax(logits, axis=1).astype(np.int64),
        records,
        first.record_names,
        first.patients,
        first.class_names,
    )
    return monitored_windows(
        name,
        decisions,
        np.concatenate(reasons),
        Bootstrap(context.seed),
        margin=margins(logits),
    )


def _on_device(
    context: Context, data: Stage, network: IntegerNetwork, monitor: InputMonitor
) -> _OnDevice:
    """Compare the reasons of an image that gives them with the specification, and weigh it."""
    test = windows_of(data, "test")
    some = test.select(stratified(test, _DEVICE_WINDOWS, context.seed))
    classes, target, backend = (
        network.output_tensor.size,
        context.target,
        context.config.firmware.emulator,
    )
    with tempfile.TemporaryDirectory(prefix="edgeprune-") as name:
        folder = Path(name)
        sources = generate(
            network,
            context.front_end,
            target,
            Labels("monitored", test.class_names, context.card.title, test.synthetic),
            folder / "sources",
            monitor=monitor,
        )
        image = compile_image(
            sources,
            target,
            folder / "monitored.elf",
            toolchain=context.config.firmware.toolchain,
            program="monitored",
        )
        inputs = some.signal, some.rhythm if len(network.inputs) == 2 else None
        run = run_image(image.elf, target, *inputs, classes + 1, backend=backend)
        logits = _logits(network, some)
        pairs = [(run.logits, logits, monitor.verdicts(some.signal, logits))]
        samples, beats = _raw_recording(context, data)
        features = context.front_end.rhythm_features if len(network.inputs) == 2 else 0
        shape = context.front_end.signal_shape
        front = run_front_end(
            image.elf, target, samples, beats, shape, features, classes + 1, backend=backend
        )
        valid = np.flatnonzero(context.front_end.run(samples, beats).valid)
        held = hold_windows(context.front_end, context.adc, samples, beats, valid)
        own = held.inputs()[: len(network.inputs)]
        logits = network.run(*own)
        reasons = monitor.verdicts(own[0], logits, _raw_of(monitor, held))
        pairs.append((front.logits, logits, reasons))
        instructions = None
        if target.emulator is not None:
            instructions = _instructions(image.elf, context, samples, beats, features, classes)
    return _OnDevice(
        *_weight(image),
        instructions,
        sum(len(found) for found, _, _ in pairs),
        sum(_mismatches(*each) for each in pairs),
    )


def _raw_recording(
    context: Context, data: Stage
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """Return the start of a test recording, with a stretch held and a stretch at the rails."""
    samples, beats = replayed_recording(context, data, _FRONT_END_SECONDS)
    samples = samples.copy()
    second, half = round(context.adc.rate_hz), 1 << (context.adc.bits - 1)
    samples[8 * second : 9 * second] = samples[8 * second]
    samples[16 * second : 17 * second : 2] = -half
    samples[16 * second + 1 : 17 * second : 2] = half - 1
    return samples, beats


def _mismatches(
    found: npt.NDArray[np.int8],
    logits: npt.NDArray[np.int8],
    reasons: npt.NDArray[np.uint8],
) -> int:
    """Count the windows whose logits or reasons the device [n, classes + 1] gave otherwise."""
    expected = np.concatenate([logits, reasons[:, None].view(np.int8)], axis=1)
    if len(found) != len(expected):
        return max(len(found), len(expected))
    return int((found != expected).any(axis=1).sum())


def _weight(image: Image) -> tuple[Quantity, Quantity]:
    """Return flash and RAM of the monitor's functions and tables."""
    flash = ram = 0
    for symbol in image.symbols:
        if symbol.name.startswith(_CODE):
            flash += symbol.bytes if symbol.section != ".bss" else 0
            ram += symbol.bytes if symbol.section != ".text" else 0
    return (
        Quantity(flash, "byte", Where.IMAGE, note="without what the compiler inlined elsewhere"),
        Quantity(ram, "byte", Where.IMAGE),
    )


def _instructions(
    elf: Path,
    context: Context,
    samples: npt.NDArray[np.int16],
    beats: npt.NDArray[np.int64],
    features: int,
    classes: int,
) -> Quantity:
    """Count the monitor's instructions of a window, the look at its raw samples included."""
    profile = count_front_end(
        elf,
        context.target,
        samples,
        beats,
        context.front_end.signal_shape,
        features,
        classes + 1,
    )
    spent = sum(each.total for each in profile.layers if "monitor" in each.symbol)
    whole = sum(each.total for each in profile.layers)
    network = sum(
        each.total for each in profile.layers if "layer" in each.symbol or "classify" in each.symbol
    )
    windows = max(profile.windows, 1)
    return Quantity(
        spent / windows,
        "instruction",
        Where.EMULATOR,
        n=windows,
        n_of="windows",
        note=f"the network takes {network / windows:,.0f}, all in all {whole / windows:,.0f}",
    )
