"""Losses of attacked windows: what the attack raises, and what the training lowers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from edgeprune.config import RobustnessSettings
from edgeprune.registry import Registry

AttackLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def decision_loss(attacked: Tensor, clean: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross entropy of the attacked windows.

    Args:
        attacked: Logits of the attacked windows, float [n, classes].
        clean: Logits of the unchanged windows; not used.
        label: Int64 [n].
    """
    del clean
    return functional.cross_entropy(attacked, label)


def divergence(attacked: Tensor, clean: Tensor, label: Tensor) -> Tensor:
    """Return the mean `KL(p(clean) || p(attacked))`, nats: it asks for no label.

    Args:
        attacked: Logits of the attacked windows, float [n, classes].
        clean: Logits of the unchanged windows, float [n, classes].
        label: Not used.
    """
    del label
    return functional.kl_div(
        attacked.log_softmax(1), clean.log_softmax(1), reduction="batchmean", log_target=True
    )


def _shared(settings: RobustnessSettings, risen: float) -> tuple[float, float]:
    weight = settings.weight * risen
    return 1 - weight, weight


def _added(settings: RobustnessSettings, risen: float) -> tuple[float, float]:
    return 1.0, settings.beta * risen


@dataclass(frozen=True)
class AdversarialLoss:
    """A loss of attacked windows.

    Attributes:
        loss: Of attacked logits, clean logits and labels: the attack raises it, the training
            lowers it.
        weights: Weight of the unchanged windows' loss and of this one, by how far it has risen.
        replays: Whether each batch is taken several times, one step of the attack a time, instead
            of an attack a step.
    """

    loss: AttackLoss
    weights: Callable[[RobustnessSettings, float], tuple[float, float]]
    replays: bool = False


# Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018 (arXiv
# 1706.06083), with a weight of 1. Zhang et al., "Theoretically principled trade-off between
# robustness and accuracy", ICML 2019 (arXiv 1901.08573), equation 5 with beta = 1 / lambda. Shafahi
# et al., "Adversarial training for free!", NeurIPS 2019 (arXiv 1904.12843), algorithm 1.
ADVERSARIAL_LOSSES: Registry[AdversarialLoss] = Registry(
    "adversarial loss",
    pgd=AdversarialLoss(decision_loss, _shared),
    trades=AdversarialLoss(divergence, _added),
    free=AdversarialLoss(decision_loss, _shared, replays=True),
)


def wrong_by(logits: Tensor, label: Tensor) -> Tensor:
    """Return by how much the strongest other class beats the right one: positive where wrong, [n].

    Args:
        logits: Float [n, classes].
        label: Int64 [n].
    """
    own = logits.gather(1, label[:, None])
    others = logits.scatter(1, label[:, None], -torch.inf)
    return others.amax(1) - own[:, 0]
