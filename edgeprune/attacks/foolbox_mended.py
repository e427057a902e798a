"""foolbox's FMN with projections that project; see `foolbox_bridge`. Imported late."""

from __future__ import annotations

from typing import Any

import eagerpy as ep
from foolbox.attacks.fast_minimum_norm import (
    L0FMNAttack,
    L1FMNAttack,
    L2FMNAttack,
    LInfFMNAttack,
)

__all__ = ["FMN"]


class _L2(L2FMNAttack):  # type: ignore[misc]
    """FMN in L2 (Pintor et al. 2021), projected to the sphere's inside."""

    def project(self, x: Any, x0: Any, epsilon: Any) -> Any:
        """Return x0 + (x - x0) of length epsilon at most."""
        change = x - x0
        length = ep.maximum(change.norms.l2(axis=-1), 1e-12)
        share = ep.minimum(1.0, epsilon / length)
        return x0 + change * share.expand_dims(-1)


class _L0(L0FMNAttack):  # type: ignore[misc]
    """FMN in L0, which keeps as many samples as it says."""

    def project(self, x: Any, x0: Any, epsilon: Any) -> Any:
        """Return x0 + the epsilon largest of (x - x0)."""
        change = x - x0
        count = change.shape[1]
        size = abs(change)
        most = ep.minimum(ep.maximum(epsilon, 1), count).astype(ep.arange(x, 1).dtype)
        ordered = ep.flip(ep.sort(size, axis=1), -1)
        least = ordered[range(len(x)), most - 1]
        return x0 + ep.where(size >= least.expand_dims(-1), change, 0.0)


FMN: dict[str, type[Any]] = {"l0": _L0, "l1": L1FMNAttack, "l2": _L2, "linf": LInfFMNAttack}
