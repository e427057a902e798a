"""Certificates of segments: real ones are accepted, changed ones are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.certificate_checker import check
from edgeprune.data.held_segments import HeldSegments, hold_segments
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.data.windows import Windows
from edgeprune.files import write_bytes
from edgeprune.network import Conv1d, Dense, IntegerNetwork, Reshape, Tensor
from edgeprune.pipeline.products import save_windows
from edgeprune.targets import Adc
from edgeprune.verification.certificates import encode, read_certificates, write_certificates
from edgeprune.verification.outcomes import Outcome
from edgeprune.verification.verify import VerifySettings, verify_windows

SETS = (
    *("linf:2uV", "gain:6%", "hum:6uV@20Hz", "hum:4uV@20/30Hz", "wander:5uV@2Hz", "offset:4uV"),
    *("l2:9uV", "linf:1lsb", "blink:14uV", "blink:20uV@1/0.35", "pop:9uV"),
)


def segments(unit: str = "uV") -> HeldSegments:
    front_end = SegmentFrontEnd(2, 10, 2, 20, 5000, 16)
    generator = np.random.default_rng(5)
    time = np.arange(6 * 20)[:, None] / 100
    waves = np.sin(2 * np.pi * (3 + np.arange(2)) * time) * np.repeat([90, 20, 60], 40)[:, None]
    samples = np.rint(waves + generator.normal(0, 6, (120, 2))).astype(np.int16)
    return hold_segments(front_end, Adc(100.0, 1.0, 12, unit), samples, front_end.starts(120))


def network() -> IntegerNetwork:
    generator = np.random.default_rng(11)
    tensors = {
        "signal": Tensor("signal", (10, 2), 2.0**-5, 0),
        "conv": Tensor("conv", (4, 3), 2.0**-6, -128),
        "flat": Tensor("flat", (12,), 2.0**-6, -128),
        "logits": Tensor("logits", (2,), 2.0**-5, 0),
    }
    conv = Conv1d(
        name="conv",
        inputs=("signal",),
        output="conv",
        weights=generator.integers(-90, 91, (3, 3, 2)).astype(np.int8),
        bias=np.array([40, -300, 500], np.int32),
        weight_scales=np.full(3, 2.0**-7, np.float32),
        stride=2,
        clamp_low=-128,
    )
    flat = Reshape(name="flat", inputs=("conv",), output="flat", shape=(12,))
    dense = Dense(
        name="logits",
        inputs=("flat",),
        output="logits",
        weights=generator.integers(-120, 121, (2, 12)).astype(np.int8),
        bias=np.array([900, -200], np.int32),
        weight_scales=np.full(2, 2.0**-7, np.float32),
    )
    return IntegerNetwork(tensors, ("signal",), ("logits",), (conv, flat, dense))


def windows_of(held: HeldSegments, label: np.ndarray) -> Windows:
    numbers = np.arange(len(held))
    return Windows(
        signal=held.inputs()[0],
        rhythm=np.zeros((len(held), 0), np.int8),
        gain=held.gain,
        label=label,
        record=np.zeros_like(numbers),
        beat=20 * numbers,
        record_names=("p1",),
        patients=("one",),
        class_names=("quiet", "seizure"),
        synthetic=True,
    )


def test_what_is_proved_of_segments_is_accepted_and_nothing_else(tmp_path: Path) -> None:
    held, subject = segments(), network()
    subject.save(tmp_path / "network.safetensors")
    windows = windows_of(held, subject.predict(*held.inputs()))
    save_windows(tmp_path / "windows.npz", windows)
    kinds = set()
    for number, text in enumerate(SETS):
        run = verify_windows(subject, held, windows, text, VerifySettings(seconds=0.5))
        path = tmp_path / f"{number}.npz"
        write_certificates(run, subject, path)
        report = check(path, tmp_path / "network.safetensors", tmp_path / "windows.npz")
        assert report.accepted, (text, report)
        kinds |= {each.outcome for each in run.results}
    assert {Outcome.PROVED, Outcome.FALSIFIED} <= kinds

    def refused(**changes: object) -> str:
        file = read_certificates(tmp_path / "0.npz")
        header = json.loads(json.dumps(dict(file.header)))
        for name, value in changes.items():
            if name in header["converter"]["segments"]:
                header["converter"]["segments"][name] = value
            else:
                header[name] = value
        write_bytes(tmp_path / "bad.npz", encode(replace(file, header=header)))
        bad = check(
            tmp_path / "bad.npz", tmp_path / "network.safetensors", tmp_path / "windows.npz"
        )
        assert not bad.accepted
        return bad.problem or next(each.reason for each in bad.verdicts if each.reason)

    assert "not that of the data" in refused(gain=4000)
    assert "none that the front end takes" in refused(gain=40000)
    assert "not of whole numbers" in refused(shift=1.5)
    assert "not as many samples" in refused(channels=3)
    refused(perturbation="linf:40uV")
    assert "an amount in rms, and counts in uV" in refused(perturbation="linf:0.002rms")


@pytest.mark.parametrize("unit", ["uV", "rms"])
def test_a_radius_is_in_the_unit_of_the_counts(tmp_path: Path, unit: str) -> None:
    held, subject = segments(unit).select(np.arange(2)), network()
    subject.save(tmp_path / "network.safetensors")
    windows = windows_of(held, subject.predict(*held.inputs()))
    text = {"uV": "linf:2uV", "rms": "linf:0.002rms"}[unit]
    run = verify_windows(subject, held, windows, text, VerifySettings(seconds=0.2))
    write_certificates(run, subject, tmp_path / "c.npz")
    assert check(tmp_path / "c.npz", tmp_path / "network.safetensors").accepted
    counts = run.held.raw.astype(int)
    for each in run.results:
        if each.counterexample is not None and each.counterexample.raw is not None:
            assert np.abs(each.counterexample.raw - counts).min(axis=0).max() <= 2
