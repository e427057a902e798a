"""What the device is for and what its labelling can say: by the team's words and by links."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.links import EvidenceLink


@dataclass(frozen=True)
class ProductField:
    """One thing that the team says about its product.

    Attributes:
        key: Its key in the configuration, e.g. "product.intended_use".
        title: What it is, in words.
        value: What the team wrote; absent where it wrote nothing.
    """

    key: str
    title: str
    value: str | None


@dataclass(frozen=True)
class Statement:
    """One item of a model card or of a label; figures are at the links and nowhere here.

    Attributes:
        topic: What it is about.
        text: What is known, in words.
        evidence: Where the figures are.
        missing: Whether nothing is known: the manufacturer must write it.
    """

    topic: str
    text: str
    evidence: tuple[EvidenceLink, ...] = ()
    missing: bool = False


@dataclass(frozen=True)
class ProductEvidence:
    """The product as the configuration describes it.

    Attributes:
        fields: Every field, those that were left empty too.
        missing: Keys of the fields that were left empty.
        model_card: What the classifier is, learnt from, reads and decides.
        labelling: What a label or instructions for use can take from this evidence.
    """

    fields: tuple[ProductField, ...]
    missing: tuple[str, ...]
    model_card: tuple[Statement, ...] = ()
    labelling: tuple[Statement, ...] = ()
