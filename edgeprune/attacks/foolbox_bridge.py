"""foolbox's minimum-norm attacks (Rauber et al. 2020) on any victim, mended where they are wrong.

foolbox sees the raw counts of a batch divided by a unit, and a torch module whose forward pass is
the victim's own on rounded counts; its gradient passes straight through. What it returns is a
guess; `shrink` brings it to whole counts that the victim itself decides otherwise.

foolbox 3.3.4 does not project in FMN L2 (the factor is norms / norms, which is 1), and FMN L0
keeps one sample too many and leaves its array once all samples may change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgeprune.attacks.foolbox_import import foolbox_attacks
from edgeprune.attacks.raw_module import module_of

if TYPE_CHECKING:
    from edgeprune.attacks.victims import Victim

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


class _InUnits(nn.Module):
    """Counts divided by a unit -> logits; it counts how often it is asked."""

    def __init__(self, victim: Victim, rows: Int64Array, unit: float) -> None:
        super().__init__()
        self._inner = module_of(victim, rows)
        self._unit = unit
        self.passes = 0
        self.eval()

    def forward(self, position: Tensor) -> Tensor:
        self.passes += 1
        logits: Tensor = self._inner(position * self._unit)
        return logits


def run_foolbox(
    victim: Victim,
    rows: Int64Array,
    labels: Int64Array,
    make: Callable[[], Any],
    unit: float,
    seed: int,
) -> tuple[Float64Array, int]:
    """Run a minimum-norm attack of foolbox.

    Args:
        victim: What is attacked.
        rows: The windows [m].
        labels: What must no longer be decided [m].
        make: Returns the attack.
        unit: Counts in 1 of what foolbox sees; a power of two keeps counts exact.
        seed: Of what foolbox draws.

    Returns:
        Positions in counts [m, reach], and how often the victim was shown each window.
    """
    foolbox_attacks()
    from foolbox.criteria import Misclassification
    from foolbox.models import PyTorchModel

    least, greatest = victim.held.count_range
    module = _InUnits(victim, rows, unit)
    model = PyTorchModel(module, bounds=(least / unit, greatest / unit), device="cpu")
    recorded = victim.held.raw[rows].astype(np.float32) / np.float32(unit)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = make().run(
            model, torch.from_numpy(recorded), Misclassification(torch.from_numpy(labels))
        )
    return found.detach().numpy().astype(np.float64) * unit, module.passes
