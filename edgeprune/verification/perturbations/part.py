"""One family of changes: what `Perturbation` adds up, rounds and clips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edgeprune.data.held import HeldWindows
from edgeprune.data.held_front_end import HeldBeats, conditioning_matrix
from edgeprune.data.held_segments import HeldSegments
from edgeprune.errors import ConfigurationError
from edgeprune.verification.held_inputs import Held, HeldInputs
from edgeprune.verification.input_sets import BoolArray, FloatArray, Int64Array, Selection, Shape
from edgeprune.verification.perturbations.quantity import VOLTAGES, Amount

Int16Array = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Pieces:
    """Parts of the parameter sets of low-dimensional perturbations.

    Attributes:
        row: The window that each piece is of, int64 [p].
        low: Least parameters, float64 [p, dimensions].
        high: Greatest parameters.
    """

    row: Int64Array
    low: FloatArray
    high: FloatArray

    def __len__(self) -> int:
        return len(self.row)

    def select(self, rows: Selection) -> Pieces:
        """Return some pieces."""
        return Pieces(self.row[rows], self.low[rows], self.high[rows])


@dataclass(frozen=True, eq=False)
class Changes:
    """What a part can change.

    Attributes:
        shape: The set of changes of the blocks; None where the box below is all there is to say.
        low: Least change of every single raw value, float64 [n, size].
        high: Greatest change.
    """

    shape: Shape | None
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class Linear:
    """Changes that are linear in some parameters: constant + columns @ parameters.

    Attributes:
        constant: float64 [n, size].
        columns: float64 [n, size, k].
        low: Least parameters [k].
        high: Greatest parameters [k].
        radius: The parameters lie in a disc of this radius; None where they do not.
    """

    constant: FloatArray
    columns: FloatArray
    low: tuple[float, ...]
    high: tuple[float, ...]
    radius: float | None = None


class Part(ABC):
    """A family of changes with its size; a frozen dataclass for each family.

    Attributes:
        name: What the family is called in texts.
        in_counts: The changes are whole counts, added after the converter; others are voltages,
            added before it.
        rounds: The converter rounds what the part adds.
        of_signal: The part moves the signal; others move what is beside it in raw.
        dimensions: Parameters that the set can be split by, 0 for none.
        whole_moves: Which parameters made a change is found by trying all (`explain`), and nothing
            but linf can be added.
    """

    name: ClassVar[str]
    in_counts: ClassVar[bool] = False
    rounds: ClassVar[bool] = True
    of_signal: ClassVar[bool] = True
    dimensions: ClassVar[int] = 0
    whole_moves: ClassVar[bool] = False

    @property
    @abstractmethod
    def text(self) -> str:
        """The part as it is written, "linf:20uV"."""

    @abstractmethod
    def describe(self) -> str:
        """Return what may happen, in plain words with units."""

    @property
    def of_inputs(self) -> bool:
        """The part moves the network's inputs themselves."""
        return False

    def whole(self, held: Held) -> list[tuple[FloatArray, FloatArray]]:
        """Return the parameter sets, as alternatives: least and greatest [n, dimensions] each."""
        none = np.zeros((len(held), self.dimensions))
        return [(none, none)]

    def at(self, held: Held, parameters: FloatArray) -> FloatArray:
        """Return the change [n, size] that parameters [n, dimensions] make."""
        raise NotImplementedError

    def allows(self, held: Held, parameters: FloatArray) -> BoolArray:
        """Return which parameters [n, dimensions] within the ranges are of the set."""
        del parameters
        return np.ones(len(held), np.bool_)

    def effects(self, held: Held, low: FloatArray, high: FloatArray) -> FloatArray:
        """Return what each parameter's range changes at most of a conditioned sample.

        The other parameters are where they are largest: float64 [n, dimensions].
        """
        largest = np.where(np.abs(high) > np.abs(low), high, low)
        beats = converter(held)
        effects = np.zeros(low.shape)
        for parameter in range(self.dimensions):
            ends = []
            for end in (low, high):
                moved = largest.copy()
                moved[:, parameter] = end[:, parameter]
                ends.append(self.at(held, moved))
            effects[:, parameter] = np.abs(conditioned(beats, ends[1] - ends[0])).max(axis=1)
        return effects

    @abstractmethod
    def changes(self, held: Held, low: FloatArray, high: FloatArray) -> Changes:
        """Return what the parameters between `low` and `high` [n, dimensions] can change."""

    @abstractmethod
    def random(self, held: Held, generator: np.random.Generator) -> FloatArray:
        """Return one change drawn for each window [n, size]."""

    @abstractmethod
    def best(self, held: Held, weights: FloatArray) -> FloatArray:
        """Return changes that make <weights, change> (nearly) greatest; both [n, size]."""

    def contains(self, held: Held, low: FloatArray, high: FloatArray) -> BoolArray:
        """Return for which windows some change lies between `low` and `high` [n, size]."""
        from edgeprune.verification.perturbations.feasibility import feasible

        return feasible(held, (self,), low, high)

    def explain(self, held: Held, low: FloatArray, high: FloatArray) -> FloatArray | None:
        """Return parameters whose change lies between `low` and `high` [size] of one window.

        Of parts with `whole_moves` alone.
        """
        raise NotImplementedError

    def linear(self, held: Held, bend: FloatArray) -> Linear:
        """Return the changes as linear in all parameters but `bend` [n, bends].

        Raises:
            ConfigurationError: The changes of this part have no parameters.
        """
        raise ConfigurationError(
            f"'{self.text}' cannot be added to another perturbation but linf",
            where="verification.perturbations",
        )

    def bends(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """Return the ranges of the parameters that the changes are not linear in: alternatives."""
        return ((),)

    def widen(self, held: Held, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the limits that remain for the other parts, this one being free [n, size].

        Raises:
            ConfigurationError: This part cannot be the rest of a sum.
        """
        del held, low, high
        raise ConfigurationError(
            f"'{self.text}' cannot be added to another perturbation",
            where="verification.perturbations",
            hint="what is added last can be linf",
        )

    def project(self, held: Held, change: FloatArray) -> FloatArray | None:
        """Return changes of the set near `change` [n, size]; None where that makes no sense."""
        del held, change
        return None


def counts(size: Amount, held: Held) -> float:
    """Return a voltage, or LSB, in units of what moves.

    Raises:
        ConfigurationError: A voltage, and there is no converter to tell what it is in counts, or
            one whose counts are of another unit.
    """
    if size.unit not in VOLTAGES:
        return size.value
    adc = converter(held).adc
    size.check_unit(adc.unit, "verification.perturbations")
    return size.microvolt / adc.microvolt_per_count


def converter(held: Held) -> HeldWindows:
    """Return the windows at a converter.

    Raises:
        ConfigurationError: Only a network's inputs are known.
    """
    if isinstance(held, HeldWindows):
        return held
    raise ConfigurationError(
        "a set in physical units needs the raw samples and the front end",
        where="verification.perturbations",
        hint="networks without edgeprune's front end take sets in LSB, such as linf:2lsb",
    )


def movable(held: Held) -> int:
    """Return how many leading values of `raw` a set of the signal may move."""
    if isinstance(held, HeldInputs):
        return held.sizes[0]
    return held.samples if isinstance(held, HeldWindows) else held.raw.shape[1]


def block_size(held: Held) -> int:
    """Return how many neighbouring raw values share their effect on the network's input."""
    return held.front_end.factor if isinstance(held, HeldWindows) else 1


def free_range(held: Held) -> tuple[FloatArray, FloatArray]:
    """Return the changes that lead to the ends of the converter's range, both [n, size]."""
    least, greatest = held.count_range
    raw = held.raw.astype(np.float64)
    low, high = least - raw, greatest - raw
    low[:, movable(held) :], high[:, movable(held) :] = 0, 0
    return low, high


def blocks_of(held: Held, values: FloatArray) -> FloatArray:
    """Return raw values [..., size] summed to the blocks that the network's input depends on."""
    used = values[..., : movable(held)]
    if isinstance(held, HeldWindows):
        factor = held.front_end.factor
        used = used.reshape(*used.shape[:-1], -1, factor).sum(axis=-1)
    return np.asarray(used)


def conditioned(held: HeldWindows, change: FloatArray) -> FloatArray:
    """Return what a change of the raw values [n, size] does to the conditioned samples."""
    if isinstance(held, HeldBeats):
        matrix = conditioning_matrix(held.front_end).astype(np.float64)
        return np.asarray(change[:, : held.samples] @ matrix)
    return blocks_of(held, change)


def along_raw(held: Held, directions: FloatArray) -> FloatArray:
    """Return directions in the space of `CorrelatedInput`'s change as weights of raw [n, size]."""
    weights = np.zeros(held.raw.shape)
    if isinstance(held, HeldBeats):
        matrix = conditioning_matrix(held.front_end).astype(np.float64)
        weights[:, : held.samples] = directions @ matrix.T
    else:
        weights[:, : movable(held)] = np.repeat(directions, block_size(held), axis=1)
    return weights


def one_lead(held: Held, text: str) -> None:
    """Refuse a set of stretches of one lead where samples of several channels lie side by side.

    Raises:
        ConfigurationError: As it says.
    """
    if isinstance(held, HeldSegments) and held.front_end.channels > 1:
        raise ConfigurationError(
            f"'{text}' is of one lead, and these segments have {held.front_end.channels} channels",
            where="verification.perturbations",
            hint="take linf, l2, l0, gain, offset, wander, hum or drift",
        )
