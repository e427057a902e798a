"""What every front end is: from a converter's counts to the integers that a network reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard
from edgeprune.data.integer_arithmetic import Int8Array, Int16Array, Int64Array
from edgeprune.targets import Adc

BEATS = "beats"
SEGMENTS = "segments"


@dataclass(frozen=True)
class FrontEndOutput:
    """What the front end made of a recording.

    Attributes:
        signal: int8 [windows, length, channels].
        rhythm: int8 [windows, features].
        gain: What a conditioned count was multiplied by, times 2^14 for beats and 2^shift for
            segments, int64 [windows].
        valid: bool [windows]; a device never emits the others: their window, or the RR interval
            after them, reaches beyond the recording.
    """

    signal: Int8Array
    rhythm: Int8Array
    gain: Int64Array
    valid: npt.NDArray[np.bool_]


class FrontEnd(Protocol):
    """What the rest of edgeprune needs of a front end; a frozen dataclass of integers.

    `BeatFrontEnd` classifies the beats of an ECG, `SegmentFrontEnd` windows of fixed length over
    one or more channels. Its `run` is the specification of the C that a device runs.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def kind(self) -> str:
        """`BEATS` or `SEGMENTS`."""

    @property
    def factor(self) -> int:
        """Raw samples a sample of the window."""

    @property
    def signal_shape(self) -> tuple[int, int]:
        """Length and channels of the signal input."""

    @property
    def signal_scale(self) -> float:
        """Real step of one LSB of the signal input."""

    @property
    def signal_zero_point(self) -> int:
        """The integer that stands for 0."""

    @property
    def rhythm_features(self) -> int:
        """Features of the rhythm input; 0 where there is none."""

    @property
    def rhythm_scale(self) -> float:
        """Real step of one LSB of the rhythm input."""

    @property
    def rhythm_zero_point(self) -> int:
        """The integer that stands for 0."""

    @property
    def delay_beats(self) -> int:
        """Beats that must follow a window's own before it is classified."""

    @property
    def reach(self) -> tuple[int, int]:
        """Raw samples before and after a window's own sample that it needs."""

    def constants(self) -> Mapping[str, int]:
        """Return the fields of the C struct that configures the device's front end."""

    def run(self, samples: Int16Array, beats: Int64Array) -> FrontEndOutput:
        """Return the network's inputs for every window of one recording.

        Args:
            samples: Counts of the converter, int16 [n] of beats, [n, channels] of segments.
            beats: The windows' own samples, int64 [k], ascending: the beats, or first samples.
        """

    def microvolt_per_lsb(self, gain: Int64Array, adc: Adc) -> npt.NDArray[np.float64]:
        """Return what one step of the signal input is at the electrodes, for each window's gain."""


def front_end_for(card: DatasetCard, adc: Adc) -> FrontEnd:
    """Return the front end that a data set's windows need, for a device's converter.

    Args:
        card: The data set; its table `window` says that it has segments.
        adc: The converter.

    Raises:
        ConfigurationError: No such front end is possible at that converter.
    """
    if card.window is not None:
        from edgeprune.data.segment_front_end import SegmentFrontEnd

        return SegmentFrontEnd.for_card(card, adc)
    from edgeprune.data.front_end import BeatFrontEnd

    return BeatFrontEnd.for_adc(adc)
