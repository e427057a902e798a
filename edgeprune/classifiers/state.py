"""A classifier in one safetensors file, with what is needed to build it again after pruning."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from edgeprune.classifiers.catalogue import ClassifierSpec, create
from edgeprune.classifiers.finite import check_finite
from edgeprune.classifiers.replacements import Replaced, replace_again, replacements
from edgeprune.classifiers.structure import LayerWidth, layer_widths, resize
from edgeprune.errors import ModelError
from edgeprune.files import write_bytes

_KEY = "edgeprune"
_FORMAT = 1


def save_classifier(model: nn.Module, spec: ClassifierSpec, path: Path) -> None:
    """Write weights and architecture to a safetensors file, atomically; equal states, equal bytes.

    Raises:
        ModelError: A weight is not finite.
        DiskError: The file cannot be written.
    """
    check_finite(model.state_dict(), where=spec.name)
    # Of a user's file its name alone: the same classifier, saved elsewhere, is the same bytes.
    plain = replace(spec, name=Path(spec.name).name) if spec.is_file else spec
    described = {
        "format": _FORMAT,
        "spec": asdict(plain),
        "widths": [asdict(width) for width in layer_widths(model)],
    }
    if replaced := replacements(model):
        described["replaced"] = [asdict(entry) for entry in replaced]
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
        user_classifier: The `package.module:factory` that the caller agrees to import, or the path
            of the graph that it was made of; a file alone never makes edgeprune import a module.

    Raises:
        ModelError: The file is absent, damaged, of another version, not finite, or names a user's
            factory that the caller did not name.
    """
    spec, replaced, widths = _read_description(path)
    if spec.is_file and user_classifier and Path(user_classifier).name == spec.name:
        spec = replace(spec, name=user_classifier)
    if spec.is_user_defined and spec.name != user_classifier:
        raise ModelError(
            f"the file is of the user's classifier '{spec.name}'",
            where=str(path),
            hint=f"name it: --model {spec.name}",
        )
    model = create(spec.name, spec.signal_shape, spec.rhythm_features, spec.classes, seed=0)
    replace_again(model, replaced)
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


def _read_description(
    path: Path,
) -> tuple[ClassifierSpec, tuple[Replaced, ...], tuple[LayerWidth, ...]]:
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
        described = json.loads(metadata[_KEY])
        if described["format"] != _FORMAT:
            raise ValueError(f"format {described['format']}, this version reads {_FORMAT}")
        fields = described["spec"]
        spec = ClassifierSpec(**fields | {"signal_shape": tuple(fields["signal_shape"])})
        replaced = tuple(Replaced(**entry) for entry in described.get("replaced", ()))
        return spec, replaced, tuple(LayerWidth(**width) for width in described["widths"])
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
