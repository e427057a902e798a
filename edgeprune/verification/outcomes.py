"""What verification found about each window, and the counts that are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeprune.data.windows import Windows
from edgeprune.network.tensor import Int8Array, Int64Array

Int16Array = npt.NDArray[np.int16]
BoolArray = npt.NDArray[np.bool_]


class Outcome(StrEnum):
    """What is known about a window's decision over the set; the four are never merged."""

    PROVED = "proved"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"


class Method(StrEnum):
    """What settled a window, or what was tried last."""

    INTERVAL = "interval"
    LINEAR = "linear"
    BRANCHING = "branching"
    ATTACK = "attack"


class Runtime(StrEnum):
    """Whose arithmetic a proof is about.

    `firmware` is the exact integer arithmetic; with `any` every layer that rounds may be one LSB
    off, in every value and in either direction.
    """

    FIRMWARE = "firmware"
    ANY = "any"


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A member of the set that the network decides otherwise, on the exact arithmetic.

    Args:
        raw: int16 [reach], what the converter would have to measure; None for sets that are
            described at the network's input.
        inputs: What the network then reads, int8, one array for each of its inputs.
        logits: int8 [classes].
        decision: The class that it decides for.
    """

    raw: Int16Array | None
    inputs: tuple[Int8Array, ...]
    logits: Int8Array
    decision: int


class Split(NamedTuple):
    """One side of a threshold: `value >= threshold`, or `value <= threshold`.

    Siblings in a tree are `value <= t - 1` and `value >= t`: what is split is an integer.

    Attributes:
        node: Number of the node in the bound graph: a Step, whose accumulator is meant, or a
            Source, whose value is meant.
        neuron: The element.
        threshold: The end of this side, included.
        above: Whether it is the upper side.
    """

    node: int
    neuron: int
    threshold: float
    above: bool


@dataclass(frozen=True, eq=False)
class Lines:
    """The choices that make a linear bound; whoever has them can compute it again.

    Args:
        lower: By the number of the Step node, slopes of the lines below, one row for all
            objectives or one for each, float64 [1 or k, size].
        upper: The same above.
        multipliers: Lagrange multipliers >= 0 of the leaf's splits, float64 [splits, k].
        refined: By the number of the Step node, which accumulators were bounded by backward passes
            of their own, without the leaf's splits, bool [size].
    """

    lower: dict[int, npt.NDArray[np.float64]]
    upper: dict[int, npt.NDArray[np.float64]]
    multipliers: npt.NDArray[np.float64]
    refined: dict[int, BoolArray]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A part of the set, and why the decision holds on it.

    Args:
        method: INTERVAL or LINEAR.
        piece: Least and greatest parameters of the part of the perturbation that the leaf is about,
            float64 [2, dimensions]; None for the whole set.
        splits: From the root of the tree downwards, within the piece.
        lines: Of the linear bounds; None for interval bounds.
        lower: Proved lower bounds of `logit[decision] - logit[other]` for all other classes, in
            order, float64 [classes - 1].
    """

    method: Method
    piece: npt.NDArray[np.float64] | None
    splits: tuple[Split, ...]
    lines: Lines | None
    lower: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Proof:
    """The leaves whose union is the whole set.

    Pieces are halved and splits are made one at a time, so that the leaves are those of a binary
    tree for each piece.

    Args:
        leaves: In any order.
    """

    leaves: tuple[Leaf, ...]


@dataclass(frozen=True, eq=False)
class WindowResult:
    """What is known about one window.

    Args:
        outcome: The outcome.
        method: What settled it; for `unknown` and `timeout`, what was tried last.
        decision: The class that the network decides for without any change.
        seconds: Its share of the time: that of a batch is divided by its windows.
        margin: Best lower bound of the least margin `logit[decision] - logit[other]`; of a
            falsified window, the margin of its counterexample.
        counterexample: Of a falsified window, else None.
        proof: Of a proved window, else None.
    """

    outcome: Outcome
    method: Method
    decision: int
    seconds: float
    margin: float
    counterexample: Counterexample | None = None
    proof: Proof | None = None


@dataclass(frozen=True)
class OutcomeTally:
    """Outcomes of some windows.

    Args:
        name: What the windows have in common: a class, a recording, or all.
        n: Windows tried.
        proved: Decisions that cannot change within the set.
        falsified: Decisions that a counterexample changes.
        unknown: Nothing more could be split, and nothing is shown.
        timeout: The time ran out.
        proved_and_right: Proved windows whose decision is also the reference class.
        attacked_and_right: Windows that are not falsified and decided for the reference class: the
            limit that the strongest attack sets to `proved_and_right`.
    """

    name: str
    n: int
    proved: int
    falsified: int
    unknown: int
    timeout: int
    proved_and_right: int
    attacked_and_right: int

    @property
    def share(self) -> float:
        """Share of windows proved and right; 0 of none."""
        return self.proved_and_right / self.n if self.n else 0.0

    @property
    def limit(self) -> float:
        """Share of windows that are right and that no attack changed; 0 of none."""
        return self.attacked_and_right / self.n if self.n else 0.0


@dataclass(frozen=True, eq=False)
class VerificationRun:
    """Outcomes of some windows under one perturbation.

    Args:
        perturbation: Its text, as `parse_perturbation` reads it.
        network_sha256: The network.
        runtime: Whose arithmetic the proofs are about.
        windows: Labels, recordings and class names of the windows.
        results: One for each window, in the same order.
        held: The beats with their raw counts and what the front end remembered (`HeldBeats`), or
            what else the set was made from: a certificate needs it.
    """

    perturbation: str
    network_sha256: str
    runtime: Runtime
    windows: Windows
    results: tuple[WindowResult, ...]
    held: Any

    def mask(self, outcome: Outcome) -> BoolArray:
        """Return which windows have that outcome [n]."""
        return np.array([result.outcome == outcome for result in self.results], np.bool_)

    @property
    def decisions(self) -> Int64Array:
        """What the network decided without any change [n]."""
        return np.array([result.decision for result in self.results], np.int64)

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Time of each window [n]."""
        return np.array([result.seconds for result in self.results], np.float64)

    @property
    def total(self) -> OutcomeTally:
        """All windows."""
        return self._tally("all", np.ones(len(self.results), np.bool_))

    def by_class(self) -> tuple[OutcomeTally, ...]:
        """Return the windows of each reference class."""
        return tuple(
            self._tally(name, self.windows.label == number)
            for number, name in enumerate(self.windows.class_names)
        )

    def by_record(self) -> tuple[OutcomeTally, ...]:
        """Return the windows of each recording that has any."""
        return tuple(
            self._tally(self.windows.record_names[number], self.windows.record == number)
            for number in np.unique(self.windows.record).tolist()
        )

    def _tally(self, name: str, chosen: BoolArray) -> OutcomeTally:
        counts = {outcome: int((self.mask(outcome) & chosen).sum()) for outcome in Outcome}
        right = chosen & (self.decisions == self.windows.label)
        return OutcomeTally(
            name,
            int(chosen.sum()),
            counts[Outcome.PROVED],
            counts[Outcome.FALSIFIED],
            counts[Outcome.UNKNOWN],
            counts[Outcome.TIMEOUT],
            int((right & self.mask(Outcome.PROVED)).sum()),
            int((right & ~self.mask(Outcome.FALSIFIED)).sum()),
        )
