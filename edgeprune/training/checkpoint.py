"""Where a training stands, in one file that is replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from edgeprune.files import write_bytes

_KEY = "edgeprune-training"


@dataclass(frozen=True)
class Checkpoint:
    """The state between two epochs.

    The generators' states are not in it: they follow from the seed and the epoch.

    Attributes:
        fingerprint: Hash of everything that decides the training; another one's file is ignored.
        tensors: Weights, averages and optimizer moments by name.
        facts: Epochs done, history, best epoch: whatever JSON holds.
    """

    fingerprint: str
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint atomically.

    Raises:
        DiskError: The file cannot be written.
    """
    described = {"fingerprint": checkpoint.fingerprint, "facts": checkpoint.facts}
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    write_bytes(path, save(tensors, metadata={_KEY: json.dumps(described, sort_keys=True)}))


def read_checkpoint(path: Path, fingerprint: str) -> Checkpoint | None:
    """Return the checkpoint of that fingerprint; None where there is none or it is damaged."""
    try:
        with safe_open(path, framework="pt") as stream:
            described = json.loads((stream.metadata() or {})[_KEY])
        if described["fingerprint"] != fingerprint:
            return None
        return Checkpoint(fingerprint, load_file(path), described["facts"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
