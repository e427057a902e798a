"""Refuses pruning settings that nobody could follow, before anything is trained."""

from __future__ import annotations

from edgeprune.config import PruningSettings, RobustnessSettings
from edgeprune.errors import ConfigurationError
from edgeprune.pruning.criteria import BLOCK, CRITERIA, WEIGHT
from edgeprune.pruning.fine_tuning import aim_of, attacker_of
from edgeprune.pruning.methods import METHODS
from edgeprune.pruning.schedules import SCHEDULES
from edgeprune.pruning.scopes import SCOPES

_ZEROING = ("weight", "kernel")
_RANKED = ("channel", *_ZEROING)


def check_pruning(settings: PruningSettings, robustness: RobustnessSettings) -> None:
    """Look up every name and refuse contradictions.

    Args:
        settings: `[pruning]`.
        robustness: `[robustness]`.

    Raises:
        UnknownNameError: A method, importance, scope, schedule, fine-tuning or variant is not
            known.
        ConfigurationError: Two of them contradict each other, or a perturbation is missing.
    """
    METHODS.get(settings.method, where="pruning.method")
    criterion = CRITERIA.get(settings.importance, where="pruning.importance")
    SCOPES.get(settings.scope, where="pruning.scope")
    SCHEDULES.get(settings.schedule, where="pruning.schedule")
    if settings.method == "vnn":
        from edgeprune.pruning.vnn.variants import VARIANTS  # loads HiGHS

        VARIANTS.get(settings.vnn_variant, where="pruning.vnn_variant")
    aim_of(settings, robustness)
    if settings.method in _ZEROING and criterion.grain != WEIGHT:
        raise _contradiction(settings, criterion.grain, WEIGHT)
    if settings.method in _RANKED and criterion.grain == BLOCK:
        raise _contradiction(settings, criterion.grain, settings.method)
    if settings.scope == "sensitivity" and not attacker_of(settings, robustness).perturbation:
        raise ConfigurationError(
            'the scope "sensitivity" asks what an attack achieves, and none is described',
            where="pruning.scope",
            hint='give pruning.perturbation or robustness.perturbation ("linf:50uV")',
        )


def _contradiction(settings: PruningSettings, grain: str, wanted: str) -> ConfigurationError:
    fitting = ", ".join(name for name in CRITERIA if CRITERIA.get(name).grain == WEIGHT)
    return ConfigurationError(
        f"the importance '{settings.importance}' scores each {grain}, the method "
        f"'{settings.method}' needs a score of each {wanted}",
        where="pruning.importance",
        hint=f"take one of {fitting}, or another pruning.method",
    )
