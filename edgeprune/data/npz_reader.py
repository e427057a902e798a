"""NPZ files: arrays of samples [n, channels], or of windows [n, length, channels]."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.own_files import find_file, reads_files
from edgeprune.data.own_records import to_recording
from edgeprune.data.recordings import Recording
from edgeprune.data.row_windows import recording_of_windows
from edgeprune.data.rows import (
    Rows,
    numbers_of,
    one_patient,
    rows_by_record,
    texts_of,
    to_raw_record,
)
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.progress import Progress

SUFFIXES = (".npz",)
SIGNALS = ("signal", "windows")
# A gigabyte and a half of samples in one file is a folder of files.
_MOST_BYTES = 3 << 29

Array = npt.NDArray[Any]


def read_npz(
    card: DatasetCard, directory: Path | None, progress: Progress, seed: int
) -> tuple[Recording, ...]:
    """Return the records of a card with the source "npz".

    Raises:
        DataError: A file is absent, damaged, or does not fit the card.
        ConfigurationError: No folder is given, or the card does not say what the arrays are.
    """
    del seed
    folder = reads_files(card, directory)
    if not card.reader.label:
        raise ConfigurationError(
            "the card does not say which array holds the labels",
            where=f"{card.path or card.name}, reader.label",
            hint="name an array with one label a window, or one a sample",
        )
    recordings = []
    found: dict[str, Rows] = {}
    if card.reader.record:
        files = [path for path in sorted(folder.rglob("*.npz")) if path.is_file()]
        tables = [_rows(card, path, path.name) for path in files]
        found = dict(rows_by_record(card, tables, folder))
    with progress.task(f"reading {card.name}", len(card.split.records), "records") as advance:
        for record in card.split.records:
            rows = found.get(record)
            if rows is None:
                path = find_file(card, folder, record, SUFFIXES)
                rows = _rows(card, path, f"record {record}, {path.name}")
            recordings.append(_recording(card, record, rows))
            advance(1)
    return tuple(recordings)


def load_npz(path: Path, where: str) -> Mapping[str, Array]:
    """Return the arrays of a file; objects are refused, never unpickled.

    Raises:
        DataError: It is damaged, larger than any record, or no NPZ file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > _MOST_BYTES:
            raise DataError(
                f"the arrays take {total} bytes", where=where, hint="split the file by record"
            )
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: np.asarray(content[name]) for name in content.files}
    except DataError:
        raise
    except Exception as error:
        # numpy parses the arrays' headers as Python, and lets through whatever that meets.
        raise DataError(
            f"the file cannot be read as NPZ: {error}",
            where=where,
            hint="write it with numpy.savez, as arrays of numbers and texts without objects",
        ) from error
    return arrays


def signal_name(card: DatasetCard, arrays: Mapping[str, Array], where: str) -> str:
    """Return which array holds the samples or windows.

    Raises:
        DataError: None does.
    """
    wanted = (card.reader.signal,) if card.reader.signal else SIGNALS
    found = [name for name in wanted if name in arrays]
    if len(found) != 1:
        raise DataError(
            f"there is no array {' or '.join(wanted)} (there are {', '.join(arrays) or 'none'})"
            if not found
            else f"there are both {' and '.join(found)}",
            where=where,
            hint="name the array of samples in reader.signal of the card",
        )
    return found[0]


def _rows(card: DatasetCard, path: Path, where: str) -> Rows:
    """Return samples by channel, or windows under the empty name, with what stands beside them."""
    arrays = load_npz(path, where)
    signal = arrays[signal_name(card, arrays, where)]
    if signal.ndim == 1 or (signal.ndim == 2 and card.window is not None and card.window.cut_out):
        signal = signal[..., None]
    if signal.dtype.kind not in "iuf" or signal.ndim not in (2, 3):
        raise DataError(
            f"the samples are {signal.dtype} of {signal.ndim} dimensions",
            where=where,
            hint="numbers [n, channels], or windows [n, length, channels]",
        )
    channels = _channels(card, signal, where)

    def texts(key: str, name: str) -> Any:
        if not name:
            return None
        if name not in arrays:
            raise DataError(
                f"there is no array '{name}' (there are {', '.join(arrays)})",
                where=where,
                hint=f"correct reader.{key} in the card",
            )
        array = arrays[name]
        if array.size == 1 and len(signal) != 1:
            array = np.broadcast_to(array.reshape(1), (len(signal),))
        if array.shape != (len(signal),):
            raise DataError(
                f"'{name}' has shape {array.shape} for {len(signal)} rows of signal",
                where=where,
                hint="it holds one entry for each window, or for each sample",
            )
        return texts_of(array)

    reader = card.reader
    return Rows(
        path,
        channels,
        texts("label", reader.label),
        texts("record", reader.record),
        texts("patient", reader.patient),
        first_row=0,
    )


def _channels(card: DatasetCard, signal: Array, where: str) -> Mapping[str, Array]:
    names = card.signal.channels if card.window is not None else card.signal.leads[:1]
    if signal.ndim == 2:
        if signal.shape[1] != len(names):
            raise DataError(
                f"the samples have {signal.shape[1]} channels, the card names {len(names)}",
                where=where,
                hint="name every channel of the array, in its order, in the card",
            )
        return {name.split("|")[0]: signal[:, place] for place, name in enumerate(names)}
    window = card.window
    if window is None or not window.cut_out:
        raise DataError(
            "the file holds windows, the card does not",
            where=where,
            hint="add [window] with seconds, full_scale and cut_out = true",
        )
    length = round(window.seconds * card.signal.rate_hz)
    if signal.shape[1:] == (len(names), length) and length != len(names):
        signal = signal.transpose(0, 2, 1)
    if signal.shape[1:] != (length, len(names)):
        raise DataError(
            f"the windows are {signal.shape[1]} x {signal.shape[2]}, the card states {length} "
            f"samples x {len(names)} channels",
            where=where,
            hint="correct window.seconds, signal.rate_hz or signal.channels",
        )
    return {name.split("|")[0]: signal[:, :, place] for place, name in enumerate(names)}


def _recording(card: DatasetCard, record: str, rows: Rows) -> Recording:
    if next(iter(rows.channels.values())).ndim == 1:
        return to_recording(card, to_raw_record(card, record, rows, ()))
    return _of_windows(card, record, rows)


def _of_windows(card: DatasetCard, record: str, rows: Rows) -> Recording:
    where = f"record {record}, {rows.path.name}"
    assert rows.label is not None
    patient = one_patient(card, record, rows, where)
    flat = replace(rows, channels={}, first_row=0)
    channels = {
        name: numbers_of(windows.reshape(-1), name, flat, where).reshape(windows.shape)
        for name, windows in rows.channels.items()
    }
    return recording_of_windows(
        card, record, where, channels, rows.label, patient, lambda number: f"window {number}"
    )
