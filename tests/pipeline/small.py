"""A data set and settings so small that the whole chain takes seconds."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edgeprune.resources import resource_folder

SETTINGS = {
    "training.epochs": 1,
    "training.epoch_steps": 6,
    "training.batch_size": 64,
    "training.teachers": 0,
    "training.threads": 1,
    "pruning.ratio": 0.3,
    "pruning.steps": 1,
    "pruning.fine_tune_epochs": 1,
    # So short a training forgets a class or two at every step.
    "pruning.guard.limits": {},
    "quantization.calibration_windows": 64,
    "quantization.search": False,
    "firmware.parity_windows": 24,
    "firmware.layout": "cmake",
    "verification.windows": 8,
    "verification.perturbations": ("linf:5uV", "linf:10uV", "gain:10%"),
    "verification.workers": 1,
    "attacks.windows": 8,
    "attacks.names": ("fgsm",),
    "attacks.balls": ("linf:20uV", "linf:3mV"),
    "attacks.steps": 3,
    "monitor.enabled": False,
    "disturbances.windows": 8,
    "disturbances.cases": ("mains-hum:500uV", "qrs-jitter:20ms"),
}


def small_card(folder: Path) -> Path:
    """Write the card of four synthetic patients of 50 s."""
    text = (resource_folder("datasets") / "synthetic-ecg.toml").read_text(encoding="utf-8")
    split = '[split]\ndevelopment = ["p01", "p02", "p03"]\nvalidation = ["p03"]\ntest = ["p17"]\n\n'
    text = re.sub(r"\[split\].*?(?=\[synthetic_ecg\])", lambda _: split, text, flags=re.DOTALL)
    path = folder / "small-synthetic.toml"
    path.write_text(re.sub(r"seconds = \d+", "seconds = 50", text), encoding="utf-8")
    return path


def small_flags() -> list[str]:
    """Return the settings as flags of the command line."""
    values = {
        key: json.dumps(value) if isinstance(value, tuple) else str(value).lower()
        for key, value in SETTINGS.items()
    }
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
