"""A classifier in one safetensors file, with what is needed to build it again after pruning."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from edgeprune.classifiers.catalogue import ClassifierSpec, create
from edgeprune.classifiers.finite import check_finite
from edgeprune.errors import ModelError
from edgeprune.files import write_bytes

_KEY = "edgeprune"
_FORMAT = 1


@dataclass(frozen=True)
class LayerWidth:
    """Channel counts of one layer as it is now.

    Attributes:
        layer: Qualified name of the layer.
        inputs: Channels or features in.
        outputs: Channels or features out.
        groups: Groups of a convolution; 1 elsewhere.
    """

    layer: str
    inputs: int
    outputs: int
    groups: int


def layer_widths(model: nn.Module) -> tuple[LayerWidth, ...]:
    """Return the channel counts of every convolution, dense layer and normalization."""
    widths = []
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            width = LayerWidth(name, layer.in_channels, layer.out_channels, layer.groups)
        elif isinstance(layer, nn.Linear):
            width = LayerWidth(name, layer.in_features, layer.out_features, 1)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            width = LayerWidth(name, layer.num_features, layer.num_features, 1)
        else:
            continue
        widths.append(width)
    return tuple(widths)


def resize(model: nn.Module, widths: tuple[LayerWidth, ...]) -> None:
    """Give the layers of `model` other channel counts, in place; their weights become zero.

    Raises:
        ModelError: A layer of `widths` is not in the model.
    """
    layers = dict(model.named_modules())
    for width in widths:
        layer = layers.get(width.layer)
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            layer.in_channels, layer.out_channels = width.inputs, width.outputs
            layer.groups = width.groups
            taps = layer.weight.shape[2:]
            shape = (width.outputs, width.inputs // width.groups, *taps)
        elif isinstance(layer, nn.Linear):
            layer.in_features, layer.out_features = width.inputs, width.outputs
            shape = (width.outputs, width.inputs)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.num_features = width.outputs
            shape = (width.outputs,)
            layer.running_mean = torch.zeros(shape)
            layer.running_var = torch.ones(shape)
        else:
            raise ModelError(
                f"the architecture has no layer '{width.layer}' to resize",
                where=width.layer,
                hint="build the classifier with the version that saved it",
            )
        if layer.weight is not None:
            layer.weight = nn.Parameter(torch.zeros(shape))
        if layer.bias is not None:
            layer.bias = nn.Parameter(torch.zeros(width.outputs))


def save_classifier(model: nn.Module, spec: ClassifierSpec, path: Path) -> None:
    """Write weights and architecture to a safetensors file, atomically; equal states, equal bytes.

    Raises:
        ModelError: A weight is not finite.
        DiskError: The file cannot be written.
    """
    check_finite(model.state_dict(), where=spec.name)
    described = {
        "format": _FORMAT,
        "spec": asdict(spec),
        "widths": [asdict(width) for width in layer_widths(model)],
    }
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    # One key only: safetensors writes several in no fixed order.
    content = save(state, metadata={_KEY: json.dumps(described, sort_keys=True)})
    write_bytes(path, content)


def load_classifier(
    path: Path, *, user_classifier: str | None = None
) -> tuple[nn.Module, ClassifierSpec]:
    """Read a classifier that `save_classifier` wrote, pruned or not, in evaluation mode.

    Args:
        path: The safetensors file.
        user_classifier: The `package.module:factory` that the caller agrees to import; a file
            alone never makes edgeprune import a module.

    Raises:
        ModelError: The file is absent, damaged, of another version, not finite, or names a user's
            factory that the caller did not name.
    """
    spec, widths = _read_description(path)
    if spec.is_user_defined and spec.name != user_classifier:
        raise ModelError(
            f"the file is of the user's classifier '{spec.name}'",
            where=str(path),
            hint=f"name it: --model {spec.name}",
        )
    model = create(spec.name, spec.signal_shape, spec.rhythm_features, spec.classes, seed=0)
    resize(model, widths)
    state = load_file(path)
    check_finite(state, where=str(path))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"the weights do not fit '{spec.name}': {error}",
            where=str(path),
            hint="build the classifier with the version that saved it",
        ) from error
    return model.eval(), spec


def _read_description(path: Path) -> tuple[ClassifierSpec, tuple[LayerWidth, ...]]:
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
        described = json.loads(metadata[_KEY])
        if described["format"] != _FORMAT:
            raise ValueError(f"format {described['format']}, this version reads {_FORMAT}")
        fields = described["spec"]
        spec = ClassifierSpec(**fields | {"signal_shape": tuple(fields["signal_shape"])})
        return spec, tuple(LayerWidth(**width) for width in described["widths"])
    except FileNotFoundError as error:
        raise ModelError(
            "the classifier does not exist", where=str(path), hint="check the path"
        ) from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"this is not a classifier that edgeprune saved: {error}",
            where=str(path),
            hint="give a classifier.safetensors of `edgeprune train` or `edgeprune prune`",
        ) from error
