"""From what was found in a folder to a card: what is read, labelled, and split by patient."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from edgeprune.data.cards import (
    DatasetCard,
    FilesCard,
    SignalCard,
    WindowCard,
)
from edgeprune.data.own_records import COUNT, RMS
from edgeprune.data.proposed_signal import microvolts, round_up, signal_of, with_rms
from edgeprune.data.proposed_split import patients_of, propose_split
from edgeprune.data.survey import FoundRecord, FoundText, Hints, Survey, plain_names
from edgeprune.errors import DataError

# ANSI/AAMI EC57's classes of beats by WFDB's symbols, and what marks no beat there.
AAMI = {
    "N": ("N", "L", "R", "e", "j"),
    "S": ("A", "a", "J", "S"),
    "V": ("V", "E"),
    "F": ("F",),
    "Q": ("/", "f", "Q"),
}
_NO_BEATS = tuple("+~|x[]!\"?^`'stuTDp=@BrnP*&()")
_ECG_LEADS = ("MLII", "II", "ECG II", "ECG")
_MOST_CHANNELS = 16
_FIRST_CHANNELS = 8
_MOST_CLASSES = 8
_WINDOW_SECONDS = (4.0, 2.0, 1.0, 0.5, 0.25)
_EPOCHS = 10
_TEXT = "Own recordings; `edgeprune init --data` wrote this card from what the files say."
# Seconds between marks that may be beats of a heart.
_BEAT_SECONDS = (0.25, 3.0)


@dataclass(frozen=True)
class Proposal:
    """A card to start from.

    Attributes:
        card: The card.
        reasons: Why a key is as it is, by "table.key"; comments of the card's file.
        warnings: What a person has to know before anything is built.
    """

    card: DatasetCard
    reasons: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def propose(found: Survey, hints: Hints, seed: int) -> Proposal:
    """Return a card for what was found.

    Args:
        found: The survey.
        hints: What the user says.
        seed: Decides the split, with the patients' names.

    Raises:
        DataError: Too few records can be used, or nothing labels them.
        ConfigurationError: A hint fits nothing.
    """
    reasons: dict[str, str] = {}
    left_out = {record.name: record.fault for record in found.records if record.fault}
    usable = [record for record in found.records if not record.fault]
    usable = _of_one_rate(usable, left_out)
    kind = hints.kind or _kind(found, usable)
    if kind == "segments" and found.source == "wfdb":
        usable = [replace(record, texts=record.rhythms) for record in usable]
    chosen = _channels(usable, kind, left_out, reasons)
    usable = [record for record in usable if record.name not in left_out]
    _enough(usable, left_out, found)
    found = with_rms(found, usable, chosen, kind, reasons)
    signal, remove_offset = signal_of(found, usable, chosen, kind, reasons)
    labels, not_beats = _labels(usable, kind, found, reasons)
    patients, known, warnings = patients_of(usable, hints, reasons)
    split = propose_split(usable, patients, labels, seed, known, reasons)
    window = None
    if kind == "segments":
        window = _window(found, usable, chosen, signal, labels, remove_offset, reasons)
    title = found.folder.resolve().name
    card = DatasetCard(
        name="mine",
        title=f"Recordings of the folder {title}",
        source=found.source,
        synthetic=False,
        origin=f"the user's own files, {len(usable)} records",
        licence="not stated",
        citation="not stated",
        text=" ".join([_TEXT, *found.remarks, *warnings]),
        signal=signal,
        labels=labels,
        split=replace(split, left_out=left_out),
        epochs=_EPOCHS,
        model="" if window is None else "eeg-tcn",
        not_beats=not_beats,
        patients={name: patient for name, patient in patients.items() if name != patient},
        patients_known=known,
        files=_files(found),
        window=window,
        reader=replace(
            found.reader,
            remove_offset=remove_offset,
            found_as={r.name: r.found_as for r in usable if r.found_as},
        ),
    )
    return Proposal(card, reasons, tuple(warnings))


def _of_one_rate(records: Sequence[FoundRecord], left_out: dict[str, str]) -> list[FoundRecord]:
    whole = [record for record in records if record.rate_hz.denominator == 1]
    for record in records:
        if record not in whole:
            left_out[record.name] = (
                f"{float(record.rate_hz):g} samples a second is no whole number: resample it"
            )
    rates = Counter(record.rate_hz for record in whole)
    rate = max(rates, key=lambda each: (rates[each], each), default=Fraction(0))
    for record in whole:
        if record.rate_hz != rate:
            left_out[record.name] = (
                f"{float(record.rate_hz):g} samples a second; most records have {float(rate):g}"
            )
    return [record for record in whole if record.rate_hz == rate]


def _kind(found: Survey, records: Sequence[FoundRecord]) -> str:
    """Return "beats" where the labels are marks as frequent as a heart's, else "segments"."""
    if found.windows:
        return "segments"
    if found.source == "wfdb":
        known = {symbol for symbols in AAMI.values() for symbol in symbols}
        beats = any(known & set(record.texts) for record in records)
        return "beats" if beats or not any(record.rhythms for record in records) else "segments"
    marks = sum(text.count for record in records for text in record.texts.values())
    lasting = any(text.seconds for record in records for text in record.texts.values())
    seconds = sum(record.samples / record.rate_hz for record in records)
    frequent = bool(marks) and _BEAT_SECONDS[0] < float(seconds) / marks < _BEAT_SECONDS[1]
    return "beats" if frequent and not lasting else "segments"


def _channels(
    records: Sequence[FoundRecord],
    kind: str,
    left_out: dict[str, str],
    reasons: dict[str, str],
) -> tuple[str, ...]:
    """Return the channels to read; records without them are left out."""
    sets = [{channel.label for channel in record.channels} for record in records]
    counts = Counter(label for labels in sets for label in labels)
    if not counts:
        return ()
    order = [channel.label for channel in records[0].channels]
    order += sorted(set(counts) - set(order))
    if kind == "beats":
        preferred = [lead for lead in _ECG_LEADS if counts[lead] == max(counts.values())]
        lead = (preferred or [max(order, key=lambda label: (counts[label], -order.index(label)))])[
            0
        ]
        chosen: tuple[str, ...] = (lead,)
        others = [label for label in order if label != lead]
        if others:
            reasons["signal.leads"] = f"the first that a record has is read; others: {others}"
    else:
        most = max(counts.values())
        common = [label for label in order if counts[label] == most]
        chosen = tuple(common if len(common) <= _MOST_CHANNELS else common[:_FIRST_CHANNELS])
        others = [label for label in order if label not in chosen]
        if others:
            reasons["signal.channels"] = f"network and memory grow with them; others: {others}"
    for record, labels in zip(records, sets, strict=True):
        absent = [label for label in chosen if label not in labels]
        if absent:
            left_out[record.name] = f"it has no channel {absent[0]}"
    return chosen


def _enough(records: Sequence[FoundRecord], left_out: Mapping[str, str], found: Survey) -> None:
    if len(records) >= 3:
        return
    reason = next(iter(left_out.items()), None)
    raise DataError(
        f"{len(records)} records can be used, and a part each to train, validate and test on "
        "takes three",
        where=str(found.folder)
        + (f"; left out: {reason[0]}, because {reason[1]}" if reason else ""),
        hint="cut long recordings into records, or add files",
    )


def _labels(
    records: Sequence[FoundRecord], kind: str, found: Survey, reasons: dict[str, str]
) -> tuple[Mapping[str, tuple[str, ...]], tuple[str, ...]]:
    totals = _totals(records)
    said = "; ".join(
        f"'{text}' {total.count}" + (f" ({total.seconds:.0f} s)" if total.seconds else "")
        for text, total in sorted(totals.items(), key=lambda item: -item[1].count)
    )
    reasons["labels"] = f"found: {said or 'none'}"
    known = {symbol for symbols in AAMI.values() for symbol in symbols}
    if kind == "beats" and set(totals) <= known | set(_NO_BEATS) and set(totals) & known:
        return AAMI, tuple(text for text in _NO_BEATS if text not in known)
    lasting = [text for text in totals if totals[text].seconds or kind == "beats"]
    ranked = sorted(lasting, key=lambda text: (-totals[text].seconds, -totals[text].count, text))
    used, rest = ranked[:_MOST_CLASSES], ranked[_MOST_CLASSES:]
    if all(re.fullmatch(r"\d{1,9}", text) for text in used):
        used = sorted(used, key=int)
    marks = [text for text in totals if text not in lasting]
    if marks or rest:
        reasons["not_beats"] = "marks without duration, and the rarest texts: they label nothing"
    names = plain_names(used)
    classes: dict[str, tuple[str, ...]] = {names[text]: (text,) for text in used}
    if kind == "segments" and not found.windows:
        covered = sum(totals[text].seconds for text in used)
        seconds = sum(float(record.samples / record.rate_hz) for record in records)
        if covered < 0.95 * seconds or len(classes) == 1:
            free = next(n for n in ("none", "background", "no-event") if n not in classes)
            classes = {free: (), **classes}
            reasons["labels"] += f"; '{free}' is a window without any of them"
    if len(classes) < 2:
        raise DataError(
            f"{len(totals)} annotation texts label these files ({said or 'none'}): two classes "
            "are needed",
            where=str(found.folder),
            hint="name a column or array of labels with --label, add annotations of a duration, "
            "or put files of events beside the records",
        )
    return classes, (*sorted(marks), *sorted(rest))


def _totals(records: Sequence[FoundRecord]) -> Mapping[str, FoundText]:
    totals: dict[str, FoundText] = {}
    for record in records:
        for text, one in record.texts.items():
            sum_ = totals.get(text, FoundText(0, 0.0))
            totals[text] = FoundText(
                sum_.count + one.count,
                sum_.seconds + one.seconds,
                max(sum_.longest, one.longest),
            )
    return totals


def _window(
    found: Survey,
    records: Sequence[FoundRecord],
    chosen: Sequence[str],
    signal: SignalCard,
    labels: Mapping[str, tuple[str, ...]],
    offset: bool,
    reasons: dict[str, str],
) -> WindowCard:
    channels = [c for record in records for c in record.channels if c.label in chosen]
    unit = found.reader.unit
    to_microvolt = [
        float(signal.microvolt_per_count)
        if unit == COUNT
        else float(microvolts(channel, found.reader))
        for channel in channels
    ]
    about = 0.0 if offset else 1.0
    typical = max(
        (channel.typical + about * abs(channel.middle)) * factor
        for channel, factor in zip(channels, to_microvolt, strict=True)
    )
    # Sizes in RMS are in thousandths of it, where those in volts are in microvolts.
    full_scale = round_up(max(typical, signal.microvolt_per_count) / (1000 if unit == RMS else 1))
    reasons["window.full_scale"] = "99.5 % of the samples of every record lie within; becomes 127"
    if found.windows:
        reasons["window.seconds"] = "the length of the files' windows"
        return WindowCard(found.windows / signal.rate_hz, full_scale, cut_out=True)
    totals = _totals(records)
    used = {text for texts in labels.values() for text in texts}
    longest = [totals[text].longest for text in used if text in totals]
    shortest_record = min(record.samples / record.rate_hz for record in records)
    limit = min([*longest, float(shortest_record) / 2])
    seconds = next(
        (
            each
            for each in _WINDOW_SECONDS
            if each <= limit and (each * signal.rate_hz).is_integer()
        ),
        1 / signal.rate_hz * max(1, round(limit * signal.rate_hz)),
    )
    reasons["window.seconds"] = (
        "a proposal: each class has an event as long as that; step_seconds below it overlaps them"
    )
    return WindowCard(seconds, full_scale)


def _files(found: Survey) -> FilesCard:
    if found.source != "wfdb":
        return FilesCard()
    return FilesCard(extensions=("hea", "dat", found.annotator), annotator=found.annotator)
