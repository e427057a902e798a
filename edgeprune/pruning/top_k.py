"""Top-k activations where they pay: as a choice of channels that is made once.

See `criteria.frequency` for why the choice is not made anew for each input.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from edgeprune.config import PruningSettings
from edgeprune.pruning.channels import channel_candidates
from edgeprune.pruning.edits import Removal
from edgeprune.pruning.materials import Materials


def top_k_candidates(
    model: nn.Module, materials: Materials, settings: PruningSettings
) -> tuple[Removal, ...]:
    """Return whole channels, those first that are seldom among the most active of their layer.

    Args:
        model: The classifier.
        materials: Windows.
        settings: Scope and the size of a set; the importance is always "activation-frequency".

    Raises:
        ConfigurationError: There are no windows.
    """
    return channel_candidates(
        model, materials, replace(settings, importance="activation-frequency")
    )
