"""Perturbation sets in physical units at the converter, each an object of its own.

| text                 | what may happen                                                          |
|----------------------|--------------------------------------------------------------------------|
| `linf:20uV`          | each raw sample moves by up to 20 uV                                     |
| `linf:0.005rms`      | the same of a signal that its publisher normalised: a share of its RMS   |
| `l2:100uV`           | all together: the root of the sum of squares is up to 100 uV             |
| `l0:3`               | any 3 raw samples take any value                                         |
| `band:50ms`          | any 50 ms take any values                                                |
| `flat:50ms`          | any 50 ms hold one constant level, whichever (lead-off)                  |
| `gain:10%`           | the gain is wrong by up to 10 % either way                               |
| `offset:200uV`       | all samples are shifted by up to 200 uV                                  |
| `wander:500uV@0.5Hz` | a sinusoid of up to 500 uV, up to 0.5 Hz, any phase                      |
| `hum:100uV@50Hz`     | mains hum of up to 100 uV, any phase; `@50/60Hz`: of one of the two      |
| `blink:100uV`        | an eye blink of up to 100 uV, beginning at any sample (EEG);             |
|                      | `@1/0.35`: what each channel sees of it                                  |
| `pop:200uV`          | an electrode's step of up to 200 uV that decays, in any one channel      |
| `drift:1%`           | the sampling clock is off by up to 1 %                                   |
| `rr:8ms`             | the RR intervals before and after the beat are wrong by up to 8 ms each  |
| `linf:2lsb`          | each value of the network's signal input moves by up to 2          |
| `l2:5lsb`, `l0:3lsb` | the same of the signal input; `rr:2lsb` of the rhythm input             |

Parts are added with `+`: "gain:10%+linf:5uV". Whatever a set's size, samples stay within the
converter's range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgeprune.errors import ConfigurationError
from edgeprune.registry import Registry
from edgeprune.verification.perturbations.artefacts import Blink, Pop
from edgeprune.verification.perturbations.ball import L0, L2
from edgeprune.verification.perturbations.band import Band
from edgeprune.verification.perturbations.drift import Drift
from edgeprune.verification.perturbations.flat import Flat
from edgeprune.verification.perturbations.gain import Gain, Offset
from edgeprune.verification.perturbations.intervals import Intervals
from edgeprune.verification.perturbations.linf import LInfinity
from edgeprune.verification.perturbations.part import Part, Pieces
from edgeprune.verification.perturbations.perturbation import Perturbation
from edgeprune.verification.perturbations.sinusoid import Hum, Wander

PERTURBATIONS: Registry[Callable[[str, str], Part]] = Registry("perturbation")
_FAMILIES = (LInfinity, L2, L0, Band, Flat, Gain, Offset, Wander, Hum, Blink, Pop, Drift, Intervals)
for _family in _FAMILIES:
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
    _check_sum(parts, text)
    return Perturbation(tuple(parts))


def _check_sum(parts: Sequence[Part], text: str) -> None:
    """Refuse sums of which nobody could say what is in them.

    Raises:
        ConfigurationError: As it says.
    """
    hint = "sums are of gain, offset, wander, hum, drift, or of one other; then linf, then rr"
    main = list(parts)
    if len(main) > 1 and isinstance(main[-1], Intervals):
        main.pop()
    if len(main) > 1 and isinstance(main[-1], LInfinity):
        main.pop()
    apart = any(part.in_counts or part.whole_moves for part in main)
    if (len(main) > 1 and apart) or (len(parts) > 1 and isinstance(main[0], Intervals)):
        raise ConfigurationError("these cannot be added", where=text, hint=hint)
    if len({part.of_inputs for part in parts}) > 1:
        what = "raw samples and the network's inputs cannot be added"
        raise ConfigurationError(what, where=text, hint="give all sizes in LSB, or none")
