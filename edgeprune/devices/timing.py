"""What a board's own counter told of the windows that it classified, and what that is worth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgeprune.devices.answers import RemoteAnswers, WiredAnswers

SILICON = "silicon"
# The names that operating systems give to real serial ports.
_PORT = re.compile(r"(/dev/(tty(ACM|USB|S|AMA|THS|mxc)\d+|cu\.\w+|serial/\S+)|COM\d+)", re.ASCII)
_CYCLE, _NANOSECOND = "cycle", "nanosecond"


@dataclass(frozen=True)
class DeviceTiming:
    """Ticks of a board's counter around `edgeprune_classify`.

    Attributes:
        where: "silicon", or in words why the counter is no measurement.
        unit: What a tick is: "cycle" of the core, or "nanosecond" of Linux's monotonic clock.
        windows: Windows that were timed; those that the board answered in this run.
        minimum: Of the quickest window.
        mean: Of all.
        maximum: Of the slowest window.
    """

    where: str
    unit: str
    windows: int
    minimum: int
    mean: float
    maximum: int

    @property
    def is_measured(self) -> bool:
        """Whether a real board counted."""
        return self.where == SILICON

    @property
    def text(self) -> str:
        """The figures as a line of text; none of them where no board counted."""
        if not self.is_measured:
            return f"timing: not measured, {self.where}"
        clock = (
            ", by Linux's clock, with what else the board did meanwhile"
            if self.unit == _NANOSECOND
            else ", at the clock that the board starts with; other memory timing at a higher one"
        )
        return (
            f"timing ({self.where}): {self.minimum:,} to {self.maximum:,}, mean {self.mean:,.0f} "
            f"{self.unit}s a window over {self.windows:,} windows{clock}"
        )


def line_timing(answers: WiredAnswers, device: str) -> DeviceTiming | None:
    """Return what a device at the end of a line told; None where it has no counter.

    Args:
        answers: The device.
        device: As the user named it: only a real serial port counts as silicon.
    """
    if device == "qemu":
        where = "QEMU's counter without -icount runs by this machine's clock"
    elif _PORT.fullmatch(device):
        where = SILICON
    else:
        where = f"what is behind {device} may be an emulator"
    return _summary(answers.ticks, where, _CYCLE)


def linux_timing(answers: RemoteAnswers) -> DeviceTiming | None:
    """Return what a board over SSH told; None where no window was asked."""
    if answers.nanoseconds is None or not answers.windows:
        return None
    least, total, most = answers.nanoseconds
    return DeviceTiming(SILICON, _NANOSECOND, answers.windows, least, total / answers.windows, most)


def _summary(ticks: Sequence[int], where: str, unit: str) -> DeviceTiming | None:
    if not ticks:
        return None
    return DeviceTiming(where, unit, len(ticks), min(ticks), sum(ticks) / len(ticks), max(ticks))
