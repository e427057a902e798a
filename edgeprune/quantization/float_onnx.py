"""A torch classifier as a float ONNX graph whose names are the module's own."""

from __future__ import annotations

import copy
import io
import re
import warnings

import onnx
import torch
from torch import nn

from edgeprune.classifiers import example_inputs
from edgeprune.errors import ModelError
from edgeprune.quantization.graph import clean_float_onnx

OPSET = 17
# Some functions are one operator only in later opsets; in earlier ones they are many.
_LATER_OPSET = 20
_PIECES = frozenset({"Erf", "Pow"})
SIGNAL = "signal"
RHYTHM = "rhythm"
LOGITS = "logits"


def to_float_onnx(
    model: nn.Module, signal_shape: tuple[int, int], rhythm_features: int
) -> onnx.ModelProto:
    """Export a classifier in evaluation mode; normalizations are folded into the weights.

    Inputs `signal` [n, channels, length] and, where the classifier takes it, `rhythm`
    [n, features]; output `logits` [n, classes]. A node is called by the layer it comes from
    (`blocks.0.conv1`), one that comes from no layer of its own by where it stands and what it does
    (`blocks.0.add`).

    Args:
        model: The classifier; it is not changed.
        signal_shape: Length and channels of the signal.
        rhythm_features: Features of the rhythm input.

    Raises:
        ModelError: The classifier cannot be called with such inputs or cannot be exported.
    """
    inputs = example_inputs(model, signal_shape, rhythm_features)
    frozen = copy.deepcopy(model).eval()
    graph = _exported(frozen, inputs, OPSET)
    if _PIECES & {node.op_type for node in graph.graph.node}:
        graph = _exported(frozen, inputs, _LATER_OPSET)
    leaves = {name for name, module in frozen.named_modules() if not list(module.children())}
    _rename(graph.graph, leaves)
    return clean_float_onnx(graph, where=type(model).__name__)


def _exported(frozen: nn.Module, inputs: tuple[torch.Tensor, ...], opset: int) -> onnx.ModelProto:
    names = (SIGNAL, RHYTHM)[: len(inputs)]
    exported = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The tracing exporter is deprecated, and still the better one here: opset as asked,
            # pools as pools (the newer one writes means), module names, a fiftieth of the time.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                frozen,
                inputs,
                exported,  # type: ignore[arg-type]  # only the newer exporter needs a path
                dynamo=False,
                opset_version=opset,
                input_names=list(names),
                output_names=[LOGITS],
                dynamic_axes={name: {0: "n"} for name in (*names, LOGITS)},
            )
    except Exception as error:  # whatever a user's forward or the exporter raises
        raise ModelError(
            f"the classifier cannot be exported to ONNX: {type(error).__name__}: {error}",
            where=type(frozen).__name__,
            hint=f"it is called with float tensors of shapes {[tuple(i.shape) for i in inputs]}",
        ) from error
    return onnx.load_model_from_string(exported.getvalue())


def _rename(graph: onnx.GraphProto, leaves: set[str]) -> None:
    kept = {value.name for value in (*graph.input, *graph.output)}
    initializers = {tensor.name for tensor in graph.initializer}
    renamed: dict[str, str] = {}
    taken: set[str] = set()
    for node in graph.node:
        *scope, operation = node.name.strip("/").split("/")
        place = _qualified(scope)
        is_leaf = place in leaves or re.sub(r"_\d+$", "", place) in leaves  # pool_1: called again
        if is_leaf and place not in taken:
            node.name = place
        else:
            node.name = f"{place}.{operation.lower()}".strip(".")
        taken.add(node.name)
        for index, name in enumerate(node.output):
            if name not in kept:
                value = node.name if index == 0 else f"{node.name}.{index}"
                renamed[name] = f"{value}.output" if value in kept else value
        for name, role in zip(node.input[1:], ("weight", "bias"), strict=False):
            # Folded weights are called onnx::Conv_34; the others already have the module's names.
            if name in initializers and name.startswith("onnx::"):
                renamed.setdefault(name, f"{node.name}.{role}")
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)


def _qualified(scope: list[str]) -> str:
    """Join ["blocks", "blocks.0", "conv1"], as the exporter writes it, to "blocks.0.conv1"."""
    parts: list[str] = []
    for part in scope:
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)
