"""Annotation files against wfdb's own reader and writer, and against its hangs."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeprune.data.wfdb_annotations import parse_annotations

SYMBOLS = 'NLRaVFJASEj/Q~|sT*D=pB^t+u?![]en@xf()r"'


def words(*pairs: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<H", code << 10 | value) for code, value in pairs)


def test_every_annotation_of_mit_bih(shared_data: Callable[[str], Path]) -> None:
    import wfdb

    for path in sorted(shared_data("mitdb").glob("*.atr")):
        told = wfdb.rdann(str(path.with_suffix("")), "atr")
        read = parse_annotations(path.read_bytes())
        assert list(read.samples) == told.sample.tolist()
        assert list(read.symbols) == told.symbol
        assert np.array_equal(np.array(read.subtypes, np.int8), told.subtype.astype(np.int8))
        assert list(read.texts) == [text.strip("\0") for text in told.aux_note]


@settings(max_examples=100, deadline=None)
@given(
    gaps=st.lists(st.one_of(st.integers(1, 2000), st.integers(1, 2**20)), min_size=1, max_size=30),
    symbols=st.text(SYMBOLS, min_size=30, max_size=30),
    notes=st.lists(st.sampled_from(["", "(N", "(AFIB", "odd", "## no"]), min_size=30, max_size=30),
    rate=st.sampled_from([None, 250, 360, 128.5]),
)
def test_what_wfdb_writes_is_read(
    gaps: list[int], symbols: str, notes: list[str], rate: float | None
) -> None:
    import wfdb

    samples = np.cumsum(gaps)
    count = len(gaps)
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrann(
            "r",
            "atr",
            samples,
            list(symbols[:count]),
            aux_note=notes[:count],
            fs=rate,
            write_dir=folder,
        )
        read = parse_annotations((Path(folder) / "r.atr").read_bytes())
    assert list(read.samples) == samples.tolist()
    assert "".join(read.symbols) == symbols[:count]
    assert read.rate_hz == rate


def test_attributes_skips_and_unknown_codes() -> None:
    content = (
        words((1, 5), (60, 3), (61, 1), (62, 0), (59, 0))
        + struct.pack("<hH", 1, 2)
        + words((45, 7), (0, 3), (5, 1), (59, 0))
        + struct.pack("<hH", -1, 0)
        + words((8, 10), (0, 0))
    )
    read = parse_annotations(content + b"\0" * 6)
    assert read.samples == (5, 65_550, 65_554, 28)
    assert read.symbols == ("N", "code 45", "V", "A")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "missing"),
        (b"\0", "missing"),
        (words((1, 5)), "missing"),
        (words((1, 5)) + b"\0", "missing"),
        (words((59, 0)) + b"\1\0", "missing"),
        (words((22, 0), (63, 40)) + b"## time", "missing"),
        (words((1, 5), (0, 0), (1, 5), (0, 0)), "before their end"),
    ],
)
def test_damage_is_named(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_annotations(content)


@settings(max_examples=300)
@given(st.binary(max_size=200))
@example(words((22, 0), (63, 8)) + b"## hang!" + words((0, 0)))  # wfdb.rdann never returns
def test_any_bytes_end(content: bytes) -> None:
    try:
        read = parse_annotations(content)
    except ValueError:
        return
    assert len(read.samples) == len(read.symbols) <= len(content) // 2
