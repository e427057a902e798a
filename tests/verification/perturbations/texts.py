"""Every family as it is written, with sizes that matter."""

from __future__ import annotations

QUICK = ["linf:20uV", "gain:10%", "offset:200uV"]
PARAMETRIC = [
    "gain:10%",
    "offset:0.2mV",
    "hum:100uV@50Hz",
    "hum:60uV@50/60Hz",
    "wander:500uV@0.5Hz",
    "gain:5%+hum:50uV@50Hz",
]
SUMS = ["gain:10%+linf:5uV", "gain:5%+hum:50uV@50Hz+linf:10uV"]
RAW = [*dict.fromkeys([*QUICK, *PARAMETRIC, *SUMS])]
# Convex and so large that rounding to counts hardly matters: the support is attained.
HOMOGENEOUS = ["linf:20uV", "linf:1mV", "wander:1mV@0.5Hz"]
