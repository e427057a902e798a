"""The product, its risks and its planned changes: `[product]`, `[[risks]]` and `[pccp]`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from edgeprune.errors import ConfigurationError, UnknownNameError

PROFILES = ("eu", "fda", "research")
# Software safety classes of IEC 62304.
SAFETY_CLASSES = ("A", "B", "C")


@dataclass(frozen=True)
class ProductSettings:
    """What the team says about its product; the report shows what is empty as missing.

    Attributes:
        name: Name of the device.
        manufacturer: Who places it on the market.
        version: Version of the device or of its software.
        intended_use: Intended use or intended purpose, and the indications.
        users: Who uses it.
        patient_population: For which patients.
        use_environment: Where it is used.
        contraindications: Where it must not be used.
        safety_class: Software safety class of IEC 62304: "A", "B" or "C".
        support_level: How its software is supported, e.g. "actively maintained".
        end_of_support: Last day of support, e.g. "2031-12-31".
        contact: Where to report a defect or a vulnerability.
    """

    name: str = ""
    manufacturer: str = ""
    version: str = ""
    intended_use: str = ""
    users: str = ""
    patient_population: str = ""
    use_environment: str = ""
    contraindications: str = ""
    safety_class: str = ""
    support_level: str = ""
    end_of_support: str = ""
    contact: str = ""


@dataclass(frozen=True)
class RiskSettings:
    """A row of the team's own in the table of risks: a table `[[risks]]`.

    Attributes:
        hazard: The hazard.
        sequence_of_events: How it can come about.
        hazardous_situation: What the patient is exposed to.
        harm: What can follow.
        severity: Initial severity, in the team's own scale.
        probability: Initial probability, in the team's own scale.
        control: What is held against it.
        evidence: Paths of the evidence that shows it ("monitor.limits"), or names of figures as
            policies have them ("performance.{int8 as flashed}.scores.classes.{V}.sensitivity").
        residual: The residual risk, as the team judges it.
        requirements: Names of the requirements that control it, e.g. "sensitivity.V".
    """

    hazard: str
    sequence_of_events: str = ""
    hazardous_situation: str = ""
    harm: str = ""
    severity: str = ""
    probability: str = ""
    control: str = ""
    evidence: tuple[str, ...] = ()
    residual: str = ""
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModificationSettings:
    """A change that is planned: a table `[[pccp.modifications]]`.

    Attributes:
        title: Its name.
        description: What changes, and within what limits.
        rationale: Why.
        data: Which data are collected for it, and how they are kept apart.
        retraining: What is trained again, and how.
        evaluation: What is tested, against which acceptance criteria.
        update: How the change reaches the devices and their users.
        benefits: What it is good for.
        risks: What it may harm.
        mitigation: What is held against that.
    """

    title: str
    description: str = ""
    rationale: str = ""
    data: str = ""
    retraining: str = ""
    evaluation: str = ""
    update: str = ""
    benefits: str = ""
    risks: str = ""
    mitigation: str = ""


@dataclass(frozen=True)
class PccpSettings:
    """A predetermined change control plan, if there is one.

    Attributes:
        policy: Path of the policy file whose gates `edgeprune compare` enforces.
        modifications: The changes that are planned.
    """

    policy: str = ""
    modifications: tuple[ModificationSettings, ...] = ()


def check_regulatory(
    profile: str,
    product: ProductSettings,
    risks: tuple[RiskSettings, ...],
    pccp: PccpSettings,
) -> None:
    """Raise for the first value that cannot stand.

    Raises:
        UnknownNameError: There is no such profile or safety class.
        ConfigurationError: The end of support is no date; a risk or a modification has no name.
    """
    named = [(f"risks.{number}.hazard", row.hazard) for number, row in enumerate(risks)]
    named += [
        (f"pccp.modifications.{number}.title", row.title)
        for number, row in enumerate(pccp.modifications)
    ]
    for key, text in named:
        if not text.strip():
            raise ConfigurationError(f"'{key}' is empty", where=key, hint="say what it is")
    if profile not in PROFILES:
        raise UnknownNameError("profile", profile, PROFILES, where="profile")
    if product.safety_class and product.safety_class not in SAFETY_CLASSES:
        raise UnknownNameError(
            "safety class of IEC 62304",
            product.safety_class,
            SAFETY_CLASSES,
            where="product.safety_class",
        )
    if product.end_of_support:
        try:
            date.fromisoformat(product.end_of_support)
        except ValueError as error:
            raise ConfigurationError(
                f"'product.end_of_support' is '{product.end_of_support}', which is no date",
                where="product.end_of_support",
                hint='write the last day of support as "2031-12-31"',
            ) from error
