"""A figure with everything that a reader needs to weigh it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Number = int | float


class Where(StrEnum):
    """Where a figure was measured; nothing else counts as a place of measurement."""

    SILICON = "silicon"
    EMULATOR = "emulator (instructions)"
    CYCLE_MODEL = "cycle model"
    HOST = "host"
    IMAGE = "linked image"


@dataclass(frozen=True)
class Interval:
    """The range that a figure's true value is expected in.

    Attributes:
        low: Lower end, in the unit of the figure.
        high: Upper end, in the unit of the figure.
        level: Nominal coverage, e.g. 0.95.
        method: How it was made, in words that a reader can look up.
        patients: Patients that the figure draws on: the independent units behind the interval.
    """

    low: float
    high: float
    level: float
    method: str
    patients: int


@dataclass(frozen=True)
class Quantity:
    """One figure.

    Attributes:
        value: The figure; absent where it is undefined (0/0), which is not zero.
        unit: Its unit in the singular ("byte", "instruction"); "1" for a share, a score or a
            count.
        where: Where it was measured.
        n: Size of the sample it was measured on, if it comes from one.
        n_of: What `n` counts, e.g. "beats".
        interval: Its uncertainty, if it was estimated.
        note: What a reader must know beside it, e.g. why it is undefined.
    """

    value: Number | None
    unit: str
    where: Where
    n: int | None = None
    n_of: str = ""
    interval: Interval | None = None
    note: str = ""


@dataclass(frozen=True)
class Spread:
    """A figure that differs from window to window, e.g. because each has its own gain.

    Attributes:
        median: Half of the windows are below.
        low: Lower end of the middle range.
        high: Upper end of the middle range.
        share: Share of the windows in the middle range, e.g. 0.9.
        n: Windows.
    """

    median: float
    low: float
    high: float
    share: float
    n: int
