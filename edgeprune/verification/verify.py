"""Complete verification of windows: cheap bounds first, then attacks, then branch and bound."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TypeAlias

import numpy as np

from edgeprune.data.held import HeldWindows
from edgeprune.data.windows import Windows
from edgeprune.errors import ConfigurationError
from edgeprune.executor import Codec, Executor, Task
from edgeprune.network import IntegerNetwork
from edgeprune.progress import Progress
from edgeprune.verification.falsify import AttackSettings
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.outcomes import Runtime, VerificationRun, WindowResult
from edgeprune.verification.perturbations import Perturbation, parse_perturbation
from edgeprune.verification.result_codec import decode_results, encode_results
from edgeprune.verification.stages import Stages

Held: TypeAlias = HeldWindows | HeldInputs


@dataclass(frozen=True)
class VerifySettings:
    """How verification is done.

    Args:
        runtime: Whose arithmetic the proofs are about.
        seconds: Time that a window may take; it is `timeout` beyond. 0 stops after bounds
            and attacks, which always end and end alike: nothing is split, the rest is `unknown`.
        attack: How hard counterexamples are searched for.
        iterations: Steps of the optimisation of slopes, before anything is split.
        keeps_proofs: Whether results keep their proofs, which certificates need and counts do not.
        seed: Decides random starts.
        group: Windows in one task.
    """

    runtime: Runtime = Runtime.FIRMWARE
    seconds: float = 30.0
    attack: AttackSettings = field(default_factory=AttackSettings)
    iterations: int = 20
    keeps_proofs: bool = True
    seed: int = 0
    group: int = 48

    def __post_init__(self) -> None:
        object.__setattr__(self, "runtime", Runtime(self.runtime))
        if self.seconds < 0 or self.group < 1 or self.iterations < 0:
            raise ConfigurationError(
                f"{self.seconds} seconds a window, {self.group} windows a task, {self.iterations} "
                "iterations: none can be negative",
                where="verification",
            )


@dataclass(frozen=True, eq=False)
class _Group:
    """Some windows of one task.

    Args:
        held: The windows.
        number: Which group it is; random starts differ from group to group.
    """

    held: Held
    number: int


@dataclass(frozen=True, eq=False)
class _Work:
    """What all tasks share, in a form that can be sent to another process."""

    parts: tuple[object, ...]
    perturbation: Perturbation
    settings: VerifySettings

    @staticmethod
    def of(network: IntegerNetwork, perturbation: Perturbation, settings: VerifySettings) -> _Work:
        parts = dict(network.tensors), network.inputs, network.outputs, network.operations
        return _Work(parts, perturbation, settings)

    @property
    def network(self) -> IntegerNetwork:
        return IntegerNetwork(*self.parts)  # type: ignore[arg-type]


def verify_windows(
    network: IntegerNetwork,
    held: Held,
    windows: Windows,
    perturbation: Perturbation | str,
    settings: VerifySettings | None = None,
    *,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> VerificationRun:
    """Prove or falsify that the network's decisions hold over a perturbation set.

    Proofs are about the integers themselves. What the device remembers of earlier beats (template,
    gain, RR history) is held; the raw samples that the beat's own window reads move.

    Args:
        network: The network.
        held: The windows, `HeldWindows`, or `HeldInputs` where only the network's inputs are known.
        windows: Labels, recordings and class names, in the same order.
        perturbation: What may happen, see `parse_perturbation`.
        settings: How it is done.
        progress: Told of the windows done.
        executor: Where tasks run and are kept; None for this process.

    Raises:
        ConfigurationError: The perturbation does not fit what is held.
    """
    settings = settings or VerifySettings()
    if isinstance(perturbation, str):
        perturbation = parse_perturbation(perturbation)
    work = _Work.of(network, perturbation, settings)
    tasks = list(_tasks(network, held, perturbation, settings))
    groups = (executor or Executor()).run(
        partial(_verify_group, work),
        tasks,
        Codec(encode_results, decode_results),
        progress=progress,
        description=perturbation.text,
        unit="window",
    )
    return VerificationRun(
        perturbation.text,
        network.sha256,
        settings.runtime,
        windows,
        tuple(result for group in groups for result in group),
        held,
    )


def _tasks(
    network: IntegerNetwork, held: Held, perturbation: Perturbation, settings: VerifySettings
) -> list[Task[_Group]]:
    shared = f"{network.sha256} {perturbation.text} {asdict(settings)}"
    tasks = []
    for number, start in enumerate(range(0, len(held), settings.group)):
        part = held.select(np.arange(start, min(start + settings.group, len(held))))
        digest = hashlib.sha256(shared.encode())
        digest.update(part.raw.tobytes())
        for values in part.inputs():
            digest.update(values.tobytes())
        tasks.append(Task(f"{number} {digest.hexdigest()}", _Group(part, number), len(part)))
    return tasks


def _verify_group(work: _Work, group: _Group) -> tuple[WindowResult, ...]:
    settings = work.settings
    stages = Stages(
        work.network,
        group.held,
        work.perturbation,
        runtime=settings.runtime,
        seconds=settings.seconds or np.inf,
        keeps_proofs=settings.keeps_proofs,
        random=np.random.default_rng([settings.seed, group.number]),
    )
    stages.intervals()
    stages.quick_attack()
    stages.linear(0)
    stages.linear(settings.iterations)
    stages.attack(settings.attack)
    if settings.seconds:
        stages.branch()
    return stages.results()
