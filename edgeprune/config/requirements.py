"""Limits that gate the exit code: a section of `edgeprune.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CertifiedShare:
    """A required share of windows proved and right under a perturbation."""

    perturbation: str
    share: float


@dataclass(frozen=True)
class Requirements:
    """Limits that gate the exit code; an absent limit is not checked.

    Attributes:
        accuracy: Least share of test windows decided rightly, int8 as flashed.
        macro_f1: Least mean F1 over the classes present.
        macro_f1_loss: Most that macro-F1 may fall from float to int8, as a share.
        sensitivity: Least sensitivity by class name.
        precision: Least positive predictive value by class name.
        f1: Least F1 by class name.
        flash_bytes: Most flash of the firmware image.
        ram_bytes: Most RAM, stack included.
        instructions: Most instructions a window (emulator).
        certified_share: Least share of windows proved and right under a perturbation.
        attack_success: Most windows, as a share of those decided rightly, that the attacks turn
            within a ball, by ball ("linf:20uV").
        sensitivity_under: Least sensitivity by class name under a disturbance, by disturbance
            ("electrode-motion:6dB").
    """

    accuracy: float | None = None
    macro_f1: float | None = None
    macro_f1_loss: float | None = None
    sensitivity: Mapping[str, float] = field(default_factory=dict)
    precision: Mapping[str, float] = field(default_factory=dict)
    f1: Mapping[str, float] = field(default_factory=dict)
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    instructions: int | None = None
    certified_share: CertifiedShare | None = None
    attack_success: Mapping[str, float] = field(default_factory=dict)
    sensitivity_under: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
