"""How far other implementations agree with the certified network, window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgeprune.devices.board_runtimes import board_runtimes
from edgeprune.devices.ssh_device import SshDevice
from edgeprune.network.tensor import Int8Array
from edgeprune.pipeline.checked_result import CheckedResult, ReplayedWindows
from edgeprune.progress import Progress


@dataclass(frozen=True)
class Agreement:
    """One implementation beside the integer network.

    Attributes:
        implementation: Which.
        windows: How many were compared.
        equal: Windows of which every logit is the same.
        largest_difference_lsb: Between two logits.
        other_decisions: Windows that it decides otherwise.
        absent: Why it was not run; empty where it was.
    """

    implementation: str
    windows: int = 0
    equal: int = 0
    largest_difference_lsb: int = 0
    other_decisions: int = 0
    absent: str = ""


def compare(implementation: str, found: Int8Array, expected: Int8Array) -> Agreement:
    """Compare logits, int8 [n, classes], with those of the network."""
    difference = np.abs(found.astype(np.int16) - expected)
    return Agreement(
        implementation,
        len(expected),
        int((difference.max(axis=1, initial=0) == 0).sum()),
        int(difference.max(initial=0)),
        int((found.argmax(axis=1) != expected.argmax(axis=1)).sum()),
    )


def agreement_on_board(
    board: SshDevice,
    python: str,
    result: CheckedResult,
    lot: ReplayedWindows,
    progress: Progress,
) -> Iterator[Agreement]:
    """Yield a row for each runtime that may be on the board; one that cannot run says why.

    Args:
        board: The board.
        python: Its Python.
        result: Whose model.tflite and model.onnx are run; that they are whole is known.
        lot: The windows.
        progress: Told of each runtime.
    """
    progress.note("the runtimes of the board's Python")
    for run in board_runtimes(board, python, result.network, result.folder, lot.inputs):
        if run.logits is None:
            yield Agreement(run.implementation, absent=run.absent)
        else:
            yield compare(run.implementation, run.logits, lot.logits)
