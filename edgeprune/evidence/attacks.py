"""How far the networks' decisions withstand somebody who chooses the change of the signal."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.device import ParityRow
from edgeprune.evidence.quantity import Quantity, Spread


@dataclass(frozen=True)
class AttackCounts:
    """Windows that were attacked, and what became of their decisions.

    Attributes:
        name: What the windows have in common: a reference class or a recording.
        n: Windows attacked.
        right: Windows decided for the reference class without any change.
        turned: Of these, windows that a change was found for which turns the decision. Windows
            decided wrongly are not attacked.
        right_under_attack: Share of them that stay decided for the reference class; absent where
            only the counts are told.
    """

    name: str
    n: int
    right: int
    turned: int
    right_under_attack: Quantity | None = None


@dataclass(frozen=True)
class AttackOutcome:
    """One attack on one network within one ball, or the worst of several for every window.

    Attributes:
        attack: The attack's name, e.g. "apgd-ce", or "worst of all".
        counts: All windows.
        right_under_attack: Share of all windows that stay decided for the reference class.
        success: Share of the windows decided rightly before that the attack turned.
        classes: Per reference class.
        records: Per recording.
        queries: Decisions asked of the network for a window; absent where they were not counted.
    """

    attack: str
    counts: AttackCounts
    right_under_attack: Quantity
    success: Quantity
    classes: tuple[AttackCounts, ...] = ()
    records: tuple[AttackCounts, ...] = ()
    queries: Spread | None = None


@dataclass(frozen=True)
class BallAttacks:
    """All attacks within one ball.

    Attributes:
        text: The ball as it is written in the configuration, e.g. "linf:20uV".
        description: What may change, in plain words with units.
        norm: "linf", "l2", "l1" or "l0".
        size: Its size in `unit`.
        unit: "uV", "lsb" of the network's input, or "samples" for l0.
        attacks: Per attack.
        worst: Each window under whatever turned it, changes found for other balls and on other
            networks included where they lie within this ball.
    """

    text: str
    description: str
    norm: str
    size: float
    unit: str
    attacks: tuple[AttackOutcome, ...]
    worst: AttackOutcome


@dataclass(frozen=True)
class MinimumNorm:
    """An attack that seeks the least change which turns a decision, whatever its size.

    Attributes:
        attack: The attack's name, e.g. "fmn".
        norm: The norm that it makes small.
        unit: Unit of the sizes.
        counts: All windows.
        size: Sizes of the changes that turned decisions which were right; absent without any.
        median: Median size, counting windows that were not turned as beyond all others, with its
            interval clustered by patient; undefined where fewer than half were turned.
        classes: Per reference class.
    """

    attack: str
    norm: str
    unit: str
    counts: AttackCounts
    size: Spread | None
    median: Quantity
    classes: tuple[AttackCounts, ...] = ()


@dataclass(frozen=True)
class MaskingCheck:
    """A check that the attacks are as strong as they look (Athalye et al. 2018; Carlini 2019).

    Attributes:
        name: Short name, e.g. "monotone in size".
        question: What is checked, in words.
        holds: Whether it holds; absent where it could not be tried.
        found: The figures behind it, in words.
    """

    name: str
    question: str
    holds: bool | None
    found: str


@dataclass(frozen=True)
class NetworkAttacks:
    """All attacks on one stage of the network.

    Attributes:
        stage: "float", "pruned float" or "int8 as flashed".
        network_sha256: The integer network; absent for a float one.
        arithmetic: Which arithmetic decides that an attack succeeded.
        right_share: Share of the windows decided rightly without any change: where every curve
            begins.
        balls: Per ball, by norm and then by size.
        minimum: Attacks that seek the least change.
        checks: Checks against gradient masking.
    """

    stage: str
    network_sha256: str | None
    arithmetic: str
    right_share: Quantity
    balls: tuple[BallAttacks, ...]
    minimum: tuple[MinimumNorm, ...] = ()
    checks: tuple[MaskingCheck, ...] = ()


@dataclass(frozen=True)
class Transfer:
    """Changes found on one network, tried on another.

    Attributes:
        attack: The attack's name.
        ball: The ball as it is written.
        source: Stage that the changes were found on.
        target: Stage that they were tried on.
        source_success: Share of the windows that the source decided rightly which were turned.
        success: Share of the windows that the target decided rightly which the same changes turn.
    """

    attack: str
    ball: str
    source: str
    target: str
    source_success: Quantity
    success: Quantity


@dataclass(frozen=True)
class WorstWindow:
    """One window that an attack turned, to be drawn.

    Attributes:
        stage: The network attacked.
        attack: The attack's name.
        ball: The ball as it is written.
        record: Its recording.
        sample: Sample number of its beat in that recording.
        reference: Its reference class.
        before: What was decided without any change.
        after: What was decided of the changed window.
        size: Size of the change in `unit`.
        unit: Unit of `size`.
        rate_hz: Samples a second.
        beat_at: Index of the beat's own sample.
        raw_before: The window at the converter in uV, the converter's zero as 0.
        raw_after: The same after the change.
    """

    stage: str
    attack: str
    ball: str
    record: str
    sample: int
    reference: str
    before: str
    after: str
    size: float
    unit: str
    rate_hz: float
    beat_at: int
    raw_before: tuple[float, ...]
    raw_after: tuple[float, ...]


@dataclass(frozen=True)
class ProofCheck:
    """Attacks held against proofs: what is proved of a window, no attack may contradict.

    Attributes:
        compared: Changes that turned a decision and lie within some set that was verified for the
            same window, each counted once a set.
        proved: Windows and sets proved on the windows that were attacked.
        contradictions: Changes within a set that was proved for their window; any fails a build.
    """

    compared: int
    proved: int
    contradictions: int


@dataclass(frozen=True)
class AttackEvidence:
    """What attacks found, on which windows, and on which assumptions.

    Attributes:
        threat_model: What may change and what is held, in plain words.
        windows: Which windows were attacked and how they were chosen.
        settings: Steps, restarts and queries that an attack had, in words.
        networks: The network's history; the flashed one is the last.
        transfers: Changes tried on other networks than they were found on.
        worst: Windows to be drawn.
        proofs: The attacks held against what was proved; absent without proofs.
        replays: Changed windows run on the emulated device; the rows are in `parity` too.
    """

    threat_model: str
    windows: str
    settings: str
    networks: tuple[NetworkAttacks, ...]
    transfers: tuple[Transfer, ...] = ()
    worst: tuple[WorstWindow, ...] = ()
    proofs: ProofCheck | None = None
    replays: tuple[ParityRow, ...] = ()
