"""Writes the C of a network: header, model and constants. Same input, same bytes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import jinja2
import numpy as np

from edgeprune import __version__
from edgeprune.data.front_end import FrontEnd
from edgeprune.errors import NetworkError
from edgeprune.firmware.lowering import Array, KernelCall, Layer
from edgeprune.firmware.plan import MemoryPlan, Place
from edgeprune.network import IntegerNetwork, Tensor
from edgeprune.resources import resource_folder

_LINE = 100
_C_TYPES = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t"}


@dataclass(frozen=True)
class Labels:
    """The words that the generated files carry.

    Attributes:
        title: One line that names the classifier.
        class_names: Name of each class, in the order of the logits.
        trained_on: Name of the data set.
        synthetic: The network was trained on synthetic data; every file says so.
    """

    title: str
    class_names: tuple[str, ...]
    trained_on: str
    synthetic: bool


@dataclass(frozen=True)
class _FrontEndText:
    delay_beats: int
    patience: int
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
class _ArrayText:
    name: str
    type: str
    count: int
    comment: str
    values: str
    aligned: bool


@dataclass(frozen=True)
class _LayerText:
    index: int
    symbol: str
    comment: str
    declaration: str
    arguments: str
    calls: tuple[str, ...]
    output: str
    output_bytes: int


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
    plan: MemoryPlan,
    layers: Sequence[Layer],
    labels: Labels,
    front_end: FrontEnd | None,
) -> dict[str, str]:
    """Return the text of edgeprune_model.h, edgeprune_model.c and edgeprune_weights.h by name.

    Raises:
        NetworkError: The class names do not fit the logits.
    """
    output = network.tensors[network.outputs[0]]
    if len(labels.class_names) != output.size:
        raise NetworkError(
            f"{len(labels.class_names)} class names for {output.size} logits",
            hint=f"the names are {', '.join(labels.class_names)}",
        )
    logits = plan.places[output.name]
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
        "arena_bytes": plan.arena_bytes,
        "lower_bound": plan.lower_bound_bytes,
        "peak_operation": comment_safe(plan.peak_operation),
        "peak": tuple((comment_safe(name), size) for name, size in plan.peak),
        "weight_bytes": constant_bytes(layers),
        "layers": tuple(_layer(layer, network) for layer in layers),
        "checks": tuple(_checks(plan, layers)),
        "arrays": tuple(_arrays(layers)),
        "copied_logits": "" if logits.region == "logits" else _expression(logits),
        "origin": origin(labels),
        "front_end": front_end and _front_end(front_end),
    }
    templates = environment("templates")
    return {
        name: templates.get_template(f"{name}.j2").render(context)
        for name in ("edgeprune_model.h", "edgeprune_model.c", "edgeprune_weights.h")
    }


def constant_bytes(layers: Iterable[Layer]) -> int:
    """Return the bytes of weights, biases and scales as they lie in flash."""
    return sum(
        array.nbytes for layer in layers for call in layer.calls for array in call.arrays.values()
    )


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


def _front_end(front_end: FrontEnd) -> _FrontEndText:
    # A beat may be told until its window is complete.
    return _FrontEndText(front_end.delay_beats, front_end.reach[1], front_end.constants())


def _input(tensor: Tensor, region: str) -> _Input:
    length, channels = tensor.shape if tensor.is_map else (1, tensor.size)
    layout = f"[{length}][{channels}]" if tensor.is_map else f"[{tensor.size}]"
    return _Input(
        region, tensor.size, layout, length, channels, float_text(tensor.scale), tensor.zero_point
    )


def float_text(value: float) -> str:
    """Return a float32 as a C literal that reads back as the same float32."""
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"{text}f"


def _expression(place: Place) -> str:
    if place.region == "arena":
        return f"ARENA({place.offset})"
    return place.region if place.offset == 0 else f"{place.region} + {place.offset}"


def _array_name(layer: Layer, number: int, field: str) -> str:
    part = f"_{number}" if number else ""
    return f"layer_{layer.index:02d}{part}_{field}"


def _layer(layer: Layer, network: IntegerNetwork) -> _LayerText:
    operation, tensors = layer.operation, network.tensors
    shapes = ", ".join(str(list(tensors[name].shape)) for name in operation.inputs)
    work = operation.multiply_accumulates(tensors)
    comment = (
        f"{layer.index:02d} {layer.kernel} '{operation.name}': "
        f"{shapes} -> {list(tensors[operation.output].shape)}" + (f", {work} MACs" if work else "")
    )
    declarations = [
        f"int8_t *{name}" if name == "logits" else f"const int8_t *{name}" for name in layer.regions
    ]
    return _LayerText(
        index=layer.index,
        symbol=layer.symbol,
        comment=comment_safe(comment),
        declaration=", ".join(declarations) or "void",
        arguments=", ".join(layer.regions),
        calls=tuple(_call(layer, number, call) for number, call in enumerate(layer.calls)),
        output=_expression(layer.output),
        output_bytes=tensors[operation.output].size,
    )


def _call(layer: Layer, number: int, call: KernelCall) -> str:
    fields = [f".{name}={int(value)}" for name, value in call.parameters.items()]
    fields += [f".{name}={_array_name(layer, number, name)}" for name in call.arrays]
    # Wrapped before the spaces around "=" are added: a field is never cut in two.
    rows = textwrap.wrap(", ".join(fields), _LINE - 24, break_on_hyphens=False)
    arguments = ["&parameters", *(_expression(place) for place in (*call.inputs, call.output))]
    if call.scratch is not None:
        arguments.append(f"SCRATCH({call.scratch})")
    return "\n".join(
        [
            f"static const edgeprune_{call.kernel}_parameters parameters = {{",
            *(f"    {row.replace('=', ' = ')}" for row in rows),
            "};",
            f"edgeprune_{call.kernel}({', '.join(arguments)});",
        ]
    )


def _arrays(layers: Iterable[Layer]) -> Iterable[_ArrayText]:
    for layer in layers:
        for number, call in enumerate(layer.calls):
            for field, array in call.arrays.items():
                yield _ArrayText(
                    name=_array_name(layer, number, field),
                    type=_C_TYPES[array.dtype.name],
                    count=array.size,
                    comment=comment_safe(f"'{layer.operation.name}' {field} {list(array.shape)}"),
                    values=values_text(array),
                    aligned=field == "weights",
                )


def values_text(array: Array) -> str:
    """Return the numbers of an array as lines of a C initializer."""
    text = ", ".join(map(str, array.ravel().tolist()))
    return textwrap.indent(textwrap.fill(text, _LINE - 4, break_on_hyphens=False), "    ")


def _checks(plan: MemoryPlan, layers: Iterable[Layer]) -> Iterable[str]:
    """Return C conditions: each scratch memory lies in the arena with the size the kernel wants."""
    for layer in layers:
        for call in layer.calls:
            if call.scratch is None:
                continue
            values = call.parameters
            if call.kernel == "conv1d":
                depth = values["kernel"] * (values["input_channels"] // values["groups"])
                need = f"EDGEPRUNE_CONV1D_SCRATCH({depth})"
            else:
                need = f"EDGEPRUNE_DENSE_SCRATCH({values['input_features']})"
            yield f"{call.scratch} + {need} <= EDGEPRUNE_ARENA_BYTES"
    yield f"sizeof(arena) >= {plan.arena_bytes}"
