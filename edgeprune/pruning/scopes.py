"""Scopes: whether pieces of all layers are ranked together, or each layer gives its share.

A scope is a function `f(model, layers: Sequence[str], materials, settings) -> Mapping[str, float]`,
in a module that is imported when it is used: how fast each layer is pruned against the others (a
layer of pace 2 loses twice the share of a layer of pace 1). "global" has none: scores decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgeprune.late import late
from edgeprune.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from edgeprune.config import PruningSettings
    from edgeprune.pruning.materials import Materials

# "module:function" within this package.
SCOPES: Registry[str] = Registry(
    "pruning scope",
    **{"global": "", "local": "scopes:alike", "sensitivity": "sensitivity:by_sensitivity"},
)


def paces_of(
    settings: PruningSettings, model: nn.Module, layers: Sequence[str], materials: Materials
) -> Mapping[str, float] | None:
    """Return how fast each layer is pruned (> 0); None where scores of all layers are compared.

    Raises:
        UnknownNameError: No scope has that name.
    """
    home = SCOPES.get(settings.scope, where="pruning.scope")
    if not home:
        return None
    found: Mapping[str, float] = late("edgeprune.pruning", home)(model, layers, materials, settings)
    return found


def alike(
    model: nn.Module, layers: Sequence[str], materials: Materials, settings: PruningSettings
) -> dict[str, float]:
    """Return the same pace for all."""
    return dict.fromkeys(layers, 1.0)
