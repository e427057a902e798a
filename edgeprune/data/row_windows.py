"""A recording out of windows that came one by one, each with its label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.own_records import Channel, RawRecord, to_recording
from edgeprune.data.recordings import Recording
from edgeprune.data.rows import Texts, unit_of
from edgeprune.errors import DataError


def recording_of_windows(
    card: DatasetCard,
    record: str,
    where: str,
    channels: Mapping[str, npt.NDArray[Any]],
    labels: Texts,
    patient: str,
    place: Callable[[int], str],
) -> Recording:
    """Return windows one behind the other, each with the label that it came with.

    Args:
        card: The data set, whose windows are cut out.
        record: The record's name.
        where: Record and file, for messages.
        channels: Each channel's finite numbers [windows, samples].
        labels: Text of each window [windows].
        patient: Whom the file names; empty where it names nobody.
        place: Where a window stands in its file, for messages, e.g. "line 7".

    Raises:
        DataError: A label is unknown, or the numbers do not fit the card.
        ConfigurationError: The card does not state the unit.
    """
    unit, rate = unit_of(card), Fraction(card.signal.rate_hz)
    length = next(iter(channels.values())).shape[1]
    flat = tuple(Channel(name, unit, rate, each.reshape(-1)) for name, each in channels.items())
    known = {text: card.label_of(text) for text in set(labels.tolist())}
    if None in known.values():
        number = next(n for n, text in enumerate(labels.tolist()) if known[text] is None)
        text = labels[number]
        raise DataError(
            f"the label '{text}' of {place(number)} is not in the card of {card.name}"
            if text
            else f"{place(number)} has no label",
            where=f"{where}, '{card.reader.label}'",
            hint="add it to a class of [labels] or to not_beats in the card"
            if text
            else "give every window a label, or take it out of the file",
        )
    recording = to_recording(card, RawRecord(record, where, flat, (), patient))
    numbers = np.array([known[text] for text in labels.tolist()], np.int64)
    kept = numbers >= 0
    starts = np.arange(len(numbers), dtype=np.int64) * length
    return replace(recording, beats=starts[kept], labels=numbers[kept])
