"""What a user's own file holds, whatever its format, and how it becomes a recording.

Every reader of own data gives a `RawRecord`; from there on all formats are treated alike: channels
are chosen by name, values become counts of the card's converter, annotations become beats or
events. What does not fit the card is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.recordings import Event, Int16Array, Int64Array, Recording
from edgeprune.data.segments import choose_channels, cut_segments, event_of
from edgeprune.data.subjects import Subject
from edgeprune.errors import DataError

# Microvolts of one unit, by every spelling that files use.
MICROVOLT = {
    "uv": Fraction(1),
    "\u00b5v": Fraction(1),
    "\u03bcv": Fraction(1),
    "microv": Fraction(1),
    "mv": Fraction(1000),
    "v": Fraction(1_000_000),
    "nv": Fraction(1, 1000),
}
# Units of numbers that are no voltages: counts of the card, and multiples of the signal's RMS.
COUNT = "count"
RMS = "rms"
# A pause that is filled costs memory; a longer one is a fault of the file or another record.
_LONGEST_PAUSES = 4
_EXACT = 1 << 62

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Note:
    """An annotation as the file has it.

    Attributes:
        begin_s: Where it begins, in seconds from the first sample.
        end_s: Where it ends; the same as `begin_s` for a mark without duration.
        text: What it says.
        sample: The sample it stands at, where the file counts in samples.
    """

    begin_s: float
    end_s: float
    text: str
    sample: int | None = None


@dataclass(frozen=True, eq=False)
class Channel:
    """One channel as the file has it.

    Attributes:
        label: Its name.
        unit: Unit of `scale` and `offset`, as the file spells it.
        rate_hz: Samples a second.
        values: The stored numbers [n].
        scale: Units of one stored number.
        offset: Units at the stored number 0.
    """

    label: str
    unit: str
    rate_hz: Fraction
    values: Values
    scale: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)


@dataclass(frozen=True)
class Pause:
    """Samples that were not recorded, in a file that goes on after them.

    Attributes:
        begin: The first sample that is missing; values there repeat the last one before.
        end: The first one that was recorded again.
    """

    begin: int
    end: int


@dataclass(frozen=True, eq=False)
class RawRecord:
    """One record of a user's own file.

    Attributes:
        name: The record's name on the card.
        where: Record and file, for messages.
        channels: The chosen channels, all of one rate and length.
        notes: The annotations.
        patient: Whom the file itself names; empty where it names nobody.
        subject: Sex and age, as far as the file says so.
        pauses: Stretches that were not recorded.
    """

    name: str
    where: str
    channels: tuple[Channel, ...]
    notes: tuple[Note, ...] = ()
    patient: str = ""
    subject: Subject = field(default_factory=Subject)
    pauses: tuple[Pause, ...] = ()


def wanted_channels(card: DatasetCard, available: Sequence[str], where: str) -> tuple[int, ...]:
    """Return the places of the channels that the card asks for: its channels, or one lead.

    Raises:
        DataError: One is absent, or the file has its name more than once.
    """
    if card.window is not None:
        return choose_channels(card.signal, available, where)
    for lead in card.signal.leads:
        if list(available).count(lead) == 1:
            return (list(available).index(lead),)
    twice = [lead for lead in card.signal.leads if lead in available]
    wanted = " or ".join(card.signal.leads)
    raise DataError(
        f"there is more than one channel {twice[0]}"
        if twice
        else f"there is no lead {wanted} (there are {', '.join(available) or 'no channels'})",
        where=where,
        hint="correct signal.leads in the card, or leave the record out there (split.left_out)",
    )


def to_recording(card: DatasetCard, raw: RawRecord) -> Recording:
    """Return a record at the card's converter, with its beats or its segments.

    Args:
        card: The data set: rate, count, meaning of the annotations, windows.
        raw: The record; its channels are those that the card asks for, in the card's order.

    Raises:
        DataError: Rate, unit, range or an annotation does not fit the card.
    """
    _check_rates(card, raw)
    columns = [_counts(card, channel, raw.where) for channel in raw.channels]
    samples = np.stack(columns, axis=1) if card.window is not None else columns[0]
    events: tuple[Event, ...] = ()
    if card.window is None:
        beats, labels = _beats(card, raw, len(samples))
    else:
        events = _events(card, raw)
        beats, labels = cut_segments(card, len(samples), events)
        kept = ~_touched(beats, round(card.window.seconds * card.signal.rate_hz), raw.pauses)
        beats, labels = beats[kept], labels[kept]
    return Recording(
        raw.name,
        card.patient(raw.name),
        ", ".join(channel.label for channel in raw.channels),
        card.adc,
        samples,
        beats,
        labels,
        raw.subject,
        events,
    )


def check_patients(card: DatasetCard, records: Sequence[RawRecord]) -> None:
    """Refuse a card that takes one person for two.

    Raises:
        DataError: Two records name the same patient in their files, and the card has them under
            different patients although it says that it knows them.
    """
    if not card.patients_known:
        return
    first: dict[str, RawRecord] = {}
    for raw in records:
        if not raw.patient:
            continue
        other = first.setdefault(raw.patient, raw)
        if card.patient(other.name) != card.patient(raw.name):
            raise DataError(
                f"the files of {other.name} and {raw.name} name the same patient "
                f"'{raw.patient}', and the card takes them for two",
                where=f"{card.path or card.name}, [patients]",
                hint=f"give both records one patient there, e.g. {raw.name} = "
                f'"{card.patient(other.name)}", and keep them on one side of the split',
            )


def microvolt(unit: str, where: str) -> Fraction:
    """Return how many microvolts a unit is.

    Raises:
        DataError: The unit is missing or no voltage.
    """
    found = MICROVOLT.get(unit.strip().lower())
    if found is None:
        raise DataError(
            f"the unit '{unit.strip()}' is not a voltage" if unit.strip() else "no unit is stated",
            where=where,
            hint="state uV, mV or V in the file's header, or export it again; files without "
            "units take reader.unit of the card",
        )
    return found


def hold_through_pauses(
    values: Values, positions: Int64Array, where: str
) -> tuple[Values, tuple[Pause, ...]]:
    """Return samples with every pause filled by the value before it.

    Args:
        values: Samples [n], or of several channels [n, channels].
        positions: Sample number of each, increasing from 0, int64 [n].
        where: Record and file, for messages.

    Raises:
        DataError: The pauses are far longer than what was recorded.
    """
    total = int(positions[-1]) + 1
    if total > (_LONGEST_PAUSES + 1) * len(values):
        raise DataError(
            f"of {total} samples from begin to end only {len(values)} were recorded",
            where=where,
            hint="cut the file at its pauses into records of their own",
        )
    before = np.searchsorted(positions, np.arange(total), side="right") - 1
    behind = np.flatnonzero(np.diff(positions) > 1)
    pauses = (Pause(int(positions[k]) + 1, int(positions[k + 1])) for k in behind)
    return values[before], tuple(pauses)


def _check_rates(card: DatasetCard, raw: RawRecord) -> None:
    for channel in raw.channels:
        if channel.rate_hz != card.signal.rate_hz:
            raise DataError(
                f"channel {channel.label} has {float(channel.rate_hz):g} samples a second, the "
                f"card states {card.signal.rate_hz}",
                where=raw.where,
                hint="choose channels of one rate and state it as signal.rate_hz; leave records "
                "of another rate out (split.left_out)",
            )
        if len(channel.values) != len(raw.channels[0].values):
            raise DataError(
                f"channel {channel.label} has {len(channel.values)} samples, "
                f"{raw.channels[0].label} has {len(raw.channels[0].values)}",
                where=raw.where,
                hint="export the record again",
            )
        if not len(channel.values):
            raise DataError("the record has no samples", where=raw.where, hint="leave it out")


def _counts(card: DatasetCard, channel: Channel, where: str) -> Int16Array:
    place = f"{where}, channel {channel.label}"
    size = Fraction(str(card.signal.microvolt_per_count))
    if channel.unit == COUNT:
        scale, offset = channel.scale, channel.offset
    elif channel.unit == card.signal.unit == RMS:
        one = 1000 / Fraction(str(card.reader.rms))
        scale, offset = channel.scale * one / size, channel.offset * one / size
    elif card.signal.unit != "uV":
        raise DataError(
            f"the file states the unit '{channel.unit}' and the card '{card.signal.unit}'",
            where=place,
            hint="give signal.unit and reader.unit of the card the same kind: volts, or rms",
        )
    else:
        one = microvolt(channel.unit, place)
        scale, offset = channel.scale * one / size, channel.offset * one / size
    low, high = -(1 << (card.signal.bits - 1)), (1 << (card.signal.bits - 1)) - 1
    counts = scaled(channel.values, scale, offset)
    if card.reader.remove_offset:
        counts = counts - int(np.median(counts))
    lowest, highest = int(counts.min()), int(counts.max())
    if lowest < low or highest > high:
        raise DataError(
            f"the signal reaches from {lowest} to {highest} counts of {float(size):g} uV, beyond "
            f"the {card.signal.bits} bits of the card",
            where=place,
            hint="state more signal.bits (at most 16) or a larger signal.microvolt_per_count; "
            "reader.remove_offset = true takes a constant offset of the electrodes away",
        )
    return counts.astype(np.int16)


def scaled(values: Values, scale: Fraction, offset: Fraction) -> Int64Array:
    """Return round(values * scale + offset), half upwards; exact where the values are integers.

    Args:
        values: Integers or finite numbers [n].
        scale: Factor.
        offset: What is added.

    Returns:
        int64 [n]; what is beyond 2^62 is held there.
    """
    if not np.issubdtype(values.dtype, np.integer):
        numbers = np.floor(values * float(scale) + float(offset) + 0.5)
        rounded: Int64Array = np.clip(numbers, -_EXACT, _EXACT).astype(np.int64)
        return rounded
    denominator = scale.denominator * offset.denominator
    factor = scale.numerator * offset.denominator
    added = offset.numerator * scale.denominator
    largest = max(abs(int(values.min(initial=0))), abs(int(values.max(initial=0))))
    if 2 * (largest * abs(factor) + abs(added)) + denominator < _EXACT:
        exact: Int64Array = (2 * (values.astype(np.int64) * factor + added) + denominator) // (
            2 * denominator
        )
        return exact
    exactly = [
        (2 * (int(value) * factor + added) + denominator) // (2 * denominator) for value in values
    ]
    return np.array([min(max(number, -_EXACT), _EXACT) for number in exactly], np.int64)


def _beats(card: DatasetCard, raw: RawRecord, samples: int) -> tuple[Int64Array, Int64Array]:
    if raw.pauses:
        pause = raw.pauses[0]
        raise DataError(
            f"the record pauses from sample {pause.begin} to {pause.end}",
            where=raw.where,
            hint="intervals between beats need one stretch: cut the file at its pauses",
        )
    positions: list[int] = []
    labels = []
    for note in sorted(raw.notes, key=lambda note: note.begin_s):
        place = round(note.begin_s * card.signal.rate_hz) if note.sample is None else note.sample
        event = event_of(card, note.begin_s, note.end_s, note.text, raw.where)
        if event is None:
            continue
        if not 0 <= place < samples or (positions and place <= positions[-1]):
            raise DataError(
                f"the beat '{note.text}' at sample {place} lies outside the signal of {samples} "
                "samples, or on another beat",
                where=raw.where,
                hint="check that signal and annotations are of the same record",
            )
        positions.append(place)
        labels.append(event.label)
    return np.array(positions, np.int64), np.array(labels, np.int64)


def _events(card: DatasetCard, raw: RawRecord) -> tuple[Event, ...]:
    found = []
    for note in sorted(raw.notes, key=lambda note: note.begin_s):
        event = event_of(card, note.begin_s, note.end_s, note.text, raw.where)
        if event is not None and event.end_s <= event.begin_s:
            raise DataError(
                f"the annotation '{note.text}' at {note.begin_s:g} s has no duration: it cannot "
                "label a window",
                where=raw.where,
                hint=f"give it a duration, or add '{note.text}' to not_beats in the card",
            )
        if event is not None:
            found.append(event)
    return tuple(found)


def _touched(starts: Int64Array, length: int, pauses: Sequence[Pause]) -> npt.NDArray[np.bool_]:
    touched = np.zeros(len(starts), np.bool_)
    for pause in pauses:
        touched |= (starts < pause.end) & (starts + length > pause.begin)
    return touched
