"""What the device does when something is wrong, what it can tell, and who might attack it."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.links import EvidenceLink


@dataclass(frozen=True)
class FailSafeBehaviour:
    """What happens upon one fault.

    Attributes:
        event: The fault.
        detection: How the generated code notices it; "not detected" where it does not.
        behaviour: What the generated code then returns or does.
        left_to_the_application: What the device's own program must do about it.
        evidence: Where this was tested; empty where it was not.
    """

    event: str
    detection: str
    behaviour: str
    left_to_the_application: str
    evidence: tuple[EvidenceLink, ...] = ()


@dataclass(frozen=True)
class FailSafeEvidence:
    """The behaviour of the generated code upon faults.

    Attributes:
        summary: In words.
        behaviours: Upon each fault.
    """

    summary: str
    behaviours: tuple[FailSafeBehaviour, ...]


@dataclass(frozen=True)
class LoggedItem:
    """Something that the device's program can log of every window.

    Attributes:
        name: What it is.
        source: Where the generated code tells it.
        use: What it shows after the device is placed on the market.
    """

    name: str
    source: str
    use: str


@dataclass(frozen=True)
class DriftTrigger:
    """A sign that the recordings in the field are no longer those that the classifier knows.

    Attributes:
        name: What is watched.
        expected: The figure of this build that the field is held against; absent where there is
            none.
        limit: The device's own threshold; absent where it has none.
        action: What should follow.
    """

    name: str
    expected: EvidenceLink | None
    limit: EvidenceLink | None
    action: str


@dataclass(frozen=True)
class MonitoringEvidence:
    """What a plan for monitoring after the market can rest on.

    Attributes:
        summary: In words.
        logged: What the device can log.
        triggers: Signs of drift.
        left_to_the_manufacturer: What no device can tell by itself.
    """

    summary: str
    logged: tuple[LoggedItem, ...]
    triggers: tuple[DriftTrigger, ...]
    left_to_the_manufacturer: tuple[str, ...]


@dataclass(frozen=True)
class Threat:
    """A row of the table of threats (categories after STRIDE).

    Attributes:
        id: "S01" and so on.
        category: Spoofing, tampering, repudiation, information disclosure, denial of service, or
            elevation of privilege.
        threat: What somebody might do.
        asset: To what.
        control: What is held against it here; "none here" where nothing is.
        left_to_the_manufacturer: What must be done besides.
        evidence: Where the control can be seen in this build.
        note: "no evidence in this build" where there is none; else empty.
    """

    id: str
    category: str
    threat: str
    asset: str
    control: str
    left_to_the_manufacturer: str
    evidence: tuple[EvidenceLink, ...]
    note: str = ""
