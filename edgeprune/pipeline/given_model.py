"""What a model file of the user is: float or quantized, ONNX or TFLite, to be trained or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprune.data import FrontEnd
from edgeprune.errors import EdgepruneError, ModelError, UnsupportedOperatorError
from edgeprune.network import IntegerNetwork, load_onnx, read_qdq, read_tflite
from edgeprune.quantization.layout import channels_first

if TYPE_CHECKING:
    import onnx

    from edgeprune.pipeline.context import Context

SUFFIXES = (".onnx", ".tflite")
TFLITE = ".tflite"
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class QuantizedModel:
    """A network that came quantized.

    Attributes:
        network: The network as the file has it.
        format: What the file is, in words.
        notes: What is to be known of the reading, in words.
    """

    network: IntegerNetwork
    format: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trainability:
    """Whether a float graph goes through torch.

    Attributes:
        trains: It becomes a module: it is pruned and fine-tuned as any classifier.
        note: Why not, or what is to be known; in words, empty where there is nothing.
    """

    trains: bool
    note: str = ""


def is_file(model: str) -> bool:
    """Return whether a model is named by a file rather than by a name."""
    return model.endswith(SUFFIXES)


def is_quantized(path: Path) -> bool:
    """Return whether a model file is quantized already.

    Raises:
        ModelError: It cannot be read.
    """
    if path.suffix == TFLITE:
        return True
    return any(node.op_type in _QUANTIZED for node in load_onnx(path).graph.node)


def quantized_model(path: Path, front_end: FrontEnd | None = None) -> QuantizedModel:
    """Read a QDQ ONNX or TFLite file.

    Args:
        path: The file.
        front_end: What will feed it: an ONNX graph with its channels last is turned to suit.

    Raises:
        EdgepruneError: It cannot be read.
    """
    if path.suffix == TFLITE:
        reading = read_tflite(path)
        return QuantizedModel(reading.network, "TFLite", reading.notes)
    model = load_onnx(path)
    if front_end is not None:
        model = channels_first(model, front_end.signal_shape)
    model.graph.name = str(path)
    return QuantizedModel(read_qdq(model), "QDQ ONNX")


def float_model(path: Path, front_end: FrontEnd) -> onnx.ModelProto:
    """Return a float graph that takes the front end's signal with its channels first.

    Raises:
        ModelError: It cannot be read.
    """
    return channels_first(load_onnx(path), front_end.signal_shape)


def trainability(context: Context) -> Trainability:
    """Return whether the build's model file becomes a torch module.

    It does where it can and where something asks for it: pruning, training through the roundings,
    or a graph that is not quantized as it stands.

    Raises:
        ModelError: It cannot be read, contradicts itself, or does not fit the front end or classes.
        UnsupportedOperatorError: It can be trained but not quantized; all operators are listed.
    """
    config = context.config
    path = Path(config.model)
    if not path.is_file() or is_quantized(path):
        return Trainability(trains=False)
    from edgeprune.classifiers.onnx_import import module_of_onnx
    from edgeprune.pipeline.given_network import check_float_graph
    from edgeprune.quantization import to_float_onnx

    front_end = context.front_end
    try:
        found = module_of_onnx(
            load_onnx(path), front_end.signal_shape, front_end.rhythm_features, where=config.model
        )
    except UnsupportedOperatorError as error:
        return Trainability(
            trains=False,
            note=f"{config.model} is quantized as it is, neither pruned nor trained: {error.what}",
        )
    _check_classes(found.classes, context)
    wanted = config.pruning.method != "none" or bool(config.robustness.perturbation)
    trains = wanted or not _is_quantizable(context)
    if trains:
        # What cannot be quantized is said before it is trained.
        graph = to_float_onnx(found.module, front_end.signal_shape, front_end.rhythm_features)
        check_float_graph(graph, context)
    return Trainability(trains, "; ".join(found.notes))


def _is_quantizable(context: Context) -> bool:
    from edgeprune.pipeline.given_network import check_float_graph

    try:
        model = float_model(Path(context.config.model), context.front_end)
        check_float_graph(model, context)
    except EdgepruneError:
        return False
    return True


def _check_classes(logits: int, context: Context) -> None:
    classes = context.card.class_names
    if logits != len(classes):
        raise ModelError(
            f"it has {logits} logits; {context.card.name} has "
            f"{len(classes)} classes ({', '.join(classes)})",
            where=context.config.model,
            hint="end the graph in one logit a class, in the order of the data card",
        )
