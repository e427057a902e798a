"""The certificate curve: how many decisions are proved to hold, radius by radius."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.data.windows import Windows
from edgeprune.errors import ConfigurationError
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int64Array
from edgeprune.progress import Progress, Silent
from edgeprune.verification.interval import decides, interval_bounds

BoolArray = npt.NDArray[np.bool_]

# Windows between two signs of progress.
_CHUNK = 512


@dataclass(frozen=True)
class Tally:
    """Outcomes of some windows at one radius; `proved` and `unknown` are never merged.

    Args:
        name: What the windows have in common: a class, a record, or all.
        n: Windows tried.
        proved: Windows whose decision cannot change within the radius.
        unknown: Windows about which the bounds show nothing.
        proved_and_right: Proved windows whose decision is also the reference class.
    """

    name: str
    n: int
    proved: int
    unknown: int
    proved_and_right: int


@dataclass(frozen=True, eq=False)
class Subject:
    """What certificates are about.

    Args:
        windows: The windows.
        decisions: What the network decided of them [n].
        microvolt_per_lsb: What a step of the signal input is at each window's gain [n], where that
            is known.
    """

    windows: Windows
    decisions: Int64Array
    microvolt_per_lsb: npt.NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class CertificatePoint:
    """The outcome of every window at one radius.

    Args:
        radius_lsb: Largest change of a signal value, in steps of the network's input.
        proved: Whether the window's decision is proved; the others are unknown [n].
        subject: The windows and decisions.
    """

    radius_lsb: int
    proved: BoolArray
    subject: Subject

    @property
    def radius_microvolt(self) -> npt.NDArray[np.float64] | None:
        """The radius in microvolts at each window's gain [n], where that is known."""
        steps = self.subject.microvolt_per_lsb
        return None if steps is None else steps * self.radius_lsb

    @property
    def total(self) -> Tally:
        """All windows."""
        return self._tally("all", np.ones(len(self.proved), np.bool_))

    def by_class(self) -> tuple[Tally, ...]:
        """Return the windows of each reference class."""
        windows = self.subject.windows
        return tuple(
            self._tally(name, windows.label == number)
            for number, name in enumerate(windows.class_names)
        )

    def by_record(self) -> tuple[Tally, ...]:
        """Return the windows of each recording that has any."""
        windows = self.subject.windows
        return tuple(
            self._tally(windows.record_names[number], windows.record == number)
            for number in np.unique(windows.record).tolist()
        )

    def _tally(self, name: str, mask: BoolArray) -> Tally:
        proved = self.proved & mask
        right = proved & (self.subject.decisions == self.subject.windows.label)
        n, held = int(mask.sum()), int(proved.sum())
        return Tally(name, n, held, n - held, int(right.sum()))


@dataclass(frozen=True, eq=False)
class CertificateCurve:
    """Certificates of one network over some windows.

    Args:
        network_sha256: The network that they are about.
        rhythm_radius_lsb: Largest change of a rhythm value at every radius.
        points: By rising radius.
    """

    network_sha256: str
    rhythm_radius_lsb: int
    points: tuple[CertificatePoint, ...]


def certify(
    network: IntegerNetwork,
    windows: Windows,
    radii_lsb: Sequence[int],
    *,
    microvolt_per_lsb: npt.ArrayLike | None = None,
    rhythm_radius_lsb: int = 0,
    decisions: Int64Array | None = None,
    progress: Progress | None = None,
) -> CertificateCurve:
    """Prove decisions by exact interval bounds.

    Args:
        network: The network.
        windows: Signal, rhythm and reference classes.
        radii_lsb: Radii of the L-infinity ball around the signal, in LSB of the network's input.
        microvolt_per_lsb: Microvolts a step of the network's input, one for all windows or one
            for each [n], where that is known.
        rhythm_radius_lsb: Radius of the ball around the rhythm features.
        decisions: What the network decided [n], where that is already known.
        progress: Told of the windows done.

    Raises:
        ConfigurationError: A radius is negative.
    """
    if min((*radii_lsb, rhythm_radius_lsb), default=0) < 0:
        raise ConfigurationError("a radius is negative", where="verification.radii_lsb")
    if decisions is None:
        decisions = network.predict(*(windows.signal, windows.rhythm)[: len(network.inputs)])
    steps = None
    if microvolt_per_lsb is not None:
        steps = np.broadcast_to(np.asarray(microvolt_per_lsb, np.float64), len(windows))
    subject = Subject(windows, decisions, steps)
    points = []
    # What is not proved within a ball is not proved within a larger one: bounds only widen.
    candidates = np.arange(len(windows))
    for radius in sorted(set(radii_lsb)):
        held = [np.zeros(0, np.int64)]
        with (progress or Silent()).task(
            f"bounds at {radius} LSB", len(candidates), "window"
        ) as advance:
            for start in range(0, len(candidates), _CHUNK):
                part = candidates[start : start + _CHUNK]
                low, high = interval_bounds(
                    network,
                    windows.signal[part],
                    windows.rhythm[part],
                    radius,
                    rhythm_radius_lsb=rhythm_radius_lsb,
                )
                held.append(part[decides(low, high, decisions[part])])
                advance(len(part))
        candidates = np.concatenate(held)
        proved = np.zeros(len(windows), np.bool_)
        proved[candidates] = True
        points.append(CertificatePoint(radius, proved, subject))
    return CertificateCurve(network.sha256, rhythm_radius_lsb, tuple(points))
