"""A model of any kind as an integer network, for looking at it: no data set is read for that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeprune.data import FrontEnd
from edgeprune.errors import EdgepruneError, ModelError, UnsupportedOperatorError
from edgeprune.network import IntegerNetwork, load_onnx, read_qdq
from edgeprune.pipeline.given_model import is_file, is_quantized, quantized_model

if TYPE_CHECKING:
    import onnx

NETWORK = "network.safetensors"
_WINDOWS = 8
_RANGES = "its ranges are of random numbers: sizes and counts do not depend on them"


@dataclass(frozen=True)
class OpenedModel:
    """A model as an integer network.

    Attributes:
        name: As it was named.
        format: What it is, in words.
        network: What it becomes; its ranges mean nothing where it came in real numbers.
        front_end: What will feed it, where the windows that it takes are the front end's.
        notes: What is to be known, in words.
    """

    name: str
    format: str
    network: IntegerNetwork
    front_end: FrontEnd | None = None
    notes: tuple[str, ...] = ()


def open_model(name: str, front_end: FrontEnd, classes: int, seed: int = 0) -> OpenedModel:
    """Return a model as an integer network.

    Args:
        name: A result directory, an integer network's file, a TFLite or ONNX file, a registered
            name, or `package.module:factory`.
        front_end: What will feed it; files that take other windows are opened all the same.
        classes: Number of logits of a classifier that is made by its name.
        seed: Seed of the weights of such a classifier.

    Raises:
        ModelError: It is absent, damaged or contradicts itself.
        UnsupportedOperatorError: It holds operators outside the supported set; all are listed.
        UnknownNameError: No classifier has that name.
    """
    path = Path(name)
    if path.is_dir() or path.suffix == ".safetensors":
        network = IntegerNetwork.load(path / NETWORK if path.is_dir() else path)
        return _fitted(OpenedModel(name, "integer network", network), front_end)
    if not is_file(name):
        return _module(name, front_end, classes, seed)
    if not path.is_file():
        raise ModelError("the file does not exist", where=name, hint="check the path")
    if is_quantized(path):
        found = quantized_model(path)
        return _fitted(OpenedModel(name, found.format, found.network, notes=found.notes), front_end)
    return _fitted(_float_file(name, path), front_end)


def _fitted(opened: OpenedModel, front_end: FrontEnd) -> OpenedModel:
    """Name the front end where its windows are what the network takes, or say that they are not."""
    wanted = [front_end.signal_shape, (front_end.rhythm_features,)]
    shapes = [
        [size for size in tensor.shape if size > 1]
        for tensor in sorted(opened.network.input_tensors, key=lambda tensor: -tensor.size)
    ]
    expected = [[size for size in shape if size > 1] for shape in wanted]
    if shapes in (expected[:1], expected):
        return OpenedModel(opened.name, opened.format, opened.network, front_end, opened.notes)
    length, channels = front_end.signal_shape
    note = (
        f"it does not take the windows of the data set ({channels} x {length}): counted without "
        "a front end"
    )
    return OpenedModel(opened.name, opened.format, opened.network, None, (*opened.notes, note))


def _module(name: str, front_end: FrontEnd, classes: int, seed: int) -> OpenedModel:
    from edgeprune.classifiers import CLASSIFIERS, create
    from edgeprune.quantization import to_float_onnx

    if ":" not in name:
        CLASSIFIERS.get(name, where="MODEL")
    module = create(name, front_end.signal_shape, front_end.rhythm_features, classes, seed)
    graph = to_float_onnx(module, front_end.signal_shape, front_end.rhythm_features)
    return OpenedModel(name, "torch module", _placeholder(graph, name), front_end, (_RANGES,))


def _float_file(name: str, path: Path) -> OpenedModel:
    from edgeprune.classifiers.onnx_import import module_of_onnx
    from edgeprune.quantization import to_float_onnx

    model = load_onnx(path)
    shape, features = _windows_of(model, name)
    try:
        found = module_of_onnx(model, shape, features, where=name)
    except UnsupportedOperatorError as error:
        reason = f"it can be quantized, but neither pruned nor trained: {error.what}"
        network = _placeholder(model, name)
        return OpenedModel(name, "float ONNX", network, notes=(reason, _RANGES))
    graph = to_float_onnx(found.module, shape, features)
    notes = ("its weights can be trained and pruned", *found.notes, _RANGES)
    return OpenedModel(name, "float ONNX", _placeholder(graph, name), notes=notes)


def _windows_of(model: onnx.ModelProto, where: str) -> tuple[tuple[int, int], int]:
    """Return length and channels of a graph's signal, and the features of its other input.

    Where nothing else says it, the shorter axis are the channels.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    shapes = [
        [dim.dim_value for dim in entry.type.tensor_type.shape.dim][1:]
        for entry in model.graph.input
        if entry.name not in constants
    ]
    shapes.sort(key=lambda shape: -int(np.prod(shape)))
    long = [size for size in shapes[0] if size > 1] if shapes else []
    if len(shapes) not in (1, 2) or len(long) not in (1, 2) or min(shapes[0]) < 1:
        raise ModelError(
            f"its inputs have the shapes {shapes} after the batch",
            where=where,
            hint="one signal (channels x length) of fixed size, and at most one vector besides",
        )
    features = int(np.prod(shapes[1])) if len(shapes) == 2 else 0
    return (max(long), min(long) if len(long) == 2 else 1), features


def _placeholder(graph: onnx.ModelProto, where: str) -> IntegerNetwork:
    """Return the integer network of a float graph, with the ranges of random windows."""
    from edgeprune.quantization.calibration import ActivationRange, measure, percentile_range
    from edgeprune.quantization.graph import clean_float_onnx
    from edgeprune.quantization.qdq import make_qdq

    clean = clean_float_onnx(graph, where=where)
    clean.graph.name = where
    random = np.random.default_rng(0)
    fed = {
        entry.name: random.normal(
            0, 1, [_WINDOWS, *(dim.dim_value for dim in entry.type.tensor_type.shape.dim[1:])]
        ).astype(np.float32)
        for entry in clean.graph.input
    }
    try:
        ranges = {
            name: percentile_range(histogram, 100.0)
            for name, histogram in measure(clean, fed).items()
        }
    except EdgepruneError:
        raise
    except Exception as error:  # onnxruntime raises its own C++ exceptions
        # Operators first: what onnxruntime does not run is often what is not supported.
        read_qdq(clean)
        raise ModelError(
            f"onnxruntime cannot run the graph ({str(error).splitlines()[0]})", where=where
        ) from error
    forced = {name: ActivationRange.covering(-4.0, 4.0) for name in fed}
    return read_qdq(make_qdq(clean, {**ranges, **forced}))
