"""The monitor's integers against loops over single samples, and what its limits promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.monitor import InputMonitor, MonitorSettings, Reason, SampleLimits, fit_monitor
from edgeprune.monitor.fit import patient_shares, raw_limits
from edgeprune.monitor.input_monitor import margins
from tests.firmware.networks import r1
from tests.monitor.watched import (
    ADC,
    FRONT_END,
    Watched,
    random_monitor,
    random_windows,
    watched,
)

LIMITS = raw_limits(MonitorSettings(), FRONT_END, ADC)


@pytest.fixture(scope="module")
def fitted() -> Watched:
    return watched()


def log32(value: int) -> int:
    """log2 in 1/32 octave, linear within the octave, by whole numbers."""
    octave = value.bit_length() - 1
    return 32 * octave + (value * 32) // (1 << octave) - 32


def score_of(monitor: InputMonitor, rows: npt.NDArray[np.int8], decided: int) -> int:
    """The score of one window [length, channels], a sample at a time."""
    total = 0
    for zone in range(len(monitor.zones) - 1):
        rough = 0
        for at in range(monitor.zones[zone], monitor.zones[zone + 1]):
            for channel in range(monitor.read):
                column = [int(value) for value in rows[:, channel]]
                before = column[max(at - 1, 0)]
                after = column[min(at + 1, len(column) - 1)]
                rough += abs(before - 2 * column[at] + after)
        off = min(abs(log32(rough + 8) - monitor.centres[decided][zone]), 255)
        total += off * off * monitor.weights[decided][zone] // 64
    return total


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_score_is_that_of_single_samples(seed: int) -> None:
    monitor = random_monitor(seed)
    signal, logits = random_windows(monitor, 5, seed)
    wanted = [
        score_of(monitor, rows, row.tolist().index(max(row)))
        for rows, row in zip(signal, logits, strict=True)
    ]
    np.testing.assert_array_equal(monitor.score(signal, logits), wanted)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_reasons_are_those_of_single_samples(seed: int) -> None:
    monitor = random_monitor(seed)
    signal, logits = random_windows(monitor, 5, seed)
    limits = monitor.samples
    for rows, row, reasons in zip(signal, logits, monitor.verdicts(signal, logits), strict=True):
        found = Reason(0)
        rails = sum(not limits.low < int(value) < limits.high for value in rows.ravel())
        if rails >= limits.rail_samples:
            found |= Reason.SATURATED
        for column in rows.T.astype(int).tolist():
            starts = range(0, len(column) - limits.block + 1, limits.block)
            blocks = [column[start : start + limits.block] for start in starts]
            flat = sum(max(block) - min(block) <= limits.flat_range for block in blocks)
            if flat >= limits.flat_blocks:
                found |= Reason.FLAT
        first, second = sorted(map(int, row), reverse=True)[:2]
        if first - second < monitor.margin:
            found |= Reason.LOW_MARGIN
        if score_of(monitor, rows, row.tolist().index(max(row))) > monitor.unusual:
            found |= Reason.UNUSUAL
        assert reasons == found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    stretch=st.integers(1, 3 * LIMITS.block),
    at=st.integers(0, LIMITS.count),
)
def test_a_stretch_of_two_blocks_is_found_and_less_than_one_is_not(
    seed: int, stretch: int, at: int
) -> None:
    random = np.random.default_rng(seed)
    # No two neighbours within the range of a flat block.
    samples = np.where(np.arange(LIMITS.count) % 2, 300, -300) + random.integers(-50, 50)
    stretch = min(stretch, LIMITS.count - at)
    samples[at : at + stretch] = random.integers(-1, 2, stretch) + 7
    found = LIMITS.verdicts(samples[None, :, None].astype(np.int16))[0]
    used = LIMITS.blocks * LIMITS.block
    if min(at + stretch, used) - at >= 2 * LIMITS.block - 1:
        assert found == Reason.FLAT
    if stretch < LIMITS.block - 2:
        assert found == 0


def test_limits_of_raw_samples_are_those_of_the_converter() -> None:
    assert (LIMITS.low, LIMITS.high) == (-1024, 1023)
    assert LIMITS.count == 288  # 0.8 s at 360 Hz
    assert LIMITS.block == 36  # 100 ms
    assert LIMITS.flat_range == 2  # 10 uV at 5 uV a count
    assert LIMITS.rail_samples == 15  # 5 % of 288, and no less
    for microvolts, counts in ((3.0, 3), (1 / 3, 30), (12.0, 0), (0.1, 100)):
        limits = raw_limits(
            MonitorSettings(), FRONT_END, replace(ADC, microvolt_per_count=microvolts)
        )
        assert limits.flat_range == counts


def test_margins_of_ties_and_extremes() -> None:
    logits = np.array([[5, 5, 1], [-128, 127, -128], [3, 2, 1]], np.int8)
    np.testing.assert_array_equal(margins(logits), [0, 255, 1])


def test_the_limits_leave_what_was_asked_and_are_the_tightest(fitted: Watched) -> None:
    parts = (fitted.training, fitted.validation)
    share = patient_shares(parts)
    signal = np.concatenate([part.signal for part in parts])
    logits = np.concatenate([fitted.network.run(part.signal, part.rhythm) for part in parts])

    def left(monitor: InputMonitor) -> float:
        return float(share[monitor.verdicts(signal, logits) == 0].sum())

    monitor = fitted.monitor
    assert share.sum() == pytest.approx(1)
    assert left(monitor) == pytest.approx(fitted.coverage)
    assert left(monitor) >= 0.9
    assert left(replace(monitor, margin=monitor.margin + 1)) < 0.9
    assert left(replace(monitor, margin=0, unusual=monitor.unusual - 1)) < 1 - 0.1 * 0.1


def test_every_patient_weighs_the_same(fitted: Watched) -> None:
    few = fitted.training.select(np.arange(10))
    share = patient_shares((few, fitted.validation))
    assert share[:10].sum() == pytest.approx(0.5)


def test_asking_for_everything_refuses_nothing_that_was_learnt(fitted: Watched) -> None:
    settings = MonitorSettings(coverage=1.0)
    parts = (fitted.training, fitted.validation)
    monitor = fit_monitor(settings, fitted.network, *parts, FRONT_END, ADC)
    for part in parts:
        logits = fitted.network.run(part.signal, part.rhythm)
        assert not monitor.verdicts(part.signal, logits).any()


def test_noise_is_unusual_a_held_lead_flat_and_an_amplifier_at_its_end_saturated(
    fitted: Watched,
) -> None:
    random = np.random.default_rng(0)
    monitor, held = fitted.monitor, fitted.held

    def reasons(raw: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
        moved = replace(held, raw=raw)
        inputs = moved.inputs()
        return monitor.verdicts(inputs[0], fitted.network.run(*inputs), monitor.raw_of(moved))

    def share(raw: npt.NDArray[np.int64], reason: Reason) -> float:
        found = reasons(np.clip(raw, -1024, 1023).astype(np.int16))
        return float(((found & reason) != 0).mean())

    raw = held.raw.astype(np.int64)
    hiss = raw + random.normal(0, 120, raw.shape).astype(np.int64)
    still, high = raw.copy(), raw.copy()
    still[:, held.beat_at + 10 : held.beat_at + 90] = 3
    high[:, held.beat_at - 20 : held.beat_at] = 1023
    for reason in (Reason.UNUSUAL, Reason.FLAT, Reason.SATURATED):
        assert share(raw, reason) < 0.05
    assert share(hiss, Reason.UNUSUAL) > 0.9
    assert share(still, Reason.FLAT) == 1
    assert share(high, Reason.SATURATED) == 1


def test_ready_windows_alone_say_nothing_of_raw_samples(fitted: Watched) -> None:
    inputs = fitted.held.inputs()
    logits = fitted.network.run(*inputs)
    ready = fitted.monitor.verdicts(inputs[0], logits)
    full = fitted.monitor.verdicts(inputs[0], logits, fitted.monitor.raw_of(fitted.held))
    raw_only = np.uint8(Reason.SATURATED | Reason.FLAT)
    np.testing.assert_array_equal(ready, full & ~raw_only)
    np.testing.assert_array_equal(
        fitted.monitor.raw_of(fitted.held)[:, fitted.monitor.raw_before],
        fitted.held.raw[:, fitted.held.beat_at],
    )


def test_without_a_front_end_the_int8_signal_is_watched(fitted: Watched) -> None:
    network, random = r1(), np.random.default_rng(1)
    wave = (60 * np.sin(np.arange(256) / 7 + random.uniform(0, 6, (300, 1)))).astype(np.int8)
    part = replace(
        fitted.training.select(np.zeros(300, np.int64)), signal=wave[:, :, None], rhythm=wave[:, :0]
    )
    monitor = fit_monitor(MonitorSettings(coverage=0.95), network, part, part)
    assert monitor.raw_before is None
    assert monitor.zones == (0, 64, 128, 192, 256)
    with pytest.raises(ValueError, match="without a front end"):
        monitor.raw_of(fitted.held)
    kept = monitor.verdicts(part.signal, network.run(part.signal)) == 0
    assert kept.mean() > 0.93
    still, high = part.signal.copy(), part.signal.copy()
    still[:, 50:150] = 9
    high[:, 50:100] = 127
    for signal, reason in ((still, Reason.FLAT), (high, Reason.SATURATED)):
        assert ((monitor.verdicts(signal, network.run(signal)) & reason) != 0).all()


def test_a_signal_that_is_often_still_is_not_called_flat(fitted: Watched) -> None:
    network = r1()
    quiet = np.zeros((200, 256, 1), np.int8)
    part = replace(
        fitted.training.select(np.zeros(200, np.int64)),
        signal=quiet,
        rhythm=np.zeros((200, 0), np.int8),
    )
    monitor = fit_monitor(MonitorSettings(coverage=1.0), network, part, part)
    assert not monitor.verdicts(quiet, network.run(quiet)).any()


def test_a_window_beyond_32_bits_is_refused(fitted: Watched) -> None:
    network = r1()
    length = 1 << 18
    long = replace(network.input_tensors[0], shape=(length, 1))
    stretched = type(
        "Long", (), {"input_tensors": (long,), "inputs": network.inputs, "run": lambda *_: LOGITS}
    )
    part = replace(
        fitted.training.select(np.zeros(2, np.int64)), signal=np.zeros((2, length, 1), np.int8)
    )
    with pytest.raises(NetworkError, match="too long for the monitor"):
        fit_monitor(MonitorSettings(), stretched(), part, part)  # type: ignore[arg-type]


LOGITS = np.zeros((2, 5), np.int8)


def test_reasons_have_words() -> None:
    assert [reason.words for reason in Reason] == ["saturated", "flat", "unusual", "low margin"]
    assert SampleLimits(10, -1, 1, 1, 4, 0, 1).blocks == 2
