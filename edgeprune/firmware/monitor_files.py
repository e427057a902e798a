"""The input monitor in the generated library: its tables and which of its files are needed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeprune.data.front_ends import FrontEnd
from edgeprune.errors import NetworkError
from edgeprune.network import IntegerNetwork

MONITOR_HEADER = "edgeprune_monitor.h"
_LINE = 96
_LIMITS = ("count", "low", "high", "rail_samples", "block", "flat_range", "flat_blocks")


class SampleLimits(Protocol):
    """What samples must not do; `edgeprune.monitor.SampleLimits` is one."""

    @property
    def count(self) -> int:
        """Samples of a channel that are looked at."""

    @property
    def low(self) -> int:
        """A sample at or below this is at a rail."""

    @property
    def high(self) -> int:
        """A sample at or above this is at a rail."""

    @property
    def rail_samples(self) -> int:
        """Samples at a rail from which a window is saturated."""

    @property
    def block(self) -> int:
        """Samples of a block."""

    @property
    def flat_range(self) -> int:
        """Greatest range of a flat block."""

    @property
    def flat_blocks(self) -> int:
        """Flat blocks from which a window is flat."""


class Monitor(Protocol):
    """What the device checks of a window; `edgeprune.monitor.InputMonitor` is one."""

    @property
    def length(self) -> int:
        """Samples of the int8 signal."""

    @property
    def channels(self) -> int:
        """Its channels."""

    @property
    def read(self) -> int:
        """Leading channels that the score reads."""

    @property
    def zones(self) -> tuple[int, ...]:
        """First sample of each zone, and the length."""

    @property
    def centres(self) -> tuple[tuple[int, ...], ...]:
        """Mean of each feature per decided class."""

    @property
    def weights(self) -> tuple[tuple[int, ...], ...]:
        """Weight of each feature per decided class."""

    @property
    def unusual(self) -> int:
        """Greatest score of a usual window."""

    @property
    def margin(self) -> int:
        """Least difference of the two largest logits."""

    @property
    def samples(self) -> SampleLimits:
        """Limits of the raw samples or of the int8 signal."""

    @property
    def raw_before(self) -> int | None:
        """Raw samples before the beat's own from which they are looked at; None: int8 signal."""


@dataclass(frozen=True)
class MonitorText:
    """What the templates say of a monitor.

    Attributes:
        raw_before: As `Monitor.raw_before`.
        limits: Fields of the C struct `edgeprune_monitor_limits`.
        window: Fields of `edgeprune_monitor_config` but for its tables.
        zones: The table of that name as lines of C, likewise the others.
        zones_count: Its values, likewise the others.
    """

    raw_before: int | None
    limits: tuple[tuple[str, int], ...]
    window: tuple[tuple[str, str], ...]
    zones: str
    zones_count: int
    centres: str
    weights: str
    tables_count: int


def monitor_text(monitor: Monitor) -> MonitorText:
    """Return what the templates need."""
    return MonitorText(
        monitor.raw_before,
        tuple((name, getattr(monitor.samples, name)) for name in _LIMITS),
        (
            ("zone_count", str(len(monitor.zones) - 1)),
            ("channels", str(monitor.channels)),
            ("read", str(monitor.read)),
            ("classes", str(len(monitor.centres))),
            ("unusual", f"{monitor.unusual}u"),
            ("margin", str(monitor.margin)),
        ),
        _table(monitor.zones),
        len(monitor.zones),
        _table([value for row in monitor.centres for value in row]),
        _table([value for row in monitor.weights for value in row]),
        sum(len(row) for row in monitor.centres),
    )


def monitor_sources(monitor: Monitor | None) -> tuple[str, ...]:
    """Return the files of `runtime` that a monitor is compiled from."""
    if monitor is None:
        return ()
    kind = "signal" if monitor.raw_before is None else "raw"
    return ("edgeprune_monitor.c", f"edgeprune_monitor_{kind}.c")


def require_monitor(network: IntegerNetwork, front_end: FrontEnd | None, monitor: Monitor) -> None:
    """Refuse a monitor that was fitted for another network.

    Raises:
        NetworkError: Windows or classes are others, or it watches raw samples that nobody has.
    """
    signal = network.input_tensors[0]
    fits = (
        monitor.length * monitor.channels == signal.size
        and len(monitor.centres) == network.output_tensor.size
        and (monitor.raw_before is None or front_end is not None)
    )
    if not fits:
        raise NetworkError(
            "the monitor does not fit the network", hint="fit it on this network's own windows"
        )


def _table(values: Sequence[int]) -> str:
    text = ", ".join(map(str, values))
    return textwrap.indent(textwrap.fill(text, _LINE, break_on_hyphens=False), "    ")
