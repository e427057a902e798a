"""What a proposed card says of amplitudes: the size of a count, offsets, numbers without volts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from edgeprune.data.cards import SignalCard
from edgeprune.data.own_records import COUNT, MICROVOLT, RMS
from edgeprune.data.reader_card import ReaderCard
from edgeprune.data.survey import FoundChannel, FoundRecord, Survey
from edgeprune.errors import ConfigurationError, DataError

_BITS = 16


def signal_of(
    found: Survey,
    records: Sequence[FoundRecord],
    chosen: Sequence[str],
    kind: str,
    reasons: dict[str, str],
) -> tuple[SignalCard, bool]:
    """Return the table `signal`, and whether a constant offset has to go.

    Args:
        found: The survey.
        records: The records in use.
        chosen: Their channels.
        kind: "beats" or "segments".
        reasons: Is told why.

    Raises:
        ConfigurationError: The unit that the user states is not that of the numbers.
    """
    channels = [
        channel for record in records for channel in record.channels if channel.label in chosen
    ]
    unit = found.reader.unit
    rate = int(records[0].rate_hz)
    # Beats of WFDB records are read as they are stored.
    stored = found.source == "wfdb" and kind == "beats"
    offset = (
        any(abs(channel.middle) > 4 * max(channel.typical, 1e-12) for channel in channels)
        and not stored
    )
    if offset:
        reasons["reader.remove_offset"] = (
            "a channel's median is far from 0 compared with what moves in it"
        )
    if unit == COUNT:
        _check_whole(channels, found)
        size = Fraction(1)
        reasons["signal.microvolt_per_count"] = (
            "ASSUMED: the files hold counts, state what one count is"
        )
    else:
        size = _count_size(channels, found.reader, offset)
    bits = records[0].bits if stored else _BITS
    common: dict[str, Any] = {"rate_hz": rate, "microvolt_per_count": float(size), "bits": bits}
    if unit == RMS:
        common["unit"] = RMS
    if kind == "beats":
        return SignalCard(**common, leads=tuple(chosen)), offset
    return SignalCard(**common, channels=tuple(chosen)), offset


def _check_whole(channels: Sequence[FoundChannel], found: Survey) -> None:
    broken = [
        channel
        for channel in channels
        if channel.low < channel.high and (channel.step is None or channel.step.denominator != 1)
    ]
    if broken:
        raise ConfigurationError(
            f"the numbers of channel {broken[0].label} ({broken[0].low:g} to {broken[0].high:g}) "
            "are no counts of a converter: they are not whole",
            where=f"--unit {COUNT}, {found.folder}",
            hint="state their unit, or --unit rms where the signal was normalised and nobody knows "
            "its volts",
        )


def with_rms(
    found: Survey,
    records: Sequence[FoundRecord],
    chosen: Sequence[str],
    kind: str,
    reasons: dict[str, str],
) -> Survey:
    """Return the survey with the root mean square of numbers whose volts nobody knows.

    Args:
        found: The survey.
        records: The records in use.
        chosen: Their channels.
        kind: "beats" or "segments".
        reasons: Is told what it is of.

    Raises:
        ConfigurationError: They are beats, whose shapes are in volts.
        DataError: There is no signal.
    """
    if found.reader.unit != RMS:
        return found
    if kind == "beats":
        raise ConfigurationError(
            "beats are measured in uV",
            where=f"--unit {RMS}",
            hint="state the unit of the numbers, or cut the recordings into windows",
        )
    squares = [
        (channel.rms**2, record.samples)
        for record in records
        for channel in record.channels
        if channel.label in chosen
    ]
    mean = sum(square * n for square, n in squares) / sum(n for _, n in squares)
    if not mean:
        raise DataError(
            "all numbers are the same", where=str(found.folder), hint="look for the signal"
        )
    reasons["reader.rms"] = (
        "of all records, about their medians: perturbations are told in multiples of it"
    )
    return replace(found, reader=replace(found.reader, rms=float(f"{math.sqrt(mean):.4g}")))


def microvolts(channel: FoundChannel, reader: ReaderCard) -> Fraction:
    """Return microvolts of a channel's unit; thousandths of the RMS where its volts are unknown."""
    if reader.unit == RMS:
        return 1000 / Fraction(str(reader.rms))
    return MICROVOLT[(reader.unit or channel.unit).lower()]


def _count_size(channels: Sequence[FoundChannel], reader: ReaderCard, offset: bool) -> Fraction:
    """Return microvolts of a count: the files' own where all have it and it fits, else round."""

    def factor(channel: FoundChannel) -> Fraction:
        return microvolts(channel, reader)

    reach = max(
        max(abs(c.low - (c.middle if offset else 0)), abs(c.high - (c.middle if offset else 0)))
        * float(factor(c))
        for c in channels
    )
    limit = reach / ((1 << (_BITS - 1)) - 2)
    steps = {None if c.step is None else c.step * factor(c) for c in channels}
    (step,) = steps if len(steps) == 1 else (None,)
    if step is not None and float(step) >= limit and Fraction(str(float(step))) > 0:
        return Fraction(str(float(step)))
    smallest = min((float(each) for each in steps if each is not None), default=0.0)
    return Fraction(str(round_up(max(limit, smallest, 1e-6))))


def round_up(value: float) -> float:
    """Return the next number of the series 1, 2, 5, 10 that is not below `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    for digit in (1, 2, 5, 10):
        candidate = float(f"{digit * power:.1g}")
        if candidate >= value * (1 - 1e-9):
            return candidate
    raise AssertionError("ten times the power is above")
