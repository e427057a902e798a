"""Changed windows that the int8 network decides otherwise, as the stages hand them on."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.files import write_bytes

TURNED = "turned.npz"

Int16Array = npt.NDArray[np.int16]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Turned:
    """Changed windows that the int8 network decides otherwise than the recorded ones.

    Attributes:
        window: Which window each is of, index into the attacked ones [k].
        raw: int16 counts [k, reach].
        decision: What the network decides of it [k].
        attack: What found it [k].
    """

    window: Int64Array
    raw: Int16Array
    decision: Int64Array
    attack: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.window)


def save_turned(path: Path, turned: Turned) -> None:
    """Write them; the same ones give the same bytes."""
    buffer = BytesIO()
    np.savez(
        buffer,
        window=turned.window,
        raw=turned.raw,
        decision=turned.decision,
        attack=np.array(turned.attack, np.str_),
    )
    write_bytes(path, buffer.getvalue())


def load_turned(path: Path) -> Turned:
    """Read the changed windows that the attack stage kept."""
    with np.load(path, allow_pickle=False) as content:
        return Turned(
            content["window"],
            content["raw"],
            content["decision"],
            tuple(content["attack"].tolist()),
        )
