"""A perturbation set: the sum of its parts, through the converter.

The model of the converter: with x the counts that were recorded, h the voltages that the parts add
(in counts) and u the whole counts that others add,

    x' = clip(round(x + h) + u),

clipped to the converter's range. A member is any x' of that form, ties rounded either way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from edgeprune.data.held import HeldWindows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.data.held_segments import HeldSegments
from edgeprune.verification.held_inputs import Held, HeldInputs
from edgeprune.verification.input_sets import (
    BoolArray,
    FloatArray,
    InputSets,
    Shape,
)
from edgeprune.verification.perturbations.front_end_sets import front_end_sets, plain_sets
from edgeprune.verification.perturbations.intervals import interval_box
from edgeprune.verification.perturbations.part import (
    Changes,
    Part,
    Pieces,
    along_raw,
    blocks_of,
    movable,
)
from edgeprune.verification.perturbations.segment_sets import segment_sets
from edgeprune.verification.perturbations.shapes import BoxShape, CommonShape, SumShape, UnionShape

Int16Array = npt.NDArray[np.int16]
# Parameters are compared with a tolerance far below what rounding to counts lets one see.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Perturbation:
    """What may happen to a beat's raw samples, or to a network's inputs.

    Attributes:
        parts: What is added up.
    """

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The perturbation as it is written; `parse_perturbation` reads it again."""
        return "+".join(part.text for part in self.parts)

    def describe(self) -> str:
        """Return what may happen, in plain words with units."""
        return "; and ".join(part.describe() for part in self.parts)

    @property
    def of_inputs(self) -> bool:
        """The set is one of the network's inputs (LSB) and not of raw samples."""
        return self.parts[0].of_inputs

    @property
    def dimensions(self) -> int:
        """Parameters that the set can be split by; 0 where it cannot."""
        return sum(part.dimensions for part in self.parts)

    def place(self, held: HeldWindows | HeldInputs) -> HeldWindows | HeldInputs:
        """Return the space that `raw` of all methods is of: raw samples, or flattened inputs."""
        if not isinstance(held, HeldWindows):
            return held
        if self.of_inputs:
            return HeldInputs.of(held)
        return held if self._beside is None else held.with_intervals()

    def whole(self, held: HeldWindows | HeldInputs) -> Pieces:
        """Return the parameter sets of all windows: one piece each, or one for each alternative."""
        place = self.place(held)
        rows = np.arange(len(held))
        parts = []
        for chosen in product(*(part.whole(place) for part in self.parts)):
            low = np.concatenate([low for low, _ in chosen], axis=1)
            high = np.concatenate([high for _, high in chosen], axis=1)
            parts.append(Pieces(rows, low, high))
        return Pieces(
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.high for part in parts]),
        )

    def split(self, held: HeldWindows | HeldInputs, pieces: Pieces) -> Pieces:
        """Return both halves of each piece [2 p], cut where it changes the samples most.

        The halves of piece i are 2 i and 2 i + 1.

        Raises:
            ValueError: The set has no parameters.
        """
        if not self.dimensions:
            raise ValueError(f"'{self.text}' has no parameters to split")
        place = self.place(held).select(pieces.row)
        effects, start = [], 0
        for part in self.parts:
            end = start + part.dimensions
            effects.append(part.effects(place, pieces.low[:, start:end], pieces.high[:, start:end]))
            start = end
        along = np.concatenate(effects, axis=1).argmax(axis=1)
        rows = np.arange(len(pieces))
        middle = (pieces.low[rows, along] + pieces.high[rows, along]) / 2
        low, high = np.repeat(pieces.low, 2, axis=0), np.repeat(pieces.high, 2, axis=0)
        high[2 * rows, along] = middle
        low[2 * rows + 1, along] = middle
        return Pieces(np.repeat(pieces.row, 2), low, high)

    def input_sets(self, held: HeldWindows | HeldInputs, pieces: Pieces | None = None) -> InputSets:
        """Return what the network's inputs can be.

        Args:
            held: The windows [n].
            pieces: Parts of the sets; their union over all pieces of a window covers its members.

        Returns:
            One set for each window, or for each piece.
        """
        place = self.place(held)
        if pieces is not None:
            place = place.select(pieces.row)
            shape = self._shape(place, pieces.low, pieces.high)
        else:
            whole = self.whole(held)
            count = len(whole) // max(1, len(held))
            cuts = [slice(k * len(held), (k + 1) * len(held)) for k in range(count)]
            shapes = [self._shape(place, whole.low[cut], whole.high[cut]) for cut in cuts]
            shape = shapes[0] if count == 1 else UnionShape(tuple(shapes))
        rest = self._moves_beside(place)
        if isinstance(place, HeldBeats):
            intervals = None if rest is None else interval_box(place, *rest)
            return front_end_sets(place, shape, intervals)
        if isinstance(place, HeldSegments):
            return segment_sets(place, shape)
        return plain_sets(place, shape, rest)

    def contains(self, held: HeldWindows | HeldInputs, raw: Int16Array) -> BoolArray:
        """Return which windows' `raw` [n, size] is a member of their sets."""
        place = self.place(held)
        change = raw.astype(np.float64) - place.raw
        count = movable(place)
        within = (change[:, count:] == 0).all(axis=1)
        if self._beside is not None:
            beside = np.where(np.arange(change.shape[1]) < count, 0, change)
            within = self._beside.contains(place, beside, beside)
        least, greatest = place.count_range
        signal = raw[:, :count]
        within &= ((signal >= least) & (signal <= greatest)).all(axis=1)
        low, high = change.copy(), change.copy()
        if self._rounds:
            low, high = low - 0.5 - _TOLERANCE, high + 0.5 + _TOLERANCE
        # What the converter cut may have been more; what is beside the signal is seen to above.
        low[raw == least] = -np.inf
        high[raw == greatest] = np.inf
        low[:, count:], high[:, count:] = -np.inf, np.inf
        parts = self._moving
        if not parts:
            return np.asarray(within & (change[:, :count] == 0).all(axis=1))
        main = [part for part in parts if not part.in_counts] or list(parts[:1])
        for rest in parts:
            if rest not in main:
                low, high = rest.widen(place, low, high)
        if len(main) == 1:
            return np.asarray(within & main[0].contains(place, low, high))
        from edgeprune.verification.perturbations.feasibility import feasible

        return np.asarray(within & feasible(place, tuple(main), low, high))

    def random(self, held: HeldWindows | HeldInputs, generator: np.random.Generator) -> Int16Array:
        """Return one member drawn for each window, int16 [n, size]."""
        place = self.place(held)
        return self._through(place, [part.random(place, generator) for part in self.parts])

    def vertex(self, held: HeldWindows | HeldInputs, directions: FloatArray) -> Int16Array:
        """Return the members that (nearly) make <direction, change of the signal> greatest.

        Args:
            held: The windows [n].
            directions: float64 [n, length], in the space of `CorrelatedInput`'s change.

        Returns:
            int16 [n, size].
        """
        place = self.place(held)
        weights = along_raw(place, directions)
        return self._through(place, [part.best(place, weights) for part in self.parts])

    def realise(self, held: HeldWindows | HeldInputs, parameters: FloatArray) -> Int16Array:
        """Return the members with given parameters [n, dimensions], nothing else being changed."""
        place = self.place(held)
        changes, start = [], 0
        for part in self.parts:
            end = start + part.dimensions
            chosen = parameters[:, start:end]
            zero = np.zeros(place.raw.shape)
            changes.append(part.at(place, chosen) if part.dimensions else zero)
            start = end
        return self._through(place, changes)

    def contains_parameters(
        self, held: HeldWindows | HeldInputs, pieces: Pieces, parameters: FloatArray
    ) -> BoolArray:
        """Return which parameters [p, dimensions] of pieces are of the sets at all.

        Pieces are boxes and may reach beyond: a sinusoid's amplitudes lie in a disc.
        """
        place = self.place(held).select(pieces.row)
        inside, start = np.ones(len(pieces), np.bool_), 0
        for part in self.parts:
            end = start + part.dimensions
            inside &= part.allows(place, parameters[:, start:end])
            start = end
        return inside

    def project(self, held: HeldWindows | HeldInputs, raw: Int16Array) -> Int16Array | None:
        """Return the member near `raw` [n, size]; None where only whole moves make sense."""
        place = self.place(held)
        if len(self.parts) > 1:
            return None
        change = self.parts[0].project(place, raw.astype(np.float64) - place.raw)
        return None if change is None else self._through(place, [change])

    @property
    def _rounds(self) -> bool:
        return any(part.rounds for part in self.parts)

    @property
    def _moving(self) -> tuple[Part, ...]:
        """The parts that move the signal."""
        return tuple(part for part in self.parts if part.of_signal)

    @property
    def _beside(self) -> Part | None:
        """The part, if any, that moves what is beside the signal."""
        return next((part for part in self.parts if not part.of_signal), None)

    def _through(self, place: Held, changes: list[FloatArray]) -> Int16Array:
        """Return what the converter makes of the parts' changes."""
        voltage, whole = place.raw.astype(np.float64), np.zeros(place.raw.shape)
        count = movable(place)
        for part, change in zip(self.parts, changes, strict=True):
            where = slice(0, count) if part.of_signal else slice(count, None)
            target = whole if part.in_counts else voltage
            target[:, where] += change[:, where]
        result = np.rint(voltage) + whole
        result[:, :count] = np.clip(result[:, :count], *place.count_range)
        return np.asarray(result, np.int16)

    def _shape(self, place: Held, low: FloatArray, high: FloatArray) -> Shape:
        """Return the changes of the blocks for the parameters between `low` and `high`."""
        raw = place.raw.astype(np.float64)
        nothing = np.zeros(raw.shape)
        parts = [Changes(None, nothing, nothing)]
        start = 0
        for part in self._moving:
            end = start + part.dimensions
            parts.append(part.changes(place, low[:, start:end], high[:, start:end]))
            start = end
        least = np.asarray(sum(each.low for each in parts))
        greatest = np.asarray(sum(each.high for each in parts))
        rounding = 0.5 + _TOLERANCE if self._rounds else 0.0
        free = [each.shape for each in parts if each.shape is not None]
        cut_low = np.maximum(place.count_range[0] - (raw + least), 0)
        cut_high = np.maximum(raw + greatest - place.count_range[1], 0)
        first = np.clip(np.ceil(raw + least - rounding), *place.count_range)
        last = np.clip(np.floor(raw + greatest + rounding), *place.count_range)
        # Between two whole counts lies none: such a piece is empty, and any set covers it.
        last = np.maximum(first, last)
        box = BoxShape(blocks_of(place, first - raw), blocks_of(place, last - raw))
        if not free:
            return box
        boxed = [each for each in parts if each.shape is None]
        rest = BoxShape(
            blocks_of(place, sum((each.low for each in boxed), -cut_high - rounding)),
            blocks_of(place, sum((each.high for each in boxed), cut_low + rounding)),
        )
        return CommonShape((SumShape((*free, rest)), box))

    def _moves_beside(self, place: Held) -> tuple[FloatArray, FloatArray] | None:
        """Return the least and greatest changes of what is beside the signal, if any moves."""
        if self._beside is None:
            return None
        none = np.zeros((len(place), 0))
        changes = self._beside.changes(place, none, none)
        return changes.low[:, movable(place) :], changes.high[:, movable(place) :]
