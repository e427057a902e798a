"""Looking at NPZ files: which array is what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.npz_reader import load_npz
from edgeprune.data.reader_card import ReaderCard
from edgeprune.data.rows import Rows, numbers_of, texts_of
from edgeprune.data.survey import (
    FoundRecord,
    Hints,
    Survey,
    UnansweredError,
    describe_values,
    fault_of,
    names_of_files,
    plain_names,
)
from edgeprune.data.survey_tables import USUAL_NAMES, rate_is_open, remarks_of, texts_of_rows
from edgeprune.data.survey_windows import check_unit, texts_of_windows, unit_is_open
from edgeprune.errors import DataError
from edgeprune.progress import Progress

_SIGNALS = ("signal", "signals", "windows", "x", "data", "eeg", "ecg", "samples")
_RATES = ("ratehz", "rate", "fs", "sfreq", "samplingrate", "samplingfrequency", "samplerate")
_CHANNELS = ("channels", "channelnames", "chnames", "leads", "leadnames")
_UNITS = ("unit", "units")


def survey_npz(folder: Path, files: tuple[Path, ...], hints: Hints, progress: Progress) -> Survey:
    """Look at NPZ files."""
    records: list[FoundRecord] = []
    chosen: ReaderCard | None = None
    windows = 0
    names = names_of_files(folder, files)
    with progress.task("looking at the files", len(files), "files") as advance:
        for path in files:
            advance(1)
            blank = FoundRecord(*names[path], path.parent.relative_to(folder).as_posix())
            try:
                arrays = load_npz(path, path.name)
                reader = _choose_arrays(arrays, hints, path)
                if chosen is not None and reader != chosen:
                    raise DataError("its arrays are others than in the first file")
                chosen = reader
                found, length = _look_at_arrays(arrays, reader, hints, blank, path)
                if windows and length != windows:
                    raise DataError(f"its windows have {length} samples, others {windows}")
                windows = length
                records += found
            except UnansweredError:
                raise
            except DataError as error:
                records.append(replace(blank, fault=fault_of(error)))
    return Survey(
        "npz",
        folder,
        tuple(sorted(records, key=lambda record: record.name)),
        chosen or ReaderCard(),
        windows=windows,
        remarks=remarks_of(chosen) if chosen else (),
    )


def _choose_arrays(arrays: Mapping[str, npt.NDArray[Any]], hints: Hints, path: Path) -> ReaderCard:
    names = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in arrays}

    def usual(known: Sequence[str]) -> str:
        return next((names[name] for name in known if name in names), "")

    signal = usual(_SIGNALS)
    if not signal:
        raise DataError(f"no array looks like samples (there are {', '.join(arrays)})")
    label = hints.label if hints.label in arrays else usual(USUAL_NAMES["label"])
    if not label:
        raise UnansweredError(
            "label",
            "Which array holds the labels",
            "no array looks like labels",
            where=f"{path.name}: {', '.join(arrays)}",
            hint="name it with --label",
        )
    rows = len(arrays[signal])
    patient = hints.patient if hints.patient in arrays else usual(USUAL_NAMES["patient"])
    record = usual(USUAL_NAMES["record"])
    if not record and patient and arrays[patient].shape == (rows,):
        # One file of all patients: a record is then what one patient has in it.
        record = patient
    unit = hints.unit or _one_text(arrays, usual(_UNITS))
    if not unit:
        raise unit_is_open(f"{path.name}, array '{signal}'")
    return ReaderCard(
        unit=check_unit(unit), label=label, patient=patient, record=record, signal=signal
    )


def _look_at_arrays(
    arrays: Mapping[str, npt.NDArray[Any]],
    reader: ReaderCard,
    hints: Hints,
    blank: FoundRecord,
    path: Path,
) -> tuple[list[FoundRecord], int]:
    """Return the records of one file, and the length of its windows; 0 for samples."""
    names = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in arrays}
    signal = arrays[reader.signal]
    if signal.ndim == 1:
        signal = signal[:, None]
    if signal.ndim not in (2, 3) or signal.dtype.kind not in "iuf" or not signal.size:
        raise DataError(f"'{reader.signal}' is {signal.dtype} of shape {signal.shape}")
    if signal.ndim == 3 and signal.shape[1] < signal.shape[2]:
        signal = signal.transpose(0, 2, 1)
    rate = hints.rate_hz or _one_number(arrays, next((names[n] for n in _RATES if n in names), ""))
    if not rate:
        raise rate_is_open(path.name)
    given = next((arrays[names[name]] for name in _CHANNELS if name in names), None)
    count = signal.shape[-1]
    labels = [str(name) for name in given] if given is not None and given.size == count else []
    labels = labels or [f"channel-{number + 1}" for number in range(count)]
    texts = texts_of(np.atleast_1d(arrays[reader.label]))
    if texts.shape != (len(signal),):
        raise DataError(f"'{reader.label}' has shape {texts.shape} for {len(signal)} rows")
    groups = [("", np.arange(len(signal)))]
    if reader.record:
        owners = texts_of(arrays[reader.record])
        groups = [(str(each), np.flatnonzero(owners == each)) for each in np.unique(owners)]
    found = []
    for value, rows in groups:
        part, own = signal[rows], texts[rows]
        flat = part.reshape(-1, count)
        checked = [
            numbers_of(flat[:, place], labels[place], Rows(path, first_row=0), path.name)
            for place in range(count)
        ]
        length = part.shape[1] if part.ndim == 3 else 0
        if length:
            described = texts_of_windows(own, length / rate)
        else:
            described = texts_of_rows(own, float(rate))
        patient = ""
        if reader.patient:
            owners = texts_of(np.atleast_1d(arrays[reader.patient]))
            patient = str(owners[rows[0]] if len(owners) > 1 else owners[0])
        name = plain_names([value])[value] if value else blank.name
        found.append(
            replace(
                blank,
                name=name,
                found_as=("" if value == name else value) if value else blank.found_as,
                rate_hz=Fraction(rate),
                samples=len(flat),
                channels=tuple(
                    describe_values(label, reader.unit, values, Fraction(1), Fraction(0))
                    for label, values in zip(labels, checked, strict=True)
                ),
                texts=described,
                patient=patient,
                names_patient=bool(reader.patient),
            )
        )
    return found, signal.shape[1] if signal.ndim == 3 else 0


def _one_number(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> int:
    if not name or arrays[name].size != 1 or arrays[name].dtype.kind not in "iuf":
        return 0
    number = float(arrays[name].reshape(-1)[0])
    return int(number) if number > 0 and number == int(number) else 0


def _one_text(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> str:
    return str(arrays[name].reshape(-1)[0]) if name and arrays[name].size == 1 else ""
