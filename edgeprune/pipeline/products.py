"""The files of stages, and the frozen values that they hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgeprune.data import Subject, Windows
from edgeprune.evidence.codec import decode, encode
from edgeprune.files import write_bytes, write_text
from edgeprune.network import IntegerNetwork

Record = TypeVar("Record")
_NO_AGE = -1
_ARRAYS = ("signal", "rhythm", "gain", "label", "record", "beat")


def save_record(path: Path, record: object) -> None:
    """Write a frozen record as JSON."""
    write_text(path, json.dumps(encode(record), indent=1, ensure_ascii=False) + "\n")


def load_record(path: Path, kind: type[Record]) -> Record:
    """Read a record that `save_record` wrote."""
    return decode(kind, json.loads(path.read_bytes()), where=path.name)


def save_windows(path: Path, windows: Windows) -> None:
    """Write windows to one `.npz` without pickled objects."""
    arrays: dict[str, npt.NDArray[np.generic]] = {name: getattr(windows, name) for name in _ARRAYS}
    names = ("record_names", "patients", "class_names")
    arrays |= {name: np.array(getattr(windows, name), dtype=np.str_) for name in names}
    sexes = np.array([subject.sex for subject in windows.subjects], dtype=np.str_)
    ages = np.array(
        [_NO_AGE if subject.age is None else subject.age for subject in windows.subjects], np.int64
    )
    arrays |= {"sexes": sexes, "ages": ages}
    # Written to memory first: zipfile complains on its own when a disk is full.
    buffer = BytesIO()
    np.savez(buffer, synthetic=np.array(windows.synthetic), **arrays)
    write_bytes(path, buffer.getvalue())


def load_windows(path: Path) -> Windows:
    """Read windows that `save_windows` wrote."""
    with np.load(path, allow_pickle=False) as content:
        return Windows(
            **{name: content[name] for name in _ARRAYS},
            record_names=tuple(content["record_names"].tolist()),
            patients=tuple(content["patients"].tolist()),
            class_names=tuple(content["class_names"].tolist()),
            synthetic=bool(content["synthetic"]),
            subjects=tuple(
                Subject(sex, None if age == _NO_AGE else age)
                for sex, age in zip(
                    content["sexes"].tolist(), content["ages"].tolist(), strict=True
                )
            ),
        )


def save_array(path: Path, array: npt.NDArray[np.generic]) -> None:
    """Write one array to a `.npy` file."""
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def load_array(path: Path) -> npt.NDArray[np.generic]:
    """Read an array that `save_array` wrote."""
    return np.asarray(np.load(path, allow_pickle=False))


def inputs_of(network: IntegerNetwork, windows: Windows) -> tuple[npt.NDArray[np.int8], ...]:
    """Return the windows as the network takes them."""
    return (windows.signal, windows.rhythm)[: len(network.inputs)]


def save_inputs(
    path: Path, network: IntegerNetwork, parts: Sequence[tuple[npt.NDArray[np.int8], ...]]
) -> None:
    """Write what a network reads, with its logits, for devices; no arrays without windows.

    Args:
        path: Where to.
        network: The network.
        parts: Inputs [n, ...] of some windows each.
    """
    inputs = tuple(np.concatenate(each) for each in zip(*parts, strict=True))
    arrays = {str(number): each for number, each in enumerate(inputs)}
    if inputs:
        arrays["logits"] = network.run(*inputs)
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def load_inputs(path: Path) -> tuple[npt.NDArray[np.int8], ...]:
    """Read the inputs that `save_inputs` wrote; nothing without windows."""
    with np.load(path, allow_pickle=False) as content:
        return tuple(content[name] for name in sorted(set(content) - {"logits"}))


def stratified(windows: Windows, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the indices of about `count` windows, drawn from every record in proportion.

    Each record with windows gives at least one, so that none is missing from a curve.
    """
    if count >= len(windows.label):
        return np.arange(len(windows.label), dtype=np.int64)
    generator = np.random.default_rng(seed)
    sizes = np.bincount(windows.record, minlength=len(windows.record_names))
    wanted = np.maximum(np.floor(sizes * count / sizes.sum()), sizes > 0).astype(np.int64)
    chosen = [
        generator.choice(np.flatnonzero(windows.record == record), take, replace=False)
        for record, take in enumerate(wanted)
        if take
    ]
    return np.sort(np.concatenate(chosen))
