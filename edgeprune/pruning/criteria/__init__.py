"""What makes a weight, a channel or a block important.

A criterion is a function of one of these signatures, in a module of this package that is imported
when it is first used; scores are at least 0, and what has the larger one is kept:

    weight   f(model, layers: Sequence[str], materials) -> Mapping[str, Tensor]  like layer.weight
    channel  f(model, layers: Sequence[str], materials) -> Mapping[str, Tensor]  [out_channels]
    block    f(model, blocks: Sequence[str], materials) -> Mapping[str, float]

The model is in evaluation mode and is left as it is. To add one: write the function and add its
line to `CRITERIA`. Finer scores serve coarser structures: see `weight_scores` and `channel_scores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeprune.errors import ConfigurationError
from edgeprune.late import late
from edgeprune.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgeprune.pruning.materials import Materials

WEIGHT, CHANNEL, BLOCK = "weight", "channel", "block"


@dataclass(frozen=True)
class Criterion:
    """One criterion.

    Attributes:
        name: Its name in `CRITERIA`.
        title: Its name in reports, with its source.
        grain: What it scores: "weight", "channel" or "block".
        home: "module:function" within this package.
        reads_windows: Whether it looks at training windows.
    """

    name: str
    title: str
    grain: str
    home: str
    reads_windows: bool = False

    def __call__(self, model: nn.Module, names: Sequence[str], materials: Materials) -> Any:
        """Score layers (or blocks) by name; see the head of this module.

        Raises:
            ConfigurationError: It looks at windows, and there are none.
        """
        from edgeprune.classifiers import deciding

        if self.reads_windows and not len(materials.labels):
            raise ConfigurationError(
                f"the importance '{self.name}' looks at training windows, and there are none",
                where="pruning.importance",
                hint='prune as part of a build, or take "l2"',
            )
        score = late("edgeprune.pruning.criteria", self.home)
        with deciding(model):
            return score(model, names, materials)


_ALL = (
    Criterion("l1", "magnitude, L1", WEIGHT, "magnitude:absolute"),
    Criterion("l2", "magnitude, L2", WEIGHT, "magnitude:squared"),
    Criterion("random", "random", WEIGHT, "magnitude:random"),
    Criterion(
        "undecayed",
        "undecayed: weight times the gradient of the loss alone (Good et al. 2022)",
        WEIGHT,
        "gradient:undecayed",
        reads_windows=True,
    ),
    Criterion(
        "consensus",
        "layers by consensus of representation distances (Mugnaini et al. 2024)",
        BLOCK,
        "consensus:consensus",
        reads_windows=True,
    ),
    Criterion(
        "expected-absolute-value",
        "expected absolute value (Tan and Motani 2020)",
        CHANNEL,
        "absolute_value:expected_absolute_value",
        reads_windows=True,
    ),
    Criterion(
        "hrank", "HRank (Lin et al. 2020)", CHANNEL, "feature_rank:feature_rank", reads_windows=True
    ),
    Criterion(
        "kl",
        "KL divergence of the decision (Luo and Wu 2020)",
        CHANNEL,
        "divergence:probability_divergence",
        reads_windows=True,
    ),
    Criterion(
        "pls",
        "partial least squares, VIP (Jordao et al. 2018)",
        CHANNEL,
        "least_squares:projection_importance",
        reads_windows=True,
    ),
    Criterion(
        "activation-frequency",
        "how often among the most active (after Li et al. 2022)",
        CHANNEL,
        "frequency:top_frequency",
        reads_windows=True,
    ),
)
CRITERIA: Registry[Criterion] = Registry(
    "importance", **{criterion.name: criterion for criterion in _ALL}
)


def weight_scores(
    criterion: Criterion, model: nn.Module, layers: Sequence[str], materials: Materials
) -> Mapping[str, Tensor]:
    """Return the score of each weight, in the shape of `layer.weight`.

    Raises:
        ConfigurationError: The criterion scores nothing as fine as a weight.
    """
    if criterion.grain != WEIGHT:
        raise _too_coarse(criterion, "single weights or kernels")
    scores: Mapping[str, Tensor] = criterion(model, layers, materials)
    return scores


def channel_scores(
    criterion: Criterion, model: nn.Module, layers: Sequence[str], materials: Materials
) -> Mapping[str, Tensor]:
    """Return the score of each output channel, [outputs]: of weights, the sum.

    Raises:
        ConfigurationError: The criterion scores nothing as fine as a channel.
    """
    if criterion.grain == BLOCK:
        raise _too_coarse(criterion, "channels")
    scores: Mapping[str, Tensor] = criterion(model, layers, materials)
    return {
        name: score.flatten(1).sum(1) if score.ndim > 1 else score for name, score in scores.items()
    }


def _too_coarse(criterion: Criterion, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the importance '{criterion.name}' scores each {criterion.grain}, not {what}",
        where="pruning.importance",
        hint='take "l1" or "l2", or another pruning.method',
    )
