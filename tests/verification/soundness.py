"""Is what a prover claims true? Every member of small input sets is run to find out.

`search(prover, seeds)` counts the claims and gathers whatever brute force contradicts. A prover is
any function from a TinyCase to Claims; those of the package are in `tests.verification.provers`,
and `tests.verification.mutations` breaks them on purpose to see that this search would notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgeprune.network.tensor import Int8Array
from tests.verification.tiny_networks import TinyCase

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Claims:
    """What a prover says of the windows of one case; what it leaves out is not compared.

    Args:
        proved: Whether each window's decision holds for its whole set [windows].
        falsified: For each falsified window inputs that are decided otherwise.
        low: Lower bounds of tensors (the output's are the logits'), by name [windows, ...].
        high: Their upper bounds.
        values: What else low and high speak of, for every member [members, ...].
        margins: Lower bounds of logit[decision] - logit[class] [windows, classes]; the decision's
            own is not read.
        least_margin: Lower bounds of the least of these margins [windows].
        unsettled: Windows neither proved nor falsified.
    """

    proved: npt.NDArray[np.bool_] | None = None
    falsified: Mapping[int, tuple[Int8Array, ...]] = field(default_factory=dict)
    low: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    high: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    values: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    margins: Floats | None = None
    least_margin: Floats | None = None
    unsettled: int = 0


Prover = Callable[[TinyCase], Claims]


@dataclass(frozen=True)
class Contradiction:
    """A claim that brute force refutes."""

    seed: int
    window: int
    what: str


@dataclass(frozen=True)
class Search:
    """What a search over many networks found.

    Args:
        networks: Networks tried.
        windows: Input sets enumerated.
        members: Inputs run.
        proved: Windows proved.
        falsified: Windows falsified.
        holds: Windows whose decision does hold for all members.
        unsettled: Windows of which a complete prover says neither.
        contradictions: Claims that are not true.
    """

    networks: int
    windows: int
    members: int
    proved: int
    falsified: int
    holds: int
    unsettled: int
    contradictions: tuple[Contradiction, ...]


def search(
    prover: Prover,
    seeds: Iterable[int],
    *,
    draw: Callable[[int], TinyCase],
    stop_at_first: bool = False,
) -> Search:
    """Compare a prover's claims with brute force on the network of each seed."""
    networks = windows = members = proved = falsified = holds = unsettled = 0
    found: list[Contradiction] = []
    for seed in seeds:
        case = draw(seed)
        claims = prover(case)
        found += contradictions(case, claims)
        networks += 1
        windows += case.windows
        members += len(case.owner)
        proved += 0 if claims.proved is None else int(claims.proved.sum())
        falsified += len(claims.falsified)
        holds += int(case.holds.sum())
        unsettled += claims.unsettled
        if found and stop_at_first:
            break
    return Search(networks, windows, members, proved, falsified, holds, unsettled, tuple(found))


def contradictions(case: TinyCase, claims: Claims) -> list[Contradiction]:
    """Return the claims about one case that are not true."""
    found = []
    for window in range(case.windows):
        reasons = [
            *_wrong_proof(case, claims, window),
            *_wrong_counterexample(case, claims, window),
            *_wrong_bounds(case, claims, window),
            *_wrong_margins(case, claims, window),
        ]
        found += [Contradiction(case.seed, window, reason) for reason in reasons]
    return found


def _wrong_proof(case: TinyCase, claims: Claims, window: int) -> Iterable[str]:
    if claims.proved is not None and claims.proved[window] and not case.holds[window]:
        yield "proved, and a member is decided otherwise"


def _wrong_counterexample(case: TinyCase, claims: Claims, window: int) -> Iterable[str]:
    inputs = claims.falsified.get(window)
    if inputs is None:
        return
    mine = case.owner == window
    same = np.ones(int(mine.sum()), np.bool_)
    for value, members in zip(inputs, case.members, strict=True):
        same &= (members[mine] == value).reshape(len(same), -1).all(axis=1)
    if case.complete and not same.any():
        yield "the counterexample is no member of the set"
    if case.network.predict(*(value[np.newaxis] for value in inputs))[0] == case.decisions[window]:
        yield "the counterexample is decided alike"


def _wrong_bounds(case: TinyCase, claims: Claims, window: int) -> Iterable[str]:
    mine = case.owner == window
    values = {**case.layers, **claims.values}
    for name, low in claims.low.items():
        least = values[name][mine].min(axis=0)
        if (least < low[window]).any():
            yield f"'{name}' falls below its lower bound"
    for name, high in claims.high.items():
        greatest = values[name][mine].max(axis=0)
        if (greatest > high[window]).any():
            yield f"'{name}' rises above its upper bound"


def _wrong_margins(case: TinyCase, claims: Claims, window: int) -> Iterable[str]:
    others = [each for each in range(case.logits.shape[1]) if each != case.decisions[window]]
    if claims.least_margin is not None:
        least = min((case.least_margin(window, other) for other in others), default=0)
        if least < claims.least_margin[window]:
            yield f"the least margin falls to {least}, below its bound"
    if claims.margins is None:
        return
    for other in others:
        least = case.least_margin(window, other)
        if least < claims.margins[window, other]:
            yield f"the margin to class {other} falls to {least}, below its bound"
