"""Windows that were published as arrays: one `.npz` file a record, `x` and `y`.

`x` is float [n, channels, samples], `y` the class of each, as numbers in the order of the card's
labels. Nobody knows when they were recorded, nor whether they lie next to each other: they are kept
one behind the other, and every one of them is one window.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.recordings import Recording
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Progress

# A float array of that many values is a gigabyte: no published set of windows is that large.
_MOST_VALUES = 1 << 28


def read_windows(
    card: DatasetCard, directory: Path | None, progress: Progress, seed: int
) -> tuple[Recording, ...]:
    """Return the records of a card with the source "npz-windows".

    Args:
        card: The data set.
        directory: Where its files lie.
        progress: Told about each record.
        seed: Not used.

    Raises:
        DataError: A file is absent, damaged, or not as the card says.
        ConfigurationError: No folder is given.
    """
    del seed
    if directory is None:
        raise ConfigurationError(
            f"data set '{card.name}' is read from files and no folder is given",
            where="--data-dir",
            hint="pass --data-dir DIR, the folder with the .npz files",
        )
    recordings = []
    with progress.task(f"reading {card.name}", len(card.split.records), "records") as advance:
        for name in card.split.records:
            recordings.append(read_npz_windows(card, directory, name))
            advance(1)
    return tuple(recordings)


def read_npz_windows(card: DatasetCard, directory: Path, record: str) -> Recording:
    """Read the windows of one file.

    Args:
        card: A card with the table `window`; its length is that of the file's windows.
        directory: Where the file lies.
        record: Name of the file without ".npz".

    Raises:
        DataError: The file is absent, damaged, or not as the card says.
    """
    path = directory / card.files.path_of(record, "npz")
    where = f"record {record}, {path.name}"
    signals, classes = _arrays(path, where)
    signal, window = card.signal, card.window
    length = round(window.seconds * signal.rate_hz) if window else 0
    wanted = (len(signal.channels), length)
    if signals.ndim != 3 or signals.shape[1:] != wanted:
        shape = " x ".join(map(str, signals.shape))
        raise DataError(
            f"'x' is {shape}, not n x {wanted[0]} channels x {wanted[1]} samples",
            where=where,
            hint="correct signal.channels, signal.rate_hz or window.seconds of the card",
        )
    if classes.shape != (len(signals),):
        raise DataError(
            f"'y' has {classes.size} classes for {len(signals)} windows",
            where=where,
            hint="the file is damaged: fetch it again",
        )
    known = np.isin(classes, np.arange(len(card.labels)))
    if not known.all():
        number = int(np.argmin(known))
        raise DataError(
            f"window {number} is of class {classes[number]}, which the card lacks",
            where=where,
            hint="give every class a line in [labels]: class 0 is the first",
        )
    if not np.isfinite(signals).all():
        number = int(np.argmin(np.isfinite(signals).all(axis=(1, 2))))
        raise DataError(
            f"window {number} has values that are no numbers",
            where=where,
            hint="leave the window out of the file",
        )
    half = 1 << (signal.bits - 1)
    scale = 1000.0 if signal.unit == "rms" else 1.0
    counts = np.rint(signals.astype(np.float64) * (scale / signal.microvolt_per_count))
    samples = np.clip(counts, -half, half - 1).astype(np.int16)
    return Recording(
        name=record,
        patient=card.patient(record),
        lead=", ".join(signal.channels),
        adc=card.adc,
        samples=samples.transpose(0, 2, 1).reshape(-1, len(signal.channels)),
        beats=np.arange(len(signals), dtype=np.int64) * length,
        labels=classes.astype(np.int64),
    )


def _arrays(path: Path, where: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as content:
            missing = [name for name in ("x", "y") if name not in content]
            if missing:
                raise DataError(
                    f"there is no array '{missing[0]}' (there are {', '.join(content)})",
                    where=where,
                    hint="x holds the windows, y their classes",
                )
            if _values(path, "x") > _MOST_VALUES:
                raise DataError("'x' is too large", where=where, hint="split the file by patient")
            signals, classes = content["x"], content["y"]
    except FileNotFoundError as error:
        raise DataError(
            "the file is not there", where=where, hint=f"put it into {path.parent}"
        ) from error
    except DataError:
        raise
    except Exception as error:
        # numpy parses the arrays' headers as Python, and lets through whatever that meets.
        raise DataError(
            f"the file cannot be read: {error}",
            where=where,
            hint="it is written by numpy.savez, without objects",
        ) from error
    if signals.dtype.kind not in "fiu" or classes.dtype.kind not in "iub":
        raise DataError(
            f"x is of {signals.dtype} and y of {classes.dtype}",
            where=where,
            hint="x holds numbers, y whole numbers",
        )
    return signals, classes


def _values(path: Path, name: str) -> int:
    """Return how many values an array of the file says that it has, without reading them."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
        header: Any = np.lib.format
        first = header.read_magic(stream) == (1, 0)
        read = header.read_array_header_1_0 if first else header.read_array_header_2_0
        shape, _, _ = read(stream)
    return int(np.prod(shape, dtype=object))
