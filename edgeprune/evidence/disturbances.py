"""How far the decisions withstand what really happens to a lead."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.performance import Scores


@dataclass(frozen=True)
class SeverityPoint:
    """One disturbance at one severity.

    Attributes:
        text: As it is written in the configuration, e.g. "electrode-motion:6dB".
        description: The same in plain words.
        severity: The number in it.
        unit: Its unit, e.g. "dB".
        windows: Windows decided; the same beats at every severity.
        scores: Scores of the disturbed windows, intervals clustered by patient.
        agreement: Share of windows decided as without the disturbance.
        lost: Beats that have no window any more (missed, or beyond the recording's end). They
            count as decided "no window": in the sensitivity of their class, in no precision.
    """

    text: str
    description: str
    severity: float
    unit: str
    windows: int
    scores: Scores
    agreement: float
    lost: int = 0


@dataclass(frozen=True)
class DisturbanceCurve:
    """One kind of disturbance, from mild to severe.

    Attributes:
        name: Name of the disturbance, e.g. "electrode-motion".
        title: The same in words.
        source: Where the disturbing signal comes from: recorded, or made by rule.
        synthetic: Whether a recorded noise was replaced by a synthetic one.
        points: Per severity, from mild to severe.
        severity_is: What the severity measures, for the axis, e.g. "signal-to-noise ratio".
    """

    name: str
    title: str
    source: str
    synthetic: bool
    points: tuple[SeverityPoint, ...]
    severity_is: str = ""


@dataclass(frozen=True)
class DisturbanceEvidence:
    """Curves of the int8 network's scores against the severity of disturbances.

    Attributes:
        threat_model: What is disturbed, and what the device makes of it, in plain words.
        stage: The network.
        windows: Which windows were decided and how they were chosen.
        undisturbed: Scores of the same beats without any disturbance.
        curves: Per disturbance.
    """

    threat_model: str
    stage: str
    windows: str
    undisturbed: Scores
    curves: tuple[DisturbanceCurve, ...]
