"""The product by the team's words, the model card, and what a label can take from this evidence."""

from __future__ import annotations

from dataclasses import fields

from edgeprune.config.regulatory import ProductSettings
from edgeprune.evidence import Evidence, ProductEvidence, ProductField, Statement
from edgeprune.pipeline.regulatory.findings import Findings
from edgeprune.pipeline.regulatory.hazards import TO_BE_WRITTEN

_TITLES = {
    "name": "Name of the device",
    "manufacturer": "Manufacturer",
    "version": "Version",
    "intended_use": "Intended use",
    "users": "Users",
    "patient_population": "Patients",
    "use_environment": "Where it is used",
    "contraindications": "Contraindications",
    "safety_class": "Software safety class",
    "support_level": "Level of support",
    "end_of_support": "End of support",
    "contact": "Contact for defects and vulnerabilities",
}


def product_evidence(
    evidence: Evidence, findings: Findings, product: ProductSettings
) -> ProductEvidence:
    """Return what the team says of its product, and what the build says of the model.

    Args:
        evidence: The evidence that is pointed at.
        findings: Of the same.
        product: The configuration's table.
    """
    rows = tuple(
        ProductField(
            f"product.{field.name}", _TITLES[field.name], getattr(product, field.name) or None
        )
        for field in fields(product)
    )
    return ProductEvidence(
        rows,
        tuple(row.key for row in rows if row.value is None),
        _model_card(evidence, findings),
        _labelling(evidence, findings, product),
    )


def _model_card(evidence: Evidence, findings: Findings) -> tuple[Statement, ...]:
    rows = (
        ("Task", _kind(evidence), ("data.classes",)),
        (
            "Input",
            "leads or channels, window and converter",
            ("data.lead", "data.window", "data.adc.rate_hz", "data.adc.bits"),
        ),
        ("Output", "one logit a class; the largest decides", ("data.classes",)),
        (
            "Architecture",
            "a neural network of fixed weights",
            (
                "classifier.name",
                "classifier.description",
                "classifier.parameters",
                "classifier.macs",
            ),
        ),
        (
            "Training data",
            "GENERATED recordings: no patient was measured"
            if _synthetic(evidence)
            else "recordings of patients",
            ("data.origin", "splits", "data.licence", "data.citation", "data.excluded"),
        ),
        (
            "Training",
            "the recipe",
            ("training.summary", "training.selected_by"),
        ),
        (
            "Compression",
            "pruned, then quantized to integers of eight bits",
            ("pruning.method", "pruning.aim", "quantization.scheme"),
        ),
        ("Performance", "on patients that nothing was learnt from", ("scores", "sensitivities")),
        ("Calibration", "what its confidence is worth", ("calibration",)),
        ("Robustness", "proofs, attacks and disturbances", ("proofs", "attacked", "curves")),
        ("Refusals", "when it gives no decision", ("refusals", "monitor.limits")),
        (
            "Device",
            "what it runs on",
            ("identity.target_title", "device.core", "device.firmware.toolchain"),
        ),
        ("Limits", "what this evidence does not reach", ("limits", "not_tested")),
    )
    return tuple(_statement(findings, *row) for row in rows)


def _labelling(
    evidence: Evidence, findings: Findings, product: ProductSettings
) -> tuple[Statement, ...]:
    rows = (
        ("Use of AI", "Decisions are made by a neural network that does not learn in use.", ()),
        ("Intended use", product.intended_use, ()),
        ("Users", product.users, ()),
        ("Patients", product.patient_population, ()),
        ("Where it is used", product.use_environment, ()),
        ("Contraindications", product.contraindications, ()),
        (
            "Inputs",
            "The lead or channels, rate and converter that it was made for.",
            ("data.lead", "data.adc", "data.window.seconds"),
        ),
        ("Outputs", "One of the classes, or no decision.", ("data.classes", "refusals")),
        ("Performance", "By class, with intervals over patients.", ("scores", "sensitivities")),
        (
            "Data of development and test",
            "Generated recordings: no patient was measured."
            if _synthetic(evidence)
            else "Recordings of patients, split by patient as far as they are known.",
            ("splits", "data.notes"),
        ),
        (
            "Known limitations",
            "As listed under limits and not tested.",
            ("limits", "not_tested"),
        ),
        (
            "Confidence",
            "Logits are no probabilities of disease.",
            ("calibration",),
        ),
        ("Updates", "The network changes by an update of the firmware only.", ()),
    )
    return tuple(_statement(findings, *row) for row in rows)


def _statement(findings: Findings, topic: str, text: str, names: tuple[str, ...]) -> Statement:
    links = findings.links(names)
    # What only links speak of is missing where they lead nowhere.
    missing = not text or (bool(names) and not links)
    return Statement(topic, text or TO_BE_WRITTEN, links, missing)


def _synthetic(evidence: Evidence) -> bool:
    return evidence.identity.synthetic


def _kind(evidence: Evidence) -> str:
    window = evidence.data.window if evidence.data else None
    what = "beats" if window and window.rhythm_features else "windows of a signal"
    return f"classification of {what}"
