"""Reading disturbances as configurations write them."""

from __future__ import annotations

import re

from edgeprune.disturbances.disturbance import DISTURBANCES, Disturbance, Surroundings
from edgeprune.errors import ConfigurationError

_WRITTEN = re.compile(
    r"(?P<name>[a-z0-9-]+):(?P<severity>[+-]?\d+(\.\d+)?)(?P<unit>[A-Za-z%]*)(@(?P<option>\S+))?"
)


def parse_disturbance(text: str, surroundings: Surroundings | None = None) -> Disturbance:
    """Read a disturbance of one severity: "electrode-motion:6dB", "mains-hum:200uV@60Hz".

    Args:
        text: NAME:SEVERITY with the family's unit, and what the family lets be chosen behind "@".
        surroundings: What disturbances draw on beside the recording.

    Raises:
        UnknownNameError: No family has that name.
        ConfigurationError: The severity, its unit or the choice cannot be used.
    """
    written = re.sub(r"\s", "", text)
    family = DISTURBANCES.get(written.partition(":")[0], where=text)
    example = f"{family.name}:{family.severities[0]:g}{family.unit}"
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise ConfigurationError(
            f"disturbance '{family.name}' has no severity",
            where=text,
            hint=f"write NAME:SEVERITY, {example}",
        )
    if match["unit"] != family.unit:
        raise ConfigurationError(
            f"the severity of '{family.name}' is in {family.unit or 'no unit'}, "
            f"not in {match['unit'] or 'none'}",
            where=text,
            hint=f"write {example}",
        )
    severity = float(match["severity"])
    if not family.lowest <= severity <= family.highest:
        raise ConfigurationError(
            f"the severity of '{family.name}' is {family.lowest:g} to {family.highest:g} "
            f"{family.unit}".rstrip(),
            where=text,
            hint=f"write {example}",
        )
    return family.make(severity, match["option"] or "", surroundings or Surroundings())


def parse_family(text: str, surroundings: Surroundings | None = None) -> tuple[Disturbance, ...]:
    """Read a family and take its default grid: "electrode-motion", "mains-hum@60Hz".

    Returns:
        The disturbances from mild to severe; one alone where `text` names a severity.

    Raises:
        UnknownNameError: No family has that name.
        ConfigurationError: See `parse_disturbance`.
    """
    written = re.sub(r"\s", "", text)
    if ":" in written:
        return (parse_disturbance(written, surroundings),)
    name, at, option = written.partition("@")
    family = DISTURBANCES.get(name, where=text)
    return tuple(
        parse_disturbance(f"{name}:{severity:g}{family.unit}{at}{option}", surroundings)
        for severity in family.severities
    )
