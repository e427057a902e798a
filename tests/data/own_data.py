"""One small recording in every format that a user may have it in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data import DatasetCard, load_card
from edgeprune.data.cards import SignalCard, SplitCard, WindowCard
from edgeprune.data.own_records import Note
from edgeprune.data.reader_card import ReaderCard

RATE = 128
SECONDS = 12
CHANNELS = ("Fp1", "T8-P8")
NOTES = (Note(2.0, 4.5, "seizure"), Note(8.0, 9.0, "artefact"))
RECORDS = ("r1", "r2", "r3")


def own_card(source: str, **reader: object) -> DatasetCard:
    """Return a card of segments of two channels, 0.5 uV a count, windows of one second."""
    return replace(
        load_card("mit-bih"),
        name="mine",
        source=source,
        signal=SignalCard(RATE, 0.5, 16, channels=CHANNELS),
        window=WindowCard(1.0, 200.0),
        labels={"none": (), "seizure": ("seizure",)},
        not_beats=("artefact",),
        patients={},
        files=replace(load_card("mit-bih").files, base_url="", checksums="", annotator=""),
        split=SplitCard(("r1", "r2"), ("r2",), ("r3",)),
        reader=ReaderCard(**reader),  # type: ignore[arg-type]
    )


def own_counts(record: str) -> npt.NDArray[np.int64]:
    """Return the counts [n, 2] of a record: what every format must give back."""
    random = np.random.default_rng(RECORDS.index(record) if record in RECORDS else 9)
    return random.integers(-3000, 3000, (RATE * SECONDS, 2))


def own_labels() -> npt.NDArray[np.str_]:
    """Return `NOTES` as one text a sample."""
    labels = np.full(RATE * SECONDS, "", "U10")
    for note in NOTES:
        labels[int(note.begin_s * RATE) : int(note.end_s * RATE)] = note.text
    return labels


def write_edf(path: Path, counts: npt.NDArray[np.int64], *, bdf: bool = False) -> None:
    """Write counts of 0.5 uV as an EDF+ or BDF+ file; annotations in it."""
    import pyedflib

    kind = pyedflib.FILETYPE_BDFPLUS if bdf else pyedflib.FILETYPE_EDFPLUS
    top = 8_388_606 if bdf else 32_766
    with pyedflib.EdfWriter(str(path), counts.shape[1], kind) as writer:
        for place, label in enumerate(CHANNELS):
            writer.setLabel(place, label)
            writer.setPhysicalDimension(place, "uV")
            writer.setSamplefrequency(place, RATE)
            writer.setDigitalMaximum(place, top)
            writer.setDigitalMinimum(place, -top)
            writer.setPhysicalMaximum(place, top // 2)
            writer.setPhysicalMinimum(place, -(top // 2))
        writer.writeSamples(
            [np.ascontiguousarray(column, np.int32) for column in counts.T], digital=True
        )
        for note in NOTES:
            writer.writeAnnotation(note.begin_s, note.end_s - note.begin_s, note.text)


def write_csv(path: Path, counts: npt.NDArray[np.int64], *, separator: str = ",") -> None:
    """Write counts of 0.5 uV in millivolts, with a time and a label for each row."""
    point = "," if separator == ";" else "."
    lines = [separator.join(("time", *CHANNELS, "label"))]
    for row, (values, label) in enumerate(zip(counts / 2000, own_labels(), strict=True)):
        numbers = [f"{row / RATE:.7f}", *(f"{value:.4f}" for value in values)]
        lines.append(separator.join([*(text.replace(".", point) for text in numbers), label]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
