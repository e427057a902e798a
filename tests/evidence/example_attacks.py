"""Made-up attacks and disturbances for the example evidence: every figure is invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeprune.evaluation import Bootstrap, Decisions, right_share, score
from edgeprune.evaluation.attacks import WORST, attack_outcome, success_share
from edgeprune.evidence import (
    AttackEvidence,
    BallAttacks,
    DisturbanceCurve,
    DisturbanceEvidence,
    MaskingCheck,
    MinimumNorm,
    NetworkAttacks,
    ParityRow,
    ProofCheck,
    Quantity,
    SeverityPoint,
    Spread,
    Transfer,
    Where,
    WorstWindow,
)

_SIZES = {"linf": (10, 20, 50), "l2": (200, 500, 1000)}
_SCALE = {"linf": 1.0, "l2": 18.0}
_ATTACKS = {"pgd": 0.9, "apgd-ce": 1.0, "square": 0.7}


def example_attacks(
    stages: tuple[str, ...], decisions: tuple[Decisions, ...], bootstrap: Bootstrap
) -> AttackEvidence:
    """Return invented attacks on the stages' decisions of the same windows."""
    networks = tuple(
        _network(index, stage, made, bootstrap)
        for index, (stage, made) in enumerate(zip(stages, decisions, strict=True))
    )
    flashed = decisions[-1]
    some = _strength(2, flashed) < 20
    time = np.arange(400) / 360
    beat = 900 * np.exp(-(((time - 0.4) / 0.02) ** 2)) + 40 * np.sin(2 * np.pi * 0.4 * time)
    change = 20.0 * np.where(np.sin(2 * np.pi * 11 * time) > 0, 1, -1)
    return AttackEvidence(
        threat_model="The raw samples of the beat's own window change; what the device remembers "
        "from earlier beats is held.",
        windows=f"{len(flashed.labels)} test windows, those verified first, seed 7",
        settings="20 steps, 1 start, 500 queries a window",
        networks=networks,
        transfers=tuple(
            Transfer(
                "pgd",
                "linf:20uV",
                source,
                stages[-1],
                success_share(made, some, bootstrap),
                success_share(flashed, some & (np.arange(len(some)) % 3 > 0), bootstrap),
            )
            for source, made in zip(stages[:-1], decisions[:-1], strict=True)
        ),
        worst=tuple(
            WorstWindow(
                stages[-1],
                "apgd-ce",
                "linf:20uV",
                record,
                12_345,
                "V",
                "V",
                "N",
                20.0,
                "uV",
                360.0,
                144,
                tuple(beat.tolist()),
                tuple((beat + change).tolist()),
            )
            for record in ("fx203", "fx210")
        ),
        proofs=ProofCheck(compared=412, proved=2_031, contradictions=0),
        replays=(
            ParityRow(
                implementation="firmware image",
                version="cortex-m7",
                where=Where.EMULATOR,
                place="unicorn, cortex-m7",
                windows=611,
                compared="logits of all windows that attacks turned",
                values=3_055,
                mismatches=0,
                largest_difference_lsb=0,
            ),
        ),
    )


def _strength(stage: int, decisions: Decisions) -> np.ndarray:
    """Return how much of a change each window withstands, in uV of linf."""
    random = np.random.default_rng(11)
    return random.gamma(2.2, 13 + 2 * stage, len(decisions.labels)) * (1 + (decisions.labels == 0))


def _network(index: int, stage: str, decisions: Decisions, bootstrap: Bootstrap) -> NetworkAttacks:
    strength = _strength(index, decisions)
    asked = np.full(len(strength), 21)
    right = decisions.labels == decisions.predictions
    balls = []
    for norm, sizes in _SIZES.items():
        for size in sizes:
            reach = size / _SCALE[norm]
            outcomes = tuple(
                attack_outcome(name, decisions, strength < share * reach, bootstrap, asked)
                for name, share in _ATTACKS.items()
            )
            worst = attack_outcome(WORST, decisions, strength < reach, bootstrap)
            text = f"{norm}:{size}uV"
            balls.append(BallAttacks(text, f"invented: {text}", norm, size, "uV", outcomes, worst))
    least = attack_outcome("fmn", decisions, right, bootstrap)
    values = np.sort(strength[right])
    middle = float(values[len(values) // 2])
    return NetworkAttacks(
        stage=stage,
        network_sha256="8f0c6c1f0a5bb9e2" * 4 if index == 2 else None,
        arithmetic="the integers as flashed" if index == 2 else "float32",
        right_share=right_share(decisions, bootstrap),
        balls=tuple(balls),
        minimum=(
            MinimumNorm(
                "fmn",
                "linf",
                "uV",
                least.counts,
                Spread(middle, float(values[5]), float(values[-5]), 0.9, len(values)),
                Quantity(middle, "uV", Where.HOST, len(values), "windows decided rightly"),
                least.classes,
            ),
        ),
        checks=(
            MaskingCheck("size", "does success rise with the size?", True, "0.11, 0.35, 0.81"),
            MaskingCheck("black box", "do gradients beat queries?", True, "0.35 and 0.21"),
        ),
    )


def example_disturbances(
    stage: str, decisions: Decisions, bootstrap: Bootstrap
) -> DisturbanceEvidence:
    """Return invented curves: the worse the noise, the more decisions become N."""
    random = np.random.default_rng(3)
    luck = random.random(len(decisions.labels))
    curves = []
    for name, unit, severities, harm in (
        ("electrode-motion", "dB", (24.0, 12.0, 0.0), (0.02, 0.15, 0.5)),
        ("gain-error", "%", (5.0, 10.0, 20.0), (0.0, 0.01, 0.04)),
    ):
        points = []
        for severity, share in zip(severities, harm, strict=True):
            predictions = np.where(luck < share, 0, decisions.predictions)
            points.append(
                SeverityPoint(
                    text=f"{name}:{severity:g}{unit}",
                    description=f"invented: {name} of {severity:g} {unit}",
                    severity=severity,
                    unit=unit,
                    windows=len(luck),
                    scores=score(replace(decisions, predictions=predictions), bootstrap),
                    agreement=float((predictions == decisions.predictions).mean()),
                )
            )
        curves.append(
            DisturbanceCurve(
                name=name,
                title=name.replace("-", " "),
                source="invented",
                synthetic=unit == "dB",
                points=tuple(points),
                severity_is="signal-to-noise ratio" if unit == "dB" else "error of the gain",
            )
        )
    return DisturbanceEvidence(
        threat_model="The whole recording changes, and what the device remembers with it.",
        stage=stage,
        windows=f"{len(luck)} test windows, seed 7",
        undisturbed=score(decisions, bootstrap),
        curves=tuple(curves),
    )
