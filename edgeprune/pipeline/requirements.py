"""From the limits of the configuration to requirements judged on the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeprune.attacks.balls import Ball
from edgeprune.config import Requirements, RobustnessSettings
from edgeprune.disturbances import parse_disturbance
from edgeprune.errors import ConfigurationError
from edgeprune.evidence import (
    AttackEvidence,
    CertificateEvidence,
    Comparison,
    DisturbanceEvidence,
    Evidence,
    MonitorEvidence,
    ProofCheck,
    Quantity,
    Requirement,
    Scores,
    Where,
    judge,
)

FLOAT = "float"
PRUNED = "pruned float"
INT8 = "int8 as flashed"
# Where the target's own instructions were executed.
_RAN = (Where.EMULATOR, Where.SILICON)
_SCORES = {"sensitivity": "sensitivity", "precision": "precision (PPV)", "f1": "F1"}


def check_classes(requirements: Requirements, class_names: tuple[str, ...]) -> None:
    """Refuse a limit on a class that the data set does not have.

    Raises:
        ConfigurationError: There is one.
    """
    limits = {score: getattr(requirements, score) for score in _SCORES}
    limits |= {
        f"sensitivity_under.{text}": shares
        for text, shares in requirements.sensitivity_under.items()
    }
    for table, shares in limits.items():
        for name in shares:
            if name not in class_names:
                raise ConfigurationError(
                    f"the data set has no class '{name}'",
                    where=f"requirements.{table}.{name}",
                    hint=f"its classes: {', '.join(class_names)}",
                )


def judge_all(
    requirements: Requirements,
    evidence: Evidence,
    robustness: RobustnessSettings | None = None,
) -> tuple[Requirement, ...]:
    """Return every requirement: those that hold for any build, then those of the configuration.

    The value of each is the figure at its `source`, a path in the evidence; what is not there was
    not tested.
    """
    return (
        *_of_any_build(evidence),
        *_on_size(requirements, evidence),
        *_on_performance(requirements, evidence),
        *judge_certificates(
            requirements, robustness or RobustnessSettings(), evidence.certificates
        ),
        *judge_attacks(requirements, evidence.attacks),
        *judge_disturbances(requirements, evidence.disturbances),
    )


def figure_at(evidence: Evidence, source: str) -> Quantity | None:
    """Return the figure at a dotted path, list positions included; None where there is none.

    A bare number of the device comes with the unit and the place that its name says.
    """
    if not source:
        return None
    value: Any = evidence
    for name in source.split("."):
        if value is None:
            return None
        value = value[int(name)] if name.isdigit() else getattr(value, name)
    if value is None or isinstance(value, Quantity):
        return value
    if source.endswith("_bytes"):
        return Quantity(value, "byte", Where.IMAGE)
    return Quantity(value, "instruction", Where.EMULATOR)


def _at_most(
    evidence: Evidence, name: str, title: str, limit: float, unit: str, source: str
) -> Requirement:
    found = figure_at(evidence, source)
    return judge(name, title, Comparison.AT_MOST, limit, unit, found, source)


def _at_least(evidence: Evidence, name: str, title: str, limit: float, source: str) -> Requirement:
    found = figure_at(evidence, source)
    return judge(name, title, Comparison.AT_LEAST, limit, "1", found, source)


def _of_any_build(evidence: Evidence) -> Iterator[Requirement]:
    gates = [row for row in evidence.parity if row.gate]
    compared = sum(row.values for row in gates)
    different = sum(row.mismatches for row in gates)
    mismatches = Quantity(different, "1", Where.EMULATOR, n=compared, n_of="values")
    yield judge(
        "parity.mismatches",
        "values that differ between the specification and any implementation",
        Comparison.AT_MOST,
        0,
        "1",
        mismatches if gates else None,
        "parity",
    )
    if evidence.certificates is not None and evidence.certificates.files:
        yield _no_rejection(evidence.certificates)
    if evidence.attacks is not None and evidence.attacks.proofs is not None:
        yield _no_contradiction(evidence.attacks.proofs)
    if evidence.monitor is not None and evidence.monitor.compared:
        yield _no_other_reason(evidence.monitor)
    firmware = evidence.device.firmware if evidence.device else None
    if firmware is not None and not any(row.where in _RAN for row in gates):
        yield judge(
            "parity.device",
            "values that differ between the specification and what was built for the target",
            Comparison.AT_MOST,
            0,
            "1",
            None,
            "parity",
        )
    if firmware is not None:
        for memory, title, available in (
            ("flash", "the target's flash", firmware.flash_available),
            ("ram", "the target's RAM", firmware.ram_available),
        ):
            source = f"device.firmware.{memory}_bytes"
            yield _at_most(
                evidence, f"target.{memory}", f"firmware fits {title}", available, "byte", source
            )


def _no_rejection(certificates: CertificateEvidence) -> Requirement:
    checked = sum(file.checked for file in certificates.files)
    rejected = checked - sum(file.accepted for file in certificates.files)
    return judge(
        "certificates.rejected",
        "certificates that the independent checker rejects",
        Comparison.AT_MOST,
        0,
        "1",
        Quantity(rejected, "1", Where.HOST, n=checked, n_of="certificates"),
        "certificates.files",
    )


def _no_contradiction(proofs: ProofCheck) -> Requirement:
    return judge(
        "attacks.contradictions",
        "attacks that succeed within a set that was proved for their window",
        Comparison.AT_MOST,
        0,
        "1",
        Quantity(proofs.contradictions, "1", Where.HOST, n=proofs.proved, n_of="proofs"),
        "attacks.proofs",
    )


def _no_other_reason(monitor: MonitorEvidence) -> Requirement:
    return judge(
        "monitor.mismatches",
        "windows for which the device's monitor says other than the specification",
        Comparison.AT_MOST,
        0,
        "1",
        Quantity(monitor.mismatches, "1", Where.EMULATOR, n=monitor.compared, n_of="windows"),
        "monitor",
    )


def _on_size(requirements: Requirements, evidence: Evidence) -> Iterator[Requirement]:
    for name, title, unit, source in (
        ("flash_bytes", "firmware image in flash", "byte", "device.firmware.flash_bytes"),
        ("ram_bytes", "RAM, stack included", "byte", "device.firmware.ram_bytes"),
        ("instructions", "instructions a window", "instruction", "device.instructions.maximum"),
    ):
        limit = getattr(requirements, name)
        if limit is not None:
            yield _at_most(evidence, name, title, limit, unit, source)


def _on_performance(requirements: Requirements, evidence: Evidence) -> Iterator[Requirement]:
    stages = [row.stage for row in evidence.performance]
    place = stages.index(INT8) if INT8 in stages else None
    scores = None if place is None else evidence.performance[place].scores
    yield from judge_scores(requirements, scores, INT8, f"performance.{place}.scores")
    if requirements.macro_f1_loss is not None:
        pairs = [(row.before, row.after) for row in evidence.comparisons]
        pair = (FLOAT, INT8)
        source = f"comparisons.{pairs.index(pair)}.macro_f1_change" if pair in pairs else ""
        limit = -requirements.macro_f1_loss
        title = f"macro-F1, {INT8} minus {FLOAT}"
        yield _at_least(evidence, "macro_f1_loss", title, limit, source)


def judge_scores(
    requirements: Requirements, scores: Scores | None, of: str, home: str
) -> Iterator[Requirement]:
    """Yield the requirements on what is decided of windows.

    Args:
        requirements: The limits.
        scores: What was found; None where nothing was.
        of: Whose decisions they are, in words.
        home: Path of `scores` in the evidence.
    """

    def at_least(
        name: str, title: str, limit: float, value: Quantity | None, path: str
    ) -> Requirement:
        source = f"{home}.{path}" if scores is not None else ""
        return judge(name, f"{title}, {of}", Comparison.AT_LEAST, limit, "1", value, source)

    for name, title in (("accuracy", "accuracy"), ("macro_f1", "macro-F1")):
        limit = getattr(requirements, name)
        if limit is not None:
            value = None if scores is None else getattr(scores, name)
            yield at_least(name, title, limit, value, name)
    rows = {row.name: (place, row) for place, row in enumerate(scores.classes if scores else ())}
    for score, words in _SCORES.items():
        limits: Mapping[str, float] = getattr(requirements, score)
        for name, limit in limits.items():
            place, row = rows.get(name, (0, None))
            value = None if row is None else getattr(row, score)
            path = f"classes.{place}.{score}"
            yield at_least(f"{score}.{name}", f"{words} of class {name}", limit, value, path)


def judge_folds(
    requirements: Requirements,
    scores: Scores,
    of: str,
    home: str,
    change: Quantity | None,
) -> tuple[Requirement, ...]:
    """Return the requirements that can be decided over the folds of a protocol.

    Args:
        requirements: The limits.
        scores: Of the windows of all folds together, as flashed.
        of: Whose decisions they are, in words.
        home: Path of `scores` in the evidence.
        change: Change of macro-F1 since the float classifier; None where there is none.
    """
    rows = list(judge_scores(requirements, scores, of, home))
    limit = requirements.macro_f1_loss
    if limit is not None:
        title = f"macro-F1, {of} minus {FLOAT}"
        source = "comparison.macro_f1_change" if change is not None else ""
        rows.append(judge("macro_f1_loss", title, Comparison.AT_LEAST, -limit, "1", change, source))
    return tuple(rows)


def left_to_build(requirements: Requirements, robustness: RobustnessSettings) -> tuple[str, ...]:
    """Return the names of the limits that only a whole build can decide."""
    sizes = ("flash_bytes", "ram_bytes", "instructions", "certified_share")
    return (
        *(name for name in sizes if getattr(requirements, name) is not None),
        *(("robustness.share",) if robustness.perturbation and robustness.share > 0 else ()),
        *(f"attack_success.{ball}" for ball in requirements.attack_success),
        *(
            f"sensitivity_under.{text}.{name}"
            for text, limits in requirements.sensitivity_under.items()
            for name in limits
        ),
    )


def judge_certificates(
    requirements: Requirements,
    robustness: RobustnessSettings,
    certificates: CertificateEvidence | None,
) -> tuple[Requirement, ...]:
    """Return the requirements on what was proved of the flashed network."""
    wanted = []
    if requirements.certified_share is not None:
        certified = requirements.certified_share
        wanted.append(("certified_share", certified.perturbation, certified.share))
    if robustness.perturbation and robustness.share > 0:
        wanted.append(("robustness.share", robustness.perturbation, robustness.share))
    found = {
        each.text: (
            each.proved_and_right_share,
            f"certificates.networks.{number}.perturbations.{place}.proved_and_right_share",
        )
        for number, network in enumerate(certificates.networks if certificates else ())
        if network.stage == INT8
        for place, each in enumerate(network.perturbations)
    }
    rows = []
    for name, text, limit in wanted:
        share, source = found.get(text, (None, ""))
        title = f"share of windows proved and right under {text}, {INT8}"
        rows.append(judge(name, title, Comparison.AT_LEAST, limit, "1", share, source))
    return tuple(rows)


def judge_attacks(
    requirements: Requirements, attacks: AttackEvidence | None
) -> tuple[Requirement, ...]:
    """Return the requirements on what attacks turned of the flashed network's decisions."""
    found = {
        _ball_key(ball.text): (
            ball.worst.success,
            f"attacks.networks.{number}.balls.{place}.worst.success",
        )
        for number, network in enumerate(attacks.networks if attacks else ())
        if network.stage == INT8
        for place, ball in enumerate(network.balls)
    }
    rows = []
    for text, limit in requirements.attack_success.items():
        share, source = found.get(_ball_key(text), (None, ""))
        title = f"share of right decisions that attacks turn within {text}, {INT8}"
        name = f"attack_success.{text}"
        rows.append(judge(name, title, Comparison.AT_MOST, limit, "1", share, source))
    return tuple(rows)


def judge_disturbances(
    requirements: Requirements, disturbances: DisturbanceEvidence | None
) -> tuple[Requirement, ...]:
    """Return the requirements on classes that must still be found under disturbances."""
    found = {
        (point.text, row.name): (
            row.sensitivity,
            f"disturbances.curves.{number}.points.{place}.scores.classes.{index}.sensitivity",
        )
        for number, curve in enumerate(disturbances.curves if disturbances else ())
        for place, point in enumerate(curve.points)
        for index, row in enumerate(point.scores.classes)
    }
    rows = []
    for text, limits in requirements.sensitivity_under.items():
        for name, limit in limits.items():
            value, source = found.get((parse_disturbance(text).text, name), (None, ""))
            title = f"sensitivity of class {name} under {text}, {INT8}"
            key = f"sensitivity_under.{text}.{name}"
            rows.append(judge(key, title, Comparison.AT_LEAST, limit, "1", value, source))
    return tuple(rows)


def _ball_key(text: str) -> tuple[str, float, str]:
    ball = Ball.parse(text)
    return ball.norm, ball.size, ball.unit
