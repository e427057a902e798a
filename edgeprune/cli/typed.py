"""Which flag somebody typed for a key of the configuration, so that an error can name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FLAG_OF: Mapping[str, str] = {
    "model": "--model",
    "seed": "--seed",
    "training.epochs": "--epochs",
    "robustness.perturbation": "--robust",
    "pruning.method": "--pruning",
    "pruning.ratio": "--ratio",
    "pruning.importance": "--importance",
    "pruning.scope": "--scope",
    "pruning.schedule": "--schedule",
    "pruning.fine_tune": "--fine-tune",
    "pruning.max_flash": "--max-flash",
    "pruning.max_ram": "--max-ram",
    "pruning.max_instructions": "--max-instructions",
    "quantization.quantizer": "--quantizer",
    "firmware.toolchain": "--toolchain",
    "firmware.emulator": "--emulator",
    "firmware.optimize": "--optimize",
    "firmware.layout": "--layout",
    "verification.perturbations": "--perturbation",
    "verification.runtime": "--runtime",
    "verification.seconds": "--time-limit",
    "verification.windows": "--windows",
    "verification.workers": "--workers",
    "attacks.names": "--attack",
    "attacks.balls": "--ball",
    "attacks.windows": "--windows",
    "disturbances.cases": "--disturbance",
    "disturbances.noise_dir": "--noise-dir",
    "disturbances.windows": "--windows",
    "sweep.methods": "--pruning",
    "sweep.importances": "--importance",
    "sweep.scopes": "--scope",
    "sweep.schedules": "--schedule",
    "sweep.ratios": "--ratio",
    "sweep.fine_tunes": "--fine-tune",
    "sweep.seeds": "--with-seed",
    "sweep.windows": "--windows",
    "sweep.attacks": "--attack",
    "sweep.balls": "--ball",
    "sweep.perturbations": "--perturbation",
    "sweep.seconds": "--time-limit",
}


def where_typed(where: str, flags: Mapping[str, Any]) -> str:
    """Return where an error is, with the flag that somebody typed for its key.

    Args:
        where: Of the error: a key, a file, or anything else.
        flags: Key to the value of its flag; None where it was not typed.
    """
    flag = FLAG_OF.get(where)
    return where if flag is None or flags.get(where) is None else f"{flag} ({where})"
