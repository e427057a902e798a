"""Windows at the converter, of whichever front end: how they are made, joined and read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.front_ends import SEGMENTS, FrontEnd
from edgeprune.data.held_front_end import HeldBeats, hold, join
from edgeprune.data.held_segments import HeldSegments, hold_segments, join_segments
from edgeprune.data.integer_arithmetic import Int16Array, Int64Array
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.targets import Adc

# Windows of which the raw counts are known; where only a network's inputs are, it is none of these.
HeldWindows: TypeAlias = HeldBeats | HeldSegments


def hold_windows(
    front_end: FrontEnd, adc: Adc, samples: Int16Array, beats: Int64Array, chosen: Int64Array
) -> HeldWindows:
    """Return some windows of a recording with what the device remembered at each.

    Args:
        front_end: What made the windows.
        adc: The converter that the samples came from.
        samples: The whole recording, int16 [m] of beats, [m, channels] of segments.
        beats: Samples of all its windows, int64 [k], ascending.
        chosen: Indices of those to return.
    """
    if isinstance(front_end, SegmentFrontEnd):
        return hold_segments(front_end, adc, samples, beats[chosen])
    return hold(cast(BeatFrontEnd, front_end), adc, samples, beats, chosen)


def join_held(parts: Sequence[HeldWindows]) -> HeldWindows:
    """Return the windows of all parts, which share converter and front end."""
    if isinstance(parts[0], HeldSegments):
        return join_segments(cast(Sequence[HeldSegments], parts))
    return join(cast(Sequence[HeldBeats], parts))


def load_held(path: Path) -> HeldWindows:
    """Read what the windows' `save` wrote."""
    with np.load(path, allow_pickle=False) as content:
        kind = json.loads(str(content["constants"])).get("kind")
    return HeldSegments.load(path) if kind == SEGMENTS else HeldBeats.load(path)
