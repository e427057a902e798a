"""Boards that one can buy: which target they carry, and how a debug probe calls it."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.registry import Registry


@dataclass(frozen=True)
class Board:
    """A board with a debug probe.

    Attributes:
        title: One line for people.
        target: Name of the target that firmware for it is built with; it names a UART.
        probe_target: Name of the chip in pyocd, one that pyocd has without a pack.
        connector: Where the cable goes, in words.
    """

    title: str
    target: str
    probe_target: str
    connector: str


BOARDS: Registry[Board] = Registry(
    "board",
    **{
        "nucleo-h743zi": Board(
            "ST Nucleo-144 with an STM32H743ZI (also NUCLEO-H743ZI2)",
            "stm32h743",
            "stm32h743xx",
            "USB connector CN1, beside the ST-LINK",
        ),
    },
)
