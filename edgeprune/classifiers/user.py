"""A user's own classifier, named `package.module:factory`, and weights from a file."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgeprune.classifiers.finite import check_finite
from edgeprune.errors import ModelError


def load_user_classifier(name: str, **sizes: object) -> nn.Module:
    """Import `package.module:factory`, call the factory and return its module.

    The working folder is importable during the call. Of `sizes` (signal_shape, rhythm_features,
    classes) the factory receives those that it has parameters for.

    Raises:
        ModelError: The name, the import, the factory or what it returns is wrong.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ModelError(
            f"'{name}' does not name a classifier",
            where=name,
            hint="write package.module:factory, for example mymodels.ecg:make",
        )
    with _working_folder_importable():
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # a user's module may raise anything while it is imported
            raise ModelError(
                f"'{module_name}' cannot be imported: {type(error).__name__}: {error}",
                where=name,
                hint="run in the folder that holds the package, or install it",
            ) from error
        factory = getattr(module, attribute, None)
        if not callable(factory):
            raise ModelError(
                f"'{module_name}' has no callable '{attribute}'",
                where=name,
                hint="name a function or class that returns a torch.nn.Module",
            )
        model = _call(factory, name, sizes)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"the factory returned {type(model).__name__}, not a torch.nn.Module",
            where=name,
            hint="return the module itself",
        )
    check_finite(model.state_dict(), where=name)
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill `model` from a `.safetensors` file or a torch file that holds tensors only.

    A torch file is read with `weights_only=True`: nothing in it is executed. It may hold the state
    itself or a table with the key `state_dict`.

    Raises:
        ModelError: The file is absent, damaged, holds more than tensors, does not fit the module,
            or holds a value that is not finite.
    """
    state = _read_state(path)
    check_finite(state, where=str(path))
    expected = model.state_dict()
    problems = [
        *(f"{name} is missing" for name in expected if name not in state),
        *(f"{name} is not in the classifier" for name in state if name not in expected),
        *(
            f"{name} has shape {tuple(state[name].shape)}, not {tuple(expected[name].shape)}"
            for name in expected
            if name in state and state[name].shape != expected[name].shape
        ),
    ]
    if problems:
        shown = "; ".join(problems[:6]) + (f"; and {len(problems) - 6} more" * (len(problems) > 6))
        raise ModelError(
            f"the weights do not fit the classifier: {shown}",
            where=str(path),
            hint="give the weights of this very architecture",
        )
    model.load_state_dict(state)


def _call(factory: Callable[..., object], name: str, sizes: dict[str, object]) -> object:
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(factory).parameters
    except ValueError:  # built in: tells nothing of itself
        parameters = {}
    takes_any = any(entry.kind is entry.VAR_KEYWORD for entry in parameters.values())
    given = {key: value for key, value in sizes.items() if takes_any or key in parameters}
    try:
        return factory(**given)
    except Exception as error:  # a user's factory may raise anything
        raise ModelError(
            f"the factory failed: {type(error).__name__}: {error}",
            where=name,
            hint="it is called with those of signal_shape, rhythm_features and classes it names",
        ) from error


def _read_state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            # torch asks for bug reports about pickles that it then refuses.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(
            "the weights do not exist", where=str(path), hint="check the path"
        ) from error
    except UnpicklingError as error:
        raise ModelError(
            "the file holds more than tensors, and edgeprune executes nothing from a file",
            where=str(path),
            hint="save model.state_dict(), or use safetensors.torch.save_file",
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ModelError(
            f"the weights cannot be read: {error}",
            where=str(path),
            hint="save them again with torch.save(model.state_dict(), path) or safetensors",
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(
            "the file holds no table of tensors",
            where=str(path),
            hint="save model.state_dict()",
        )
    return content


@contextmanager
def _working_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    before = list(sys.path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = before
