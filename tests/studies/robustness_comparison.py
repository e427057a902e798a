"""Our PGD and APGD against those of foolbox and of ART: same network, same budget, same judge.

All are given the float network behind the exact front end as one torch module of raw counts, the
same steps, starts and sizes. Whatever they return is brought to whole counts within the ball and
decided by the network itself. Our search over whole counts after the gradients is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from foolbox.attacks import L2PGD, LinfPGD
from foolbox.criteria import Misclassification
from foolbox.models import PyTorchModel
from torch import Tensor, nn

from edgeprune.attacks import ATTACKS, AttackSettings, Ball, SomeWindows, Victim
from edgeprune.attacks.raw_module import module_of

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

# Both libraries step by this share of the ball's size, all steps together (Madry et al. 2018).
_REACH = 2.5
_REPEATS = 4
# Room between the numbers of windows, more than any change reaches.
_APART = 1e5
_ORDER = {"linf": np.inf, "l2": 2}

# Positions in counts that an attack returns for windows.
_Found = Callable[[Victim, Int64Array, Ball, AttackSettings, int], Float64Array]


@dataclass(frozen=True)
class ComparisonRow:
    """One attack in one ball.

    Attributes:
        attack: "pgd" or "apgd" (ours: the better of cross-entropy alone, as theirs).
        ball: As it is written.
        ours: Windows that our attack turned, all repeats together.
        foolbox: Windows that foolbox's turned; None where it has no such attack.
        art: Windows that ART's turned.
        n: Windows that were decided right before, as often as they were tried.
    """

    attack: str
    ball: str
    ours: int
    foolbox: int | None
    art: int
    n: int


def comparison(
    victim: Victim,
    labels: Int64Array,
    balls: Sequence[str],
    *,
    steps: int = 30,
    restarts: int = 3,
    seed: int = 0,
) -> list[ComparisonRow]:
    """Run all attacks in all balls.

    Args:
        victim: The network and its windows; all attacks see the same module of it.
        labels: The right decisions [n].
        balls: Such as "linf:50uV" and "l2:500uV".
        steps: Steps of each start.
        restarts: Starts. PGD's first is the window itself, all others are random; APGD's are all
            random, since ART's knows no other.
        seed: Of all that is drawn; repeats take the next ones.
    """
    right = np.flatnonzero(victim.decide(victim.held.raw, np.arange(len(labels))) == labels)
    victim, labels = SomeWindows(victim, right), labels[right]
    settings = AttackSettings(steps=steps, restarts=restarts, rounds=0, seed=seed)
    # Where every start is random, a window more or less is luck.
    repeats = [replace(settings, random_start=True, seed=seed + k) for k in range(_REPEATS)]
    rows = []
    for text in balls:
        ball = Ball.parse(text)

        def of(found: _Found, settings: AttackSettings, ball: Ball = ball) -> int:
            return _turned(victim, labels, ball, settings, found)

        def ours(name: str, settings: AttackSettings, ball: Ball = ball) -> int:
            return int(ATTACKS.get(name)(victim, labels, ball, settings).success.sum())

        others = of(_foolbox, settings), of(_art_pgd, settings)
        rows.append(ComparisonRow("pgd", text, ours("pgd", settings), *others, len(labels)))
        turned = sum(ours("apgd-ce", each) for each in repeats)
        other = sum(of(_art_apgd, each) for each in repeats)
        rows.append(ComparisonRow("apgd", text, turned, None, other, _REPEATS * len(labels)))
    return rows


def _turned(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, found: _Found
) -> int:
    """Return how many windows an attack of another library turned, judged as ours are."""
    every = np.arange(len(labels))
    turned = np.zeros(len(labels), np.bool_)
    # Each start by itself, so that all of its results are judged; ART's APGD does several at once.
    starts = 1 if found is _art_apgd else settings.restarts
    with torch.random.fork_rng(devices=[]):
        for number in range(starts):
            seed = settings.seed + number
            torch.manual_seed(seed)
            # ART draws from numpy's global generator.
            np.random.seed(seed)
            position = found(victim, labels, ball, settings, number)
            raw = ball.rounded(victim.held, position)
            assert ball.contains(victim.held, raw).all()
            turned |= victim.decide(raw, every) != labels
    return int(turned.sum())


def _foolbox(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, number: int
) -> Float64Array:
    least, greatest = victim.held.count_range
    module = module_of(victim, np.arange(len(labels)))
    model = PyTorchModel(module, bounds=(least, greatest), device="cpu")
    kind = {"linf": LinfPGD, "l2": L2PGD}[ball.norm]
    attack = kind(
        rel_stepsize=_REACH / settings.steps,
        steps=settings.steps,
        random_start=settings.restarts > 1 and number > 0,
    )
    found = attack.run(
        model,
        torch.from_numpy(victim.held.raw.astype(np.float32)),
        Misclassification(torch.from_numpy(labels)),
        epsilon=ball.radius(victim.held),
    )
    return np.asarray(found.numpy(), np.float64)


class _Numbered(nn.Module):
    """The victim's module for batches of any windows: the last column tells whose each row is."""

    def __init__(self, victim: Victim) -> None:
        super().__init__()
        self._victim = victim
        self.eval()

    def forward(self, numbered: Tensor) -> Tensor:
        """Return logits [m, classes] of raw counts and number [m, reach + 1]."""
        rows = np.rint(numbered[:, -1].detach().numpy() / _APART).astype(np.int64)
        rows = np.clip(rows, 0, len(self._victim.held) - 1)
        logits: Tensor = module_of(self._victim, rows)(numbered[:, :-1])
        return logits


def _numbered(victim: Victim) -> npt.NDArray[np.float32]:
    number = _APART * np.arange(len(victim.held))[:, np.newaxis]
    return np.concatenate([victim.held.raw, number], axis=1).astype(np.float32)


def _classifier(victim: Victim) -> Any:
    from art.estimators.classification import PyTorchClassifier

    least, greatest = victim.held.count_range
    size = victim.held.raw.shape[1]
    low, high = np.full(size + 1, least, np.float32), np.full(size + 1, greatest, np.float32)
    low[-1], high[-1] = -_APART, _APART * (len(victim.held) + 1)
    return PyTorchClassifier(
        _Numbered(victim),
        loss=nn.CrossEntropyLoss(),
        input_shape=(size + 1,),
        nb_classes=victim.classes,
        clip_values=(low, high),
        device_type="cpu",
    )


def _art_pgd(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, number: int
) -> Float64Array:
    from art.attacks.evasion import ProjectedGradientDescent

    radius = ball.radius(victim.held)
    attack = ProjectedGradientDescent(
        _classifier(victim),
        norm=_ORDER[ball.norm],
        eps=radius,
        eps_step=_REACH * radius / settings.steps,
        max_iter=settings.steps,
        num_random_init=int(settings.restarts > 1 and number > 0),
        batch_size=256,
        verbose=False,
    )
    found = attack.generate(_numbered(victim), labels)
    return np.asarray(found[:, :-1], np.float64)


def _art_apgd(
    victim: Victim, labels: Int64Array, ball: Ball, settings: AttackSettings, _: int
) -> Float64Array:
    from art.attacks.evasion import AutoProjectedGradientDescent

    radius = ball.radius(victim.held)
    attack = AutoProjectedGradientDescent(
        _classifier(victim),
        norm=_ORDER[ball.norm],
        eps=radius,
        eps_step=2 * radius,
        max_iter=settings.steps,
        nb_random_init=settings.restarts,
        loss_type="cross_entropy",
        batch_size=256,
        verbose=False,
    )
    found = attack.generate(_numbered(victim), labels)
    return np.asarray(found[:, :-1], np.float64)
