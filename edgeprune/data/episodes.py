"""Stretches of a recording that annotations mark: ventricular flutter and unreadable signal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeprune.data.cards import DatasetCard
from edgeprune.data.wfdb_annotations import Annotations, parse_annotations
from edgeprune.errors import DataError

_NOISE, _FLUTTER_BEGINS, _FLUTTER_ENDS = "~", "[", "]"
# Either bit says of one of the first two signals that it cannot be read.
_UNREADABLE = 0x30

Span = tuple[float, float]
# Whether an annotation begins (True) or ends (False) an episode, or does neither (None).
_State = Callable[[str, int], bool | None]


@dataclass(frozen=True)
class Episodes:
    """Stretches of a recording, each from its begin to its end in seconds.

    Attributes:
        flutter: Ventricular flutter or fibrillation.
        unreadable: No lead can be read.
    """

    flutter: tuple[Span, ...] = ()
    unreadable: tuple[Span, ...] = ()


def read_episodes(card: DatasetCard, directory: Path | None, record: str) -> Episodes:
    """Return the episodes of one record; a data set without annotation files has none.

    Args:
        card: The data set.
        directory: Where its files lie; generated data sets need none.
        record: The record's name.

    Raises:
        DataError: The annotations are missing or damaged.
    """
    if card.source != "wfdb" or directory is None:
        return Episodes()
    file = card.path_of(record, card.files.annotator)
    try:
        annotations = parse_annotations((directory / file).read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"the annotations cannot be read: {error}",
            where=f"record {record}, {file}",
            hint=f"fetch {file} again from its publisher",
        ) from error
    return episodes_of(annotations, card.signal.rate_hz)


def episodes_of(annotations: Annotations, rate_hz: float) -> Episodes:
    """Return the episodes that annotations mark.

    Flutter lasts from "[" to "]". The signal cannot be read from an annotation "~" with both bits
    4 and 5 of its subtype set to the next "~" (https://physionet.org/physiotools/wag/bxb-1.htm).
    What does not end lasts for ever.

    Args:
        annotations: Of the whole record.
        rate_hz: Samples a second, where the annotations do not say.
    """
    rate = annotations.rate_hz or rate_hz
    return Episodes(
        tuple(_spans(annotations, rate, _flutter)), tuple(_spans(annotations, rate, _unreadable))
    )


def _flutter(symbol: str, subtype: int) -> bool | None:
    del subtype
    return {_FLUTTER_BEGINS: True, _FLUTTER_ENDS: False}.get(symbol)


def _unreadable(symbol: str, subtype: int) -> bool | None:
    return subtype & _UNREADABLE == _UNREADABLE if symbol == _NOISE else None


def _spans(annotations: Annotations, rate: float, state: _State) -> Iterator[Span]:
    begin = None
    for sample, symbol, subtype in zip(
        annotations.samples, annotations.symbols, annotations.subtypes, strict=True
    ):
        within = state(symbol, subtype)
        if within and begin is None:
            begin = sample
        elif within is False and begin is not None:
            yield begin / rate, sample / rate
            begin = None
    if begin is not None:
        yield begin / rate, float("inf")
