"""What was proved of the integer network that is flashed, and of what it was made from."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity, Spread


@dataclass(frozen=True)
class OutcomeCounts:
    """Outcomes of some windows; the kinds of outcome are never merged.

    Attributes:
        name: What the windows have in common: a reference class or a recording.
        n: Windows tried.
        proved: Windows whose decision no change within the set can alter.
        falsified: Windows whose decision a change was found to alter.
        unknown: Windows about which nothing was shown.
        timeout: Windows about which nothing was shown when their time was over.
        proved_and_right: Proved windows whose decision is also the reference class.
        right_unless_attacked: Windows decided for the reference class that no attack altered:
            what `proved_and_right` could be at most.
    """

    name: str
    n: int
    proved: int
    falsified: int
    unknown: int
    timeout: int
    proved_and_right: int
    right_unless_attacked: int


@dataclass(frozen=True)
class MethodCounts:
    """Windows that one method settled, or that were left when it ended.

    Attributes:
        method: "interval", "linear", "branching" or "attack".
        windows: How many.
        milliseconds: Processor time that one of them took, all methods before it included; absent
            where no time limit was set, so that equal builds end in equal bytes.
    """

    method: str
    windows: int
    milliseconds: Spread | None = None


@dataclass(frozen=True)
class PerturbationCertificates:
    """Outcomes under one perturbation set.

    Attributes:
        text: The set as it is written in the configuration, e.g. "linf:20uV".
        description: What may happen, in plain words with units.
        family: The set's name without its size, e.g. "linf".
        radius: Its size in `unit`, where one number says it; else absent.
        unit: Unit of the radius, e.g. "uV".
        outcomes: All windows.
        proved_share: Share of windows proved.
        proved_and_right_share: Share of windows proved and right.
        attack_limit: Share of windows right and not falsified: no proof can reach beyond.
        classes: Per reference class.
        records: Per recording.
        methods: Per method.
    """

    text: str
    description: str
    family: str
    radius: float | None
    unit: str
    outcomes: OutcomeCounts
    proved_share: Quantity
    proved_and_right_share: Quantity
    attack_limit: Quantity
    classes: tuple[OutcomeCounts, ...] = ()
    records: tuple[OutcomeCounts, ...] = ()
    methods: tuple[MethodCounts, ...] = ()


@dataclass(frozen=True)
class NetworkCertificates:
    """Everything proved of one stage of the network.

    Attributes:
        stage: "float", "pruned float" or "int8 as flashed".
        network_sha256: The integer network; absent for a float one.
        arithmetic: Which arithmetic the proofs are about.
        method: How it was proved.
        right_share: Share of the windows decided rightly without any change: where every curve
            begins.
        perturbations: Per set.
    """

    stage: str
    network_sha256: str | None
    arithmetic: str
    method: str
    right_share: Quantity
    perturbations: tuple[PerturbationCertificates, ...]


@dataclass(frozen=True)
class CertificateFile:
    """A file of certificates that someone else can check.

    Attributes:
        path: Where it is in the result directory.
        perturbation: What it is about.
        certificates: Proofs and counterexamples in it.
        checked: How many of them the independent checker recomputed for this evidence.
        accepted: How many of these it accepted.
    """

    path: str
    perturbation: str
    certificates: int
    checked: int
    accepted: int


@dataclass(frozen=True)
class CertificateEvidence:
    """What was proved, for which windows, and on which assumptions.

    Attributes:
        runtime: "firmware" for the exact arithmetic that is flashed, "any" for every arithmetic
            whose layers round within one step of it.
        threat_model: What may change and what is held, in plain words.
        seconds: Processor time that a window might take; absent where only bounds and attacks were
            tried.
        windows: Which windows were tried and how they were chosen.
        networks: The network's history, as far as it was verified; the flashed one is the last.
        files: Certificates to be checked by others.
    """

    runtime: str
    threat_model: str
    seconds: float | None
    windows: str
    networks: tuple[NetworkCertificates, ...]
    files: tuple[CertificateFile, ...] = ()
