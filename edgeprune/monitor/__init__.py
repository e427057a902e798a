"""The device's input monitor: when it says "no decision", and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.monitor.fit import Fitted, fit_monitor, fitted_monitor
    from edgeprune.monitor.input_monitor import InputMonitor, SampleLimits
    from edgeprune.monitor.reasons import Reason, Reasons
    from edgeprune.monitor.settings import MonitorSettings

_HOMES = {
    "Fitted": "fit",
    "InputMonitor": "input_monitor",
    "MonitorSettings": "settings",
    "Reason": "reasons",
    "Reasons": "reasons",
    "SampleLimits": "input_monitor",
    "fit_monitor": "fit",
    "fitted_monitor": "fit",
}

__all__ = [
    "Fitted",
    "InputMonitor",
    "MonitorSettings",
    "Reason",
    "Reasons",
    "SampleLimits",
    "fit_monitor",
    "fitted_monitor",
]

__getattr__ = late_names(__name__, _HOMES)
