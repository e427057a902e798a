"""The device's input monitor: when it says "no decision", and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.monitor.settings import MonitorSettings

_HOMES = {
    "MonitorSettings": "settings",
}

__all__ = [
    "MonitorSettings",
]

__getattr__ = late_names(__name__, _HOMES)
