"""Amounts with units, as perturbations are written: "20uV", "50ms", "10%"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeprune.errors import ConfigurationError, UnknownNameError

_AMOUNT = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([^\s\d].*?)?\s*")
_SPELLINGS = {"µV": "uV", "μV": "uV", "percent": "%", "hz": "Hz"}
# Of a signal without known volts, thousandths of its RMS stand in the place of microvolts.
VOLTAGES = {"uV": 1.0, "mV": 1000.0, "rms": 1000.0}
TIMES = {"ms": 1.0, "s": 1000.0}
SHARES = {"%": 0.01, "ppm": 1e-6}


@dataclass(frozen=True)
class Amount:
    """A number and its unit."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"

    @property
    def microvolt(self) -> float:
        """A voltage in microvolts."""
        return self.value * VOLTAGES[self.unit]

    def check_unit(self, known: str, where: str) -> None:
        """Refuse volts of a signal that was normalised, and its RMS where volts are known.

        Args:
            known: "uV" or "rms", the unit of the converter's counts.
            where: For the error.

        Raises:
            ConfigurationError: As it says.
        """
        if self.unit in VOLTAGES and (self.unit == "rms") != (known == "rms"):
            normalised = known == "rms"
            raise ConfigurationError(
                f"'{self}' is of a signal in "
                + (
                    "volts, and this one was normalised"
                    if normalised
                    else "RMS, and this one is in uV"
                ),
                where=where,
                hint="give it as a share of the data's RMS, such as linf:0.005rms"
                if normalised
                else "give it in uV, such as linf:5uV",
            )

    @property
    def milliseconds(self) -> float:
        """A time in milliseconds."""
        return self.value * TIMES[self.unit]

    @property
    def share(self) -> float:
        """A share as a number: 10 % is 0.1."""
        return self.value * SHARES[self.unit]


def amount(text: str, units: tuple[str, ...], where: str) -> Amount:
    """Read a number and its unit.

    Args:
        text: Such as "20uV".
        units: Units that are taken; "" where a bare number is.
        where: The whole text, for the error.

    Raises:
        ConfigurationError: No number, a negative one, or none or another unit.
    """
    match = _AMOUNT.fullmatch(text)
    named = " or ".join(unit or "a bare number" for unit in units)
    if match is None:
        raise ConfigurationError(
            f"'{text}' is no amount", where=where, hint=f"a number and its unit: {named}"
        )
    value, unit = float(match[1]), _SPELLINGS.get(match[2] or "", match[2] or "")
    if unit not in units:
        what = f"{match[1]} has no unit" if not unit else ""
        if not what:
            raise UnknownNameError("unit here", unit, [each for each in units if each], where=where)
        raise ConfigurationError(what, where=where, hint=f"the unit can be {named}")
    if value < 0:
        raise ConfigurationError(f"'{text}' is negative", where=where, hint="sets have a size")
    return Amount(value, unit)
