"""A black-box attack against a device: it is shown windows, and its answers lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.attacks import AttackSettings, Ball
from edgeprune.attacks.square import SquareSearch, SquareState
from edgeprune.network import IntegerNetwork
from edgeprune.verification.falsify import Windows

Int8Array = npt.NDArray[np.int8]
Int16Array = npt.NDArray[np.int16]
Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]
Answer = Callable[[tuple[Int8Array, ...]], Int8Array]


@dataclass(frozen=True)
class DeviceAttack:
    """What came of an attack against a device.

    A success is a window within the ball and the converter's range that the device decides
    otherwise than the recorded one, and that the specification on the host decides so too.

    Attributes:
        ball: How far a window may change.
        windows: Windows attacked.
        queries: Windows shown to the device.
        most_queries: The limit for each window.
        successes: Windows whose decision was changed.
        mismatches: Logits in which device and specification differ, of all windows shown.
        largest_difference_lsb: The largest such difference.
    """

    ball: str
    windows: int
    queries: int
    most_queries: int
    successes: int
    mismatches: int
    largest_difference_lsb: int


class DeviceVictim:
    """A device as a black box for attacks, whose every answer is compared with the specification.

    Args:
        answer: Asks the device: inputs [n, ...] to logits int8 [n, classes].
        network: The specification.
        held: The recorded windows [n].

    Attributes:
        held: The recorded windows [n].
        network: The specification.
        mismatches: Logits in which device and specification differ, of all windows shown.
        largest_difference_lsb: The largest such difference.
        shown: Windows shown.
    """

    name = "device"

    def __init__(self, answer: Answer, network: IntegerNetwork, held: Windows) -> None:
        self.held = held
        self.mismatches = self.largest_difference_lsb = self.shown = 0
        self._answer = answer
        self.network = network

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.network.output_tensor.size

    def decide(self, raw: Int16Array, rows: Int64Array) -> Int64Array:
        """See `BlackBox.decide`."""
        return np.asarray(self.logits(raw, rows).argmax(axis=1))

    def logits(self, raw: Int16Array, rows: Int64Array) -> Float64Array:
        """Return the device's logits of candidates, whole numbers, float64 [m, classes]."""
        inputs = self.held.select(rows).inputs(raw)
        found = self._answer(inputs)
        difference = np.abs(found.astype(np.int16) - self.network.run(*inputs))
        self.mismatches += int(np.count_nonzero(difference))
        self.largest_difference_lsb = max(
            self.largest_difference_lsb, int(difference.max(initial=0))
        )
        self.shown += len(rows)
        return found.astype(np.float64)


def attack_device(victim: DeviceVictim, ball: Ball, queries: int, seed: int) -> DeviceAttack:
    """Search for windows that the device decides otherwise, by the Square attack.

    The device's own logits lead and its own decision counts. What is asked depends on the seed and
    on the answers alone: a run that is begun anew asks the same.

    Args:
        victim: The device.
        ball: How far a window may change; "linf" or "l2", with a size.
        queries: Windows that the device may be shown for each, the recorded one beside them.
        seed: Of all draws.

    Raises:
        ConfigurationError: A ball of another norm, or without a size.
    """
    held = victim.held
    search = SquareSearch(held, ball, AttackSettings(queries=queries, seed=seed))
    own = victim.decide(held.raw, np.arange(len(held)))
    while (asked := search.ask()) is not None:
        logits, mine = victim.logits(asked.raw, asked.rows), own[asked.rows]
        row = np.arange(len(mine))
        flipped = logits.argmax(axis=1) != mine
        margin = logits[row, mine]
        logits[row, mine] = -np.inf
        search.tell(margin - logits.max(axis=1), flipped)
    state = search.state
    return DeviceAttack(
        ball.text,
        len(held),
        victim.shown,
        queries,
        _confirmed(victim, ball, own, state),
        victim.mismatches,
        victim.largest_difference_lsb,
    )


def _confirmed(victim: DeviceVictim, ball: Ball, own: Int64Array, state: SquareState) -> int:
    """Return how many successes the specification on the host confirms."""
    rows = np.flatnonzero(state.flipped)
    if not len(rows):
        return 0
    some, raw = victim.held.select(rows), state.raw[rows]
    turned = victim.network.predict(*some.inputs(raw)) != own[rows]
    return int(np.count_nonzero(ball.contains(some, raw) & turned))
