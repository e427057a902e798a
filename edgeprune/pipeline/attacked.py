"""Attacks on several networks as independent tasks, and their results as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

import numpy as np
import numpy.typing as npt
from torch import nn

from edgeprune.attacks import (
    ATTACKS,
    AttackResult,
    AttackSettings,
    Ball,
    FloatVictim,
    IntegerVictim,
    Victim,
)
from edgeprune.attacks.transfer import lent
from edgeprune.data.held import HeldWindows
from edgeprune.executor import Codec, Executor, Task
from edgeprune.network import IntegerNetwork
from edgeprune.progress import Progress, Silent
from edgeprune.training.determinism import deterministic

# Changes that a float network is most wrong about, to be tried on the int8 network.
LENT = "transfer"
# Windows that are attacked at a time: part of the result, since they share random draws.
_GROUP = 16
_TEXTS = ("attack", "ball", "norm", "unit", "victim")
_ARRAYS = ("labels", "decided_before", "decided_after", "raw", "success", "size", "queries")

Network = IntegerNetwork | nn.Module


@dataclass(frozen=True, eq=False)
class Attacked:
    """Networks with the windows that they are attacked on.

    Attributes:
        networks: Networks by stage.
        held: The windows [n].
        labels: Their reference classes [n].
        settings: How hard attacks try.
        threads: Threads of the tensor library.
    """

    networks: Mapping[str, Network]
    held: HeldWindows
    labels: npt.NDArray[np.int64]
    settings: AttackSettings
    threads: int = 1

    def victim(self, stage: str, held: HeldWindows | None = None) -> Victim:
        """Return a network with all windows, or with others."""
        network, held = self.networks[stage], self.held if held is None else held
        if isinstance(network, IntegerNetwork):
            return IntegerVictim(network, held, stage)
        return FloatVictim(network, held.front_end, held, stage)


@dataclass(frozen=True, eq=False)
class Job:
    """One attack on some windows of one network.

    Attributes:
        stage: Which network.
        attack: Name of the attack.
        ball: The ball as it is written; a norm alone for attacks that seek the least change.
        rows: Which windows [m].
    """

    stage: str
    attack: str
    ball: str
    rows: npt.NDArray[np.int64]


def attack_all(
    attacked: Attacked,
    names: Sequence[str],
    balls: Sequence[Ball],
    executor: Executor,
    progress: Progress,
) -> dict[str, tuple[AttackResult, ...]]:
    """Attack every network by every attack within every ball whose norm the attack knows.

    Attacks that seek the least change are made once for each norm. Float networks lend changes
    (`LENT`) within every ball besides.

    Returns:
        Results of all windows by stage.
    """
    jobs = [
        Job(stage, name, text, rows)
        for stage, network in attacked.networks.items()
        for name, text in _pairs(names, balls, lends=not isinstance(network, IntegerNetwork))
        for rows in _groups(name, len(attacked.labels))
    ]
    tasks = [
        Task(f"{job.stage}/{job.attack}/{job.ball}/{job.rows[0]}", job, len(job.rows))
        for job in jobs
    ]
    parts = executor.run(
        partial(attack_some, attacked),
        tasks,
        Codec(encode_result, decode_result),
        progress=progress,
        description="attacks",
        unit="window",
    )
    found: dict[tuple[str, str, str], list[AttackResult]] = {}
    for job, part in zip(jobs, parts, strict=True):
        found.setdefault((job.stage, job.attack, job.ball), []).append(part)
    return {
        stage: tuple(_joined(each) for key, each in found.items() if key[0] == stage)
        for stage in attacked.networks
    }


def attack_some(attacked: Attacked, job: Job) -> AttackResult:
    """Make one attack on some windows; the function of an executor's tasks."""
    victim = attacked.victim(job.stage, attacked.held.select(job.rows))
    labels, ball = attacked.labels[job.rows], Ball.parse(job.ball)
    with deterministic(attacked.threads):
        if job.attack == LENT:
            return lent(victim, labels, ball, attacked.settings, Silent())
        return ATTACKS.get(job.attack)(victim, labels, ball, attacked.settings)


def _pairs(
    names: Sequence[str], balls: Sequence[Ball], *, lends: bool
) -> Iterator[tuple[str, str]]:
    if lends:
        yield from ((LENT, ball.text) for ball in balls)
    for name in names:
        attack = ATTACKS.get(name)
        known = [ball for ball in balls if ball.norm in attack.norms]
        texts = [ball.norm if attack.minimum else ball.text for ball in known]
        yield from ((name, text) for text in dict.fromkeys(texts))


def _groups(attack: str, count: int) -> Iterator[npt.NDArray[np.int64]]:
    size = count if attack != LENT and ATTACKS.get(attack).together else _GROUP
    for start in range(0, count, size):
        yield np.arange(start, min(count, start + size))


def _joined(parts: Sequence[AttackResult]) -> AttackResult:
    return replace(
        parts[0],
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS},
    )


def encode_result(result: AttackResult) -> bytes:
    """Return the bytes of a result."""
    texts = json.dumps({name: getattr(result, name) for name in _TEXTS})
    buffer = BytesIO()
    arrays = {name: getattr(result, name) for name in _ARRAYS}
    np.savez_compressed(buffer, texts=np.array(texts, np.str_), **arrays)
    return buffer.getvalue()


def decode_result(content: bytes) -> AttackResult:
    """Return the result of what `encode_result` gave."""
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        texts = json.loads(str(arrays["texts"]))
        return AttackResult(**texts, **{name: arrays[name] for name in _ARRAYS})
