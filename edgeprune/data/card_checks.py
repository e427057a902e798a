"""What a dataset card must hold to be usable."""

from __future__ import annotations

import re
from collections import Counter

from edgeprune.data.cards import DatasetCard, split_statement
from edgeprune.errors import ConfigurationError

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PROTOCOLS = ("", "personalised", "leave-one-patient-out")
_UNITS = ("uV", "rms")
_Faults = tuple[tuple[object, str, str], ...]


def check_card(card: DatasetCard) -> None:
    """Refuse a card that contradicts itself.

    Raises:
        ConfigurationError: The first fault, and what to do about it.
    """
    split, signal, files = card.split, card.signal, card.files
    beside = [name.replace("{folder}", "x") for name in files.beside]
    symbols = [symbol for known in (*card.labels.values(), card.not_beats) for symbol in known]
    for name in (*split.records, *split.left_out, files.checksums, *files.extensions, *beside):
        if name and not _SAFE_NAME.fullmatch(name):
            raise ConfigurationError(
                f"'{name}' is not a plain name",
                where=card.path,
                hint="use letters, digits, '_', '-', '+' and '.'; leave folders out",
            )
    faults: tuple[tuple[object, str, str], ...] = (
        (
            set(split.validation) - set(split.development),
            "a validation record is not a development record",
            "list it in split.development too",
        ),
        (
            set(split.development) & set(split.test),
            "a record is in development and in test",
            "keep it on one side",
        ),
        (
            set(split.left_out) & set(split.records),
            "a record is left out and in use",
            "keep it in one place",
        ),
        (
            len(set(split.records)) != len(split.records),
            "a record is named twice",
            "name each record once",
        ),
        (
            not split.protocol and not (split.train and split.validation and split.test),
            "a part of the split is empty",
            "name records to train, validate and test on",
        ),
        (
            len(set(symbols)) != len(symbols),
            "an annotation symbol has two meanings",
            "name each symbol once",
        ),
        (
            not (signal.rate_hz > 0 and signal.microvolt_per_count > 0 and 2 <= signal.bits <= 16),
            "the table 'signal' is not possible",
            "rate_hz and microvolt_per_count are above 0, bits are 2 to 16",
        ),
        (
            files.base_url and not re.fullmatch(r"https?://[^\s?#]+/", files.base_url),
            f"files.base_url '{files.base_url}' is not a folder",
            "it looks like https://.../",
        ),
        (
            files.base_url and not (files.checksums and files.extensions),
            "files.checksums or files.extensions is missing",
            "name both",
        ),
        (
            files.checksums_sha256 and not _SHA256.fullmatch(files.checksums_sha256),
            "files.checksums_sha256 is not a SHA-256",
            "it has 64 hexadecimal digits in lower case",
        ),
        (
            not _is_pattern(files.folder),
            f"files.folder '{files.folder}' is no regular expression",
            r"it is the start of a record's name, such as 'chb\d\d'",
        ),
        (
            card.source == "synthetic-ecg" and card.synthetic_ecg is None,
            "the table 'synthetic_ecg' is missing",
            "state its seconds",
        ),
        (
            card.source == "synthetic-eeg" and card.synthetic_eeg is None,
            "the table 'synthetic_eeg' is missing",
            "state its seconds",
        ),
    )
    for fault, what, hint in (*faults, *_of_windows(card)):
        if fault:
            raise ConfigurationError(what, where=card.path, hint=hint)
    split_statement(card)


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _of_windows(card: DatasetCard) -> _Faults:
    """Return what may be wrong with beats or segments: whether, what, what to do."""
    signal, window = card.signal, card.window
    common: _Faults = (
        (
            signal.unit not in _UNITS,
            f"signal.unit '{signal.unit}' is not known",
            f"known: {', '.join(_UNITS)}",
        ),
        (
            card.split.protocol not in _PROTOCOLS,
            f"split.protocol '{card.split.protocol}' is not known",
            f"known: {', '.join(name or chr(34) * 2 for name in _PROTOCOLS)}",
        ),
    )
    if window is None:
        return (
            *common,
            (
                signal.channels,
                "signal.channels are named and the table 'window' is missing",
                "add [window] with seconds and full_scale, or name signal.leads for beats",
            ),
            (not signal.leads, "the key 'signal.leads' is missing", "name acceptable leads"),
            (signal.unit != "uV", "beats are measured in uV", 'leave signal.unit out, or "uV"'),
        )
    lengths = [float(seconds * signal.rate_hz) for seconds in (window.seconds, window.step_seconds)]
    names = Counter(name for channel in signal.channels for name in channel.split("|"))
    return (
        *common,
        (
            not signal.channels or max(names.values()) > 1 or not all(names),
            "signal.channels does not name each channel once",
            'list the channels in order; "A|B" takes either name',
        ),
        (signal.leads, "segments are of signal.channels, not of signal.leads", "leave leads out"),
        (
            not (window.seconds > 0 and window.step_seconds >= 0 and window.full_scale > 0)
            or not 1 <= window.factor <= 256,
            "the table 'window' is not possible",
            "seconds and full_scale are above 0, step_seconds 0 or above, factor 1 to 256",
        ),
        (
            any(abs(length - round(length)) > 1e-6 for length in lengths),
            f"a window or its step is no whole number of samples at {signal.rate_hz} Hz",
            "change window.seconds or window.step_seconds",
        ),
        (
            not 0 < window.overlap <= 1,
            f"window.overlap is {window.overlap:g}",
            "it is a share above 0 and at most 1",
        ),
        (
            len(card.labels) < 2,
            "[labels] has fewer than two classes",
            "the first class may be [], which is a window without an event",
        ),
        (
            not all(tuple(card.labels.values())[1:]),
            "a class other than the first has no annotation texts",
            "name the texts that mark its events",
        ),
    )
