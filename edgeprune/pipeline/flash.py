"""From a result directory to a board's flash."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgeprune.devices.boards import BOARDS
from edgeprune.devices.probe import Flashed, flash
from edgeprune.errors import ConfigurationError
from edgeprune.files import sha256_file
from edgeprune.pipeline.check import SERIAL_IMAGE
from edgeprune.pipeline.checked_result import CheckedResult
from edgeprune.progress import Progress, Silent


@dataclass(frozen=True)
class FlashedResult:
    """What was written to which board.

    Attributes:
        board: Its name.
        target: What the result was built for.
        network_sha256: Of the network in the image.
        image_sha256: Of the image, which answers over the board's UART.
        flashed: What the probe says.
    """

    board: str
    target: str
    network_sha256: str
    image_sha256: str
    flashed: Flashed


def flash_result(
    folder: Path, board_name: str, *, probe: str = "", progress: Progress | None = None
) -> FlashedResult:
    """Compile the image that answers over the UART, write it to the board, and read it back.

    Args:
        folder: The result directory.
        board_name: A name of `BOARDS`.
        probe: Identification of the probe, or a part of it.
        progress: Receives the course of the work.

    Raises:
        UnknownNameError: There is no such board.
        ConfigurationError: The folder is no result, or one for another target.
        DataError: The result was altered.
        MissingToolError: pyocd or a compiler is not installed.
        PortError: There is no probe, or it or the board refuses.
        ParityError: The flash does not hold what was written.
    """
    progress = progress or Silent()
    if not board_name:
        raise ConfigurationError(
            "no board was named",
            where="--board",
            hint=f"name yours: --board {', --board '.join(BOARDS.names())}; for another, take the "
            "image of edgeprune check --image FILE to a programmer of yours",
        )
    board = BOARDS.get(board_name, where="--board")
    result = CheckedResult(folder)
    if result.target.name != board.target:
        raise ConfigurationError(
            f"the result was built for {result.target.name}, the board carries {board.target}: "
            "nothing was flashed",
            where=str(folder),
            hint=f"edgeprune bench --out {folder} --device ssh://user@board brings it to a Linux"
            if result.target.is_linux
            else f"build with --target {board.target}",
        )
    with tempfile.TemporaryDirectory(prefix="edgeprune-") as name:
        elf = Path(name) / SERIAL_IMAGE
        progress.note("compiling the image that answers over the UART")
        result.serial_image(elf, Path(name) / "sources")
        flashed = flash(elf, board, probe=probe, progress=progress)
        return FlashedResult(
            board_name, board.target, result.network.sha256, sha256_file(elf), flashed
        )
