"""How numbers are written: grouped, with a true minus, never rounded to a claim."""

from __future__ import annotations

GROUP = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"

_MOST_DECIMALS = 9


def format_number(value: float, decimals: int | None = None) -> str:
    """Write a number for reading.

    Args:
        value: An integer or a finite float.
        decimals: Least decimals of a float. More are shown where rounding would turn a number that
            is not 0 or 1 into 0 or 1. Absent: up to six significant digits, as many as it needs.
    """
    if isinstance(value, int) or (decimals is None and value == int(value)):
        text = f"{int(value):,}"
    elif decimals is None:
        text = f"{value:,.6g}"
    else:
        text = f"{value:,.{decimals}f}"
        while decimals < _MOST_DECIMALS and value not in (0, 1) and float_of(text) in (0, 1):
            decimals += 1
            text = f"{value:,.{decimals}f}"
    return text.replace(",", GROUP).replace("-", MINUS)


def float_of(text: str) -> float:
    """Read a number written by `format_number`, or by Python."""
    return float(text.replace(GROUP, "").replace(",", "").replace(MINUS, "-"))
