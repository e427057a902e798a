"""The raw recordings behind windows: kept by the data stage, so that perturbations start there."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data import Dataset, Windows
from edgeprune.data.held_front_end import HeldBeats, hold, join
from edgeprune.errors import DataError
from edgeprune.files import write_bytes
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.store import Stage

_RECORDINGS = "recordings.npz"


def save_recordings(folder: Path, dataset: Dataset) -> None:
    """Keep the validation and test recordings as they came from the converter."""
    split = dataset.card.split
    kept = {*split.validation, *split.test}
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for recording in dataset.recordings:
        if recording.name in kept:
            arrays[f"{recording.name}.samples"] = recording.samples
            arrays[f"{recording.name}.beats"] = recording.beats
    # Written to memory first: zipfile complains on its own when a disk is full.
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(folder / _RECORDINGS, buffer.getvalue())


def held_of(context: Context, data: Stage, windows: Windows) -> HeldBeats:
    """Return windows of the validation or test part at the converter, in their order.

    Args:
        context: The build, whose front end and converter made the windows.
        data: The data stage.
        windows: Any windows of its parts but the training one.

    Raises:
        DataError: The data stage has no raw recording of a window.
    """
    parts, order = [], []
    with np.load(data.file(_RECORDINGS), allow_pickle=False) as content:
        for number in np.unique(windows.record).tolist():
            name = windows.record_names[number]
            if f"{name}.samples" not in content:
                raise DataError(
                    f"the raw samples of record '{name}' are not kept",
                    where=_RECORDINGS,
                    hint="validation and test recordings are; take windows of these",
                )
            samples, beats = content[f"{name}.samples"], content[f"{name}.beats"]
            rows = np.flatnonzero(windows.record == number)
            chosen = np.searchsorted(beats, windows.beat[rows])
            parts.append(hold(context.front_end, context.adc, samples, beats, chosen))
            order.append(rows)
    return join(parts).select(np.argsort(np.concatenate(order)))
