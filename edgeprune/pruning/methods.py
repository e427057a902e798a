"""All pruning methods by name.

A method is a function of one of these signatures, in a module that is imported when it is used:

    ordered  f(model, materials, settings) -> tuple[Edit, ...] | Candidates
             what can go, the least important first; as little goes as reaches the ratio or budget
    solver   f(model, materials, settings, target: int) -> tuple[Edit, ...]
             edits that leave `target` non-zero weights and biases (`Counts.remaining`), or fewer

To add one: write the function and add its line to `METHODS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from edgeprune.late import late
from edgeprune.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from edgeprune.config import PruningSettings
    from edgeprune.pruning.edits import Edit
    from edgeprune.pruning.materials import Materials


class Candidates(Protocol):
    """What can go, in order: for methods with so many pieces that a tuple of edits is too long."""

    def __len__(self) -> int:
        """Return how many pieces there are."""

    def first(self, number: int) -> tuple[Edit, ...]:
        """Return the edits that take the `number` least important pieces."""


@dataclass(frozen=True)
class Ordered:
    """Candidates that are single edits.

    Attributes:
        edits: Least important first.
    """

    edits: tuple[Edit, ...]

    def __len__(self) -> int:
        return len(self.edits)

    def first(self, number: int) -> tuple[Edit, ...]:
        """Return the first edits."""
        return self.edits[:number]


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: Its name in `METHODS`.
        title: Its name in reports, with its source.
        home: "module:function" within this package.
        solver: Whether it is told how much is to be left.
        reads_windows: Whether it looks at training windows whatever the importance.
        tuned: Whether an empty `fine_tune` trains after it; steps without training are one.
    """

    name: str
    title: str
    home: str
    solver: bool = False
    reads_windows: bool = False
    tuned: bool = True

    def settled(self, settings: PruningSettings) -> PruningSettings:
        """Return the settings with what an empty `fine_tune` means for this method."""
        if self.tuned or settings.fine_tune:
            return settings
        return replace(settings, fine_tune="none", schedule="one-shot")

    def candidates(
        self, model: nn.Module, materials: Materials, settings: PruningSettings
    ) -> Candidates:
        """Return what can go (methods that are not solvers)."""
        found = late("edgeprune.pruning", self.home)(model, materials, settings)
        return Ordered(tuple(found)) if isinstance(found, Sequence) else found

    def solve(
        self, model: nn.Module, materials: Materials, settings: PruningSettings, target: int
    ) -> tuple[Edit, ...]:
        """Return edits that leave `target` non-zero weights and biases, or fewer (solvers)."""
        return tuple(late("edgeprune.pruning", self.home)(model, materials, settings, target))


_ALL = (
    Method("channel", "whole channels", "channels:channel_candidates"),
    Method("kernel", "whole kernels", "zeroing:kernel_candidates"),
    Method("weight", "single weights", "zeroing:weight_candidates"),
    Method("layer", "residual blocks and layers that keep the shape", "layers:block_candidates"),
    Method(
        "low-rank",
        "low rank with a limit on condition numbers (CondLR, Savostianova et al. 2023)",
        "low_rank:rank_candidates",
    ),
    Method(
        "vnn",
        "verification-friendly by linear programs (VNN, Baninajjar et al. 2024)",
        "vnn.method:vnn_edits",
        solver=True,
        reads_windows=True,
        tuned=False,
    ),
    Method(
        "graft",
        "linearity grafting: the ratio is the share of ReLUs that lines replace (Chen et al. 2022)",
        "grafting:graft_edits",
        solver=True,
        reads_windows=True,
    ),
    Method(
        "top-k",
        "channels seldom among the most active (after Li et al. 2022)",
        "top_k:top_k_candidates",
        reads_windows=True,
    ),
    Method("none", "none", "methods:nothing"),
)
METHODS: Registry[Method] = Registry("pruning method", **{method.name: method for method in _ALL})


def nothing(model: nn.Module, materials: Materials, settings: PruningSettings) -> tuple[Edit, ...]:
    """Return no edits."""
    return ()
