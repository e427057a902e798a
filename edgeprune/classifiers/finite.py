"""Refuses weights that are not numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from edgeprune.errors import ModelError


def check_finite(state: Mapping[str, Tensor], *, where: str) -> None:
    """Refuse a state with a NaN or an infinity.

    Args:
        state: Name to tensor, as `Module.state_dict()` returns it.
        where: File or classifier that the state is of.

    Raises:
        ModelError: Names every tensor that is not finite.
    """
    broken = [
        f"{name} ({int((~torch.isfinite(tensor)).sum())} of {tensor.numel()} values)"
        for name, tensor in state.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if broken:
        raise ModelError(
            f"weights are NaN or infinite: {', '.join(broken)}",
            where=where,
            hint="train again with a lower learning rate, or give other weights",
        )
