"""From a recording's events to labelled windows of fixed length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeprune.data.cards import DatasetCard, SignalCard
from edgeprune.data.integer_arithmetic import Int64Array
from edgeprune.data.recordings import Event
from edgeprune.errors import ConfigurationError, DataError


def cut_segments(
    card: DatasetCard, samples: int, events: Sequence[Event]
) -> tuple[Int64Array, Int64Array]:
    """Return the windows of a recording that have a label.

    A window's label is the class whose events cover the greatest share of it, if that is at least
    `window.overlap`. A window that no class covers so far is of the first class where the card
    lists no annotation texts for it ("no event"); else it has no label and is left out.

    Args:
        card: The data set; it has the table `window`.
        samples: Samples of the recording, at the card's rate.
        events: What the annotators marked.

    Returns:
        First samples int64 [k], increasing, and class numbers int64 [k].

    Raises:
        ConfigurationError: The card is one of beats.
    """
    window = card.window
    if window is None:
        raise ConfigurationError(
            f"data set '{card.name}' has no windows to cut",
            where=card.path,
            hint="add the table [window] with seconds and full_scale",
        )
    rate = card.signal.rate_hz
    length = round(window.seconds * rate)
    step = round((window.step_seconds or window.seconds) * rate)
    starts = np.arange(0, max(samples - length + 1, 0), step, dtype=np.int64)
    shares = np.zeros((len(card.labels), len(starts)))
    for label in range(len(card.labels)):
        inside = np.zeros(samples + 1, np.int64)
        for event in events:
            if event.label == label:
                inside[max(round(event.begin_s * rate), 0) : max(round(event.end_s * rate), 0)] = 1
        covered = np.concatenate([[0], np.cumsum(inside[:samples])])
        shares[label] = (covered[starts + length] - covered[starts]) / length
    labels = np.argmax(shares, axis=0)
    # A share that is meant to be reached exactly must not fail by a rounding.
    covered_enough = shares.max(axis=0) >= window.overlap - 1e-9
    if not next(iter(card.labels.values())):
        return starts, np.where(covered_enough, labels, 0)
    return starts[covered_enough], labels[covered_enough]


def event_of(
    card: DatasetCard, begin_s: float, end_s: float, text: str, where: str
) -> Event | None:
    """Return an annotation as an event; None for what the card lists in `not_beats`.

    Raises:
        DataError: The card does not know the annotation's text.
    """
    label = card.label_of(text)
    if label is None:
        raise DataError(
            f"the annotation '{text}' at {begin_s:g} s is not in the card of {card.name}",
            where=where,
            hint=f"add it to a class of [labels] or to not_beats in {card.path or 'the card'}",
        )
    return None if label < 0 else Event(begin_s, end_s, label)


def choose_channels(signal: SignalCard, available: Sequence[str], where: str) -> tuple[int, ...]:
    """Return the places of the card's channels among those that a file has.

    Args:
        signal: The card's table; "A|B" takes the first of these names that the file has.
        available: The file's channels, in its order.
        where: The record and file, for the message.

    Raises:
        DataError: A channel is absent, or the file has its name more than once.
    """
    places = []
    for channel in signal.channels:
        names = channel.split("|")
        name = next((name for name in names if name in available), None)
        if name is None:
            raise DataError(
                f"there is no channel {' or '.join(names)} (there are {', '.join(available)})",
                where=where,
                hint="correct signal.channels in the card, or leave the record out there",
            )
        if list(available).count(name) > 1:
            raise DataError(
                f"there is more than one channel {name}",
                where=where,
                hint="rename one of them, or choose another channel in the card",
            )
        places.append(list(available).index(name))
    return tuple(places)
