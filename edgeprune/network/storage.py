"""The file of an IntegerNetwork: one safetensors file whose metadata is canonical JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_safetensors

from edgeprune.errors import EdgepruneError, ModelError
from edgeprune.files import write_bytes
from edgeprune.network.operation import Operation
from edgeprune.network.ops import OPERATORS
from edgeprune.network.tensor import Tensor

if TYPE_CHECKING:
    from edgeprune.network.integer_network import IntegerNetwork

SCHEMA = "edgeprune.integer-network"
VERSION = 1

# safetensors keeps no order among several metadata keys, so that there is only this one.
_METADATA_KEY = "edgeprune"

Parts = tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...], tuple[Operation, ...]]


@dataclass(frozen=True, eq=False)
class Description:
    """A network as text and arrays: `header` is canonical JSON, `arrays` are named for it."""

    header: str
    arrays: Mapping[str, npt.NDArray[np.generic]]


def describe(network: IntegerNetwork) -> Description:
    """Return everything that the network is made of."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    operations = []
    for operation in network.operations:
        plain: dict[str, Any] = {"kind": operation.kind}
        for field in fields(operation):
            value = getattr(operation, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"{operation.name}/{field.name}"] = value
            else:
                plain[field.name] = value
        operations.append(plain)
    header = {
        "schema": SCHEMA,
        "version": VERSION,
        "tensors": [asdict(tensor) for _, tensor in sorted(network.tensors.items())],
        "inputs": network.inputs,
        "outputs": network.outputs,
        "operations": operations,
    }
    return Description(json.dumps(header, sort_keys=True, separators=(",", ":")), arrays)


def digest(description: Description) -> str:
    """Return the SHA-256 of a description in hexadecimal."""
    hasher = hashlib.sha256(description.header.encode())
    for name, array in sorted(description.arrays.items()):
        hasher.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.hexdigest()


def write(network: IntegerNetwork, path: Path) -> None:
    """Write the network's file; the same network always gives the same bytes."""
    description = describe(network)
    arrays = dict(description.arrays)
    write_bytes(path, save_safetensors(arrays, {_METADATA_KEY: description.header}))


def read(path: Path) -> Parts:
    """Return the parts of the network in a file.

    Raises:
        ModelError: The file is absent, damaged, or of another kind or version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[_METADATA_KEY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if (header["schema"], header["version"]) != (SCHEMA, VERSION):
            raise ModelError(
                f"the file holds {header['schema']} version {header['version']}",
                where=str(path),
                hint=f"this edgeprune reads {SCHEMA} version {VERSION}",
            )
        return _assemble(header, arrays)
    except ModelError:
        raise
    except EdgepruneError as error:
        where = f"{path}, {error.where}" if error.where else str(path)
        raise ModelError(error.what, where=where, hint=error.hint) from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"this is no IntegerNetwork that edgeprune wrote ({error})", where=str(path)
        ) from error


def _assemble(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Parts:
    tensors = {
        entry["name"]: Tensor(**{**entry, "shape": tuple(entry["shape"])})
        for entry in header["tensors"]
    }
    operations = []
    for entry in header["operations"]:
        operator = OPERATORS.get(entry["kind"])
        values: dict[str, Any] = {
            field.name: _thaw(entry[field.name])
            if field.name in entry
            else arrays[f"{entry['name']}/{field.name}"]
            for field in fields(operator)
        }
        operations.append(operator(**values))
    return tensors, tuple(header["inputs"]), tuple(header["outputs"]), tuple(operations)


def _thaw(value: Any) -> Any:
    """Return what JSON made of a field: its only containers were tuples."""
    return tuple(map(_thaw, value)) if isinstance(value, list) else value
