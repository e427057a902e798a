"""What an image does with the model: the programs by name, and the drivers that they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from edgeprune.errors import ConfigurationError
from edgeprune.registry import Registry
from edgeprune.targets import Target


@dataclass(frozen=True)
class BoardFiles:
    """The files of firmware_export/boards that make an image of a library.

    Attributes:
        c_files: What is compiled.
        headers: What that includes.
        defines: Preprocessor flags that place it on the target.
        twin: Whether the portable C stands beside the assembly.
    """

    c_files: tuple[str, ...]
    headers: tuple[str, ...]
    defines: tuple[str, ...]
    twin: bool = False


def exchange(target: Target) -> BoardFiles:
    """Work through windows in memory and end: for emulators and debuggers (exchange.h).

    On Linux the block comes from the standard input, and a command that is asked for nothing of
    the kind classifies windows of a file (linux_main.c).

    Raises:
        ConfigurationError: The target has no memories.
    """
    if target.memories is None:
        raise ConfigurationError(
            f"there is no image for target '{target.name}'", hint="choose a Cortex-M target"
        )
    if target.is_linux:
        return BoardFiles(
            ("linux_main.c", "exchange_main.c"),
            ("board.h", "exchange.h"),
            (f"-DEXCHANGE_BYTES={target.memories.exchange.bytes:#x}",),
        )
    return BoardFiles(
        ("startup.c", "semihosting.c", "ticks.c", "exchange_main.c"),
        ("board.h", "exchange.h"),
        (f"-DEXCHANGE_ORIGIN={target.memories.exchange.origin:#x}u",),
    )


def stream(target: Target) -> BoardFiles:
    """Work through windows of which each is the one before, moved by the library's hop.

    Raises:
        ConfigurationError: The target has no memories.
    """
    board = exchange(target)
    return replace(board, defines=(*board.defines, "-DEXCHANGE_STREAM"))


def monitored(target: Target) -> BoardFiles:
    """Give the monitor's reasons as one byte more behind each window's logits.

    Raises:
        ConfigurationError: The target has no memories.
    """
    board = exchange(target)
    return replace(board, defines=(*board.defines, "-DEXCHANGE_MONITOR"))


def twin(target: Target) -> BoardFiles:
    """Classify each window whole, in steps and by the portable C, and compare on the device.

    Raises:
        ConfigurationError: The target has no memories, or runs the portable C alone.
    """
    if target.is_linux:
        raise ConfigurationError(
            f"on {target.name} the portable C is all that runs: it has no twin",
            where="program twin",
            hint="choose a Cortex-M target",
        )
    return replace(exchange(target), twin=True)


def serial(target: Target) -> BoardFiles:
    """Answer requests over the target's UART for ever (frames.h).

    Raises:
        ConfigurationError: The target names no UART.
        UnknownNameError: edgeprune has no driver for it.
    """
    if target.uart is None:
        raise ConfigurationError(
            f"target '{target.name}' names no UART for the program 'serial'",
            hint=f"add a table [uart] to its TOML file; kinds: {', '.join(UARTS)}",
        )
    driver = UARTS.get(target.uart.kind, where=f"target {target.name}, key uart.kind")
    return BoardFiles(
        ("startup.c", "ticks.c", driver, "serial_main.c"),
        ("board.h", "frames.h", "uart.h"),
        (
            f"-DUART_ORIGIN={target.uart.origin:#x}u",
            f"-DUART_CLOCK_HZ={target.uart.clock_hz}u",
            f"-DUART_BAUD={target.uart.baud}u",
        ),
    )


UARTS = Registry("UART", cmsdk="uart_cmsdk.c", nrf="uart_nrf.c", stm32h7="uart_stm32h7.c")
PROGRAMS: Registry[Callable[[Target], BoardFiles]] = Registry(
    "program", exchange=exchange, monitored=monitored, serial=serial, stream=stream, twin=twin
)
