"""Writes the interface of a generated library: header and model. Same input, same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import jinja2
import numpy as np

from edgeprune import __version__
from edgeprune.data.front_ends import FrontEnd
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.errors import NetworkError
from edgeprune.firmware.lowering import Layer, Program
from edgeprune.firmware.monitor_files import Monitor, monitor_text
from edgeprune.firmware.slices import steps_of
from edgeprune.network import IntegerNetwork, Tensor
from edgeprune.resources import resource_folder


@dataclass(frozen=True)
class Labels:
    """The words that the generated files carry.

    Attributes:
        title: One line that names the classifier.
        class_names: Name of each class, in the order of the logits.
        trained_on: Name of the data set.
        synthetic: The network was trained on synthetic data; every file says so.
        channels: Names of the channels that one sample of segments holds, in order.
    """

    title: str
    class_names: tuple[str, ...]
    trained_on: str
    synthetic: bool
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class _FrontEndText:
    delay_beats: int
    patience: int
    channels: int
    channel_names: str
    constants: Mapping[str, int]


@dataclass(frozen=True)
class _Input:
    region: str
    size: int
    layout: str
    length: int
    channels: int
    scale: str
    zero_point: int


@dataclass(frozen=True)
class _CodeText:
    arena_bytes: int
    peak_operation: str
    weight_bytes: int
    steps: int
    largest_step: int


def environment(folder: str) -> jinja2.Environment:
    """Return a strict template environment over one folder of firmware_export."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_folder("firmware_export") / folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )


def write_model(
    network: IntegerNetwork,
    portable: Program,
    assembly: Program | None,
    labels: Labels,
    front_end: FrontEnd | None,
    monitor: Monitor | None = None,
) -> dict[str, str]:
    """Return the text of edgeprune_model.h and edgeprune_model.c by name.

    Raises:
        NetworkError: The class names do not fit the logits.
    """
    output = network.tensors[network.outputs[0]]
    if len(labels.class_names) != output.size:
        raise NetworkError(
            f"{len(labels.class_names)} class names for {output.size} logits",
            hint=f"the names are {', '.join(labels.class_names)}",
        )
    context = {
        "title": comment_safe(labels.title),
        "version": __version__,
        "network_hash": network.sha256,
        "synthetic": labels.synthetic,
        "class_names": tuple(string_safe(name) for name in labels.class_names),
        "class_macros": class_macros(labels.class_names),
        "inputs": tuple(
            _input(network.tensors[name], region)
            for name, region in zip(network.inputs, ("signal", "rhythm"), strict=False)
        ),
        "output": _Input(
            "logits", output.size, "", 0, 0, float_text(output.scale), output.zero_point
        ),
        "portable": _code(portable, network),
        "assembly": assembly and _code(assembly, network),
        "origin": origin(labels),
        "hop": portable.stream.hop if portable.stream else 0,
        "front_end": front_end and _front_end(front_end, labels),
        "monitor": monitor and monitor_text(monitor),
    }
    templates = environment("templates")
    return {
        name: templates.get_template(f"{name}.j2").render(context)
        for name in ("edgeprune_model.h", "edgeprune_model.c")
    }


def _code(program: Program, network: IntegerNetwork) -> _CodeText:
    return _CodeText(
        program.plan.arena_bytes,
        comment_safe(program.plan.peak_operation),
        constant_bytes(program.layers),
        *steps_of(program, network),
    )


def constant_bytes(layers: Iterable[Layer]) -> int:
    """Return the bytes of weights, biases and scales as they lie in flash."""
    return sum(layer.constant_bytes for layer in layers)


def class_macros(class_names: Sequence[str]) -> tuple[str, ...]:
    """Return a C macro name for each class, all different."""
    stems = [re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper() for name in class_names]
    unique = [
        stem if stem and stems.count(stem) == 1 else f"{stem or 'NUMBER'}_{index}"
        for index, stem in enumerate(stems)
    ]
    return tuple(f"EDGEPRUNE_CLASS_{stem}" for stem in unique)


def origin(labels: Labels) -> str:
    """Return the sentence that says what the network was trained on."""
    if labels.synthetic:
        return "TRAINED ON SYNTHETIC DATA: for demonstrations and tests only, not for real signals."
    return f"Trained on {comment_safe(labels.trained_on)}."


def comment_safe(text: str) -> str:
    """Return the text so that it can stand in a C comment."""
    plain = " ".join(text.split()).encode("ascii", "replace").decode()
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def string_safe(text: str) -> str:
    """Return the text so that it can stand in a C string."""
    return comment_safe(text).replace("\\", "\\\\").replace('"', '\\"')


def _front_end(front_end: FrontEnd, labels: Labels) -> _FrontEndText:
    channels, names = 0, ""
    if isinstance(front_end, SegmentFrontEnd):
        channels = front_end.channels
        names = comment_safe(", ".join(labels.channels) or f"{channels} channels as in training")
    # A beat may be told until its window is complete.
    patience = front_end.reach[1]
    return _FrontEndText(front_end.delay_beats, patience, channels, names, front_end.constants())


def _input(tensor: Tensor, region: str) -> _Input:
    length, channels = (tensor.shape[0] if tensor.is_map else 1), tensor.row_size
    layout = f"[{length}][{channels}]" if tensor.is_map else f"[{tensor.size}]"
    return _Input(
        region, tensor.size, layout, length, channels, float_text(tensor.scale), tensor.zero_point
    )


def float_text(value: float) -> str:
    """Return a float32 as a C literal that reads back as the same float32."""
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"{text}f"
