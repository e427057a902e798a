"""The front end's files: the header with the ring that a converter needs."""

from __future__ import annotations

from edgeprune.data.front_ends import FrontEnd
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.resources import resource_folder


def front_end_ring(front_end: FrontEnd) -> int:
    """Return how many raw samples the device's front end keeps: a power of two."""
    return int(1 << (sum(front_end.reach) + front_end.factor).bit_length())


def front_end_name(front_end: FrontEnd) -> str:
    """Return what the front end's C files are called."""
    is_segments = isinstance(front_end, SegmentFrontEnd)
    return "edgeprune_segments" if is_segments else "edgeprune_front_end"


def front_end_header(front_end: FrontEnd) -> str:
    """Return the header of the front end, its ring as short as this converter allows."""
    if isinstance(front_end, SegmentFrontEnd):
        return _segments_header(front_end)
    path = resource_folder("firmware_export") / "runtime" / "edgeprune_front_end.h"
    text = path.read_text(encoding="utf-8")
    mark = "#ifndef EDGEPRUNE_FRONT_END_RING\n"
    ring = f"#define EDGEPRUNE_FRONT_END_RING {front_end_ring(front_end)}\n"
    return text.replace(mark, ring + mark, 1)


def _segments_header(front_end: SegmentFrontEnd) -> str:
    """Return the header of segments, with room for exactly these windows."""
    path = resource_folder("firmware_export") / "runtime" / "edgeprune_segments.h"
    text = path.read_text(encoding="utf-8")
    length, channels = front_end.signal_shape
    for name, value in (("BYTES", length * channels), ("CHANNELS", channels)):
        mark = f"#ifndef EDGEPRUNE_SEGMENTS_{name}\n"
        text = text.replace(mark, f"#define EDGEPRUNE_SEGMENTS_{name} {value}\n{mark}", 1)
    return text
