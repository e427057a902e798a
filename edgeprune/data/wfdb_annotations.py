"""Annotation files of WFDB (the MIT format), read word by word.

A 16-bit word holds a code in its upper 6 bits and, for an annotation, the samples since the one
before in its lower 10 bits (https://physionet.org/physiotools/wag/annot-5.htm). wfdb's own reader
never returns from some damaged files and guesses what others mean; this one refuses both.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

# Symbols of the codes 0 to 41, as wfdb prints them; a blank is a code without meaning.
_SYMBOLS = ' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r'
_NOTE = '"'
_NO_BEAT, _SKIP, _AUXILIARY = 0, 59, 63
_SUBTYPE = 61
_ATTRIBUTES = (60, _SUBTYPE, 62)  # number, subtype and channel of the annotation before
_RESOLUTION = re.compile(rb"## time resolution: (\d{1,9}(?:\.\d{1,9})?)\s*\0?")


@dataclass(frozen=True)
class Annotations:
    """What an annotation file holds.

    Attributes:
        samples: Sample number of each annotation.
        symbols: Its symbol; "code 45" where the code has none.
        rate_hz: Samples a second that the file counts in; None where it does not say.
        subtypes: Subtype of each annotation, a signed byte; 0 where none is given.
        texts: Auxiliary text of each, as "(AFIB" where a rhythm begins; "" where none is given.
    """

    samples: tuple[int, ...]
    symbols: tuple[str, ...]
    rate_hz: float | None
    subtypes: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()


def parse_annotations(content: bytes) -> Annotations:
    """Read the content of an annotation file.

    Raises:
        ValueError: It is cut short or no annotation file; the message says why.
    """
    samples: list[int] = []
    symbols: list[str] = []
    subtypes: list[int] = []
    texts: list[str] = []
    rate_hz = None
    sample = place = 0
    while place + 2 <= len(content):
        (word,) = struct.unpack_from("<H", content, place)
        code, value = word >> 10, word & 1023
        place += 2
        if word == 0:
            if content[place:].strip(b"\0"):
                raise ValueError("their end mark stands before their end")
            return Annotations(
                tuple(samples), tuple(symbols), rate_hz, tuple(subtypes), tuple(texts)
            )
        if code == _SKIP:
            if place + 4 > len(content):
                break
            high, low = struct.unpack_from("<hH", content, place)
            sample += (high << 16) + low
            place += 4
        elif code == _AUXILIARY:
            resolution = _RESOLUTION.fullmatch(content[place : place + value])
            if resolution and symbols and symbols[-1] == _NOTE:
                # A statement on the file as a whole, not on a place in the signal.
                rate_hz = float(resolution[1])
                for values in (samples, symbols, subtypes, texts):
                    values.pop()
            elif texts:
                text = content[place : place + value].split(b"\0")[0]
                texts[-1] = text.decode("utf-8", errors="replace").strip()
            place += value + value % 2
        elif code == _SUBTYPE and subtypes:
            subtypes[-1] = (value & 0xFF ^ 0x80) - 0x80
        elif code not in _ATTRIBUTES:
            sample += value
            if code != _NO_BEAT:
                samples.append(sample)
                symbols.append(_symbol(code))
                subtypes.append(0)
                texts.append("")
    raise ValueError("their end mark is missing")


def _symbol(code: int) -> str:
    symbol = _SYMBOLS[code] if code < len(_SYMBOLS) else " "
    return f"code {code}" if symbol == " " else symbol
