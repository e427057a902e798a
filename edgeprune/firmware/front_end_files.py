"""The front end's files: the header with the ring that a converter needs."""

from __future__ import annotations

from edgeprune.data.front_end import FrontEnd
from edgeprune.resources import resource_folder


def front_end_ring(front_end: FrontEnd) -> int:
    """Return how many raw samples the device's front end keeps: a power of two."""
    return int(1 << (sum(front_end.reach) + front_end.factor).bit_length())


def front_end_header(front_end: FrontEnd) -> str:
    """Return the header of the front end, its ring as short as this converter allows."""
    path = resource_folder("firmware_export") / "runtime" / "edgeprune_front_end.h"
    text = path.read_text(encoding="utf-8")
    mark = "#ifndef EDGEPRUNE_FRONT_END_RING\n"
    ring = f"#define EDGEPRUNE_FRONT_END_RING {front_end_ring(front_end)}\n"
    return text.replace(mark, ring + mark, 1)
