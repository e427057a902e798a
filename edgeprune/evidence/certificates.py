"""What was proved of the integer network that is flashed."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity, Spread


@dataclass(frozen=True)
class ClassCertificates:
    """Outcomes of one reference class at one radius.

    Attributes:
        name: Short name of the class.
        n: Windows tried.
        proved: Windows whose decision cannot change within the radius.
        unknown: Windows about which nothing was shown.
        proved_and_right: Proved windows whose decision is also the reference class.
    """

    name: str
    n: int
    proved: int
    unknown: int
    proved_and_right: int


@dataclass(frozen=True)
class CertificatePoint:
    """Outcomes at one radius; the kinds of outcome are never merged.

    Attributes:
        radius_lsb: Largest change of a sample, in steps of the signal input.
        radius_uv: The same in microvolts at the electrodes, which differs from window to window
            with the gain; absent where the signal has no unit.
        n: Windows tried.
        proved: Windows whose decision cannot change within the radius.
        unknown: Windows about which nothing was shown.
        proved_and_right: Proved windows whose decision is also the reference class.
        proved_share: `proved` / n.
        proved_and_right_share: `proved_and_right` / n.
        classes: Per reference class.
    """

    radius_lsb: int
    radius_uv: Spread | None
    n: int
    proved: int
    unknown: int
    proved_and_right: int
    proved_share: Quantity
    proved_and_right_share: Quantity
    classes: tuple[ClassCertificates, ...] = ()


@dataclass(frozen=True)
class CertificateEvidence:
    """The certificate curve.

    Attributes:
        method: How it was proved.
        arithmetic: Which arithmetic the proof is about.
        perturbation: What may change within the radius, in words.
        windows: Which windows were tried and how they were chosen.
        points: By rising radius.
    """

    method: str
    arithmetic: str
    perturbation: str
    windows: str
    points: tuple[CertificatePoint, ...]
