"""What the input monitor refuses, and what that does to the errors that remain."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity


@dataclass(frozen=True)
class ReasonCounts:
    """Windows refused for one reason; a window may have several.

    Attributes:
        reason: "saturated", "flat", "unusual" or "low margin".
        windows: Windows with that reason.
        alone: Windows with that reason and no other.
        wrong: Windows with that reason that the network decides wrongly.
    """

    reason: str
    windows: int
    alone: int
    wrong: int


@dataclass(frozen=True)
class RefusedClass:
    """What the monitor does to the windows of one reference class.

    Attributes:
        name: The class.
        n: Its windows.
        refused: Windows refused.
        refused_share: Share of them.
        sensitivity: Share decided rightly of those that are decided.
        right_share: Share decided rightly of all its windows: a refusal is no right decision.
    """

    name: str
    n: int
    refused: int
    refused_share: Quantity
    sensitivity: Quantity
    right_share: Quantity


@dataclass(frozen=True)
class MonitorPoint:
    """A point of the curve of error against coverage: windows with a live lead by their margins.

    Attributes:
        asked: Share of the windows that is decided.
        coverage: The share that the order allows: windows of equal rank stay together.
        error: Share decided wrongly of those that are decided.
    """

    asked: float
    coverage: float
    error: Quantity


@dataclass(frozen=True)
class MonitoredWindows:
    """The monitor on one set of windows.

    Attributes:
        name: What the windows are, e.g. "undisturbed" or "muscle noise at 6 dB".
        n: How many.
        coverage: Share decided, with the limits of the firmware.
        error_of_all: Share decided wrongly were none refused.
        error: Share decided wrongly of those that are decided.
        refused_of_wrong: Share refused of those that would be decided wrongly.
        reasons: Per reason.
        classes: Per reference class.
        curve: Error against coverage; empty where it was not asked for.
    """

    name: str
    n: int
    coverage: Quantity
    error_of_all: Quantity
    error: Quantity
    refused_of_wrong: Quantity
    reasons: tuple[ReasonCounts, ...] = ()
    classes: tuple[RefusedClass, ...] = ()
    curve: tuple[MonitorPoint, ...] = ()


@dataclass(frozen=True)
class MonitorLimits:
    """The limits that the firmware holds, in the integers of the device.

    Attributes:
        features: What the unusual score reads, in words.
        unusual: Greatest score of a usual window.
        margin: Least distance of the two largest logits in LSB.
        rail_samples: Raw samples at the rails from which a window is saturated; absent without
            raw samples, where those of the int8 signal count.
        flat_samples: Samples of the stretches that are looked at.
        flat_range: Greatest range of a flat one in counts.
        asked_coverage: What `[monitor]` asked of the training and validation windows.
        fitted_coverage: What the limits leave of these, each patient weighing the same.
    """

    features: tuple[str, ...]
    unusual: int
    margin: int
    rail_samples: int
    flat_samples: int
    flat_range: int
    asked_coverage: float
    fitted_coverage: float


@dataclass(frozen=True)
class MonitorEvidence:
    """What the monitor of the firmware is, costs and does.

    Attributes:
        limits: What was fitted.
        sets: The windows that it was tried on, the undisturbed test windows first.
        flash_bytes: Flash of its code and constants in the linked image; absent for the host.
        ram_bytes: RAM that it keeps.
        instructions: Instructions of a window; absent where none were counted.
        compared: Windows whose reasons the device was asked for.
        mismatches: Windows for which it gave others than the specification.
    """

    limits: MonitorLimits
    sets: tuple[MonitoredWindows, ...]
    flash_bytes: Quantity | None = None
    ram_bytes: Quantity | None = None
    instructions: Quantity | None = None
    compared: int = 0
    mismatches: int = 0
