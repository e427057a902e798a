"""Software of unknown provenance: what others wrote and this build used (IEC 62304)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SoupKind(StrEnum):
    """What a piece of others' software is."""

    DISTRIBUTION = "Python distribution"
    INTERPRETER = "interpreter"
    TOOLCHAIN = "C toolchain"
    EMULATOR = "emulator"
    DEVICE = "part of the device's software"


@dataclass(frozen=True)
class SoupItem:
    """One piece of others' software.

    Attributes:
        title: Its name.
        version: Its version; "unknown" where it does not say.
        manufacturer: Who publishes it; "unknown" where its metadata does not say.
        licence: Its licence; "unknown" where its metadata does not say.
        kind: What it is.
        purpose: What it is used for here.
        in_device: Whether code of it is in the device, so far as edgeprune writes the device's
            software; what only makes or tests it is a tool.
        anomaly_list: What was made of its publisher's list of known anomalies.
    """

    title: str
    version: str
    manufacturer: str
    licence: str
    kind: SoupKind
    purpose: str
    in_device: bool
    anomaly_list: str = "not evaluated"
