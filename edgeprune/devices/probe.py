"""Writes an image to a board's flash through its debug probe, and reads it back; pyocd does it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from edgeprune.devices.boards import Board
from edgeprune.errors import MissingToolError, ParityError, PortError
from edgeprune.progress import Progress, Silent

_PACKAGE = "pyocd==0.46.0"
_PERCENT = 100


@dataclass(frozen=True)
class Flashed:
    """What became of an image.

    Attributes:
        probe: Identification of the probe.
        probe_title: What it says it is.
        bytes: Bytes of the image, all of them read back.
    """

    probe: str
    probe_title: str
    bytes: int


def flash(elf: Path, board: Board, *, probe: str = "", progress: Progress | None = None) -> Flashed:
    """Write an image, read it back, and let the board start.

    Args:
        elf: The linked image.
        board: What it is for.
        probe: Identification of the probe, or a part of it; needed where there are several.
        progress: Told of the percents.

    Raises:
        MissingToolError: pyocd is not installed.
        PortError: There is no probe, more than one, or it or the board refuses.
        ParityError: The flash does not hold what was written.
    """
    helper, programmer, failures = _pyocd()
    where = f"probe of {board.title}"
    parts: tuple[tuple[int, bytes], ...] = ()
    try:
        found = helper.get_all_connected_probes(blocking=False, unique_id=probe or None)
        if len(found) != 1:
            raise _not_one(found, board, probe)
        # A folder of its own: pyocd would run a script that it finds in the current one.
        with tempfile.TemporaryDirectory(prefix="edgeprune-") as project:
            session = helper.session_with_chosen_probe(
                blocking=False,
                return_first=True,
                unique_id=found[0].unique_id,
                options={
                    "target_override": board.probe_target,
                    "project_dir": project,
                    "no_config": True,
                },
            )
            with session, (progress or Silent()).task("flashing", _PERCENT, "percent") as advance:
                programmer(session, progress=_Percents(advance)).program(
                    str(elf), file_format="elf"
                )
                session.target.reset_and_halt()
                parts = tuple(_segments(elf))
                for address, content in parts:
                    held = bytes(session.target.read_memory_block8(address, len(content)))
                    if held != content:
                        raise _differs(address, content, held, where)
                session.target.reset()
    except failures as error:
        raise PortError(
            f"the probe or the board refuses: {error}",
            where=where,
            hint="reconnect the cable, end other debuggers, then run the same command again",
        ) from error
    return Flashed(
        str(found[0].unique_id),
        str(found[0].description),
        sum(len(content) for _, content in parts),
    )


class _Percents:
    """Turns pyocd's share, which may begin anew, into steps forward."""

    def __init__(self, advance: Any) -> None:
        self._advance = advance
        self._done = 0

    def __call__(self, share: float) -> None:
        now = min(round(share * _PERCENT), _PERCENT)
        if now > self._done:
            self._advance(now - self._done)
            self._done = now


def _pyocd() -> tuple[Any, Any, type[Exception]]:
    try:
        from pyocd.core.exceptions import Error
        from pyocd.core.helpers import ConnectHelper
        from pyocd.flash.file_programmer import FileProgrammer
    except ImportError as error:
        raise MissingToolError(
            "pyocd is not installed",
            where="edgeprune flash",
            hint=f"pip install 'edgeprune[probe]', or pip install {_PACKAGE}",
        ) from error
    return ConnectHelper, FileProgrammer, Error


def _not_one(found: list[Any], board: Board, probe: str) -> PortError:
    if not found:
        return PortError(
            f"no debug probe '{probe}' is connected" if probe else "no debug probe is connected",
            where=board.title,
            hint=f"connect its {board.connector}; on Linux install pyocd's udev rules "
            "(github.com/pyocd/pyOCD, folder udev) and log in again; `pyocd list` must show it",
        )
    names = ", ".join(f"{each.unique_id} ({each.description})" for each in found)
    return PortError(
        f"{len(found)} debug probes are connected: {names}",
        where=board.title,
        hint="name one with --probe, or leave one connected",
    )


def _differs(address: int, content: bytes, held: bytes, where: str) -> ParityError:
    pairs = zip(content, held, strict=False)
    first = next((place for place, (a, b) in enumerate(pairs) if a != b), len(held))
    return ParityError(
        f"the flash holds other bytes than were written, from {address + first:#010x} on",
        where=where,
        hint="flash again; if it stays so, the chip's flash is worn or protected",
    )


def _segments(elf: Path) -> Iterator[tuple[int, bytes]]:
    """Yield what an image puts into the flash: address and bytes."""
    with elf.open("rb") as stream:
        for segment in ELFFile(stream).iter_segments():
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                yield segment["p_paddr"], segment.data()
