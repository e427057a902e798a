from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprune.devices import exchange
from edgeprune.errors import DeviceError
from edgeprune.resources import resource_folder

HEADER_FILE = resource_folder("firmware_export") / "boards" / "exchange.h"


def answer(request: exchange.Request, outputs: np.ndarray, **fields: int) -> bytes:
    """Do what an image does to the block, written apart from the packing code."""
    memory = bytearray(request.content.ljust(request.total_bytes, b"\0"))
    fields = {"status": 1, "produced": len(outputs), **fields}
    for name, value in fields.items():
        struct.pack_into("<I", memory, 4 * exchange.HEADER_FIELDS.index(name), value)
    memory[request.output_offset : request.output_offset + outputs.size] = outputs.tobytes()
    return bytes(memory)


def test_the_layout_is_that_of_the_c_header() -> None:
    text = HEADER_FILE.read_text()
    fields = re.findall(r"uint32_t (\w+)(?:\[(\d+)\])?;\s*/\*\s*(\d+) ", text)
    expected = 0
    for (name, repeat, offset), ours in zip(
        fields, (*exchange.HEADER_FIELDS, "reserved"), strict=True
    ):
        assert (name, int(offset)) == (ours, expected)
        expected += 4 * int(repeat or 1)
    assert len(fields) == len(exchange.HEADER_FIELDS) + 1
    assert expected == exchange.HEADER_BYTES


@pytest.mark.parametrize(
    ("macro", "value"),
    [
        ("MAGIC", exchange.MAGIC),
        ("VERSION", exchange.VERSION),
        ("CLASSIFY", exchange.CLASSIFY),
        ("FRONT_END", exchange.FRONT_END),
        ("DONE", exchange.DONE),
        ("FAULT", exchange.FAULT_EXIT),
    ],
)
def test_the_numbers_are_those_of_the_c_header(macro: str, value: int) -> None:
    found = re.search(rf"#define EXCHANGE_{macro} (0x[0-9a-fA-F]+|\d+)u", HEADER_FILE.read_text())
    assert found is not None
    assert int(found[1], 0) == value


@given(
    count=st.integers(1, 20),
    length=st.integers(1, 9),
    channels=st.integers(1, 3),
    features=st.integers(0, 5),
    classes=st.integers(1, 7),
    seed=st.integers(0, 1 << 30),
)
def test_windows_come_back_as_they_went(
    count: int, length: int, channels: int, features: int, classes: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    signal = generator.integers(-128, 128, (count, length, channels)).astype(np.int8)
    rhythm = generator.integers(-128, 128, (count, features)).astype(np.int8)
    logits = generator.integers(-128, 128, (count, classes)).astype(np.int8)
    request = exchange.pack_windows(signal, rhythm if features else None, classes)

    words = struct.unpack_from("<32I", request.content)
    window_bytes = words[5] + words[6]
    for index in range(count):
        start = words[8] + index * window_bytes
        window = request.content[start : start + window_bytes]
        assert window == signal[index].tobytes() + rhythm[index].tobytes()
    assert words[9] >= words[8] + count * window_bytes
    assert request.total_bytes == words[9] + count * classes

    response = exchange.unpack(request, answer(request, logits), 0, "here")
    np.testing.assert_array_equal(response.outputs, logits)


@given(
    samples=st.lists(st.integers(-32768, 32767), max_size=50),
    beats=st.lists(st.integers(0, 1 << 31), max_size=9),
    produced=st.integers(0, 9),
)
def test_recordings_are_laid_out_aligned(
    samples: list[int], beats: list[int], produced: int
) -> None:
    beats.sort()
    request = exchange.pack_recording(
        np.array(samples, np.int16), np.array(beats, np.int64), 6, 2, 3
    )
    words = struct.unpack_from("<32I", request.content)
    assert (words[3], words[10]) == (len(samples), len(beats))
    assert words[8] % 2 == words[11] % 4 == 0
    assert struct.unpack_from(f"<{len(samples)}h", request.content, words[8]) == tuple(samples)
    assert struct.unpack_from(f"<{len(beats)}I", request.content, words[11]) == tuple(beats)
    assert words[9] >= words[11] + 4 * len(beats)

    produced = min(produced, len(beats))
    outputs = np.ones((produced, 11), np.int8)
    response = exchange.unpack(request, answer(request, outputs), 0, "here")
    assert response.outputs.shape == (produced, 11)


@given(
    exchange_bytes=st.integers(0, 100_000),
    window_bytes=st.integers(1, 600),
    classes=st.integers(1, 9),
)
def test_a_batch_that_should_fit_fits(exchange_bytes: int, window_bytes: int, classes: int) -> None:
    count = exchange.windows_that_fit(exchange_bytes, window_bytes, classes)
    if count:
        signal = np.zeros((count, window_bytes, 1), np.int8)
        assert exchange.pack_windows(signal, None, classes).total_bytes <= exchange_bytes


def windows() -> exchange.Request:
    return exchange.pack_windows(np.zeros((2, 4, 1), np.int8), None, 3)


@pytest.mark.parametrize(
    ("fields", "exit_code", "message"),
    [
        ({"status": 0}, 0, "never touched"),
        ({"status": 0}, 2, "found no exchange block"),
        ({"status": 0}, 99, "took a fault"),
        ({"status": 4}, 4, "network of other sizes"),
        ({"status": 1}, 3, "ended with status 1, exit code 3"),
        ({"status": 12345}, 0, "ended with status 12345"),
        ({"produced": 1}, 0, "impossible exchange block"),
        ({"produced": 3}, 0, "impossible exchange block"),
        ({"magic": 7}, 0, "impossible exchange block"),
    ],
)
def test_a_bad_answer_is_named(fields: dict[str, int], exit_code: int, message: str) -> None:
    request = windows()
    memory = answer(request, np.zeros((2, 3), np.int8), **fields)
    with pytest.raises(DeviceError, match=message) as caught:
        exchange.unpack(request, memory, exit_code, "image on board")
    assert caught.value.where == "image on board"
    assert caught.value.hint


def test_the_timer_has_64_bits() -> None:
    request = windows()
    memory = answer(request, np.zeros((2, 3), np.int8), ticks_low=5, ticks_high=2)
    assert exchange.unpack(request, memory, 0, "here").ticks_total == (2 << 32) + 5


def test_only_integers_of_the_right_width_are_packed() -> None:
    signal = np.zeros((2, 4, 1), np.int8)
    with pytest.raises(ValueError, match="windows are int8"):
        exchange.pack_windows(signal.astype(np.int16), None, 3)
    with pytest.raises(ValueError, match="windows are int8"):
        exchange.pack_windows(signal, np.zeros((1, 3), np.int8), 3)
    with pytest.raises(ValueError, match="samples are int16"):
        exchange.pack_recording(np.zeros(4), np.zeros(0, np.int64), 4, 0, 3)
