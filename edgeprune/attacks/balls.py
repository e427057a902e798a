"""Norm balls about raw windows, in physical units at the electrodes, with exact membership.

A member is a window of whole counts within the converter's range whose change from the recorded
window is at most so large. Membership is decided in integers; positions between counts are what
gradient steps pass through on their way. Sizes are in microvolts (at the converter's weight of a
count), in LSB of the network's input where no converter is known, or in samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeprune.attacks import projections
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.verification.falsify import Windows
from edgeprune.verification.outcomes import BoolArray, Int16Array
from edgeprune.verification.perturbations.part import converter, counts, movable
from edgeprune.verification.perturbations.quantity import Amount, amount

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

NORMS = ("linf", "l1", "l2", "l0")
# A size this near below a whole count is that count: 20 uV are 4 counts of 5 uV in any float.
_NEAR = 1e-9


@dataclass(frozen=True)
class Ball:
    """All windows whose change is at most so large in a norm.

    | norm | size of a change                               | unit      |
    |------|------------------------------------------------|-----------|
    | linf | largest change of a sample                     | uV or LSB |
    | l2   | root of the sum of squares over all samples    | uV or LSB |
    | l1   | sum of absolute changes over all samples       | uV or LSB |
    | l0   | samples that changed, by whatever              | samples   |

    Args:
        norm: One of `NORMS`.
        size: Largest change, in `unit`; infinite for attacks that look for the least change.
        unit: "uV", "rms" (of a signal that was normalised), "lsb" (of a network's input; the only
            one for `HeldInputs`), or "" for samples.

    Raises:
        UnknownNameError: No such norm.
        ConfigurationError: The size is negative or no number, or the unit does not fit the norm.
    """

    norm: str
    size: float = math.inf
    unit: str = "uV"

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise UnknownNameError("norm", self.norm, NORMS)
        if self.norm == "l0" and self.unit == "uV":
            object.__setattr__(self, "unit", "")
        if self.unit not in (("",) if self.norm == "l0" else ("uV", "rms", "lsb")):
            raise ConfigurationError(
                f"{self.norm} has no sizes in '{self.unit}'",
                where=self.norm,
                hint="l0 is in samples; other norms are in uV (rms of a normalised signal), or "
                "lsb of the network's input",
            )
        if math.isnan(self.size) or self.size < 0:
            raise ConfigurationError(f"{self.size} is no size of a ball", where=self.norm)

    @staticmethod
    def parse(text: str) -> Ball:
        """Read "linf:20uV", "l2:0.5mV", "l1:5lsb", "l0:3", or a norm alone ("l2": any size).

        Raises:
            UnknownNameError: No such norm or unit.
            ConfigurationError: The size is missing, negative, or has no unit.
        """
        norm, separator, size = text.replace(" ", "").partition(":")
        if norm not in NORMS:
            raise UnknownNameError("norm", norm, NORMS, where=text)
        if not separator:
            return Ball(norm)
        if norm == "l0":
            samples = amount(size, ("",), text).value
            if samples != int(samples):
                raise ConfigurationError(f"'{text}' is no whole number", where=text, hint="l0:3")
            return Ball(norm, samples, "")
        found = amount(size, ("uV", "mV", "rms", "lsb"), text)
        if found.unit in ("lsb", "rms"):
            return Ball(norm, found.value, found.unit)
        return Ball(norm, found.microvolt)

    @property
    def text(self) -> str:
        """As it is written; `Ball.parse` reads it again."""
        if self.is_unbounded:
            return self.norm
        return f"{self.norm}:{self.size:.12g}{self.unit}"

    @property
    def is_unbounded(self) -> bool:
        """Whether only the converter's range bounds the change."""
        return math.isinf(self.size)

    def of_size(self, size: float) -> Ball:
        """Return the ball of the same norm and unit with another size."""
        return replace(self, size=size)

    def describe(self) -> str:
        """Return which changes are members, in plain words with units."""
        words = {"lsb": "LSB of the network's input", "": "samples", "rms": "of the RMS"}
        unit = words.get(self.unit, self.unit)
        kinds = {
            "linf": "each sample changes by at most {}",
            "l2": "the root of the sum of all squared changes is at most {}",
            "l1": "all changes together are at most {}",
            "l0": "at most {} take any value of the converter's range",
        }
        size = "whatever the converter can deliver" if self.is_unbounded else f"{self.size:g}"
        return kinds[self.norm].format(f"{size} {unit}")

    def radius(self, held: Windows) -> float:
        """Return the size in counts (LSB for inputs), samples for l0; whole for linf and l0.

        Raises:
            ConfigurationError: The size is in microvolts and no converter is known, or in LSB and
                the windows are raw samples.
        """
        if self.is_unbounded:
            return self.size
        self._check_unit(held)
        if self.norm == "l0":
            return float(math.floor(self.size))
        radius = counts(Amount(self.size, self.unit), held)
        return float(math.floor(radius + _NEAR)) if self.norm == "linf" else radius

    def limits(self, held: Windows) -> tuple[Float64Array, Float64Array]:
        """Return the least and greatest change of every sample by itself, both [n, reach].

        The converter's range cuts them; samples that are not the signal's may not change.
        """
        least, greatest = held.count_range
        raw = held.raw.astype(np.float64)
        low, high = np.minimum(least - raw, 0), np.maximum(greatest - raw, 0)
        if self.norm != "l0":
            radius = self.radius(held)
            low, high = np.maximum(low, -radius), np.minimum(high, radius)
        low[:, movable(held) :] = high[:, movable(held) :] = 0
        return low, high

    def contains(self, held: Windows, raw: Int16Array) -> BoolArray:
        """Return which windows' `raw` int16 [n, reach] is a member, exactly: bool [n]."""
        least, greatest = held.count_range
        change = raw.astype(np.int64) - held.raw
        count = movable(held)
        signal = raw[:, :count]
        inside = ((signal >= least) & (signal <= greatest)).all(axis=1)
        inside &= (change[:, count:] == 0).all(axis=1)
        return np.asarray(inside & (self._measured(change) <= self._budget(held)))

    def norm_of(self, held: Windows, raw: Int16Array) -> Float64Array:
        """Return the size of each change in `unit`: float64 [n]."""
        size = self._measured(raw.astype(np.int64) - held.raw).astype(np.float64)
        if self.norm == "l2":
            size = np.sqrt(size)
        if self.unit in ("uV", "rms"):
            unit = getattr(converter(held).adc, "unit", "uV") if self.is_unbounded else self.unit
            size = size / counts(Amount(1.0, unit), held)
        return np.asarray(size)

    def project(self, held: Windows, position: Float64Array) -> Float64Array:
        """Return the nearest positions, in the Euclidean sense, of the ball within the range.

        Args:
            held: The windows [n].
            position: float64 counts [n, reach].

        Returns:
            float64 counts [n, reach]; for l0 the largest changes are kept.
        """
        low, high = self.limits(held)
        change = position - held.raw
        if self.is_unbounded or self.norm == "linf":
            moved = np.clip(change, low, high)
        elif self.norm == "l2":
            moved = projections.onto_l2(change, low, high, self.radius(held))
        elif self.norm == "l1":
            moved = projections.onto_l1(change, low, high, self.radius(held))
        else:
            moved = projections.onto_l0(change, low, high, int(self.radius(held)))
        return np.asarray(held.raw + moved)

    def rounded(self, held: Windows, position: Float64Array) -> Int16Array:
        """Return members of whole counts near positions [n, reach]: int16 [n, reach].

        Positions are projected first. Counts are then rounded to the nearest where the norm lets
        them, towards the recorded window where it does not; those that gain most come first.
        """
        low, high = self.limits(held)
        change = self.project(held, position) - held.raw
        if self.norm in ("l1", "l2") and not self.is_unbounded:
            whole = projections.whole_counts(change, self._budget(held), squares=self.norm == "l2")
        else:
            whole = np.rint(change)
        return np.asarray(held.raw + np.clip(whole, low, high)).astype(np.int16)

    def random(self, held: Windows, generator: np.random.Generator) -> Int16Array:
        """Return one member drawn for each window: int16 [n, reach].

        linf: uniform. l2 and l1: a uniform direction at a uniform share of the size, l1 with few
        samples. l0: any samples at any values.
        """
        low, high = self.limits(held)
        if self.norm == "linf" or self.is_unbounded:
            change = generator.uniform(low, high)
        elif self.norm == "l0":
            worth = generator.uniform(size=low.shape) * (low < high)
            kept = projections.largest(worth, int(self.radius(held)))
            change = np.where(kept, generator.uniform(low, high), 0.0)
        else:
            direction = generator.normal(size=low.shape)
            direction[:, movable(held) :] = 0
            if self.norm == "l1":
                direction = generator.laplace(size=low.shape) * (low < high)
            power = 2 if self.norm == "l2" else 1
            length = (np.abs(direction) ** power).sum(axis=1, keepdims=True) ** (1 / power)
            share = generator.uniform(size=(len(direction), 1))
            change = direction / np.maximum(length, 1e-300) * share * self.radius(held)
        return self.rounded(held, held.raw + change)

    def steepest(self, held: Windows, slope: Float64Array) -> Float64Array:
        """Return the positions of the ball that go (nearly) farthest along slopes [n, reach].

        Exact for linf and l0 and, the range aside, for l2; l1 spends its size on the samples with
        the steepest slopes, each as far as the range lets it.

        Returns:
            float64 counts [n, reach].
        """
        low, high = self.limits(held)
        corner = np.where(slope > 0, high, np.where(slope < 0, low, 0.0))
        if self.norm == "linf" or self.is_unbounded:
            return np.asarray(held.raw + corner)
        if self.norm == "l0":
            kept = projections.largest(corner * slope, int(self.radius(held)))
            return np.asarray(held.raw + np.where(kept, corner, 0.0))
        if self.norm == "l1":
            return np.asarray(held.raw + projections.spent(corner, slope, self.radius(held)))
        length = np.sqrt((slope * slope).sum(axis=1, keepdims=True))
        # Beyond the ball, so that samples at the end of their range leave their share to others.
        far = 4 * self.radius(held) * slope / np.maximum(length, 1e-300)
        return self.project(held, held.raw + far)

    def _measured(self, change: Int64Array) -> Int64Array:
        """Return the size of whole changes: the squares' sum for l2 [n]."""
        if self.norm == "linf":
            return np.asarray(np.abs(change).max(axis=1))
        if self.norm == "l2":
            return np.asarray((change * change).sum(axis=1))
        if self.norm == "l1":
            return np.asarray(np.abs(change).sum(axis=1))
        return np.asarray((change != 0).sum(axis=1))

    def _budget(self, held: Windows) -> float:
        """Return what `_measured` may be at most."""
        radius = self.radius(held)
        if self.norm == "l2":
            return radius * radius * (1 + 1e-12)
        return radius + _NEAR if self.norm == "l1" else radius

    def _check_unit(self, held: Windows) -> None:
        raw = hasattr(held, "adc")
        if self.unit == "lsb" and raw:
            raise ConfigurationError(
                "raw samples are not measured in LSB of the network's input",
                where=self.text,
                hint="give the size in uV, or attack HeldInputs.of(held)",
            )
