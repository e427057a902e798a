"""Clamps without branches that depend on data."""

from __future__ import annotations

from edgeprune.firmware.kernels.thumb.emission import ThumbAssembler
from edgeprune.firmware.kernels.thumb.low_registers import load_number


def clamp_narrow(
    code: ThumbAssembler, value: str, spare: str, other: str, low: int, high: int
) -> None:
    """Clamp a number that counts from `low` to 0..high - low, then add `low`; for a byte store."""
    span = high - low
    code.put(f"asrs {spare},{value},#31", f"bics {value},{spare}")
    code.put(f"movs {spare},#{span}", f"subs {spare},{spare},{value}")
    if span == 255:
        code.put(f"asrs {spare},{spare},#31", f"orrs {value},{spare}")
    else:
        code.put(f"asrs {other},{spare},#31", f"ands {spare},{other}")
        code.put(f"adds {value},{value},{spare}")
    if low:
        code.put(f"{'adds' if low > 0 else 'subs'} {value},#{abs(low)}")


def bound_narrow(
    code: ThumbAssembler, value: str, spares: tuple[str, str], bound: int, *, least: bool
) -> None:
    """Keep a number at or above a bound, or at or below it."""
    first, second = spares
    load_number(code, first, bound)
    code.put(f"subs {first},{value},{first}", f"asrs {second},{first},#31")
    code.put(f"{'ands' if least else 'bics'} {first},{second}", f"subs {value},{value},{first}")


def clamp_wide(code: ThumbAssembler, value: str, low: int, high: int) -> None:
    """Clamp an int8 further, by conditional moves."""
    if low > -128:
        code.put(f"cmp {value},#{low}", "it lt", f"movlt {value},#{low}")
    if high < 127:
        code.put(f"cmp {value},#{high}", "it gt", f"movgt {value},#{high}")
