"""From the limits of the configuration to requirements judged on the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgeprune.config import Requirements
from edgeprune.errors import ConfigurationError
from edgeprune.evidence import (
    CertificateEvidence,
    Comparison,
    DeviceEvidence,
    Evidence,
    ModelPerformance,
    Quantity,
    Requirement,
    StageComparison,
    Where,
    judge,
)

FLOAT = "float"
PRUNED = "pruned float"
INT8 = "int8 as flashed"
_SCORES = {"sensitivity": "sensitivity", "precision": "precision (PPV)", "f1": "F1"}


def check_classes(requirements: Requirements, class_names: tuple[str, ...]) -> None:
    """Refuse a limit on a class that the data set does not have.

    Raises:
        ConfigurationError: There is one.
    """
    for score in _SCORES:
        for name in getattr(requirements, score):
            if name not in class_names:
                raise ConfigurationError(
                    f"the data set has no class '{name}'",
                    where=f"requirements.{score}.{name}",
                    hint=f"its classes: {', '.join(class_names)}",
                )


def judge_all(requirements: Requirements, evidence: Evidence) -> tuple[Requirement, ...]:
    """Return every requirement: those that hold for any build, then those of the configuration."""
    return (
        *_of_any_build(evidence),
        *_on_size(requirements, evidence.device),
        *_on_performance(requirements, evidence),
        *_on_certificates(requirements, evidence.certificates),
    )


def _of_any_build(evidence: Evidence) -> Iterator[Requirement]:
    gates = [row for row in evidence.parity if row.gate]
    compared = sum(row.values for row in gates)
    mismatches = Quantity(
        sum(row.mismatches for row in gates), "1", Where.EMULATOR, n=compared, n_of="values"
    )
    yield judge(
        "parity.mismatches",
        "values that differ between the specification and any implementation",
        Comparison.AT_MOST,
        0,
        "1",
        mismatches if gates else None,
        "parity",
    )
    firmware = evidence.device.firmware if evidence.device else None
    if firmware is not None:
        for name, title, value, limit in (
            ("target.flash", "the target's flash", firmware.flash_bytes, firmware.flash_available),
            ("target.ram", "the target's RAM", firmware.ram_bytes, firmware.ram_available),
        ):
            yield judge(
                name,
                f"firmware fits {title}",
                Comparison.AT_MOST,
                limit,
                "byte",
                Quantity(value, "byte", Where.IMAGE),
                f"device.firmware.{name.partition('.')[2]}_bytes",
            )


def _on_size(requirements: Requirements, device: DeviceEvidence | None) -> Iterator[Requirement]:
    firmware = device.firmware if device else None
    counted = device.instructions if device else None
    flash, ram = (firmware.flash_bytes, firmware.ram_bytes) if firmware else (None, None)
    most = counted.maximum if counted else None
    sizes = {
        "flash_bytes": ("firmware image in flash", flash, "byte"),
        "ram_bytes": ("RAM, stack included", ram, "byte"),
        "instructions": ("instructions a window", most, "instruction"),
    }
    for name, (title, value, unit) in sizes.items():
        limit = getattr(requirements, name)
        if limit is not None:
            where = Where.IMAGE if unit == "byte" else Where.EMULATOR
            yield judge(
                name,
                title,
                Comparison.AT_MOST,
                limit,
                unit,
                None if value is None else Quantity(value, unit, where),
                "device.instructions.maximum" if counted else f"device.firmware.{name}",
            )


def _on_performance(requirements: Requirements, evidence: Evidence) -> Iterator[Requirement]:
    flashed = next((row for row in evidence.performance if row.stage == INT8), None)
    yield from _overall(requirements, flashed)
    for score, words in _SCORES.items():
        limits: Mapping[str, float] = getattr(requirements, score)
        for name, limit in limits.items():
            found = None if flashed is None else _of_class(flashed, name, score)
            yield judge(
                f"{score}.{name}",
                f"{words} of class {name}, {INT8}",
                Comparison.AT_LEAST,
                limit,
                "1",
                found,
                f"performance[{INT8}].scores.classes[{name}].{score}",
            )
    if requirements.macro_f1_loss is not None:
        change = _change(evidence.comparisons)
        yield judge(
            "macro_f1_loss",
            f"macro-F1, {INT8} minus {FLOAT}",
            Comparison.AT_LEAST,
            -requirements.macro_f1_loss,
            "1",
            change,
            f"comparisons[{FLOAT}, {INT8}].macro_f1_change",
        )


def _overall(requirements: Requirements, flashed: ModelPerformance | None) -> Iterator[Requirement]:
    for name, title in (("accuracy", "accuracy"), ("macro_f1", "macro-F1")):
        limit = getattr(requirements, name)
        if limit is not None:
            yield judge(
                name,
                f"{title}, {INT8}",
                Comparison.AT_LEAST,
                limit,
                "1",
                None if flashed is None else getattr(flashed.scores, name),
                f"performance[{INT8}].scores.{name}",
            )


def _of_class(performance: ModelPerformance, name: str, score: str) -> Quantity | None:
    found = next((row for row in performance.scores.classes if row.name == name), None)
    quantity: Quantity | None = None if found is None else getattr(found, score)
    return quantity


def _change(comparisons: tuple[StageComparison, ...]) -> Quantity | None:
    return next(
        (row.macro_f1_change for row in comparisons if (row.before, row.after) == (FLOAT, INT8)),
        None,
    )


def _on_certificates(
    requirements: Requirements, certificates: CertificateEvidence | None
) -> Iterator[Requirement]:
    wanted = requirements.certified_share
    if wanted is None:
        return
    points = certificates.points if certificates else ()
    point = next((point for point in points if point.radius_lsb == wanted.radius_lsb), None)
    yield judge(
        "certified_share",
        f"share of windows proved and right at {wanted.radius_lsb} LSB",
        Comparison.AT_LEAST,
        wanted.share,
        "1",
        None if point is None else point.proved_and_right_share,
        f"certificates.points[{wanted.radius_lsb} LSB].proved_and_right_share",
    )
