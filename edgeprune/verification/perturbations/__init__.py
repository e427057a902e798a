"""Perturbation sets in physical units at the converter, each an object of its own.

| text                   | what may happen                                                      |
|------------------------|----------------------------------------------------------------------|
| `linf:20uV`            | each raw sample by up to 20 uV                                        |
| `linf:2lsb`            | each value of the network's signal input by up to 2                   |

Parts are added with `+`: "gain:10%+linf:5uV". Whatever a set's size, samples stay within the
converter's range.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeprune.errors import ConfigurationError
from edgeprune.registry import Registry
from edgeprune.verification.perturbations.gain import Gain, Offset
from edgeprune.verification.perturbations.linf import LInfinity
from edgeprune.verification.perturbations.part import Part, Pieces
from edgeprune.verification.perturbations.perturbation import Perturbation
from edgeprune.verification.perturbations.sinusoid import Hum, Wander

PERTURBATIONS: Registry[Callable[[str, str], Part]] = Registry("perturbation")
for _family in (LInfinity, Gain, Offset, Wander, Hum):
    PERTURBATIONS.add(_family.name, _family.parse)

__all__ = ["PERTURBATIONS", "Part", "Perturbation", "Pieces", "parse_perturbation"]


def parse_perturbation(text: str) -> Perturbation:
    """Read a perturbation as it is written: "linf:20uV", "gain:10%+linf:5uV".

    Raises:
        UnknownNameError: No family or unit has that name.
        ConfigurationError: A size is missing, negative or without unit, or the parts do not add up.
    """
    parts = []
    for piece in text.replace(" ", "").split("+"):
        name, separator, size = piece.partition(":")
        parse = PERTURBATIONS.get(name, where=text)
        if not separator or not size:
            raise ConfigurationError(
                f"perturbation '{name}' has no size", where=text, hint="write NAME:SIZE, linf:20uV"
            )
        parts.append(parse(size, text))
    return Perturbation(tuple(parts))
