"""Why a device says "no decision"."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
import numpy.typing as npt

Reasons = npt.NDArray[np.uint8]


class Reason(IntFlag):
    """One bit a reason, as the C interface has them (`EDGEPRUNE_SATURATED` and so on)."""

    SATURATED = 1
    FLAT = 2
    UNUSUAL = 4
    LOW_MARGIN = 8

    @property
    def words(self) -> str:
        """The reason as it is written in reports, e.g. "low margin"."""
        return str(self.name).lower().replace("_", " ")
