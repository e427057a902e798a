"""The chain on segments: from raw samples of two channels to a verdict, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgeprune
from edgeprune.config import BuildConfig, load_config
from edgeprune.config_text import render_config
from edgeprune.data.held import load_held
from edgeprune.data.held_segments import HeldSegments
from edgeprune.errors import ConfigurationError
from edgeprune.evidence import Outcome
from edgeprune.pipeline.build import open_context
from edgeprune.pipeline.products import load_windows
from edgeprune.progress import Silent
from edgeprune.resources import resource_folder
from tests.pipeline.small import SETTINGS

SMALL = {
    **SETTINGS,
    "target": "host",
    "model": "r1",
    "training.epoch_steps": 2,
    "training.batch_size": 16,
    "firmware.layout": "",
    "verification.windows": 2,
    "verification.perturbations": ("linf:0.5uV", "gain:1%"),
    "attacks.windows": 2,
    "attacks.balls": ("linf:5uV",),
    "disturbances.windows": 4,
    "disturbances.cases": ("mains-hum:20uV", "muscle-noise:6dB", "lead-off:500ms"),
}


def small_card(folder: Path, old: str = "", new: str = "") -> Path:
    """Write the card of four synthetic records of 40 s at 64 Hz."""
    text = (resource_folder("datasets") / "synthetic-eeg.toml").read_text(encoding="utf-8")
    split = (
        '[split]\ndevelopment = ["p01-a", "p02-a", "p03-a"]\nvalidation = ["p03-a"]\n'
        'test = ["p10-a"]\n\n'
    )
    text = re.sub(r"\[split\].*?(?=\[patients\])", lambda _: split, text, flags=re.DOTALL)
    text = text.replace("seconds = 300", "seconds = 40").replace("seconds = 4.0", "seconds = 2.0")
    text = text.replace("rate_hz = 128", "rate_hz = 64")
    assert old in text
    path = folder / "small-eeg.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_a_build_on_segments_ends_in_a_verdict(tmp_path: Path) -> None:
    flags = {**SMALL, "dataset": str(small_card(tmp_path))}
    built = edgeprune.build(load_config(None, flags), tmp_path / "result")
    evidence = built.evidence
    assert evidence is not None
    assert evidence.verdict is Outcome.PASS
    assert sum(row.mismatches for row in evidence.parity if row.gate) == 0
    assert evidence.certificates is not None
    assert all(file.checked == file.accepted for file in evidence.certificates.files)
    assert "of all its channels" in evidence.certificates.threat_model
    assert evidence.data is not None
    assert (evidence.data.window.length, evidence.data.window.channels) == (128, 2)
    assert evidence.data.lead == "F7-T7, F8-T8"
    held = load_held(built.out / "certificates" / "held.npz")
    windows = load_windows(built.out / "certificates" / "windows.npz")
    assert isinstance(held, HeldSegments)
    assert np.array_equal(held.inputs()[0], windows.signal)
    assert (built.out / "firmware" / "runtime" / "edgeprune_segments.c").exists()


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("verification.perturbations", "rr:8ms", "RR intervals are of beats"),
        ("verification.perturbations", "flat:50ms", "of one lead"),
        ("verification.perturbations", "linf:0.01rms", "this one is in uV"),
        ("attacks.balls", "linf:0.01rms", "this one is in uV"),
        ("disturbances.cases", "qrs-jitter:20ms", "'QRS detection jitter' is of beats"),
        ("disturbances.cases", "missed-beats", "is of beats"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_runs(
    tmp_path: Path, key: str, text: str, said: str
) -> None:
    flags = {**SMALL, "dataset": str(small_card(tmp_path)), key: (text,)}
    with pytest.raises(ConfigurationError, match=said):
        open_context(load_config(None, flags), tmp_path / "result", Silent())


def test_a_normalised_signal_is_given_sets_of_its_own(tmp_path: Path) -> None:
    card = small_card(tmp_path, "bits = 12", 'bits = 12\nunit = "rms"')
    card.write_text(card.read_text().replace("full_scale = 250.0", "full_scale = 3.96875"))
    config = load_config(None, {"dataset": str(card), "target": "host", "model": "r1"})
    context = open_context(config, tmp_path / "result", Silent())
    assert context.adc.unit == "rms"
    assert all(not text.endswith("V") for text in context.config.perturbations)
    assert context.config.balls[0] == "linf:0.01rms"
    flags = {"dataset": str(card), "model": "r1", "attacks.balls": ("linf:7uV",)}
    asked = load_config(None, flags)
    with pytest.raises(ConfigurationError, match="this one was normalised"):
        open_context(asked, tmp_path / "result", Silent())


def test_what_is_stated_wins_even_where_it_is_the_default_of_beats(tmp_path: Path) -> None:
    usual = BuildConfig()
    card = {"dataset": str(small_card(tmp_path)), "target": "host"}
    left_open = open_context(load_config(None, card), tmp_path / "a", Silent()).config
    training = left_open.training
    assert (training.teachers, training.batch_size, training.epoch_steps) == (0, 64, 50)
    assert left_open.attacks.balls != usual.attacks.balls
    flags = {
        **card,
        "training.teachers": usual.training.teachers,
        "training.batch_size": usual.training.batch_size,
        "training.epoch_steps": usual.training.epoch_steps,
        "verification.perturbations": usual.verification.perturbations,
        "attacks.balls": usual.attacks.balls,
        "disturbances.cases": ("mains-hum:50uV",),
    }
    stated = open_context(load_config(None, flags), tmp_path / "b", Silent()).config
    assert stated.training == replace(usual.training, epochs=training.epochs)
    assert stated.verification.perturbations == usual.verification.perturbations
    assert stated.attacks.balls == usual.attacks.balls
    # What is decided stays decided: a result's own file makes the same build.
    path = tmp_path / "edgeprune.toml"
    for config in (left_open, stated):
        path.write_text(render_config(config), encoding="utf-8")
        again = open_context(load_config(path, {}), tmp_path / "c", Silent()).config
        assert again == config
    # The usual disturbances are of beats: who states them for segments is told so.
    cases = load_config(None, card | {"disturbances.cases": usual.disturbances.cases})
    with pytest.raises(ConfigurationError, match="is of beats"):
        open_context(cases, tmp_path / "d", Silent())
