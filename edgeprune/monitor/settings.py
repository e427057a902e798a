"""What the input monitor is asked for: the table `[monitor]` of a configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MonitorSettings:
    """When a device refuses to decide; the limits follow from training and validation windows.

    Attributes:
        enabled: Fit a monitor and write it into the firmware.
        coverage: Least share of the undisturbed training and validation windows, each patient
            weighing the same, that must still be decided: the limits of the reasons "unusual" and
            "low margin" are the tightest that leave it. 1 refuses none of these.
        rail_share: Share of a window's raw samples at an end of the converter's range from which
            it counts as saturated.
        flat_microvolt: A stretch of the raw samples with no larger range counts as flat.
        flat_milliseconds: Length of that stretch: one twice as long is always found, a shorter one
            never.
    """

    enabled: bool = True
    coverage: float = 0.98
    rail_share: float = 0.05
    flat_microvolt: float = 10.0
    flat_milliseconds: float = 100.0
