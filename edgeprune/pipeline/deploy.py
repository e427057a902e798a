"""The stages from the integer network to a device: export, firmware, bench."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data import Windows
from edgeprune.errors import MissingToolError, ParityError
from edgeprune.evidence import ParityRow, Where
from edgeprune.files import write_bytes
from edgeprune.firmware import (
    FirmwareSources,
    Golden,
    Image,
    Labels,
    check_fit,
    compile_image,
    generate,
    package,
    predict_footprint,
)
from edgeprune.firmware.linux import write_guide
from edgeprune.network import IntegerNetwork, read_qdq, write_qdq, write_tflite
from edgeprune.pipeline import device_evidence
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.monitor import monitor_of
from edgeprune.pipeline.products import (
    inputs_of,
    save_record,
    stratified,
)
from edgeprune.pipeline.recipe import model_name
from edgeprune.pipeline.store import Stage
from edgeprune.verification.runtimes import EXACT_RUNTIMES, RUNTIMES, compare_layers

TFLITE = "model.tflite"
ONNX = "model.onnx"
FIRMWARE = "firmware"
PACKAGE = "package"
IMAGE = "firmware.elf"
LINUX = "linux"
DEVICE = "device.json"
EVERY_LAYER = "every layer"
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
        compared=EVERY_LAYER,
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
        sources = generate_sources(context, data, network, folder / FIRMWARE, monitor)
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
                products=folder / LINUX if context.target.is_linux else None,
            )
            _check_image(context, image)
            if context.target.is_linux:
                write_guide(sources, _golden(context, data, network), folder / LINUX)
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
        rooms=("network", "firmware", "data/front_end", "data/segment_front_end"),
    )


def _check_image(context: Context, image: Image) -> None:
    check_fit(device_evidence.image_footprint(image), context.target)


def _labels(context: Context) -> Labels:
    return Labels(
        title=f"{model_name(context.config.model)} for {context.card.name}",
        class_names=context.card.class_names,
        trained_on=context.card.title,
        synthetic=context.card.synthetic,
        channels=context.card.signal.channels,
    )


def generate_sources(
    context: Context,
    data: Stage,
    network: IntegerNetwork,
    folder: Path,
    monitor: Stage | None,
) -> FirmwareSources:
    """Write the C of a network as the configuration wants it."""
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
        implementation="command" if context.target.is_linux else "firmware image",
        version=context.target.name,
        where=Where.EMULATOR,
        place=f"{emulator}, {context.target.core}",
        windows=len(pairs[0][0]),
        compared=compared,
        values=difference.size,
        mismatches=int(np.count_nonzero(difference)),
        largest_difference_lsb=int(difference.max(initial=0)),
    )
