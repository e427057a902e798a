"""Certificates checked one by one: what is claimed is recomputed, and nothing else is believed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from edgeprune.certificate_checker.bounds import (
    BITS,
    CHANGE,
    Region,
    Side,
    descend,
    explore,
    nodes,
)
from edgeprune.certificate_checker.families import Parameters, Space
from edgeprune.certificate_checker.file import METHODS, OUTCOMES, File, Plain
from edgeprune.certificate_checker.lines import INTERCEPT_BITS, relax
from edgeprune.certificate_checker.network import Network, Step, read_network
from edgeprune.certificate_checker.sets import Changes, Perturbation, covers
from edgeprune.certificate_checker.stairs import LEAST, MOST, Ints, Refused

# A split's multiplier is stored times 2 to this.
MULTIPLIER_BITS = 44


@dataclass(frozen=True)
class Verdict:
    """What the checker says of one certificate.

    Attributes:
        window: Its number in the file.
        outcome: What the certificate claims.
        method: How it claims to show it.
        accepted: Whether the claim was recomputed; `unknown` and `timeout` claim nothing but the
            decision.
        reason: Why not.
        seconds: What it took.
    """

    window: int
    outcome: str
    method: str
    accepted: bool
    reason: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """What the checker says of a file.

    Attributes:
        accepted: All of it holds.
        problem: What is wrong with the file as a whole.
        verdicts: One for each certificate that was checked.
    """

    accepted: bool
    problem: str
    verdicts: tuple[Verdict, ...]


def check(
    certificates: Path,
    network: Path,
    windows: Path | None = None,
    chosen: Sequence[int] | None = None,
    tell: Callable[[Verdict], None] | None = None,
) -> Report:
    """Check a file of certificates against the network's file.

    Args:
        certificates: The file.
        network: The network's own file.
        windows: The data set's windows; with these, what was held is compared with the data too.
        chosen: Numbers of the certificates to check; all by default.
        tell: Called with each verdict.
    """
    try:
        file = File.read(certificates)
        subject = read_network(network, off_by_one=file.runtime == "any")
        file.require_consistent(subject)
        if windows is not None:
            file.require_from(windows)
    except Refused as problem:
        return Report(False, str(problem), ())
    verdicts = []
    for window in range(file.count) if chosen is None else chosen:
        verdicts.append(_verdict(file, subject, window))
        if tell is not None:
            tell(verdicts[-1])
    return Report(all(each.accepted for each in verdicts), "", tuple(verdicts))


def _verdict(file: File, network: Network, window: int) -> Verdict:
    started, reason = time.perf_counter(), ""
    outcome = OUTCOMES[int(file.column("outcome")[window])]
    method = METHODS[int(file.column("method")[window])]
    try:
        Claim(file, network, window).require(outcome, method)
    except Refused as refusal:
        reason = str(refusal)
    except (IndexError, KeyError, ValueError, TypeError, OverflowError) as error:
        reason = f"the certificate cannot be read ({error!r})"
    return Verdict(window, outcome, method, not reason, reason, time.perf_counter() - started)


class Claim:
    """One certificate, and what it takes to recompute it."""

    def __init__(self, file: File, network: Network, window: int) -> None:
        self.file, self.network, self.window = file, network, window
        self.held = file.held(window)
        self.decision = int(file.column("decision")[window])
        self.set = Perturbation.read(str(file.header["perturbation"]))
        if self.set.of_inputs and file.converter is not None:
            self.held = Plain(self.held.inputs(self.held.raw))
        converter = None if isinstance(self.held, Plain) else file.converter
        counts = (LEAST, MOST) if converter is None else converter.counts
        self.space = Space(self.held.raw, counts, converter)
        self.front = self.held.step(network.inputs[0])

    def require(self, outcome: str, method: str) -> None:
        """Refuse the certificate unless its claim can be recomputed."""
        if self._decide(self.held.raw) != self.decision:
            raise Refused("the network decides otherwise for the unchanged window")
        if outcome == "falsified":
            self._require_counterexample()
        elif outcome == "proved":
            self._require_proof(method)

    def _decide(self, raw: Ints) -> int:
        given = self.held.inputs(raw)[: len(self.network.inputs)]
        return int(self.network.run(given).argmax())

    def _require_counterexample(self) -> None:
        (row,) = self.file.rows("counterexample_window", self.window)
        raw = self.file.column("counterexample_raw", 2)[row]
        given = self.file.column("counterexample_parameters", 2, "f")[row].tolist()
        if not self.set.contains(self.space, raw, [Fraction(each) for each in given]):
            raise Refused("the counterexample is no member of the set")
        if self._decide(raw) == self.decision:
            raise Refused("the counterexample does not change the decision")

    def _require_proof(self, method: str) -> None:
        leaves = self.file.rows("leaf_window", self.window)
        if not len(leaves):
            raise Refused("there is no proof")
        methods = [METHODS[each] for each in self.file.column("leaf_method")[leaves]]
        if method == "attack" or (method != "branching" and {*methods} != {method}):
            raise Refused(f"the proof is not by the method '{method}'")
        if method != "branching" and len(leaves) > 1:
            raise Refused("a proof without branching has more than one leaf")
        pieces = self.file.column("leaf_piece")[leaves]
        alternatives = self.set.whole(self.space)
        if -1 in pieces:
            if len({*pieces.tolist()}) > 1:
                raise Refused("a leaf without a piece stands beside others")
            # It is about all of the set: each of its alternatives is to be shown.
            for each in alternatives:
                self._require_piece(each, leaves)
            return
        parameters = {int(each): self._piece(int(each)) for each in np.unique(pieces)}
        if not all(covers(each, [*parameters.values()]) for each in alternatives):
            raise Refused("the pieces do not cover the set")
        for piece, each in parameters.items():
            self._require_piece(each, leaves[pieces == piece])

    def _piece(self, number: int) -> Parameters:
        low, high = self.file.column("pieces", 3, "f")[number]
        return tuple(
            (Fraction(a), Fraction(b)) for a, b in zip(low.tolist(), high.tolist(), strict=True)
        )

    def _require_piece(self, parameters: Parameters, leaves: Ints) -> None:
        sides = [self._sides(int(leaf)) for leaf in leaves]
        if not _complete(sides):
            raise Refused("the leaves of the split tree do not cover the set")
        change = self.set.changes(self.space, parameters)
        methods = self.file.column("leaf_method")[leaves]
        if len(leaves) == 1 and METHODS[int(methods[0])] == "interval":
            region = self._fresh(change)
            explore(region, {}, {}, directly=False)
            if not self._doubt(region):
                return
        numbers = self.file.column("leaf_refined")[leaves]
        regions = {
            number: self._region(change, self._refined(number)) for number in np.unique(numbers)
        }
        for leaf, held, number in zip(leaves.tolist(), sides, numbers.tolist(), strict=True):
            region = regions[number]
            if held:
                known, region = region, self._fresh(change)
                explore(region, {}, {}, held, known.sums)
            if not region.empty:
                self._require_leaf(region, leaf, held)

    def _fresh(self, change: Changes) -> Region:
        low, high = {CHANGE: change.low}, {CHANGE: change.high}
        for name in self.network.inputs[1:]:
            low[name], high[name] = self.held.rhythm(change)
        return Region(self.network, self.front, change, low, high)

    def _region(self, change: Changes, refined: Mapping[str, Ints]) -> Region:
        region = self._fresh(change)
        explore(region, refined, {})
        return region

    def _refined(self, number: int) -> dict[str, Ints]:
        rows = self.file.rows("refined_set", number)
        steps, neurons = (self.file.column(f"refined_{c}")[rows] for c in ("step", "neuron"))
        names = self.file.header["steps"]
        return {names[step]: np.unique(neurons[steps == step]) for step in np.unique(steps)}

    def _sides(self, leaf: int) -> list[Side]:
        names, columns = self.file.header["steps"], ("step", "neuron", "at", "upper")
        table = [self.file.column(f"split_{each}") for each in columns]
        rows = self.file.rows("split_leaf", leaf)
        # The first two are what is in front of the network's own steps: its inputs.
        names = [self.front.name, self.network.inputs[-1], *names]
        entries = zip(*(values[rows].tolist() for values in table), strict=True)
        return [Side(names[step], neuron, at, bool(upper)) for step, neuron, at, upper in entries]

    def _require_leaf(self, region: Region, leaf: int, sides: Sequence[Side]) -> None:
        low = region.low[self.network.output]
        method = METHODS[int(self.file.column("leaf_method")[leaf])]
        own = self.decision
        for rival in self._doubt(region):
            if method != "linear":
                raise Refused(f"intervals do not keep class {own} above class {rival}")
            goal = np.zeros((1, len(low)), np.int64)
            goal[0, own], goal[0, rival] = 1 << BITS, -1 << BITS
            lines = {
                step.name: relax(step, *region.sums[step.name], ratios)
                for step, ratios in self._ratios(leaf, rival)
            }
            row = self.file.rows("split_leaf", leaf)
            scale = self.file.column("multiplier", 2)[row, rival] if len(row) else []
            weights = [
                (side, _multiplier(int(each), region, side))
                for side, each in zip(sides, scale, strict=True)
            ]
            least = descend(
                region,
                len(nodes(region)),
                {self.network.output: goal},
                BITS,
                region.lines | lines,
                weights,
            )
            if not int(least[0]) > (self._needed(rival) - 1) << (BITS + INTERCEPT_BITS):
                reached = int(least[0]) / 2 ** (BITS + INTERCEPT_BITS)
                raise Refused(
                    f"class {own} is only shown to be more than {reached:.3f} above class {rival}"
                )

    def _needed(self, rival: int) -> int:
        """Return the margin that decides: logits are whole, and the first of equal ones wins."""
        return 1 if rival < self.decision else 0

    def _doubt(self, region: Region) -> list[int]:
        """Return the classes that intervals of the logits leave a chance."""
        low, high = region.low[self.network.output], region.high[self.network.output]
        gaps = low[self.decision] - high
        rivals = [each for each in range(len(low)) if each != self.decision]
        return [rival for rival in rivals if gaps[rival] < self._needed(rival)]

    def _ratios(self, leaf: int, rival: int) -> list[tuple[Step, Ints]]:
        """Return the slopes that the file has for a leaf and a rival class."""
        rows = self.file.rows("slope_leaf", leaf)
        classes = self.file.column("slope_class")[rows]
        rows = rows[(classes == rival) | (classes == -1)]
        steps, neurons = (self.file.column(f"slope_{c}")[rows] for c in ("step", "neuron"))
        pairs = [self.file.column(f"slope_{c}")[rows] for c in ("lower", "upper")]
        if not len(rows):
            return []
        known = self.file.header["steps"]
        found = []
        for step in (each for each in self.network.nodes if isinstance(each, Step)):
            # A neuron that is not named has lines of slope 0.
            own, ratios = steps == known.index(step.name), np.zeros((2, len(step.rows)), np.int64)
            ratios[0, neurons[own]], ratios[1, neurons[own]] = pairs[0][own], pairs[1][own]
            found.append((step, ratios))
        return found


def _multiplier(stored: int, region: Region, side: Side) -> Ints:
    if stored < 0:
        raise Refused("a multiplier is negative")
    bits = BITS + region.lines[side.step].shift - MULTIPLIER_BITS
    return np.array([stored << bits if bits >= 0 else stored >> -bits], object)


def _complete(leaves: Sequence[Sequence[Side]], depth: int = 0) -> bool:
    """Whether the leaves' splits, read from the root down, form a tree without a missing branch."""
    if any(len(leaf) == depth for leaf in leaves):
        return len(leaves) == 1
    below = [leaf for leaf in leaves if not leaf[depth].upper]
    above = [leaf for leaf in leaves if leaf[depth].upper]
    if not below or not above:
        return False
    places = {(leaf[depth].step, leaf[depth].neuron) for leaf in leaves}
    least, most = (
        {leaf[depth].at for leaf in below},
        {leaf[depth].at for leaf in above},
    )
    # Accumulators are whole numbers: at most t, or at least t + 1.
    touching = len(least) == len(most) == 1 and max(most) <= min(least) + 1
    parted = len(places) == 1 and touching
    return parted and _complete(below, depth + 1) and _complete(above, depth + 1)
