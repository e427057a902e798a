"""Every family as it is written, with sizes that matter."""

from __future__ import annotations

QUICK = [
    "linf:20uV",
    "gain:10%",
    "offset:200uV",
    "l2:300uV",
    "l0:3",
    "band:50ms",
    "flat:60ms",
    "band:20ms+linf:10uV",
    "flat:30ms+linf:10uV",
    "l0:2+linf:10uV",
    "l2:200uV+linf:5uV",
    "drift:1%",
    "rr:12ms",
    "linf:20uV+rr:8ms",
    "gain:10%+rr:8ms",
]
PARAMETRIC = [
    "gain:10%",
    "offset:0.2mV",
    "hum:100uV@50Hz",
    "hum:60uV@50/60Hz",
    "wander:500uV@0.5Hz",
    "gain:5%+hum:50uV@50Hz",
    "drift:1%",
    "flat:60ms",
    "blink:200uV",
    "pop:300uV",
]
SUMS = ["gain:10%+linf:5uV", "gain:5%+hum:50uV@50Hz+linf:10uV", "drift:1%+linf:5uV"]
RAW = [*dict.fromkeys([*QUICK, *PARAMETRIC, *SUMS])]
# Convex and so large that rounding to counts hardly matters: the support is attained.
HOMOGENEOUS = [
    "linf:20uV",
    "linf:1mV",
    "l2:1mV",
    "l0:3",
    "band:50ms",
    "flat:60ms",
    "wander:1mV@0.5Hz",
]
