"""A black-box attack against a device: it is shown windows, and its answers lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.attacks import AttackSettings, Ball
from edgeprune.attacks.square import SquareSearch
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.network import IntegerNetwork

Int8Array = npt.NDArray[np.int8]
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


def attack_device(
    answer: Answer,
    network: IntegerNetwork,
    held: HeldBeats,
    ball: Ball,
    queries: int,
    seed: int,
) -> DeviceAttack:
    """Search for windows that the device decides otherwise, by the Square attack.

    The device's own logits lead and its own decision counts; every answer is compared with the
    specification. What is asked depends on the seed and on the answers alone: a run that is begun
    anew asks the same.

    Args:
        answer: Asks the device: inputs [n, ...] to logits int8 [n, classes].
        network: The specification.
        held: The recorded windows [n].
        ball: How far a window may change; "linf" or "l2", with a size.
        queries: Windows that the device may be shown for each, the recorded one beside them.
        seed: Of all draws.
    """
    every = np.arange(len(held))
    mismatches = largest = 0

    def show(rows: npt.NDArray[np.int64], raw: npt.NDArray[np.int16]) -> Int8Array:
        nonlocal mismatches, largest
        inputs = held.select(rows).inputs(raw)
        found = answer(inputs)
        difference = np.abs(found.astype(np.int16) - network.run(*inputs))
        mismatches += int(np.count_nonzero(difference))
        largest = max(largest, int(difference.max(initial=0)))
        return found

    own = show(every, held.raw).argmax(axis=1)
    search = SquareSearch(held, ball, AttackSettings(queries=queries, seed=seed))
    while (asked := search.ask()) is not None:
        logits = show(asked.rows, asked.raw).astype(np.float64)
        row = np.arange(len(logits))
        decided = logits.argmax(axis=1)
        mine = logits[row, own[asked.rows]]
        logits[row, own[asked.rows]] = -np.inf
        search.tell(mine - logits.max(axis=1), decided != own[asked.rows])
    state = search.state
    found = np.flatnonzero(state.flipped)
    confirmed = 0
    if len(found):
        some, raw = held.select(found), state.raw[found]
        within = ball.contains(some, raw)
        confirmed = int(
            np.count_nonzero(within & (network.run(*some.inputs(raw)).argmax(axis=1) != own[found]))
        )
    return DeviceAttack(
        ball.text,
        len(held),
        int(state.queries.sum()) + len(held),
        queries,
        confirmed,
        mismatches,
        largest,
    )
